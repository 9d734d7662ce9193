//! The events for `tracing`, with the target `sendbeacon`.
//!
//! Logs are kept and passed on, and the paths and queries of URLs name people and hold tokens. So these events
//! have only the origin of a URL, and neither headers nor bodies.

use sendbeacon_fetch::fetch::Observation;
use tracing::{debug, trace};
use url::Url;

use crate::event::{Event, EventKind, Outcome};

/// Writes an event to `tracing`.
pub(crate) fn event(event: &Event) {
    let (fetch, document) = (event.fetch.id.0, event.fetch.client.document_id);
    match &event.kind {
        EventKind::Queued => {
            let info = &event.fetch;
            debug!(
                target: "sendbeacon",
                fetch,
                document,
                origin = origin(&info.url),
                initiator_type = info.initiator_type.as_str(),
                keepalive = info.keepalive,
                body_length = info.body_length,
                "queued"
            );
        }
        EventKind::Started => trace!(target: "sendbeacon", fetch, document, "started"),
        EventKind::Observed(observation) => observed(fetch, document, observation),
        EventKind::Unreached { url, error, attempt } => debug!(
            target: "sendbeacon",
            fetch,
            document,
            origin = origin(url),
            %error,
            attempt,
            "did not reach the server"
        ),
        EventKind::Done { outcome: Outcome::Delivered { status }, timing, .. } => {
            let elapsed = timing.response_end - timing.start;
            let status = status.as_u16();
            debug!(target: "sendbeacon", fetch, document, status, ?elapsed, "delivered");
        }
        EventKind::Done { outcome: Outcome::Failed { error, progress }, timing, .. } => {
            let elapsed = timing.response_end - timing.start;
            debug!(target: "sendbeacon", fetch, document, %error, %progress, ?elapsed, "failed");
        }
        EventKind::Safe { record } => {
            trace!(target: "sendbeacon", fetch, document, %record, "safe");
        }
        EventKind::Done { outcome: Outcome::Kept { record, error, .. }, .. } => {
            debug!(target: "sendbeacon", fetch, document, %record, %error, "kept");
        }
        EventKind::Done { outcome: Outcome::Unknown, .. } => {
            debug!(target: "sendbeacon", fetch, document, "unknown");
        }
    }
}

/// Whether a subscriber receives the events about requests and responses.
pub(crate) fn wants_wire_events() -> bool {
    tracing::enabled!(target: "sendbeacon", tracing::Level::TRACE)
}

fn observed(fetch: u64, document: u64, observation: &Observation) {
    match observation {
        Observation::RequestSent { is_preflight, method, url, .. } => trace!(
            target: "sendbeacon",
            fetch,
            document,
            is_preflight,
            %method,
            origin = origin(url),
            "request sent"
        ),
        Observation::ResponseStarted { is_preflight, status, url, .. } => trace!(
            target: "sendbeacon",
            fetch,
            document,
            is_preflight,
            status = status.as_u16(),
            origin = origin(url),
            "response started"
        ),
        Observation::Upgraded { url, .. } => {
            trace!(target: "sendbeacon", fetch, document, origin = origin(url), "upgraded");
        }
        Observation::Redirected { url, .. } => {
            trace!(target: "sendbeacon", fetch, document, origin = origin(url), "redirected");
        }
        Observation::SentAgain { reason, .. } => {
            debug!(target: "sendbeacon", fetch, document, %reason, "sent again");
        }
        Observation::CspViolation(violation) => debug!(
            target: "sendbeacon",
            fetch,
            document,
            directive = violation.effective_directive,
            disposition = ?violation.disposition,
            "content security policy violated"
        ),
        Observation::ClearSiteData { url, .. } => {
            debug!(target: "sendbeacon", fetch, document, origin = origin(url), "clear site data");
        }
        _ => {}
    }
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
        time::Duration,
    };

    use sendbeacon_testkit::network::{ScriptedNetwork, respond};
    use tokio::runtime::Handle;
    use tracing::level_filters::LevelFilter;

    use crate::{Client, Nonce, UserAgentBuilder};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_log_follows_a_fetch_and_has_nothing_private() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let network = Arc::new(ScriptedNetwork::new(|request| match request.url.host_str() {
            Some("a.test") => respond(307, &[("location", "http://b.test/secret?secret")]),
            _ => respond(204, &[("set-cookie", "secret=secret")]),
        }));
        // The subscriber is this thread's, so the network side runs here, too.
        let agent = UserAgentBuilder::new(network).runtime(Handle::current()).build().unwrap();
        let page = url::Url::parse("http://secret:secret@a.test/secret?secret#secret").unwrap();
        let document = agent.document(Client::new(page, Nonce::from_u128(1)));
        let url = "http://secret:secret@a.test/secret?secret#secret";
        assert_eq!(document.send_beacon(url, Some("secret".into())), Ok(true));
        assert_eq!(document.send_beacon("http://a.test:25/secret", None), Ok(true));
        agent.shutdown(Duration::from_secs(20)).await;
        let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        for line in [
            "queued fetch=0 document=0 origin=\"http://a.test\" initiator_type=\"beacon\"",
            "request sent fetch=0 document=0 is_preflight=false method=POST origin=\"http://a.test\"",
            "response started fetch=0 document=0 is_preflight=false status=307",
            "redirected fetch=0 document=0 origin=\"http://b.test\"",
            "delivered fetch=0 document=0 status=204",
            "failed fetch=1 document=0 error=port 25 is blocked",
        ] {
            assert!(written.contains(line), "no {line:?} in\n{written}");
        }
        assert!(!written.contains("secret"), "{written}");
    }
}
