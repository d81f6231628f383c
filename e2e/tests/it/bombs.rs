//! Hostile bodies at every door of the real server: bombs that claim or unpack to gigabytes, and
//! thousands of mutated bodies. Each bomb is a 4xx and takes next to no memory (at OTLP's doors one
//! that packs no better than a real body is held up to its limit); nothing is a 5xx, and the
//! server lives.

use std::io::Write as _;

use e2e::{proc, pushed::now_ms, server::Server, wait};
use fuzz::{Target, mutate};
use numerics::rng::Rng;
use testkit::report;

const QUIET: &str = "[collect]\nhost = \"off\"\n";

/// What a bomb may take.
const ALLOWED_BYTES: u64 = 8 << 20;

/// What a body may take at OTLP's doors that unpacks to no more than real ones do: 20 MiB are held
/// whole, twice that for a moment while the buffer grows.
const OTLP_ALLOWED_BYTES: u64 = 48 << 20;

/// Mutated bodies over all doors.
const MUTATED: u64 = 5_000;

/// What they may leave behind: series whose labels were mutated, and buffers.
const LEFT_BYTES: u64 = 48 << 20;

/// A door: its path, its content type, and the fuzz target whose corpus it understands.
struct Door {
    path: &'static str,
    kind: &'static str,
    corpus: &'static str,
}

const REMOTE_WRITE_2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

const fn door(path: &'static str, kind: &'static str, corpus: &'static str) -> Door {
    Door { path, kind, corpus }
}

const DOORS: &[Door] = &[
    door("/api/v1/write", "application/x-protobuf", "remote_write_1"),
    door("/api/v1/write", REMOTE_WRITE_2, "remote_write_2"),
    door("/v1/metrics", "application/x-protobuf", "otlp_protobuf"),
    door("/api/v1/otlp/v1/metrics", "application/json", "otlp_json"),
    door("/write", "text/plain", "influx"),
    door("/api/v2/write", "text/plain", "influx"),
    door("/api/v1/import", "application/json", "json_lines"),
    door("/api/v1/import/csv", "text/csv", "csv"),
];

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A zstd frame of run-length blocks (RFC 8878): four bytes for each 128 KiB of zeros.
fn zstd_zeros(blocks: u32) -> Vec<u8> {
    // Magic; a frame header without a content size and with the smallest window.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    for block in 0..blocks {
        let last = u32::from(block + 1 == blocks);
        let head = (128 << 10) << 3 | 1 << 1 | last;
        frame.extend(&head.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// 60 MiB of lines that no protocol reads, and that pack no better than real ones may.
fn junk() -> Vec<u8> {
    let mut plain = Vec::new();
    let mut random = Rng::stream(3, &[]);
    while plain.len() < 60 << 20 {
        plain.extend(format!("{:04}", random.below(10_000)).into_bytes());
        plain.extend([b'x'; 150]);
        plain.push(b'\n');
    }
    let packed = gzip(&plain);
    let ratio = plain.len() / packed.len();
    assert!((20..90).contains(&ratio), "below the limit of 100: {ratio}");
    packed
}

/// The one bomb that its ratio does not give away.
const JUNK: &str = "60 MiB of junk";

/// Bombs by content encoding.
fn bombs() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let claims = |bytes: &[u8]| [bytes, b"\x00a\xfe\x01\x00\xfe"].concat();
    let zeros = gzip(&vec![0; 64 << 20]);
    let member = gzip(&[b' '; 40_000]);
    vec![
        ("4 GiB claimed", "snappy", claims(b"\xff\xff\xff\xff\x0f")),
        ("1 GiB claimed", "snappy", claims(b"\x80\x80\x80\x80\x04")),
        ("64 MiB claimed", "snappy", claims(b"\x80\x80\x80\x20")),
        ("1000:1", "gzip", zeros.clone()),
        ("nested", "gzip", gzip(&zeros)),
        ("many members", "gzip", member.repeat(2_000)),
        (JUNK, "gzip", junk()),
        ("30000:1", "zstd", zstd_zeros(2_000)),
        ("many frames", "zstd", zstd_zeros(4).repeat(500)),
    ]
}

async fn post(server: &Server, door: &Door, encoding: &str, body: Vec<u8>) -> u16 {
    let mut headers = vec![("content-type", door.kind)];
    if !encoding.is_empty() {
        headers.push(("content-encoding", encoding));
    }
    server.http.bytes(door.path, &headers, body).await.status
}

/// Memory the server held at most beyond what it held before.
async fn peak<T>(server: &Server, act: impl Future<Output = T>) -> (T, u64) {
    let pid = server.program.pid();
    // 5: forget the highest resident size so far.
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
    let before = proc::memory_bytes(pid, "VmRSS");
    let done = act.await;
    let most = proc::memory_bytes(pid, "VmHWM");
    (done, most.saturating_sub(before))
}

#[tokio::test]
async fn a_bomb_at_any_door_is_a_4xx_and_takes_no_memory() {
    let _place = wait::place().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), QUIET).await;
    let bombs = bombs();
    // Threads and buffers of each door, once.
    for door in DOORS {
        for body in Target::of(door.corpus).corpus() {
            post(&server, door, "", body).await;
        }
    }
    let (mut count, mut most) = (0, 0);
    for door in DOORS {
        for (what, encoding, body) in &bombs {
            let exploding = async {
                for _ in 0..3 {
                    let status = post(&server, door, encoding, body.clone()).await;
                    assert!(
                        (400..500).contains(&status),
                        "{} {what}: {status}",
                        door.path
                    );
                }
            };
            let ((), bytes) = peak(&server, exploding).await;
            println!("{} {encoding} {what}: {} KiB", door.path, bytes >> 10);
            let allowed = match door.corpus {
                "otlp_protobuf" | "otlp_json" if *what == JUNK => OTLP_ALLOWED_BYTES,
                _ => ALLOWED_BYTES,
            };
            assert!(
                bytes <= allowed,
                "{} {encoding} {what}: {bytes} bytes",
                door.path
            );
            most = most.max(bytes);
            count += 3;
        }
    }
    assert_eq!(server.http.get("/-/ready").await.status, 200);
    let figures = format!("all 4xx; {} KiB of memory at most", most >> 10);
    report::ran("bombs at every door", count, &figures);
}

