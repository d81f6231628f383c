//! Prometheus remote write 1.0 and 2.0: `POST /api/v1/write`.
//!
//! Which message the body holds is said by the `proto` parameter of `Content-Type`, never
//! guessed: 2.0 bytes read as 1.0 look like an empty, valid request. The messages are walked as
//! they lie in the buffer. A series sent before in the same bytes and after the same neighbour is
//! recognised by its fingerprint; otherwise its labels are spelled into canonical bytes and
//! recognised there. Either way a repeated series is a slot of the lane's table, its floats are
//! points of that slot, and the sink finds its own number beside the slot: no label set is built,
//! compared or hashed on the way.
//!
//! Specs: <https://prometheus.io/docs/specs/remote_write_spec/> and
//! <https://prometheus.io/docs/specs/remote_write_spec_2_0/>.

mod histogram;
mod long;
mod v1;
mod v2;

pub(super) use histogram::is_sound;

use model::{
    AppendError, Appended, Batch, Durability, Point, RejectReason, SampleSink, SeriesTable,
    points_batch,
};

use super::{
    Fault, Received, Receiver, Refusal, Reply, Request, encoding,
    lanes::{Failed, Lane},
    protobuf::{Fields, Malformed},
};

/// What its batches are counted by.
const DOOR: &str = "remote_write";

/// Bytes that the samples of one request, or of one piece of a long one, may take. A mebibyte of
/// native histograms unpacks to three.
const BATCH_BYTES: usize = 6 << 20;

/// Seconds after which a sender should repeat a batch that could not be stored.
const RETRY_AFTER_S: u32 = 5;

/// The message in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// `prometheus.WriteRequest`, 1.0.
    V1,
    /// `io.prometheus.write.v2.Request`, 2.0.
    V2,
}

impl Message {
    /// The message a `Content-Type` names; none at all is 1.0, as old senders leave it out.
    pub fn from_content_type(header: Option<&str>) -> Result<Self, Refusal> {
        let header = header.map(str::trim).filter(|h| !h.is_empty());
        let Some(header) = header else {
            return Ok(Self::V1);
        };
        let unknown = || Refusal::unsupported(format!("Content-Type {header:?} is not read here"));
        let mut parts = header.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default();
        if !essence.eq_ignore_ascii_case("application/x-protobuf") {
            return Err(unknown());
        }
        let proto = parts
            .filter_map(|part| part.split_once('='))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("proto"));
        match proto.map(|(_, value)| value.trim().trim_matches('"')) {
            None | Some("prometheus.WriteRequest") => Ok(Self::V1),
            Some("io.prometheus.write.v2.Request") => Ok(Self::V2),
            Some(_) => Err(unknown()),
        }
    }
}

/// How many elements of a request were stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Float samples.
    pub samples: u64,
    /// Native histograms.
    pub histograms: u64,
    /// Exemplars; none where the sink keeps none.
    pub exemplars: u64,
}

impl Written {
    /// As the response headers 2.0 demands, on success and on failure.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let header = |name, count: u64| (name, count.to_string());
        vec![
            header("X-Prometheus-Remote-Write-Samples-Written", self.samples),
            header(
                "X-Prometheus-Remote-Write-Histograms-Written",
                self.histograms,
            ),
            header(
                "X-Prometheus-Remote-Write-Exemplars-Written",
                self.exemplars,
            ),
        ]
    }
}

impl Receiver {
    /// Decodes a remote-write request into a batch, floats first. A refusal carries the headers
    /// 2.0 demands.
    pub fn remote_write(&self, request: &Request<'_>) -> Result<Received, Refusal> {
        let mut lane = self.lane(request.connection);
        let mut received = self.message(&mut lane, request)?;
        let mut batch = points_batch(lane.memory.interner.table().shared(), &lane.points, DOOR);
        let floats = batch.samples.len();
        batch.samples.append(&mut received.batch.samples);
        received.batch.samples = batch.samples;
        received
            .starts_ms
            .iter_mut()
            .for_each(|(i, _)| *i += floats);
        received.starts_ms.append(&mut received.point_starts_ms);
        Ok(received)
    }

