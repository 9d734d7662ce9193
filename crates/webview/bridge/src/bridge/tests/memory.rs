//! Tests of the memory that unfinished requests take, and of what pages hear when no memory is left.

use super::*;

#[test]
fn a_document_has_no_more_unfinished_than_its_quota() {
    let test = Test::over(Arc::new(Silence));
    test.open(1);
    let body = |length: usize| format!(r#"{{"kind":"text","text":"{}"}}"#, "x".repeat(length));
    test.send(1, &body(40_000), 40_000).unwrap();
    // The page says that the body is shorter than it is.
    assert!(matches!(test.send(1, &body(40_000), 0), Err(MessageError::TooMuch)));
    assert!(matches!(test.send(1, &body(1), 40_000), Err(MessageError::TooMuch)));
    test.send(1, &body(25_536), 25_536).unwrap();
    // Another document has a quota of its own.
    test.open(2);
    test.send(2, &body(65_536), 65_536).unwrap();
    assert_eq!(test.bridge.tellings(), []);
}

#[test]
fn what_a_page_says_of_its_requests_does_not_count_if_it_is_too_little() {
    let test = Test::over(Arc::new(Silence));
    test.open(1);
    let memory = || test.bridge.lock().unfinished.memory();
    let body = format!(r#"{{"kind":"text","text":"{}"}}"#, "x".repeat(10_000));
    (0..6).for_each(|_| test.send(1, &body, 0).unwrap());
    assert!(memory() > 60_000);
    assert!(matches!(test.send(1, &body, 0), Err(MessageError::TooMuch)));
    // What it says is what it has admitted, and what it gets back.
    let unsaid = |op: &str, url: &str, rest: &str, headers: &str| {
        test.tell(2, &format!(r#"{{"op":"{op}"{rest},"sending":{{"url":"https://a.test/{url}","bytes":0,"urlBytes":0,"body":{{"kind":"blob","base64":"","type":"{}"}}}},"request":{{"method":"POST","mode":"no-cors","credentials":"omit","headers":[{headers}]}}}}"#, "y/".repeat(5_000)))
    };
    test.open(2);
    let before = memory();
    let headers = format!(r#"["x-a","{}"]"#, "z".repeat(10_000));
    unsaid("fetch", &"u".repeat(10_000), "", &headers).unwrap();
    assert!(memory() - before > 40_000);
    let before = memory();
    unsaid("defer", &"u".repeat(10_000), r#","id":1,"activateAfter":null"#, &headers).unwrap();
    assert!(memory() - before > 40_000);
    // A fragment is not sent, and not kept.
    let before = memory();
    unsaid("fetch", &format!("#{}", "f".repeat(50_000)), "", "").unwrap();
    assert!(memory() - before < 20_000);
    test.bridge.agent().shutdown_blocking(Duration::ZERO);
    assert_eq!(test.bridge.lock().unfinished, Unfinished::default());
    let tellings = test.bridge.tellings();
    assert!(tellings[0].script.contains(",0,2,0,false"), "{tellings:?}");
}

#[test]
fn a_settings_object_counts_while_a_request_of_it_is_unfinished() {
    let test = Test::over(Arc::new(Silence));
    test.open(1);
    let memory = || test.bridge.lock().unfinished.memory();
    let change = |policy: &str| {
        let settings = format!(
            r#"{{"op":"settings","url":"https://a.test/p","base":"https://a.test/","referrerPolicies":[],"policies":["{policy}"]}}"#
        );
        test.tell(1, &settings).unwrap();
    };
    test.send(1, "null", 0).unwrap();
    let policy = "x".repeat(760_000);
    change(&policy);
    assert!(memory() < 10_000);
    let mut sent = 0;
    while test.send(1, "null", 0).is_ok() {
        assert!(memory() > 700_000 * (sent / 2 + 1), "{sent}");
        sent += 1;
        // Two requests have the same settings object.
        if sent % 2 == 0 {
            change(&policy);
        }
    }
    assert!((30..50).contains(&sent), "{sent}");
    test.bridge.agent().shutdown_blocking(Duration::ZERO);
    assert_eq!(test.bridge.lock().unfinished, Unfinished::default());
}

#[test]
fn a_page_hears_without_asking_that_there_is_no_memory() {
    let mut test = Test::over(Arc::new(Silence));
    let woken = |test: &Test| test.wakes.swap(0, SeqCst) > 0;
    test.open(1);
    test.send_url(1, 1 << 20).unwrap();
    assert!(!woken(&test));
    // Now 4 MiB are unfinished.
    test.send_url(1, 1 << 20).unwrap();
    assert!(woken(&test));
    assert!(test.told().ends_with(",0,0,0,true,[],0)"));
    assert!(!woken(&test));
    // The script of the next document does not know it.
    test.open(2);
    assert!(woken(&test));
    assert!(test.told().ends_with("\"0000000000000002\",0,0,0,true,[],0)"));
    // A document that comes back may have missed it.
    test.tell(1, r#"{"op":"pageshow","persisted":true}"#).unwrap();
    assert!(woken(&test));
    assert!(test.told().ends_with("\"0000000000000001\",0,0,0,true,[],0)"));
    // Another webview has room of its own.
    let first = test.another_webview();
    test.open(3);
    assert!(!woken(&test));
    test.bridge.agent().shutdown_blocking(Duration::ZERO);
    assert!(woken(&test));
    let tellings = test.bridge.tellings();
    let [Telling { webview, script }] = &tellings[..] else { panic!("{tellings:?}") };
    assert!(*webview == first && script.ends_with(",0,2,2097152,false,[],0)"), "{script}");
}

#[test]
fn an_abort_gives_the_page_room_at_once() {
    let test = Test::over(Arc::new(Silence));
    test.open(1);
    test.tell(1, &defer(1, "null", "null")).unwrap();
    assert_eq!(test.wakes.load(SeqCst), 0);
    test.tell(1, r#"{"op":"abort","id":1}"#).unwrap();
    assert_eq!(test.wakes.load(SeqCst), 1);
    assert!(test.told().ends_with(",false,[],1)"));
}

#[test]
fn a_script_that_hears_nothing_in_time_loses_nothing() {
    let test = Test::over(Arc::new(Silence));
    test.open(1);
    // Just too little to be told.
    test.send_url(1, (2 << 20) - 2_048).unwrap();
    assert_eq!(test.wakes.load(SeqCst), 0);
    // What page.js and fetch_later.js let a document admit: 8 MiB and 4 MiB.
    test.open(2);
    let beacons = (8 << 20) / (2_048 + 2 * 1_024);
    (0..beacons).for_each(|_| test.send_url(2, 1_024).unwrap());
    assert!(matches!(test.send_url(2, 1_024), Err(MessageError::TooMuch)));
    let deferred = (4 << 20) / (2_048 + 2 * 110);
    (1..=deferred).for_each(|id| test.tell(2, &defer(id, "null", "null")).unwrap());
    assert_eq!(test.bridge.lost(), 1);
    let numbers = ["memory: 8 << 20", "2048 * requests + bytes + 2 * urlBytes"];
    assert!(numbers.iter().all(|it| include_str!("../../page.js").contains(it)));
    assert!(include_str!("../../fetch_later.js").contains("memory: 4 << 20"));
}

#[test]
fn no_webview_takes_all_memory_and_no_beacon_is_lost_silently() {
    let mut test = Test::over(Arc::new(Silence));
    let mut lost = 0;
    for document in 1..=8 {
        test.open(document);
        for _ in 0..3 {
            match test.send_url(document, 1 << 20) {
                Ok(()) => assert_eq!(lost, 0),
                Err(MessageError::NoMemory) => lost += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(lost, 24 - 7, "16 MiB have room for seven");
    assert_eq!(test.bridge.lost(), lost);
    // The script gets back the room of what was lost.
    assert!(test.told().ends_with("\"0000000000000008\",0,3,3145728,true,[],0)"));
    test.another_webview();
    test.open(9);
    test.send_url(9, 1 << 20).unwrap();
    assert_eq!(test.bridge.tellings(), []);
    test.send_url(9, 1 << 20).unwrap();
    assert!(test.told().contains("\"0000000000000009\",0,0,0,true"));
    // Now all webviews together have too much, and this one hears it, too.
    test.another_webview();
    test.open(10);
    test.send_url(10, 1 << 20).unwrap();
    assert!(test.told().contains("\"000000000000000a\",0,0,0,true"));
    assert_eq!(test.bridge.lost(), lost);
}

#[test]
fn what_is_refused_is_counted_as_lost() {
    let test = Test::new();
    test.open(1);
    test.bridge.agent().shutdown_blocking(LONG);
    let fetch = r#"{"op":"fetch","sending":{"url":"https://a.test/f","bytes":0,"urlBytes":16,"body":null},"request":{"method":"POST","mode":"cors","credentials":"omit","headers":[["x-","1"]]}}"#;
    assert!(matches!(test.tell(1, fetch), Err(MessageError::Refused)));
    // Other reasons to refuse a request count, too.
    assert!(test.tell(1, &fetch.replace("https://", "")).is_err());
    let long = fetch.replace("x-", &"x".repeat(1 << 20));
    assert!(matches!(test.tell(1, &long), Err(MessageError::TooLong)));
    assert!(test.bridge.receive(test.webview, &"x".repeat(2 << 20)).is_err());
    assert_eq!(test.bridge.lost(), 3);
    assert!(test.told().contains(",0,2,32,false"));
    assert_eq!(test.bridge.lock().unfinished, Unfinished::default());
}

#[test]
fn a_webview_that_has_gone_is_busy_until_its_requests_are_done() {
    let test = Test::over(Arc::new(Silence));
    test.open(1);
    assert!(!test.bridge.is_busy(test.webview));
    test.tell(1, &defer(1, "null", "null")).unwrap();
    assert!(test.bridge.is_busy(test.webview));
    test.tell(1, r#"{"op":"abort","id":1}"#).unwrap();
    assert!(!test.bridge.is_busy(test.webview));
    test.send(1, "null", 0).unwrap();
    test.bridge.gone(test.webview);
    assert!(test.bridge.is_busy(test.webview));
    test.bridge.agent().shutdown_blocking(Duration::ZERO);
    assert!(!test.bridge.is_busy(test.webview));
}
