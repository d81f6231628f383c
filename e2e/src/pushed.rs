//! Senders of remote write 1.0 that remember what was acknowledged, and the judge who compares it
//! with what a server has after a crash.
//!
//! A stream writes batches 0, 1, 2 ...; a batch is one sample for each of [`SERIES`] series whose
//! value is the batch's number. So what must be there after any number of batches is known, and
//! a hole, a duplicate, a torn batch or a foreign value cannot hide. The encoder is our own: it
//! shares nothing with the server's decoder.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use crate::server::Server;

/// Series of a stream.
pub const SERIES: u64 = 20;

/// Times apart that a storm visits; a prime, so that each comes once.
const STORM_TIMES: u64 = 100_003;
/// Between two times of a storm: 28 hours in all, so that several days are written at once.
const STORM_STEP_MS: i64 = 1_000;
/// Times that an overwriting stream goes round.
const SLOTS: u64 = 16;

/// How a stream's times go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Each later than the one before.
    Rising,
    /// Anywhere in the last day, each once.
    Storm,
    /// Round and round the same few times: the last write wins.
    Overwriting,
}

/// A writer's plan.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Name of its metric, its own in the whole test.
    pub metric: String,
    /// How its times go.
    pub order: Order,
    /// `x-alluse-durability`, if it says one.
    pub durability: Option<&'static str>,
    /// Time of its first batch, ms since the epoch.
    pub base_ms: i64,
}

/// What a stream came to.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The plan.
    pub stream: Stream,
    /// When each acknowledgement arrived; batch `n` is number `n`.
    pub acked: Vec<Instant>,
    /// Batches tried: one more than acknowledged when the last got no answer.
    pub tried: u64,
    /// Why the stream ended: the status or the broken connection.
    pub ended: String,
}

/// Now, ms since the epoch.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "samples of a running server are of now"
)]
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(now.expect("after 1970").as_millis()).expect("before the end of time")
}

/// Now, for the time between an acknowledgement and a cut.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a real disk takes real time")]
pub fn now() -> Instant {
    Instant::now()
}

impl Stream {
    /// A plan that starts ten minutes ago, so that nothing lies in the future.
    #[must_use]
    pub fn new(metric: impl Into<String>, order: Order, durability: Option<&'static str>) -> Self {
        Self {
            metric: metric.into(),
            order,
            durability,
            base_ms: now_ms() - 600_000,
        }
    }

    /// Time of a batch's samples.
    #[must_use]
    pub fn time_ms(&self, batch: u64) -> i64 {
        let step = |n: u64| i64::try_from(n).expect("a few");
        match self.order {
            Order::Rising => self.base_ms + step(batch) * 10,
            Order::Storm => {
                assert!(batch < STORM_TIMES, "a storm repeats itself");
                self.base_ms - step(batch * 7_919 % STORM_TIMES) * STORM_STEP_MS
            }
            Order::Overwriting => self.base_ms + step(batch % SLOTS) * 1_000,
        }
    }

    /// The body of a batch.
    #[must_use]
    pub fn body(&self, batch: u64) -> Vec<u8> {
        let labels =
            |series: u64| vec![("__name__", self.metric.clone()), ("n", series.to_string())];
        let series = (0..SERIES).map(|series| (labels(series), batch as f64));
        write_request(series, self.time_ms(batch))
    }

    /// What each series must hold after some number of batches.
    #[must_use]
    pub fn after(&self, batches: u64) -> BTreeMap<i64, u64> {
        (0..batches).map(|n| (self.time_ms(n), n)).collect()
    }

    /// Writes until the server no longer answers 204, counting acknowledgements in `acks`.
    pub async fn send(self, url: String, acks: &AtomicU64) -> Sent {
        let client = reqwest::Client::new();
        let mut sent = Sent {
            stream: self,
            acked: Vec::new(),
            tried: 0,
            ended: String::new(),
        };
        while sent.ended.is_empty() {
            let batch = sent.tried;
            sent.tried += 1;
            match sent.stream.push(&client, &url, batch).await {
                Ok(204) => {
                    sent.acked.push(now());
                    acks.fetch_add(1, Relaxed);
                }
                Ok(status) => sent.ended = format!("status {status}"),
                Err(error) => sent.ended = error.to_string(),
            }
        }
        sent
    }

