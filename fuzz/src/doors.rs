//! What the outside world sends: content encodings, pushed bodies, scraped text, queries.

use collect::{
    Format, Parser,
    receive::{
        Limits, Receiver, Request, snappy as snappy_block,
        statsd::{Statsd, StatsdLimits},
    },
};

/// Limits a fuzzer can reach with short inputs.
fn limits() -> Limits {
    Limits {
        body_bytes: 1 << 20,
        decoded_bytes: 2 << 20,
        batch_bytes: 4 << 20,
        remembered_series: 1_000,
        ..Limits::default()
    }
}

fn request<'a>(kind: &'a str, encoding: &'a str, body: &'a [u8]) -> Request<'a> {
    Request {
        content_type: Some(kind),
        content_encoding: Some(encoding),
        body,
        now_ms: 1_790_000_000_000,
        ..Request::default()
    }
}

/// A block as remote write sends it.
pub fn snappy(data: &[u8]) {
    let mut out = Vec::new();
    let decoded = snappy_block::decode(data, 2 << 20, &mut out);
    assert!(decoded.is_err() || out.len() <= 2 << 20, "beyond the limit");
}

/// A gzip body of lines.
pub fn gzip(data: &[u8]) {
    drop(Receiver::new(limits()).influx(&request("text/plain", "gzip", data)));
}

/// A message of remote write 1.0, so that mutations reach the protobuf and not the block.
pub fn remote_write_1(data: &[u8]) {
    let body = literals(data);
    let request = request("application/x-protobuf", "snappy", &body);
    drop(Receiver::new(limits()).remote_write(&request));
}

/// A message of remote write 2.0.
pub fn remote_write_2(data: &[u8]) {
    let body = literals(data);
    let kind = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    drop(Receiver::new(limits()).remote_write(&request(kind, "snappy", &body)));
}

/// OTLP as protobuf.
pub fn otlp_protobuf(data: &[u8]) {
    drop(Receiver::new(limits()).otlp(&request("application/x-protobuf", "", data)));
}

/// OTLP as JSON.
pub fn otlp_json(data: &[u8]) {
    drop(Receiver::new(limits()).otlp(&request("application/json", "", data)));
}

/// InfluxDB's line protocol.
pub fn influx(data: &[u8]) {
    drop(Receiver::new(limits()).influx(&request("text/plain", "", data)));
}

/// A series a line.
pub fn json_lines(data: &[u8]) {
    drop(Receiver::new(limits()).json_lines(&request("application/json", "", data)));
}

/// A sample a row.
pub fn csv(data: &[u8]) {
    drop(Receiver::new(limits()).csv(&request("text/csv", "", data)));
}

/// Datagrams of StatsD, an empty line between two, and a flush after each.
pub fn statsd(data: &[u8]) {
    let mut statsd = Statsd::new(StatsdLimits::default(), limits());
    for datagram in data.split(|b| *b == 0) {
        statsd.datagram(datagram);
        drop(statsd.flush(1_790_000_000_000));
    }
}

/// Twice, because a parser remembers its source.
fn scraped(format: Format, data: &[u8]) {
    let mut parser = Parser::default();
    for _ in 0..2 {
        let slots: Vec<usize> = match parser.parse(format, data) {
            Ok(found) => found.samples.iter().map(|s| s.slot).collect(),
            Err(_) => return,
        };
        for slot in slots {
            assert!(
                !parser.labels(slot).metric_name().is_empty(),
                "a nameless sample"
            );
        }
    }
}

/// Prometheus's text format.
pub fn prometheus_text(data: &[u8]) {
    scraped(Format::Prometheus, data);
}

/// OpenMetrics.
pub fn openmetrics(data: &[u8]) {
    scraped(Format::OpenMetrics, data);
}

/// A query's text: what parses is also written out and parsed again.
pub fn promql(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if text.len() > 16 << 10 {
        return;
    }
    if let Ok(expression) = query::parse(text) {
        let written = expression.to_string();
        assert!(
            query::parse(&written).is_ok(),
            "{text:?} is written as {written:?}"
        );
    }
}

/// A snappy block without a copy.
fn literals(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, plain.len() as u64);
    for piece in plain.chunks(1 << 16) {
        let length = piece.len() - 1;
        out.push(61 << 2);
        out.extend([length as u8, (length >> 8) as u8]);
        out.extend(piece);
    }
    out
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A file of the time zone database, asked for moments of ten thousand years.
pub fn zone(data: &[u8]) {
    let Ok(zone) = ::notify::zone::Zone::parse(data) else {
        return;
    };
    for century in -50..50_i64 {
        std::hint::black_box(zone.offset_s(century * 3_155_695_200));
    }
}

/// A rule file; every expression passes.
pub fn rules(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let check = |expr: &str| Ok(expr.to_owned());
        drop(::rules::file::read(
            "r.yml",
            text,
            ::rules::Defaults::default(),
            &check,
        ));
        drop(::rules::unit_test::read("t.yml", text));
    }
}

/// A template, parsed and expanded.
pub fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(template) = ::rules::template::Template::parse(text) else {
        return;
    };
    let labels = model::Labels::from_pairs([("instance", "a:9100"), ("job", "node")]);
    let query = |_expr: &str| Ok(vec![(labels.clone(), 1.5); 3]);
    let context = ::rules::template::Context {
        labels: &labels,
        value: 1_234_567.0,
        external_labels: &labels,
        external_url: "http://here/path",
        time_ms: 1_790_000_000_000,
        query: &query,
    };
    if let Ok(text) = template.expand(&context) {
        assert!(
            text.len() <= ::rules::template::OUTPUT_BYTES_MAX,
            "too long"
        );
    }
}
