//! What a writer does with each kind of answer.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use model::{AppendError, Batch, Durability, Labels, Sample, SampleSink as _, Value};
use remote::{
    Auth, Patience, Peer, PeerConfig, RemoteSink, Secret, SendError, WriteConfig, Writer,
    breaker::BreakerConfig, retry::Backoff, write::Protocol,
};

use testkit::VirtualClock;

use crate::peer::{Say, Scripted, connect};

fn batch(series: i64, samples: i64) -> Batch {
    let labels = |i: i64| Labels::from_pairs([("__name__", "m".to_owned()), ("i", i.to_string())]);
    let sample = |i| Sample::float(labels(i % series), 1_000 + i / series, i as f64);
    Batch {
        samples: (0..series * samples).map(sample).collect(),
        ..Batch::default()
    }
}

fn quick() -> WriteConfig {
    WriteConfig {
        backoff: Backoff {
            min: Duration::from_millis(1),
            max: Duration::from_millis(5),
        },
        ..WriteConfig::default()
    }
}

fn patient(config: PeerConfig) -> PeerConfig {
    PeerConfig {
        breaker: BreakerConfig {
            failures: 1_000,
            ..BreakerConfig::default()
        },
        ..config
    }
}

fn writer(peer: &Scripted) -> Arc<Writer> {
    Writer::new(connect(patient(peer.config())), quick())
}

