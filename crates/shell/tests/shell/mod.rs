//! The shell as a program, with `open --split`.

#![allow(dead_code, reason = "each test program uses a part of this module")]

use std::process::{Child, Command, ExitStatus, Stdio};

use tokio::task::spawn_blocking;

/// What the shell has printed.
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// The lines that the pages have logged, in order.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.stdout.lines().filter_map(|line| line.strip_prefix("console.log: ")).collect()
    }
}

/// Starts the shell with `open --split`.
pub(crate) fn open(url: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_sendbeacon-shell"))
        .args(["open", "--split", "--drain", "20", url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the shell has ended.
pub(crate) async fn end(shell: Child) -> Output {
    let output = spawn_blocking(|| shell.wait_with_output().unwrap()).await.unwrap();
    Output {
        status: output.status,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Opens `url` with `--split` and waits until the shell has ended.
pub(crate) async fn visit(url: String) -> Output {
    end(open(&url)).await
}

/// The content processes of the shell, the oldest first.
#[cfg(target_os = "linux")]
pub(crate) fn children(shell: &Child) -> Vec<u32> {
    // Each thread has a list of the processes that it has started.
    let children = format!("/proc/{0}/task/{0}/children", shell.id());
    let list = std::fs::read_to_string(children).unwrap();
    list.split_whitespace().map(|it| it.parse().unwrap()).collect()
}

/// Sends a signal to a process.
pub(crate) fn kill(signal: &str, process: u32) {
    let told = Command::new("kill").args([signal, &process.to_string()]).status().unwrap();
    assert!(told.success());
}