/// A body of a door's own protocol, mutated; and how it is sent.
fn mutated(door: &Door, corpus: &[Vec<u8>], random: &mut Rng) -> (&'static str, Vec<u8>) {
    let body = mutate::mutated(corpus, 16 << 10, random);
    if door.path == "/api/v1/write" {
        let mut block = e2e::pushed::snappy_literals(&body);
        if random.chance(0.3) {
            block = mutate::mutated(&[block], 16 << 10, random);
        }
        return ("snappy", block);
    }
    match random.below(4) {
        0 => ("gzip", gzip(&body)),
        1 => ("gzip", mutate::mutated(&[gzip(&body)], 16 << 10, random)),
        _ => ("", body),
    }
}

#[tokio::test]
async fn thousands_of_mutated_bodies_are_never_a_5xx_and_leave_the_server_well() {
    let _place = wait::place().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), QUIET).await;
    let corpora: Vec<_> = DOORS
        .iter()
        .map(|d| Target::of(d.corpus).corpus())
        .collect();
    let mut before = 0;
    let mut refused = 0;
    for number in 0..MUTATED {
        let mut random = Rng::stream(77, &[number]);
        let which = random.index(DOORS.len());
        let (encoding, body) = mutated(&DOORS[which], &corpora[which], &mut random);
        let status = post(&server, &DOORS[which], encoding, body).await;
        assert!(
            status < 500,
            "body {number} at {}: {status}",
            DOORS[which].path
        );
        refused += u64::from(status >= 400);
        if number == MUTATED / 5 {
            before = proc::memory_bytes(server.program.pid(), "VmRSS");
        }
    }
    let grown = proc::memory_bytes(server.program.pid(), "VmRSS").saturating_sub(before);
    assert!(
        grown < LEFT_BYTES,
        "{grown} bytes more than after the first fifth"
    );
    assert!(refused > MUTATED / 4, "only {refused} were worth refusing");
    assert!(
        !server.program.log().contains("panicked"),
        "{}",
        server.program.log()
    );
    // What is good is still taken.
    let body = format!("well value=1 {}000000", now_ms());
    assert_eq!(post(&server, &DOORS[4], "", body.into_bytes()).await, 204);
    assert_eq!(server.number("well_value").await, Some(1.0));
    let figures = format!("{refused} refused, no 5xx; memory {} KiB", grown >> 10);
    report::ran("mutated bodies at every door", MUTATED, &figures);
}
