//! The text protocols: InfluxDB lines, JSON lines, CSV.

use std::io::Write;

use collect::receive::{Fault, Limits, Received, Receiver, Refusal, Request};
use model::{Durability, Value};
use proptest::prelude::*;

use super::{Sink, text};

fn ask<'a>(query: &'a str, body: &'a str) -> Request<'a> {
    Request {
        query,
        body: body.as_bytes(),
        now_ms: 99,
        ..Request::default()
    }
}

fn influx(query: &str, body: &str) -> Received {
    Receiver::default().influx(&ask(query, body)).unwrap()
}

#[test]
fn each_numeric_field_of_a_line_is_a_series() {
    let body = "# a comment\n\
                cpu,host=a,core=0 user=1.5,idle=2i,big=18446744073709551615u,on=t 1465839830100400200\n\
                \r\nmem free=-1e3\n";
    let received = influx("", body);
    assert!(received.rejected.is_empty(), "{:?}", received.rejected);
    assert_eq!(
        text(&received.batch),
        [
            r#"cpu_user{core="0", host="a"} 1.5 @1465839830100"#,
            r#"cpu_idle{core="0", host="a"} 2 @1465839830100"#,
            r#"cpu_big{core="0", host="a"} 18446744073709552000 @1465839830100"#,
            r#"cpu_on{core="0", host="a"} 1 @1465839830100"#,
            "mem_free -1000 @99",
        ]
    );
}

#[test]
fn escapes_and_quoted_texts_do_not_end_a_word() {
    let body = r#"my\ cpu\,x,the\ host=a\=b\,c,path=C:\dir f\=1=1,note="a, b=\" c",g=2 5000000"#;
    let received = influx("db=tele", body);
    assert_eq!(
        text(&received.batch),
        [
            r#"my cpu,x_f=1{db="tele", path="C:\\dir", the host="a=b,c"} 1 @5"#,
            r#"my cpu,x_g{db="tele", path="C:\\dir", the host="a=b,c"} 2 @5"#,
        ]
    );
    let reasons = &received.rejected.reasons;
    assert_eq!(
        reasons.keys().collect::<Vec<_>>(),
        [&Fault::Unsupported],
        "the text field"
    );
}

#[test]
fn precisions_scale_times_and_unknown_ones_are_refused() {
    for (query, time_ms) in [
        ("precision=ns", 0),
        ("precision=us", 3),
        ("precision=ms&x=y", 3600),
        ("precision=s", 3_600_000),
        ("precision=m", 216_000_000),
        ("precision=h", 12_960_000_000_i64),
    ] {
        let received = influx(query, "m f=1 3600");
        assert_eq!(received.batch.samples[0].time_ms, time_ms, "{query}");
    }
    assert_eq!(
        influx("", "m f=1 -1").batch.samples[0].time_ms,
        -1,
        "rounded to the past"
    );
    let refused = Receiver::default().influx(&ask("precision=day", "m f=1 1"));
    assert_eq!(refused.unwrap_err().status, 400);
}

#[test]
fn a_bad_line_is_refused_alone_and_the_reply_is_400() {
    for (line, fault) in [
        ("m", Fault::Syntax),
        ("m f", Fault::Syntax),
        ("m f=", Fault::BadNumber),
        ("m f=1 2 3", Fault::BadNumber),
        ("m f=NaN", Fault::BadNumber),
        ("m f=1i5", Fault::BadNumber),
        ("m f=9223372036854775808i", Fault::BadNumber),
        ("m f=\"open", Fault::Syntax),
        (",t=1 f=1", Fault::NoName),
        ("m,t= f=1", Fault::EmptyLabel),
        ("m,t f=1", Fault::Syntax),
        ("m,t=1,t=2 f=1", Fault::DuplicateLabel),
        ("m f=1,g=x", Fault::BadNumber),
    ] {
        let body = format!("good f=1\n{line}\nalso f=2");
        let receiver = Receiver::default();
        let received = receiver.influx(&ask("", &body)).unwrap();
        let reasons = &received.rejected.reasons;
        assert_eq!(reasons.keys().collect::<Vec<_>>(), [&fault], "{line}");
        let sink = Sink::default();
        let reply = receiver.serve_influx(&ask("", &body), &sink, Durability::Fast);
        assert_eq!(reply.status, 400, "{line}");
        let message: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(message["code"], "invalid");
        assert!(
            message["error"]
                .as_str()
                .unwrap()
                .contains("2 samples stored"),
            "{message}"
        );
        assert_eq!(
            text(&sink.kept.lock().unwrap()[0]),
            ["good_f 1 @99", "also_f 2 @99"]
        );
    }
}

#[test]
fn a_request_without_faults_is_204_and_a_full_disk_503() {
    let receiver = Receiver::default();
    for (full, status) in [(false, 204), (true, 503)] {
        let sink = Sink {
            full,
            ..Sink::default()
        };
        let request = ask("", "m f=1,note=\"text\"");
        let reply = receiver.serve_influx(&request, &sink, Durability::Fast);
        assert_eq!(reply.status, status);
    }
}

#[test]
fn gzip_bodies_are_read_and_unknown_encodings_are_415() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"m f=1").unwrap();
    let body = gzip.finish().unwrap();
    let receiver = Receiver::default();
    let with = |encoding, body| Request {
        content_encoding: Some(encoding),
        body,
        ..Request::default()
    };
    assert_eq!(
        receiver
            .influx(&with("gzip", &body))
            .unwrap()
            .batch
            .samples
            .len(),
        1
    );
    let short = &body[..body.len() - 1];
    assert_eq!(
        receiver.influx(&with("gzip", short)).unwrap_err().status,
        400
    );
    assert_eq!(receiver.influx(&with("br", &body)).unwrap_err().status, 415);
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let body = ruzstd::encoding::compress_to_vec(&b"m f=1"[..], level);
    let received = receiver.influx(&with("zstd", &body)).unwrap();
    assert_eq!(received.batch.samples.len(), 1);
    let short = &body[..body.len() - 1];
    assert_eq!(
        receiver.influx(&with("zstd", short)).unwrap_err().status,
        400
    );
}

