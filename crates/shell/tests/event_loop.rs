//! The event loop: tasks, timers, microtasks, and scripts that fail.

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::{Fixture, Recorder, environment, response};

#[test]
fn timers_run_by_delay_and_then_in_the_order_of_the_calls() {
    let fixture = Fixture::script(
        "setTimeout(() => console.log('d'), 20); setTimeout(() => console.log('b'), 1);
         setTimeout((...a) => console.log(...a), 0, 'a', 1); setTimeout(() => console.log('c'), 1);
         setTimeout('console.log(\"string\")', 21);
         clearTimeout(setTimeout(() => console.log('never'), 0));
         queueMicrotask(() => console.log('micro')); console.log('sync');",
    );
    fixture.run_until_idle();
    assert_eq!(fixture.log(), "sync micro a 1 b c d string");
}

#[test]
fn intervals_repeat_until_cleared() {
    let fixture = Fixture::script(
        "let n = 0; const id = setInterval(function () {
           console.log(++n, this === window); if (n === 3) clearInterval(id);
         }, 1);",
    );
    fixture.run_until_idle();
    assert_eq!(fixture.log(), "1 true 2 true 3 true");
}

#[test]
fn timers_may_be_nested() {
    let fixture = Fixture::script(
        "(function next(n) { console.log(n); if (n < 12) setTimeout(next, 0, n + 1); })(0);",
    );
    fixture.run_until_idle();
    assert_eq!(fixture.log(), "0 1 2 3 4 5 6 7 8 9 10 11 12");
}

#[test]
fn an_error_ends_only_its_own_script() {
    let fixture = Fixture::html(
        "<script>console.log(1); throw new TypeError('broken')</script><script>nonsense(</script>
         <script>console.log(2)</script>",
    );
    let console = fixture.console();
    assert_eq!(console.len(), 4);
    assert_eq!([&console[0], &console[3]], ["log: 1", "log: 2"]);
    assert!(console[1].starts_with("error: Uncaught TypeError: broken\n"), "{}", console[1]);
    assert!(console[2].starts_with("error: Uncaught SyntaxError: "), "{}", console[2]);
}

#[test]
fn errors_of_callbacks_are_reported_where_they_happen() {
    let fixture = Fixture::script(
        "addEventListener('x', () => { throw new Error('listener') });
         addEventListener('x', () => console.log('next'));
         dispatchEvent(new Event('x'));
         queueMicrotask(() => { throw new Error('micro') });
         setTimeout(() => { throw 'timer' });
         Promise.reject(new Error('promise'));
         const late = Promise.reject(new Error('handled')); late.catch(() => {});",
    );
    fixture.run_until_idle();
    let heads: Vec<_> = fixture
        .console()
        .iter()
        .map(|it| it.lines().next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        heads,
        [
            "error: Uncaught Error: listener",
            "log: next",
            "error: Uncaught Error: micro",
            "error: Uncaught (in promise) Error: promise",
            "error: Uncaught timer",
        ]
    );
}

#[test]
fn onerror_can_keep_an_error_off_the_console() {
    let fixture = Fixture::html(
        "<script>onerror = (message, ...rest) => { console.log(message, rest.at(-1).name); return true }
         </script><script>throw new RangeError('x')</script>",
    );
    assert_eq!(fixture.console(), ["log: Uncaught RangeError: x RangeError"]);
}

#[test]
fn an_endless_script_is_interrupted() {
    for endless in ["for (;;);", "(function f() { Promise.resolve().then(f) })();"] {
        let fixture = Fixture::script("");
        fixture.page.event_loop().set_task_budget(Duration::from_millis(50));
        let realm = fixture.page.realm();
        realm.evaluate(endless, "endless");
        realm.evaluate("console.log('alive')", "next");
        let console = fixture.console();
        assert!(console.contains(&"log: alive".to_owned()), "{endless} {console:?}");
        if endless.starts_with("for") {
            assert_eq!(console[0], "error: Uncaught InternalError: interrupted, it ran too long");
        }
    }
}

#[test]
fn the_memory_of_a_script_is_limited() {
    for greedy in [
        "var a = []; for (;;) a.push('x'.repeat(1 << 20) + a.length);",
        "f(); function f() { f() }",
    ] {
        let fixture = Fixture::script(greedy);
        assert!(fixture.console()[0].starts_with("error: Uncaught "), "{:?}", fixture.console());
        fixture.page.realm().evaluate("a = null; console.log('alive')", "next");
        assert_eq!(fixture.console().last().map(String::as_str), Some("log: alive"));
    }
}

