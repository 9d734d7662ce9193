//! Requests that are written and not answered: they count as sent once the peer has acknowledged them.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::header::CONTENT_LENGTH;
use sendbeacon_fetch::host::Answer;
use sendbeacon_net::SendQueues;
use sendbeacon_testkit::server::{Behavior, RecordingServer};
use tokio::net::TcpListener;

use crate::support::{Reports, beacon, builder, send, trusting};

/// Gives the next of these answers to each question, and the last one again and again.
struct Answers {
    answers: Mutex<Vec<Option<u64>>>,
    asked: Mutex<Vec<(SocketAddr, SocketAddr)>>,
}

impl Answers {
    fn new(answers: &[Option<u64>]) -> Arc<Self> {
        let answers = answers.iter().rev().copied().collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: Mutex::default() })
    }
}

impl SendQueues for Answers {
    fn unacknowledged(&self, local: SocketAddr, peer: SocketAddr) -> Answer<Option<u64>> {
        self.asked.lock().unwrap().push((local, peer));
        let mut answers = self.answers.lock().unwrap();
        Answer::Ready(if answers.len() > 1 { answers.pop().flatten() } else { answers[0] })
    }
}

async fn server(protocol: &str) -> RecordingServer {
    match protocol {
        "http" => RecordingServer::start(|_| Behavior::Hang).await,
        "https" => RecordingServer::start_tls(|_| Behavior::Hang).await,
        _ => RecordingServer::start_http2(|_| Behavior::Hang).await,
    }
}

#[tokio::test]
async fn request_is_sent_once_everything_is_acknowledged() {
    for protocol in ["http", "https", "h2"] {
        let server = server(protocol).await;
        let queues = Answers::new(&[None, Some(7), Some(0)]);
        let network = if protocol == "http" { builder() } else { trusting(&server) };
        let network = network.send_queues(Arc::clone(&queues) as _).build().unwrap();
        let mut request = beacon(&server.url("/"), "body");
        let reports = Reports::of(&mut request);
        let is_sent = async {
            while reports.all().last().is_none_or(|last| last != "sent") {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = send(&network, request) => panic!("{answer:?}"),
            () = is_sent => {}
        }
        assert_eq!(reports.all(), ["unsent", "in part", "sent"], "{protocol}");
        let asked = queues.asked.lock().unwrap();
        let (local, peer) = asked[0];
        assert_eq!((asked.len(), peer), (3, server.addr()));
        assert!(asked.iter().all(|question| *question == (local, peer)) && local.port() != 0);
    }
}

#[tokio::test]
async fn request_that_is_not_written_to_its_end_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let queues = Answers::new(&[Some(0)]);
    let network = builder().send_queues(Arc::clone(&queues) as _).build().unwrap();
    let mut request = beacon(&format!("http://{}/", listener.local_addr().unwrap()), "");
    // More than the buffers of both ends hold.
    request.body = vec![b'x'; 32 << 20].into();
    let length = request.body.len().into();
    request.headers_mut().insert(CONTENT_LENGTH, length);
    let reports = Reports::of(&mut request);
    let reads_nothing = async {
        let connection = listener.accept().await.unwrap();
        // From now on the time passes whenever nothing else happens.
        tokio::time::pause();
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(connection);
    };
    tokio::select! {
        answer = send(&network, request) => panic!("{answer:?}"),
        () = reads_nothing => {}
    }
    assert_eq!(reports.all(), ["unsent", "in part"]);
    assert!(queues.asked.lock().unwrap().is_empty());
}