    /// Decodes a request in a lane: floats as its points, everything else in the batch.
    fn message(&self, lane: &mut Lane, request: &Request<'_>) -> Result<Received, Refusal> {
        let read = |message| {
            self.decode_in(lane, DOOR, request, |buffer, intake| {
                intake.bytes_max = intake.bytes_max.min(BATCH_BYTES);
                encoding::unpack_snappy(request, self.limits(), buffer)?;
                match message {
                    Message::V1 => v1::read(buffer, intake).map_err(Failed::from),
                    Message::V2 => v2::read(buffer, intake).map_err(Failed::from),
                }
            })
        };
        let received = Message::from_content_type(request.content_type).and_then(read);
        received.map_err(with_counts)
    }

    /// The whole exchange: decodes, stores, and says what came of it. Never 2xx unless every
    /// sample and histogram was stored, and in 2.0 every exemplar; what can succeed later is 503
    /// with `Retry-After`, and a repeat stores nothing twice.
    pub fn serve_remote_write(
        &self,
        request: &Request<'_>,
        sink: &dyn SampleSink,
        durability: Durability,
    ) -> Reply {
        let mut storing = Storing::new(sink, durability);
        let mut lane = self.lane(request.connection);
        let read = if long::is_long(request) {
            self.long_message(&mut lane, request, &mut storing)
        } else {
            self.message(&mut lane, request)
        };
        let received = match read {
            Ok(received) => received,
            Err(refusal) => return refusal.into(),
        };
        let Lane { memory, points, .. } = &mut *lane;
        storing.take(memory.interner.table_mut(), points, &received.batch);
        drop(lane);
        let stored = storing.end();
        if stored.outcome.is_err() {
            self.forget_metadata();
        }
        let message = Message::from_content_type(request.content_type);
        reply(message.unwrap_or(Message::V2), &received, &stored)
    }

    /// Checks a long request, then stores all of it but the last piece.
    fn long_message(
        &self,
        lane: &mut Lane,
        request: &Request<'_>,
        storing: &mut Storing<'_>,
    ) -> Result<Received, Refusal> {
        let read = |message| {
            self.decode_in(lane, DOOR, request, |_buffer, intake| {
                intake.bytes_max = intake.bytes_max.min(BATCH_BYTES);
                long::check(message, request, intake)?;
                long::store(message, request, intake, storing)
            })
        };
        let received = Message::from_content_type(request.content_type).and_then(read);
        received.map_err(with_counts)
    }
}

/// A refusal with the headers 2.0 demands.
fn with_counts(mut refusal: Refusal) -> Refusal {
    refusal.headers.extend(Written::default().headers());
    refusal
}

/// What becomes of a request's samples, stored in one piece or more.
struct Storing<'s> {
    sink: &'s dyn SampleSink,
    durability: Durability,
    total: Appended,
    written: Written,
    /// Exemplars the sink did not keep.
    exemplars_refused: u64,
    failed: Option<AppendError>,
}

/// What became of a request that was read.
struct Stored {
    outcome: Result<Appended, AppendError>,
    written: Written,
    exemplars_refused: u64,
}

impl<'s> Storing<'s> {
    fn new(sink: &'s dyn SampleSink, durability: Durability) -> Self {
        Self {
            sink,
            durability,
            total: Appended::default(),
            written: Written::default(),
            exemplars_refused: 0,
            failed: None,
        }
    }

    /// Stores a piece: floats as points, and a batch without floats, so that both kinds are
    /// counted exactly. After a failure nothing more is tried.
    fn take(&mut self, table: &mut SeriesTable, points: &[Point], batch: &Batch) {
        if self.failed.is_none()
            && let Err(error) = self.try_take(table, points, batch)
        {
            self.failed = Some(error);
        }
    }