#[test]
fn json_lines_bring_many_samples_or_one() {
    let body = r#"{"metric":{"job":"a","__name__":"up"},"values":[1,0.5,"NaN",null],"timestamps":[1,2,3,4]}
{"metric":{"__name__":"x"},"value":"-Infinity","timestamp":7}
{"metric":{"__name__":"x"},"value":3}"#;
    let received = Receiver::default().json_lines(&ask("", body)).unwrap();
    assert!(received.rejected.is_empty(), "{:?}", received.rejected);
    assert_eq!(
        text(&received.batch),
        [
            r#"up{job="a"} 1 @1"#,
            r#"up{job="a"} 0.5 @2"#,
            r#"up{job="a"} NaN @3"#,
            r#"up{job="a"} NaN @4"#,
            "x -inf @7",
            "x 3 @99",
        ]
    );
}

#[test]
fn bad_json_lines_are_refused_alone() {
    for (line, fault) in [
        ("{", Fault::Syntax),
        ("[]", Fault::Syntax),
        (r#"{"metric":{"__name__":"x"}}"#, Fault::NoValues),
        (
            r#"{"metric":{"__name__":"x"},"timestamp":1}"#,
            Fault::NoValues,
        ),
        (
            r#"{"metric":{"__name__":"x"},"values":[1],"timestamps":[1,2]}"#,
            Fault::Syntax,
        ),
        (r#"{"metric":{"__name__":"x"},"value":"1x"}"#, Fault::Syntax),
        (
            r#"{"metric":{"__name__":"x"},"value":1,"extra":2}"#,
            Fault::Syntax,
        ),
        (r#"{"metric":{"a":"x"},"value":1}"#, Fault::NoName),
        (
            r#"{"metric":{"__name__":"x","a":"1","a":"2"},"value":1}"#,
            Fault::DuplicateLabel,
        ),
    ] {
        let body = format!("{line}\n{}", r#"{"metric":{"__name__":"good"},"value":1}"#);
        let received = Receiver::default().json_lines(&ask("", &body)).unwrap();
        let reasons = &received.rejected.reasons;
        assert_eq!(reasons.keys().collect::<Vec<_>>(), [&fault], "{line}");
        assert_eq!(text(&received.batch), ["good 1 @99"], "{line}");
    }
}

#[test]
fn csv_rows_follow_their_header() {
    let body = "metric,host,value,timestamp,note\n\
                up,a,1,1000,\n\
                \"up\",\"b, \"\"c\"\"\",NaN,2000,x\n\
                up,a,none,1000,\n\
                up,a,1\n\
                up,\"a,1,1000,\n";
    let received = Receiver::default().csv(&ask("", body)).unwrap();
    assert_eq!(
        text(&received.batch),
        [
            r#"up{host="a"} 1 @1000"#,
            r#"up{host="b, \"c\"", note="x"} NaN @2000"#
        ]
    );
    let counts: Vec<_> = received
        .rejected
        .reasons
        .iter()
        .map(|(f, (n, _))| (*f, *n))
        .collect();
    assert_eq!(counts, [(Fault::Syntax, 2), (Fault::BadNumber, 1)]);
    for bad in ["", "a,b\n1,2", "metric,value,value\nx,1,2", "value\n1"] {
        assert_eq!(
            Receiver::default().csv(&ask("", bad)).unwrap_err().status,
            400,
            "{bad:?}"
        );
    }
}

#[test]
fn a_line_over_the_limit_is_refused_and_the_next_is_read() {
    let receiver = Receiver::new(Limits {
        line_bytes: 20,
        ..Limits::default()
    });
    let received = receiver
        .influx(&ask("", "measurement_too_long f=1\nm f=1"))
        .unwrap();
    assert_eq!(received.rejected.reasons[&Fault::ValueTooLong].0, 1);
    assert_eq!(received.batch.samples.len(), 1);
}

/// A decoder of a text protocol.
type Decoder = fn(&Receiver, &Request<'_>) -> Result<Received, Refusal>;

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_a_panic(body in "[a-z,=\\\\ \"\\n\\{\\}\\[\\]:0-9.#é-]{0,80}") {
        let decoders: [Decoder; 3] = [Receiver::influx, Receiver::json_lines, Receiver::csv];
        for decode in decoders {
            if let Err(refusal) = decode(&Receiver::default(), &ask("", &body)) {
                prop_assert_eq!(refusal.status, 400);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..80)) {
        let decoders: [Decoder; 3] = [Receiver::influx, Receiver::json_lines, Receiver::csv];
        let request = Request { body: &body, ..Request::default() };
        for decode in decoders {
            if let Err(refusal) = decode(&Receiver::default(), &request) {
                prop_assert_eq!(refusal.status, 400);
            }
        }
    }

    #[test]
    fn floats_come_back_bit_for_bit(value in prop::num::f64::NORMAL | prop::num::f64::ZERO) {
        let received = influx("", &format!("m f={value:e}"));
        let Value::Float(read) = received.batch.samples[0].value else { panic!("a float") };
        prop_assert_eq!(read.to_bits(), value.to_bits());
    }
}
