//! Other processes, the end of this one, modes, and what the system refuses.
#![cfg(unix)]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Child, Command, Stdio},
};

use sendbeacon_fetch::host::{Outbox, OutboxChange, OutboxError, OutboxRecord, RecordId};
use sendbeacon_outbox::FileOutbox;

use crate::support::{beside, directory, load, path, put, record};

/// The variables that tell [`program`] what to do, and with which outbox.
const TASK: &str = "SENDBEACON_OUTBOX_TASK";
const PATH: &str = "SENDBEACON_OUTBOX_PATH";

/// Not a test: the program that the tests here start. Returns at once in a normal test run.
#[test]
fn program() {
    let (Ok(task), Some(path)) = (env::var(TASK), env::var_os(PATH)) else { return };
    let mut outbox = match FileOutbox::open(&path) {
        Ok(outbox) => outbox,
        Err(error) => return println!("\nerror {error:?}"),
    };
    match &*task {
        "open" => println!("\nopened"),
        "commit" => println!("\n{:?}", outbox.commit(&[put(&record(2, 10, 10))]).is_ok()),
        "commit forever" => {
            let removed = |step: u64| OutboxChange::Remove(record(3 * step, 0, 0).id);
            for step in 1.. {
                outbox.commit(&step_changes(step)).unwrap();
                println!("\n{step}");
                outbox.commit(&[removed(step)]).unwrap();
            }
        }
        _ => unreachable!("no test has this task"),
    }
}

/// A commit of the program: records of many sizes.
fn step_changes(step: u64) -> Vec<OutboxChange> {
    step_records(step).iter().map(put).collect()
}

fn step_records(step: u64) -> [OutboxRecord; 3] {
    let length = usize::try_from(step * 977 % 20_000).unwrap();
    [
        record(3 * step, 100, length),
        record(3 * step + 1, 90, 10),
        record(3 * step + 2, 0, length / 3),
    ]
}