    fn try_take(
        &mut self,
        table: &mut SeriesTable,
        points: &[Point],
        batch: &Batch,
    ) -> Result<(), AppendError> {
        if !points.is_empty() {
            let appended = self
                .sink
                .append_points(table, points, DOOR, self.durability)?;
            self.written.samples += appended.stored;
            self.add(appended);
        }
        let nothing = batch.samples.is_empty() && batch.metadata.is_empty();
        if !nothing || !batch.exemplars.is_empty() {
            let appended = self.sink.append(batch, self.durability)?;
            self.written.histograms += appended.stored;
            self.written.exemplars += appended.exemplars;
            let offered = batch.exemplars.len() as u64;
            self.exemplars_refused += offered.saturating_sub(appended.exemplars);
            self.add(appended);
        }
        Ok(())
    }

    /// Adds up what pieces came to; a reason keeps its first example.
    fn add(&mut self, appended: Appended) {
        self.total.stored += appended.stored;
        for (reason, count, example) in appended.rejected {
            match self.total.rejected.iter_mut().find(|(r, ..)| *r == reason) {
                Some((_, n, _)) => *n += count,
                None => self.total.rejected.push((reason, count, example)),
            }
        }
    }

    fn end(self) -> Stored {
        Stored {
            outcome: self.failed.map_or(Ok(self.total), Err),
            written: self.written,
            exemplars_refused: self.exemplars_refused,
        }
    }
}

/// The reply to a request that was read, for what the sink made of its batch. Of exemplars 1.0
/// knows nothing: there they are best effort. In 2.0 one that was not stored makes the write a
/// partial one, as a sample does.
fn reply(message: Message, received: &Received, stored: &Stored) -> Reply {
    let rejected = &received.rejected;
    let mut refused = rejected.samples + rejected.histograms;
    if message == Message::V2 {
        refused += rejected.exemplars + stored.exemplars_refused;
    }
    let breaks = rejected.reasons.keys().any(|fault| fails(*fault));
    let mut reply = match &stored.outcome {
        Err(error) => Refusal::unavailable(error.to_string(), RETRY_AFTER_S).into(),
        Ok(appended) if refused > 0 || breaks || !appended.rejected.is_empty() => {
            Refusal::bad(explain(received, stored, &appended.rejected)).into()
        }
        Ok(_) => Reply::done(),
    };
    reply.headers.extend(stored.written.headers());
    reply
}

/// Whether a fault makes a request invalid even when no sample was lost to it.
fn fails(fault: Fault) -> bool {
    matches!(fault, Fault::NoValues | Fault::BadReference)
}

fn explain(
    received: &Received,
    stored: &Stored,
    rejected: &[(RejectReason, u64, model::Labels)],
) -> String {
    let mut parts: Vec<String> = received.rejected.summary().into_iter().collect();
    for (reason, count, example) in rejected {
        parts.push(format!("{} ({count}, first: {example})", reason.as_str()));
    }
    if stored.exemplars_refused > 0 {
        parts.push(format!(
            "exemplars ({}) older than their series' newest, too long, or of a series that is not there",
            stored.exemplars_refused
        ));
    }
    format!("partial write: {}", parts.join("; "))
}

/// A sample: value, time, start (2.0 only; 0 when unset).
#[inline]
fn sample(message: &[u8]) -> Result<(f64, i64, i64), Malformed> {
    let (mut value, mut time_ms, mut start_ms) = (0.0, 0, 0);
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => value = field.double()?,
            2 => time_ms = field.int64()?,
            3 => start_ms = field.int64()?,
            _ => {}
        }
    }
    Ok((value, time_ms, start_ms))
}

/// The type of a metric by its number in both messages.
fn metric_type(number: u64) -> model::MetricType {
    use model::MetricType as T;
    match number {
        1 => T::Counter,
        2 => T::Gauge,
        3 => T::Histogram,
        4 => T::GaugeHistogram,
        5 => T::Summary,
        6 => T::Info,
        7 => T::StateSet,
        _ => T::Unknown,
    }
}

/// How many samples, histograms and exemplars a series has.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    samples: u64,
    histograms: u64,
    exemplars: u64,
}

impl Counts {
    fn reject(self, received: &mut Received, fault: Fault, example: impl FnOnce() -> String) {
        let rejected = &mut received.rejected;
        rejected.samples += self.samples;
        rejected.histograms += self.histograms;
        rejected.exemplars += self.exemplars;
        rejected.note(fault, example);
    }
}