#[test]
fn other_threads_post_tasks() {
    let fixture = Fixture::script("");
    let queue = fixture.page.event_loop().queue();
    let realm = fixture.page.realm().id();
    let thread = thread::spawn(move || {
        for n in 0..3 {
            queue.post(realm, move |realm| realm.evaluate(&format!("console.log({n})"), "task"));
        }
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    let host = &fixture.host;
    assert!(fixture.page.event_loop().run_until(deadline, |_| host.console.borrow().len() == 3));
    assert_eq!(fixture.log(), "0 1 2");
    assert!(thread.join().is_ok());
}

#[test]
fn tasks_for_a_dropped_realm_do_not_run() {
    let fixture = Fixture::script("setInterval(() => {}, 1); fetch('x')");
    let event_loop = std::rc::Rc::clone(fixture.page.event_loop());
    let realm = fixture.page.realm().id();
    drop(fixture.page);
    event_loop.queue().post(realm, |_| panic!("there is no realm"));
    drop(fixture.host);
    assert!(event_loop.run_until_idle(Instant::now() + Duration::from_secs(20)));
}

#[test]
fn external_scripts_run_in_document_order() {
    let recorder = Recorder::default();
    let add = |name: &str, source: &str| {
        let url = format!("https://a.test/dir/{name}");
        recorder.scripts.borrow_mut().insert(url, source.as_bytes().to_vec());
    };
    add("a.js", "console.log('a', document.body === null)");
    add("d.js", "console.log('deferred', document.readyState)");
    add("i.js", "console.log('inserted')");
    let mut fixture = Fixture::with(
        recorder,
        environment(),
        "<head><script src=d.js defer></script><script src=a.js></script>
         <script src=none.js onerror='console.log(event.type)'></script>
         <script type=module>console.log('module')</script><script type=text/x>x(</script>
         <body><script>console.log('b');
           var s = document.createElement('script'); s.src = 'i.js'; s.onload = () => console.log('onload');
           document.body.append(s);
           s = document.createElement('script'); s.text = 'console.log(\"at once\")';
           document.body.append(s);
           document.body.insertAdjacentElement('beforeend', document.createElement('div')).innerHTML =
             '<script>console.log(1)<\\/script>';
         </script>",
    );
    fixture.page.fire_load();
    fixture.run_until_idle();
    assert_eq!(
        fixture.log(),
        "a true error: https://a.test/dir/none.js: 404 error b at once deferred interactive module inserted onload"
    );
}

#[test]
fn messages_and_answers_of_the_network_keep_their_order() {
    let fixture = Fixture::script(
        "fetch('x').then(() => console.log('answer'));
         onmessage = () => console.log('message');
         postMessage('');",
    );
    fixture.answer(Ok(response(200)));
    assert_eq!(fixture.log(), "message answer");
}

#[test]
fn an_error_event_names_the_place_of_the_error() {
    let fixture = Fixture::script(
        "onerror = (message, file, line, column, error) => console.log(message, file.slice(-8), line, column > 0, error.name);
         setTimeout(() => {
           null.x;
         });
         addEventListener('x', () => { Node.prototype.contains.call(1); }); dispatchEvent(new Event('x'));",
    );
    fixture.run_until_idle();
    let log = fixture.console();
    let seen: Vec<_> = log.iter().filter(|line| line.starts_with("log: ")).collect();
    assert_eq!(
        seen,
        [
            "log: Uncaught TypeError: Illegal invocation page?q#f 5 true TypeError",
            "log: Uncaught TypeError: cannot read property 'x' of null page?q#f 3 true TypeError",
        ],
        "{log:?}"
    );
}

#[test]
fn a_rejection_is_told_to_the_page_and_later_that_it_was_handled() {
    let fixture = Fixture::script(
        "const late = Promise.reject('late'), early = Promise.reject('early'), quiet = Promise.reject('quiet'); early.catch(() => {});
         onunhandledrejection = e => { console.log(e.type, e.reason, e.promise === late); if (e.promise === quiet) e.preventDefault(); };
         onrejectionhandled = e => console.log(e.type, e.reason); setTimeout(() => late.catch(() => {}), 1);",
    );
    fixture.run_until_idle();
    assert_eq!(
        fixture.console(),
        [
            "log: unhandledrejection late true",
            "error: Uncaught (in promise) late",
            "log: unhandledrejection quiet false",
            "log: rejectionhandled late",
        ]
    );
}

#[test]
fn the_window_shows_the_event_whose_listener_runs() {
    let fixture = Fixture::script(
        "const log = [event]; addEventListener('a', e => { log.push(event === e); dispatchEvent(new Event('b')); log.push(event === e); });
         addEventListener('b', e => log.push(event === e, event.type)); dispatchEvent(new Event('a')); log.push(event);
         removeEventListener('a', undefined); addEventListener('a', undefined); console.log('%%'); console.log('%% %s', 1);",
    );
    assert_eq!(fixture.get("log"), r#"[null,true,true,"b",true,null]"#);
    assert_eq!(fixture.log(), "%% % 1");
}
