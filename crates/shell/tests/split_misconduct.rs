//! The command `open --split`, with a content process that misbehaves.
//!
//! This program is three things. `main` runs the tests. With the argument `open`, the program is the parent process. With
//! the argument `content`, it is a content process, because a parent process starts its own program for that. A line that a
//! page writes to the console does not leave such a process, if it begins with `misbehave`: the process does something else
//! in its place.

use std::{
    env,
    io::{self, BufRead, BufReader, Write, copy, stdin, stdout},
    net::{IpAddr, Ipv4Addr, Shutdown},
    os::{
        fd::AsFd,
        unix::{net::UnixStream, process::parent_id},
    },
    process::{Command, Output, exit},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use sendbeacon::{Client, Nonce, Origin};
use sendbeacon_shell::{
    browser::{Browser, Options, Split, run_content},
    page::{NavigableId, Navigation, NewNavigable, PostedMessage, StorageChange, WindowMessage},
};
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{runtime::Runtime, sync::Notify, task::spawn_blocking};
use url::Url;

/// What a process does, and what the parent process says about it.
const MISCONDUCT: [(&str, &str); 13] = [
    ("speaks for another site", "it has spoken for a document of another site"),
    ("sends as another site", "it has spoken for a document of another site"),
    ("stores for another site", "it has spoken for a document of another site"),
    ("clears the storage with a value", "it has changed the storage as no script does"),
    ("takes a number", "it has created a navigable with a number that it may not use"),
    ("acts as the parent", "it has sent a message that only the parent process sends"),
    ("sends what is no JSON", "expected value at line 1 column 1"),
    ("sends no text", "expected value at line 1 column 1"),
    ("sends an unknown message", "unknown variant `Unknown`"),
    ("sends an endless message", "a message is longer than"),
    ("sends half a message and ends", "a content process ended with exit status: 0"),
    ("reads nothing", "it has sent more than it or another process handles"),
    ("floods another process", "it has sent more than it or another process handles"),
];

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        ["content"] => content().unwrap(),
        ["open", url] => open(url),
        // The arguments are those of the usual harness.
        arguments => {
            let filter = arguments.iter().find(|it| !it.starts_with('-')).copied();
            let runtime = Runtime::new().unwrap();
            for (misconduct, reason) in MISCONDUCT {
                if filter.is_none_or(|filter| misconduct.contains(filter)) {
                    println!("a process that {misconduct} is ended, and nothing else");
                    runtime.block_on(a_process_that_misbehaves_is_ended(misconduct, reason));
                }
            }
        }
    }
}