    /// One batch; the status.
    pub async fn push(
        &self,
        client: &reqwest::Client,
        url: &str,
        batch: u64,
    ) -> reqwest::Result<u16> {
        let mut request = client
            .post(format!("{url}/api/v1/write"))
            .header("content-type", "application/x-protobuf")
            .header("content-encoding", "snappy");
        if let Some(durability) = self.durability {
            request = request.header("x-alluse-durability", durability);
        }
        let reply = request.body(self.body(batch)).send().await?;
        Ok(reply.status().as_u16())
    }
}

impl Sent {
    /// Compares a server with what was sent: its series hold exactly the state after some number
    /// of batches, at least `least` and at most those tried. That number, or what is wrong.
    pub async fn judge(&self, server: &Server, least: u64) -> Result<u64, String> {
        let metric = &self.stream.metric;
        let rows = server.query(&format!("{metric}[5d]")).await;
        let found: Vec<BTreeMap<i64, u64>> = rows.iter().map(samples).collect::<Result<_, _>>()?;
        let newest = found.iter().filter_map(|s| s.values().max()).max();
        let batches = newest.map_or(0, |newest| newest + 1);
        if batches < least || batches > self.tried {
            return Err(format!(
                "{metric}: the state after {batches} batches; {least} had to be kept, {} were tried",
                self.tried
            ));
        }
        let expected = self.stream.after(batches);
        if batches > 0 && found.len() as u64 != SERIES {
            return Err(format!("{metric}: {} series of {SERIES}", found.len()));
        }
        match found.iter().find(|series| **series != expected) {
            None => Ok(batches),
            Some(series) => Err(format!(
                "{metric}: not the state after {batches} batches: {}",
                difference(series, &expected)
            )),
        }
    }

    /// How long before `cut` the oldest acknowledged batch was that is not among `kept`.
    #[must_use]
    pub fn lost_before(&self, cut: Instant, kept: u64) -> Duration {
        let first = self.acked.get(usize::try_from(kept).expect("a few"));
        first.map_or(Duration::ZERO, |at| cut.saturating_duration_since(*at))
    }
}

/// A row of a matrix as value by time; a time that comes twice is an error.
fn samples(row: &Value) -> Result<BTreeMap<i64, u64>, String> {
    let points = row["values"].as_array().ok_or("not a matrix")?;
    let mut found = BTreeMap::new();
    for point in points {
        let time_ms = point[0].as_f64().map(|s| (s * 1000.0).round() as i64);
        let value = point[1].as_str().and_then(|v| v.parse().ok());
        let (Some(time_ms), Some(value)) = (time_ms, value) else {
            return Err(format!("a value nobody wrote: {point}"));
        };
        if found.insert(time_ms, value).is_some() {
            return Err(format!("twice at one time: {point}"));
        }
    }
    Ok(found)
}

fn difference(found: &BTreeMap<i64, u64>, expected: &BTreeMap<i64, u64>) -> String {
    let missing: Vec<_> = expected
        .iter()
        .filter(|(t, _)| !found.contains_key(t))
        .collect();
    let wrong: Vec<_> = found
        .iter()
        .filter(|(t, v)| expected.get(t) != Some(v))
        .collect();
    format!(
        "{} missing, first {:?}; {} wrong or foreign, first {:?}",
        missing.len(),
        missing.first(),
        wrong.len(),
        wrong.first()
    )
}

/// Remote write 1.0: one sample for each label set and value, all of one time.
pub fn write_request(
    series: impl Iterator<Item = (Vec<(&'static str, String)>, f64)>,
    time_ms: i64,
) -> Vec<u8> {
    let mut message = Vec::new();
    for (labels, value) in series {
        let mut body = Vec::new();
        for (name, value) in &labels {
            let mut label = Vec::new();
            field(&mut label, 1, name.as_bytes());
            field(&mut label, 2, value.as_bytes());
            field(&mut body, 1, &label);
        }
        let mut sample = vec![0x09];
        sample.extend(value.to_le_bytes());
        sample.push(0x10);
        varint(&mut sample, time_ms.cast_unsigned());
        field(&mut body, 2, &sample);
        field(&mut message, 1, &body);
    }
    snappy_literals(&message)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A length-delimited field of protobuf.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// A snappy block without a single copy.
#[must_use]
pub fn snappy_literals(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, plain.len() as u64);
    for piece in plain.chunks(1 << 16) {
        let length = piece.len() - 1;
        out.push(61 << 2);
        out.extend([length as u8, (length >> 8) as u8]);
        out.extend(piece);
    }
    out
}