#[tokio::test]
async fn requests_say_what_the_specification_demands() {
    let peer = Scripted::saying(vec![Say::wrote(2)]).await;
    let file = std::env::temp_dir().join(format!("alluse-token-{}", std::process::id()));
    std::fs::write(&file, "s3cret\n").unwrap();
    let config = PeerConfig {
        write_prefix: "/insert/0/prometheus".into(),
        tenant: Some("team-a".into()),
        auth: Auth::Bearer(Secret::File(file.clone())),
        headers: vec![("X-Extra".into(), "1".into())],
        ..peer.config()
    };
    assert!(!format!("{config:?}").contains("s3cret"));
    let writer = Writer::new(connect(config), quick());
    let sent = writer.send(&batch(2, 1), Patience::Attempts(1)).await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(sent.unwrap().stored, 2);
    let came = &peer.came()[0];
    assert_eq!(came.uri.path(), "/insert/0/prometheus/api/v1/write");
    for (name, value) in [
        (
            "content-type",
            "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        ),
        ("content-encoding", "snappy"),
        ("x-prometheus-remote-write-version", "2.0.0"),
        ("authorization", "Bearer s3cret"),
        ("x-scope-orgid", "team-a"),
        ("x-extra", "1"),
    ] {
        assert_eq!(came.header(name), value, "{name}");
    }
    assert!(came.header("user-agent").starts_with("alluse/"));
    assert_eq!(came.received().batch.samples.len(), 2);
}

#[test]
fn headers_of_the_protocol_cannot_be_configured() {
    for name in [
        "Content-Type",
        "content-encoding",
        "User-Agent",
        "X-Prometheus-Remote-Write-Version",
    ] {
        let config = PeerConfig {
            headers: vec![(name.into(), "x".into())],
            ..PeerConfig::new("http://127.0.0.1:1")
        };
        let refused = Peer::new(config, None, Arc::new(VirtualClock::at(0))).unwrap_err();
        assert!(refused.to_string().contains("cannot be set"), "{refused}");
    }
}

#[tokio::test]
async fn what_a_reader_of_2_0_does_not_mention_it_did_not_write_and_one_of_1_0_may_have() {
    let histogram = |i| Sample {
        labels: Labels::from_pairs([("__name__", "h")]),
        time_ms: i,
        value: Value::Histogram(Arc::default()),
    };
    let mut batch = batch(3, 1);
    batch.samples.push(histogram(1));
    let said = || {
        let name = "x-prometheus-remote-write-samples-written";
        Say(
            200,
            vec![(name, "3".into())],
            "a body that means nothing".into(),
        )
    };
    for (protocol, stored) in [(Protocol::V2, 3), (Protocol::V1, 4)] {
        let peer = Scripted::saying(vec![said()]).await;
        let config = WriteConfig {
            protocol,
            ..quick()
        };
        let writer = Writer::new(connect(patient(peer.config())), config);
        let sent = writer.send(&batch, Patience::Attempts(1)).await.unwrap();
        assert_eq!(sent.stored, stored, "{protocol:?}");
        assert_eq!(sent.dropped.values().sum::<u64>(), 4 - stored);
        assert_eq!(peer.came().len(), 1, "success is not repeated");
    }
}

#[tokio::test]
async fn a_peer_that_answers_415_gets_1_0_from_then_on() {
    let peer = Scripted::start(|came| {
        if came.header("content-type").contains("v2") {
            Say::status(415)
        } else {
            Say::status(204)
        }
    })
    .await;
    let writer = writer(&peer);
    for _ in 0..2 {
        let sent = writer.send(&batch(3, 1), Patience::Attempts(1)).await;
        assert_eq!(sent.unwrap().stored, 3);
    }
    assert_eq!(writer.protocol(), Protocol::V1);
    let versions: Vec<_> = peer
        .came()
        .iter()
        .map(|c| c.header("x-prometheus-remote-write-version").to_owned())
        .collect();
    assert_eq!(versions, ["2.0.0", "0.1.0", "0.1.0"]);
}

#[tokio::test]
async fn success_without_the_headers_of_2_0_stored_nothing_and_is_sent_as_1_0() {
    let peer = Scripted::saying(vec![Say::status(204)]).await;
    let writer = writer(&peer);
    let sent = writer.send(&batch(3, 1), Patience::Attempts(1)).await;
    assert_eq!(sent.unwrap().stored, 3);
    let came = peer.came();
    assert_eq!(came.len(), 2);
    assert_eq!(came[1].header("content-type"), "application/x-protobuf");
    assert_eq!(came[1].received().batch.samples.len(), 3);
}

#[tokio::test]
async fn what_can_succeed_later_is_repeated_until_it_does() {
    let later = |status| Say(status, vec![("retry-after", "0".into())], String::new());
    let answers = vec![Say::status(500), later(429), later(503), Say::wrote(2)];
    let peer = Scripted::saying(answers).await;
    let writer = writer(&peer);
    let sent = writer.send(&batch(2, 1), Patience::Endless).await;
    assert_eq!(sent.unwrap().stored, 2);
    assert_eq!(peer.came().len(), 4);
    assert_eq!(writer.counts().retries.load(Relaxed), 3);
    let bodies: Vec<_> = peer.came().into_iter().map(|c| c.body).collect();
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let busy = Say(429, vec![("retry-after", "1".into())], String::new());
    let peer = Scripted::saying(vec![busy, Say::wrote(1)]).await;
    let writer = writer(&peer);
    let batch = batch(1, 1);
    let sending = writer.send(&batch, Patience::Endless);
    // The backoff alone would repeat within 5 ms.
    let early = tokio::time::timeout(Duration::from_millis(500), sending).await;
    assert!(early.is_err(), "repeated before the second was over");
    assert_eq!(peer.came().len(), 1);
}

#[tokio::test]
async fn what_cannot_succeed_is_dropped_and_counted_with_its_reason() {
    let name = "x-prometheus-remote-write-samples-written";
    let partly = Say(400, vec![(name, "3".into())], "bad label".into());
    let peer = Scripted::saying(vec![partly, Say::status(403), Say::wrote(5)]).await;
    let writer = writer(&peer);
    let first = writer.send(&batch(5, 1), Patience::Endless).await.unwrap();
    assert_eq!((first.stored, first.dropped["400"]), (3, 2));
    let second = writer.send(&batch(5, 1), Patience::Endless).await.unwrap();
    assert_eq!((second.stored, second.dropped["403"]), (0, 5));
    let third = writer.send(&batch(5, 1), Patience::Endless).await.unwrap();
    assert_eq!(third.stored, 5, "the next batch is sent all the same");
    assert_eq!(peer.came().len(), 3, "none was repeated");
    assert_eq!(
        writer.counts().dropped(),
        [("400".into(), 2), ("403".into(), 5)].into()
    );
}

#[tokio::test]
async fn what_is_too_large_is_sent_in_halves() {
    let peer = Scripted::start(|came| match came.received().batch.samples.len() {
        0..=3 => Say::wrote(came.received().batch.samples.len() as u64),
        _ => Say::status(413),
    })
    .await;
    let writer = writer(&peer);
    let sent = writer.send(&batch(2, 5), Patience::Endless).await.unwrap();
    assert_eq!((sent.stored, sent.dropped.len()), (10, 0));
    let hopeless = Scripted::saying(vec![Say::status(413)]).await;
    let writer = self::writer(&hopeless);
    let sent = writer.send(&batch(2, 2), Patience::Endless).await.unwrap();
    assert_eq!((sent.stored, sent.dropped["413"]), (0, 4));
}

#[tokio::test]
async fn lanes_share_the_work_and_keep_each_series_in_order() {
    let peer = Scripted::start(|came| Say::wrote(came.received().batch.samples.len() as u64)).await;
    let config = WriteConfig {
        lanes: 3,
        samples_max: 50,
        ..quick()
    };
    let writer = Writer::new(connect(peer.config()), config);
    let sent = writer
        .send(&batch(40, 20), Patience::Endless)
        .await
        .unwrap();
    assert_eq!(sent.stored, 800);
    let mut last = std::collections::HashMap::new();
    for came in peer.came() {
        let samples = came.received().batch.samples;
        assert!(samples.len() <= 50);
        for sample in samples {
            let before = last.insert(sample.labels.clone(), sample.time_ms);
            assert!(before.is_none_or(|t| t < sample.time_ms), "{sample:?}");
        }
    }
    assert_eq!(last.len(), 40);
}

#[tokio::test]
async fn an_outage_opens_the_breaker_and_its_end_closes_it() {
    let peer = Scripted::saying(vec![Say::status(503), Say::status(503), Say::wrote(1)]).await;
    let config = PeerConfig {
        breaker: BreakerConfig {
            failures: 2,
            open_for: Duration::from_millis(200),
        },
        ..peer.config()
    };
    let writer = Writer::new(connect(config), quick());
    for _ in 0..2 {
        let refused = writer.send(&batch(1, 1), Patience::Attempts(1)).await;
        assert!(matches!(refused, Err(SendError::Busy { status: 503, .. })));
    }
    let open = writer.send(&batch(1, 1), Patience::Attempts(1)).await;
    assert!(matches!(open, Err(SendError::Peer { .. })), "{open:?}");
    assert_eq!(peer.came().len(), 2, "nothing is sent while it is open");
    assert_eq!(writer.peer().state().reachable, Some(false));
    let sent = writer.send(&batch(1, 1), Patience::Endless).await.unwrap();
    assert_eq!(sent.stored, 1);
    assert_eq!(writer.peer().state().reachable, Some(true));
}

#[test]
fn the_sink_says_what_was_stored_and_what_was_not() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let name = "x-prometheus-remote-write-samples-written";
    let answers = vec![
        Say::wrote(4),
        Say(400, vec![(name, "1".into())], String::new()),
        Say::status(503),
    ];
    let peer = runtime.block_on(Scripted::saying(answers));
    let sink = RemoteSink::new(writer(&peer));
    // From a thread without a runtime, and from one that runs a loop of its own.
    let stored = sink.append(&batch(4, 1), Durability::Sync).unwrap();
    assert_eq!((stored.stored, stored.rejected.len()), (4, 0));
    let partly = runtime.block_on(async { sink.append(&batch(4, 1), Durability::Sync).unwrap() });
    assert_eq!((partly.stored, partly.rejected[0].1), (1, 3));
    let down = sink.append(&batch(4, 1), Durability::Fast);
    assert!(matches!(down, Err(AppendError::Io { .. })), "{down:?}");
}