/// Starts [`program`].
fn start(command: &mut Command, task: &str, path: &Path) -> Child {
    let arguments = ["--exact", "processes::program", "--nocapture"];
    let command = command.args(arguments).env(TASK, task).env(PATH, path);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn this_test() -> Command {
    Command::new(env::current_exe().unwrap())
}

/// Runs [`program`], and returns the line that it has printed.
fn run(command: &mut Command, task: &str, path: &Path) -> String {
    let output = start(command, task, path).wait_with_output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let wanted = ["error ", "opened", "true", "false"];
    let line = output.lines().find(|line| wanted.iter().any(|wanted| line.starts_with(wanted)));
    line.unwrap_or_else(|| panic!("{output}")).to_owned()
}

#[test]
fn a_second_process_cannot_open_the_outbox() {
    let directory = directory();
    let path = path(&directory);
    let mut outbox = FileOutbox::open(&path).unwrap();
    assert_eq!(run(&mut this_test(), "open", &path), "error InUse");
    // The lock file is not the only lock.
    fs::remove_file(beside(&path, ".lock")).unwrap();
    assert_eq!(run(&mut this_test(), "open", &path), "error InUse");
    outbox.commit(&[put(&record(1, 1, 1))]).unwrap();
    drop(outbox);
    assert_eq!(run(&mut this_test(), "open", &path), "opened");
}

#[test]
fn what_was_acknowledged_is_there_after_the_process_was_killed() {
    let directory = directory();
    let path = path(&directory);
    for round in 0..40_u64 {
        let _ = fs::remove_file(&path);
        let mut child = start(&mut this_test(), "commit forever", &path);
        // Reads some lines and then kills the child, which is somewhere in the commits that follow.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let steps = lines.by_ref().filter_map(|line| line.unwrap().parse::<u64>().ok());
        steps.take(usize::try_from(1 + round % 7).unwrap()).for_each(drop);
        for _ in 0..round * 5000 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // The child may have said more before it was killed.
        let said = lines.filter_map(|line| line.unwrap().parse::<u64>().ok()).last();
        let acknowledged = said.unwrap_or(1 + round % 7);

        let mut outbox = FileOutbox::open(&path).unwrap();
        assert_eq!(outbox.set_aside(), None);
        let kept = load(&mut outbox);
        let last = kept.last().unwrap().id.to_u64() / 3;
        assert!(last == acknowledged || last == acknowledged + 1, "{acknowledged} {last}");
        let expected = (1..=last).flat_map(step_records);
        let removed = |id: RecordId| id.to_u64().is_multiple_of(3);
        let always: Vec<_> = expected.filter(|record| !removed(record.id)).collect();
        let (gone, always_kept): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|record| removed(record.id));
        assert_eq!(always_kept, always);
        // Only the removal of the last step may be missing.
        assert!(gone.is_empty() || gone == [step_records(last)[0].clone()]);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn only_the_owner_may_read_the_files() {
    for mask in ["000", "022", "277"] {
        let directory = directory();
        let path = path(&directory);
        let script = format!("umask {mask}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).arg(env::current_exe().unwrap());
        assert_eq!(run(&mut shell, "commit", &path), "true");
        let names = ["", "-journal", ".lock"];
        assert_eq!(names.map(|suffix| mode(&beside(&path, suffix))), [0o600; 3], "umask {mask}");
    }
}

#[test]
fn files_that_others_could_read_become_private() {
    let directory = directory();
    let path = path(&directory);
    let open_to_all =
        |path: &Path| fs::set_permissions(path, PermissionsExt::from_mode(0o666)).unwrap();
    drop(FileOutbox::open(&path).unwrap());
    open_to_all(&path);
    drop(FileOutbox::open(&path).unwrap());
    assert_eq!(mode(&path), 0o600);

    fs::write(&path, "not an outbox").unwrap();
    open_to_all(&path);
    let outbox = FileOutbox::open(&path).unwrap();
    assert_eq!(mode(outbox.set_aside().unwrap()), 0o600);
    assert_eq!(mode(&path), 0o600);
}

/// A command that does not run as the superuser, who may write everywhere.
fn as_nobody(directory: &Path) -> Command {
    let mut command = this_test();
    // Only the superuser can give a directory away.
    if chown(directory, Some(65534), Some(65534)).is_ok() {
        command.uid(65534).gid(65534);
    }
    command
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error() {
    let parent = directory();
    fs::set_permissions(parent.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let directory = parent.path().join("read-only");
    fs::DirBuilder::new().mode(0o555).create(&directory).unwrap();
    let list = as_nobody(&directory).arg("--list").stdout(Stdio::null()).status();
    if !list.is_ok_and(|status| status.success()) {
        return eprintln!("not run: another user cannot start this program");
    }
    let path = directory.join("outbox");
    let line = run(&mut as_nobody(&directory), "open", &path);
    assert!(line.starts_with("error Storage"), "{line}");
    assert!(!path.exists());
}

#[test]
fn a_full_disk_is_an_error_and_records_can_still_be_removed() {
    let directory = directory();
    // A disk of 256 KiB.
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "none"])
        .arg(directory.path())
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        return eprintln!("not run: only the superuser can mount a disk");
    }
    let result = std::panic::catch_unwind(|| fill(&path(&directory)));
    let unmounted = Command::new("umount").arg("--lazy").arg(directory.path()).status().unwrap();
    assert!(unmounted.success());
    result.unwrap();
}

/// Fills the disk with the outbox, and then with something else.
fn fill(path: &Path) {
    let mut outbox = FileOutbox::open(path).unwrap();
    let records: Vec<_> = (0..40).map(|id| record(id, 100, 20_000)).collect();
    let kept = records.iter().take_while(|record| match outbox.commit(&[put(record)]) {
        Err(OutboxError::Full(_)) => false,
        committed => committed.map(|()| true).unwrap(),
    });
    let kept = kept.count();
    assert!((3..13).contains(&kept), "{kept}");
    assert_eq!(load(&mut outbox), records[..kept]);

    let filler = beside(path, ".filler");
    fs::write(&filler, vec![1; 1 << 20]).unwrap_err();
    assert!(matches!(outbox.commit(&[put(&records[39])]), Err(OutboxError::Full(_))));
    outbox.commit(&[OutboxChange::set_state(records[1].id, vec![9; 100])]).unwrap();
    outbox.commit(&[OutboxChange::Remove(records[0].id)]).unwrap();
    outbox.clear(&[records[2].id]).unwrap();
    drop(outbox);
    let mut outbox = FileOutbox::open(path).unwrap();
    assert_eq!(outbox.set_aside(), None);
    let left = load(&mut outbox);
    assert_eq!(left.len(), kept - 2);
    assert_eq!((left[0].id, &*left[0].state), (records[1].id, &[9; 100][..]));
    assert_eq!(left[0].content, records[1].content);

    fs::remove_file(filler).unwrap();
    outbox.commit(&[put(&records[0])]).unwrap();
    assert_eq!(load(&mut outbox).len(), kept - 1);
    drop(outbox);

    // A new outbox on a full disk.
    fs::remove_file(path).unwrap();
    fs::write(beside(path, ".filler"), vec![1; 1 << 20]).unwrap_err();
    assert!(matches!(FileOutbox::open(path), Err(OutboxError::Full(_))));
}