/// The page has two frames of other sites. The one misbehaves, and the other does not handle its messages meanwhile.
async fn a_process_that_misbehaves_is_ended(misconduct: &str, reason: &str) {
    let page = "<body><script>
        const add = (host) => {
            const frame = document.createElement('iframe');
            frame.src = location.href.replace('a.test', host).replace('page', 'deep/' + host);
            document.body.append(frame);
            return frame;
        };
        const [other, honest] = [add('b.test'), add('c.test')];
        onload = () => {
            honest.contentWindow.postMessage('wait', '*');
            other.contentWindow.postMessage('begin', '*');
            // The frame has a frame in it, and the error has none.
            other.onload = () => {
                console.log('error', other.contentDocument, other.contentWindow.length, frames.length);
                navigator.sendBeacon('/ended');
                honest.contentWindow.postMessage('and you', '*');
            };
        };
        const alive = setInterval(() => 0, 1000);
        onmessage = ({ data }) => {
            console.log(data);
            clearInterval(alive);
        };
        addEventListener('pagehide', () => navigator.sendBeacon('/page-hidden'));
    </script>";
    let other = format!(
        "<iframe srcdoc=inner></iframe><script>
            onmessage = () => {{
                for (let i = 0; i < 50; i++) if (!navigator.sendBeacon('/' + i, 'b')) throw i;
                console.log('misbehave {misconduct}');
            }};
            addEventListener('pagehide', () => navigator.sendBeacon('/never'));
        </script>"
    );
    // The script blocks the process until the server answers.
    let honest = "<body><script>
        onmessage = ({ data, source }) => {
            if (data === 'wait') {
                const script = document.createElement('script');
                script.src = '/script';
                document.body.append(script);
            }
            if (data === 'and you') source.postMessage('goes on', '*');
        };
        addEventListener('pagehide', () => navigator.sendBeacon('/honest-hidden'));
    </script>";
    let ended = Arc::new(Notify::new());
    let server = RecordingServer::start({
        let ended = Arc::clone(&ended);
        let html = |html: &str| {
            Behavior::with_body(200, &[("Content-Type", "text/html")], html.as_bytes())
        };
        let (page, other, honest) = (html(page), html(&other), html(honest));
        move |request| match (&*request.method, &*request.target) {
            ("GET", "/page") => page.clone(),
            ("GET", "/deep/b.test") => other.clone(),
            ("GET", "/deep/c.test") => honest.clone(),
            ("GET", "/script") => Behavior::RespondWhen(
                Arc::clone(&ended),
                Behavior::response(200, &[("Content-Type", "text/javascript")], b""),
            ),
            ("GET", "/large") => Behavior::with_body(200, &[], &vec![0; 4 << 20]),
            (_, "/ended") => {
                ended.notify_one();
                Behavior::status(204)
            }
            _ => Behavior::status(204),
        }
    });
    let server = server.await;
    let url = format!("http://a.test:{}/page", server.port());
    let output = spawn_blocking(move || {
        Command::new(env::current_exe().unwrap()).args(["open", &url]).output().unwrap()
    });
    let Output { status, stdout, stderr } = output.await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{misconduct}: {stderr}");
    assert!(stderr.contains(reason), "{misconduct}: {stderr}");
    let lines: Vec<_> = stdout.lines().filter(|it| it.starts_with("console.log")).collect();
    assert_eq!(
        lines,
        ["console.log: error null 0 2", "console.log: goes on"],
        "{misconduct}: {stderr}"
    );
    let mut beacons: Vec<_> = server
        .requests()
        .into_iter()
        .filter(|it| it.method == "POST")
        .map(|it| it.target)
        .collect();
    beacons.sort_unstable();
    let mut expected: Vec<_> = (0..50).map(|i| format!("/{i}")).collect();
    expected.extend(["/ended", "/page-hidden", "/honest-hidden"].map(str::to_owned));
    expected.sort_unstable();
    assert_eq!(beacons, expected, "{misconduct}: {stderr}");
}

/// The parent process.
fn open(url: &str) {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let hosts = ["a.test", "b.test", "c.test"];
    let host_map = hosts.map(|host| (host.to_owned(), address)).to_vec();
    let browser = Browser::new(&Options { host_map, ..Options::default() }).unwrap();
    Split::default().run(&browser, &Url::parse(url).unwrap(), Duration::from_secs(60)).unwrap();
    assert!(browser.shut_down(Duration::from_secs(20)).lost.is_empty());
}

/// A content process, whose messages pass through two threads.
fn content() -> io::Result<()> {
    let channel = UnixStream::from(stdin().as_fd().try_clone_to_owned()?);
    let control = UnixStream::from(stdout().as_fd().try_clone_to_owned()?);
    let (own, inner) = UnixStream::pair()?;
    let process = Arc::new(Process { first: OnceLock::new(), is_deaf: AtomicBool::new(false) });
    thread::spawn({
        let (process, control, own) =
            (Arc::clone(&process), control.try_clone()?, own.try_clone()?);
        move || process.listen(control, &own)
    });
    let said = thread::spawn(move || process.say(own, &control));
    run_content(channel, inner.try_clone()?).unwrap();
    inner.shutdown(Shutdown::Write)?;
    said.join().unwrap()
}

/// What the process is told first.
struct First {
    client: Client,
    place: NavigableId,
    next_navigable: NavigableId,
}

/// What the threads of a content process share.
struct Process {
    first: OnceLock<First>,
    is_deaf: AtomicBool,
}

impl Process {
    /// Passes on what the parent process says, until this process is deaf.
    fn listen(&self, control: UnixStream, mut own: &UnixStream) -> io::Result<()> {
        let mut reader = BufReader::new(control);
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        let first: Value = serde_json::from_slice(&line)?;
        let first = &first["Document"];
        let set = self.first.set(First {
            client: Client::deserialize(&first["document"]["client"])?,
            place: NavigableId::deserialize(&first["place"])?,
            next_navigable: NavigableId::deserialize(&first["first_navigable"])?,
        });
        assert!(set.is_ok());
        own.write_all(&line)?;
        while let bytes = reader.fill_buf()?
            && !bytes.is_empty()
            && !self.is_deaf.load(SeqCst)
        {
            own.write_all(bytes)?;
            let length = bytes.len();
            reader.consume(length);
        }
        if self.is_deaf.load(SeqCst) { Ok(()) } else { own.shutdown(Shutdown::Write) }
    }

