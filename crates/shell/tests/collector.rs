//! The commands `collect` and `open` as processes: what the collector stores, and how wrong arguments are explained.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

/// A collector's process, which ends with the test even if the test fails.
struct Collector(Child);

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a request and returns the response in lower case.
fn request(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response.to_lowercase()
}

#[test]
fn each_request_becomes_a_line_of_json_and_every_origin_is_allowed() {
    let mut collector = Collector(
        Command::new(env!("CARGO_BIN_EXE_sendbeacon-shell"))
            .args(["collect", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut said = String::new();
    BufReader::new(collector.0.stderr.take().unwrap()).read_line(&mut said).unwrap();
    let address = said.trim().strip_prefix("collecting at http://").unwrap().trim_end_matches('/');

    let response = request(
        address,
        "OPTIONS /c HTTP/1.1\r\nHost: x\r\nOrigin: https://a.test\r\nConnection: close\r\n\
         Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n",
    );
    assert!(response.starts_with("http/1.1 204"), "{response}");
    for header in [
        "access-control-allow-origin: https://a.test\r\n",
        "access-control-allow-credentials: true\r\n",
        "access-control-allow-headers: content-type\r\n",
    ] {
        assert!(response.contains(header), "{response}");
    }
    request(
        address,
        "POST /c?q HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 7\r\n\r\n{\"k\":1}",
    );

    let mut lines = BufReader::new(collector.0.stdout.take().unwrap()).lines();
    let mut next =
        || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["method"], "OPTIONS");
    let beacon = next();
    assert_eq!(beacon["method"], "POST");
    assert_eq!(beacon["target"], "/c?q");
    assert_eq!(beacon["length"], 7);
    assert_eq!(beacon["body"], "{\"k\":1}");
}

#[test]
fn bad_arguments_are_explained() {
    for (arguments, expected) in [
        (&["open", "not a url"][..], "invalid value 'not a url'"),
        (&["open", "ftp://a.test/"], "only http and https URLs can be opened"),
        (&["open", "--drain", "-1", "http://127.0.0.1:1/"], "unexpected argument"),
        (&["open", "--drain=-1", "http://127.0.0.1:1/"], "negative"),
        (&["open", "--cacert", "/nowhere", "http://127.0.0.1:1/"], "/nowhere: No such file"),
        (&["open", "--host-map", "a.test", "http://127.0.0.1:1/"], "not of the form HOST=IP"),
        (&["collect", "--listen", "1"], "invalid socket address"),
        (&["dance"], "unrecognized subcommand"),
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_sendbeacon-shell")).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
