//! Tests of the credits.

use proptest::prelude::*;
use sendbeacon_fetch::{PurseLimits, Sums};

use super::*;

const AGENT: u64 = 8 << 20;

fn share(user_agent: &Arc<Sums>) -> Arc<Share> {
    let limits = PurseLimits { site: AGENT, partition: AGENT, user_agent: AGENT };
    let none = PurseLimits { site: 0, partition: 0, user_agent: 0 };
    Arc::new(Share::new(Arc::default(), Arc::clone(user_agent), limits, none))
}

/// A content process: what it has spent.
struct Process {
    lent: Arc<Lent>,
    spent: Vec<Spent>,
}

#[derive(Clone, Debug)]
enum Step {
    Start,
    Lend(usize),
    Spend(usize, u64),
    Finish(usize),
    Return(usize, u64),
    /// The process dies, and its fetches go on.
    Die(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..4_usize;
    prop_oneof![
        Just(Step::Start),
        which.clone().prop_map(Step::Lend),
        (which.clone(), 0..300_000_u64).prop_map(|(n, bytes)| Step::Spend(n, bytes)),
        which.clone().prop_map(Step::Finish),
        (which.clone(), 0..2_000_000_u64).prop_map(|(n, bytes)| Step::Return(n, bytes)),
        which.prop_map(Step::Die),
    ]
}

proptest! {
    #[test]
    fn what_is_spent_and_lent_and_left_is_always_the_user_agents_sum(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let user_agent = Arc::default();
        let share = share(&user_agent);
        let mut processes: Vec<Process> = Vec::new();
        let mut of_the_dead: Vec<Spent> = Vec::new();
        let mut started = 0;
        for step in steps {
            let count = processes.len().max(1);
            match step {
                Step::Start if processes.len() < 4 => {
                    let lent = Lent::new(Arc::clone(&share));
                    processes.push(Process { lent, spent: Vec::new() });
                    started += 1;
                }
                Step::Start => {}
                Step::Lend(n) => {
                    processes.get(n % count).map(|it| it.lent.lend());
                }
                Step::Spend(n, bytes) => {
                    if let Some(Process { lent, spent }) = processes.get_mut(n % count) {
                        spent.extend(lent.spend(bytes));
                    }
                }
                Step::Finish(n) => {
                    drop(processes.get_mut(n % count).map(|it| it.spent.pop()));
                    of_the_dead.pop();
                }
                Step::Return(n, bytes) => {
                    processes.get(n % count).map(|it| it.lent.take_back(bytes));
                }
                Step::Die(n) => {
                    if n < processes.len() {
                        let Process { lent, spent } = processes.remove(n);
                        lent.end();
                        of_the_dead.extend(spent);
                    }
                }
            }
            let free: u64 = processes.iter().filter_map(|it| *it.lent.free()).sum();
            let spent = processes.iter().flat_map(|it| &it.spent).chain(&of_the_dead);
            let spent: u64 = spent.map(|it| it.bytes).sum();
            // The sum is at most what it may be, beside the first credits of the processes.
            prop_assert_eq!(user_agent.drawn(), free + spent + share.in_hand());
            prop_assert!(user_agent.drawn() <= AGENT + started * FIRST_CREDITS);
        }
        drop((processes, of_the_dead));
    }
}

#[test]
fn a_process_gets_less_when_there_is_less_and_its_first_credits_in_any_case() {
    let user_agent = Arc::default();
    let share = share(&user_agent);
    assert!(share.take(AGENT - LOAN / 2 - FIRST_CREDITS));
    let first = Lent::new(Arc::clone(&share));
    assert_eq!(first.lend(), LOAN / 2);
    assert_eq!(first.lend(), 0);
    let second = Lent::new(Arc::clone(&share));
    assert!(second.spend(FIRST_CREDITS).is_some());
    assert_eq!(second.lend(), 0);
    first.end();
    assert_eq!(first.lend(), 0);
    assert!(first.spend(1).is_none() && !first.take_back(1));
    assert!(second.lend() > 0);
}