    /// Passes on what the process says, until it misbehaves.
    fn say(&self, own: UnixStream, mut control: &UnixStream) -> io::Result<()> {
        for line in BufReader::new(own).split(b'\n') {
            let mut line = line?;
            let message: Value = serde_json::from_slice(&line)?;
            let text = message["Console"]["message"].as_str().unwrap_or_default();
            if let Some(misconduct) = text.strip_prefix("misbehave ") {
                // This fails when the parent process reads no more.
                let _ = self.misbehave(misconduct, control);
                // The parent process ends this one.
                let parent = parent_id();
                while parent_id() == parent {
                    thread::park_timeout(Duration::from_millis(100));
                }
                exit(1);
            }
            line.push(b'\n');
            control.write_all(&line)?;
        }
        Ok(())
    }

    /// Does something that no content process does.
    fn misbehave(&self, misconduct: &str, mut control: &UnixStream) -> io::Result<()> {
        let First { client, place: frame, next_navigable } = self.first.get().unwrap();
        let (frame, tab) = (*frame, NavigableId(1));
        // The page has created this frame, and then that of the honest process.
        let honest = NavigableId(frame.0 + 1);
        let page = Url::parse("http://a.test/").unwrap();
        let created = |id| {
            let new = NewNavigable {
                parent: Some(frame),
                opener: None,
                is_auxiliary: false,
                name: String::new(),
                origin: client.origin.clone(),
            };
            window(control, id, &WindowMessage::Created(new))
        };
        let posted = |origin: &str, text: String| {
            let (origin, target_origin) = (origin.to_owned(), "*".to_owned());
            let posted = PostedMessage { source: frame, origin, target_origin, text };
            WindowMessage::PostMessage(Box::new(posted))
        };
        match misconduct {
            "speaks for another site" => window(
                control,
                frame,
                &WindowMessage::Activated(Origin::of(&page, Nonce::random())),
            ),
            "sends as another site" => {
                window(control, tab, &posted("http://a.test", String::new()))
            }
            "stores for another site" => {
                let (key, new_value) = (Some("stolen".to_owned()), None);
                let change = StorageChange { key, new_value, url: page.clone() };
                send(control, &json!({ "Store": [Origin::of(&page, Nonce::random()), change] }))
            }
            "clears the storage with a value" => {
                let url = client.creation_url.clone();
                let change = StorageChange { key: None, new_value: Some(String::new()), url };
                send(control, &json!({ "Store": [client.origin, change] }))
            }
            "takes a number" => created(NavigableId(next_navigable.0 - 1)),
            "acts as the parent" => window(control, frame, &WindowMessage::Crashed),
            "sends what is no JSON" => control.write_all(b"garbage\n"),
            "sends no text" => control.write_all(&[0, 255, 254, b'\n']),
            "sends an unknown message" => send(control, &json!({ "Unknown": 1 })),
            "sends an endless message" => copy(&mut io::repeat(b' '), &mut control).map(drop),
            "sends half a message and ends" => {
                control.write_all(b"{\"Console\":")?;
                exit(0)
            }
            "reads nothing" => {
                self.is_deaf.store(true, SeqCst);
                let client = client.clone();
                let url = client.creation_url.join("/large").unwrap();
                let navigation = Navigation { container: Some(client), ..Navigation::of_user(url) };
                let fetch = json!({ "FetchDocument": { "id": 1, "navigation": navigation } });
                (0..20).try_for_each(|_| send(control, &fetch))
            }
            "floods another process" => {
                let message = posted("http://b.test", "x".repeat(4 << 20));
                let line = format!("{}\n", json!({ "Window": [honest, message] }));
                loop {
                    control.write_all(line.as_bytes())?;
                }
            }
            other => panic!("{other}"),
        }
    }
}

fn window(control: &UnixStream, id: NavigableId, message: &WindowMessage) -> io::Result<()> {
    send(control, &json!({ "Window": [id, message] }))
}

fn send(mut control: &UnixStream, message: &Value) -> io::Result<()> {
    control.write_all(format!("{message}\n").as_bytes())
}
