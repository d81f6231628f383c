//! What decoding remote write costs: samples a CPU-second, both versions, without a store.
//!
//! `cargo run --release -p collect --example remote_write_cost [SERIES]` (10,000 if not said): a
//! sender with so many series of ten labels each, 2,000 samples a request, values and times
//! changing from round to round. CPU time of this process, because wall time says less.
#![expect(clippy::print_stdout, reason = "a benchmark tells its figures")]

use collect::receive::{Receiver, Request};

const BATCH: usize = 2_000;
const ROUNDS: i64 = 60;

fn main() {
    let series = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let series = series.unwrap_or(10_000_usize);
    let v2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    for (name, content_type, write) in [
        (
            "1.0",
            "application/x-protobuf",
            v1 as fn(&[usize], i64) -> Vec<u8>,
        ),
        ("2.0", v2, v2_request),
    ] {
        let order: Vec<usize> = (0..series).collect();
        let bodies: Vec<Vec<u8>> = (0..4)
            .flat_map(|round| {
                order
                    .chunks(BATCH)
                    .map(move |ids| block(&write(ids, round)))
            })
            .collect();
        let receiver = Receiver::default();
        let mut samples = 0;
        let start = cpu_seconds();
        for round in 0..ROUNDS {
            let per_round = bodies.len() / 4;
            let first = (round as usize % 4) * per_round;
            for body in &bodies[first..first + per_round] {
                let request = Request {
                    content_type: Some(content_type),
                    content_encoding: Some("snappy"),
                    body,
                    ..Request::default()
                };
                let received = receiver.remote_write(&request).expect("a valid request");
                samples += std::hint::black_box(received).batch.samples.len();
            }
        }
        let seconds = cpu_seconds() - start;
        let packed: usize = bodies.iter().map(Vec::len).sum();
        println!(
            "{name}: {series} series, {samples} samples, {seconds:.2} CPU-s, {:.2} M samples a \
             CPU-second, {:.0} packed bytes a sample",
            samples as f64 / seconds / 1e6,
            packed as f64 / (4 * series) as f64,
        );
    }
}

fn labels(id: usize) -> Vec<(String, String)> {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    vec![
        pair("__name__", format!("http_requests_{}_total", id % 50)),
        pair("cluster", "production-eu-west-1".to_owned()),
        pair("code", format!("{}", 200 + id % 5)),
        pair("container", "frontend".to_owned()),
        pair("handler", format!("/api/v1/resource/{}", id / 50 % 20)),
        pair(
            "instance",
            format!("10.0.{}.{}:9100", id / 1000 % 256, id / 50000),
        ),
        pair("job", "kubernetes-pods".to_owned()),
        pair("method", "GET".to_owned()),
        pair("namespace", "shop".to_owned()),
        pair("pod", format!("frontend-7d9c5b6f4-{:05}", id / 20)),
    ]
}

fn sample(id: usize, round: i64) -> Vec<u8> {
    let mut out = vec![0x09];
    out.extend((id as f64 * 1.5 + round as f64).to_le_bytes());
    out.push(0x10);
    varint(
        &mut out,
        (1_700_000_000_000 + round * 15_000).cast_unsigned(),
    );
    out
}

fn v1(ids: &[usize], round: i64) -> Vec<u8> {
    let mut request = Vec::new();
    for &id in ids {
        let mut series = Vec::new();
        for (name, value) in labels(id) {
            let mut label = Vec::new();
            field(&mut label, 1, name.as_bytes());
            field(&mut label, 2, value.as_bytes());
            field(&mut series, 1, &label);
        }
        field(&mut series, 2, &sample(id, round));
        field(&mut request, 1, &series);
    }
    request
}

fn v2_request(ids: &[usize], round: i64) -> Vec<u8> {
    let mut symbols = vec![String::new()];
    let mut known = std::collections::HashMap::new();
    let mut all = Vec::new();
    for &id in ids {
        let mut references = Vec::new();
        for text in labels(id).into_iter().flat_map(|(n, v)| [n, v]) {
            let next = symbols.len();
            let index = *known.entry(text.clone()).or_insert_with(|| {
                symbols.push(text);
                next
            });
            varint(&mut references, index as u64);
        }
        let mut series = Vec::new();
        field(&mut series, 1, &references);
        field(&mut series, 2, &sample(id, round));
        field(&mut all, 5, &series);
    }
    let mut request = Vec::new();
    for symbol in &symbols {
        field(&mut request, 4, symbol.as_bytes());
    }
    request.extend(all);
    request
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// A snappy block as the usual encoder makes it: a table of the last place of each four bytes.
fn block(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, plain.len() as u64);
    let mut table = vec![usize::MAX; 1 << 14];
    let (mut at, mut pending) = (0, 0);
    while at + 4 <= plain.len() {
        let word = u32::from_le_bytes(plain[at..at + 4].try_into().expect("four bytes"));
        let place = &mut table[(word.wrapping_mul(0x1e35_a7bd) >> 18) as usize];
        let candidate = std::mem::replace(place, at);
        let near = candidate < at && at - candidate < 65_536;
        if !near || plain[candidate..candidate + 4] != plain[at..at + 4] {
            at += 1;
            continue;
        }
        literal(&mut out, &plain[pending..at]);
        let mut length = 4;
        while length < 64 && plain.get(at + length) == Some(&plain[candidate + length]) {
            length += 1;
        }
        if at + length > plain.len() {
            length = plain.len() - at;
        }
        out.push(((length - 1) << 2 | 2) as u8);
        out.extend(u16::try_from(at - candidate).expect("near").to_le_bytes());
        at += length;
        pending = at;
    }
    literal(&mut out, &plain[pending..]);
    out
}

fn literal(out: &mut Vec<u8>, bytes: &[u8]) {
    for piece in bytes.chunks(60) {
        out.push(((piece.len() - 1) << 2) as u8);
        out.extend(piece);
    }
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
