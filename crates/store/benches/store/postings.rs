//! Postings of a part: differences as varints, as stored, against roaring bitmaps, on 200,000
//! series: bytes, and CPU from bytes to the list a matcher wants.

use std::{collections::BTreeMap, hint::black_box};

use model::{Durability, Labels, MatchOp, Matcher, SampleSink as _, Selection, SeriesReader as _};
use roaring::RoaringBitmap;
use store::Config;

use crate::{START_MS, batch, open, process_cpu, series_bytes};

const SERIES: usize = 200_000;
const ROUNDS: u32 = 20;

fn varints(list: &[u32]) -> Vec<u8> {
    let (mut out, mut last) = (Vec::new(), 0);
    for id in list {
        let mut delta = id - last;
        while delta >= 0x80 {
            out.push(delta as u8 | 0x80);
            delta >>= 7;
        }
        out.push(delta as u8);
        last = *id;
    }
    out
}

fn from_varints(bytes: &[u8]) -> RoaringBitmap {
    let (mut id, mut delta, mut shift) = (0u32, 0u32, 0);
    let each = bytes.iter().filter_map(|byte| {
        delta |= u32::from(byte & 0x7F) << shift;
        shift += 7;
        (byte & 0x80 == 0).then(|| {
            id += std::mem::take(&mut delta);
            shift = 0;
            id
        })
    });
    each.collect()
}

/// Mean CPU of a call, microseconds.
fn cpu_us(mut call: impl FnMut()) -> f64 {
    let before = process_cpu();
    (0..ROUNDS).for_each(|_| call());
    process_cpu().saturating_sub(before).as_secs_f64() * 1e6 / f64::from(ROUNDS)
}

pub(crate) fn run(dir: &std::path::Path) {
    let mut sorted: Vec<Vec<u8>> = (0..SERIES).map(series_bytes).collect();
    sorted.sort_unstable();
    let mut lists: BTreeMap<(String, String), Vec<u32>> = BTreeMap::new();
    for (id, bytes) in sorted.iter().enumerate() {
        let labels = Labels::from_bytes(bytes).expect("canonical bytes");
        for (name, value) in labels.iter() {
            lists
                .entry((name.into(), value.into()))
                .or_default()
                .push(id as u32);
        }
    }
    let coded: Vec<Vec<u8>> = lists.values().map(|l| varints(l)).collect();
    let bitmap = |list: &Vec<u32>| {
        let mut set: RoaringBitmap = list.iter().copied().collect();
        set.optimize();
        let mut bytes = Vec::new();
        set.serialize_into(&mut bytes).expect("memory takes it");
        bytes
    };
    let roaring: Vec<Vec<u8>> = lists.values().map(bitmap).collect();
    let bytes =
        |lists: &[Vec<u8>]| lists.iter().map(Vec::len).sum::<usize>() as f64 / SERIES as f64;
    let largest = (0..coded.len())
        .max_by_key(|i| coded[*i].len())
        .expect("there are lists");
    println!(
        "{{\"figure\":\"postings\",\"series\":{SERIES},\"lists\":{},\"varint_bytes_per_series\":{:.2},\
         \"roaring_bytes_per_series\":{:.2},\"varint_decode_all_series_us\":{:.0},\
         \"roaring_decode_all_series_us\":{:.0}}}",
        lists.len(),
        bytes(&coded),
        bytes(&roaring),
        cpu_us(|| {
            black_box(from_varints(&coded[largest]));
        }),
        cpu_us(|| {
            black_box(RoaringBitmap::deserialize_from(&*roaring[largest]).expect("it was written"));
        }),
    );
    matchers(dir);
}

/// The store's own selection, from memory and from a part, without reading samples.
fn matchers(dir: &std::path::Path) {
    let series: Vec<Vec<u8>> = (0..SERIES).map(series_bytes).collect();
    let store = open(
        dir,
        Config {
            background: false,
            ..Config::default()
        },
    );
    for first in (0..SERIES).step_by(2000) {
        store
            .append(&batch(&series, first, 2000, 0), Durability::Fast)
            .expect("there is room");
    }
    for place in ["head", "part"] {
        for (what, matchers) in [
            (
                "= one host",
                vec![
                    ("instance", MatchOp::Equal, "host-00077.example.net:9100"),
                    ("job", MatchOp::Equal, "node"),
                ],
            ),
            (
                "= and !=",
                vec![
                    (
                        "__name__",
                        MatchOp::Equal,
                        "node_subsystem7_operations_total",
                    ),
                    ("region", MatchOp::NotEqual, "region-3"),
                    ("device", MatchOp::Equal, "none"),
                ],
            ),
            (
                "prefix regex",
                vec![
                    ("job", MatchOp::Equal, "node"),
                    ("instance", MatchOp::Regex, "host-0007.*"),
                    ("device", MatchOp::Equal, "none"),
                ],
            ),
            (
                "alternation",
                vec![
                    ("job", MatchOp::Equal, "node"),
                    ("region", MatchOp::Regex, "region-1|region-2"),
                    ("device", MatchOp::Equal, "none"),
                ],
            ),
        ] {
            let matchers = matchers
                .iter()
                .map(|(n, op, v)| Matcher::new(*n, *op, *v).expect("it compiles"))
                .collect();
            // What is measured is finding, so the range holds no samples for memory to read.
            let selection = Selection {
                matchers,
                from_ms: START_MS,
                to_ms: START_MS,
            };
            let mut found = 0;
            let us = cpu_us(|| found = store.select(&selection).expect("readable").count());
            println!(
                "{{\"figure\":\"matchers\",\"from\":\"{place}\",\"matchers\":\"{what}\",\"found\":{found},\"cpu_us\":{us:.0}}}"
            );
        }
        store.flush().expect("there is room");
    }
}
