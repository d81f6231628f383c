//! Prometheus remote write 1.0 and 2.0: `POST /api/v1/write`.
//!
//! Which message the body holds is said by the `proto` parameter of `Content-Type`, never
//! guessed: 2.0 bytes read as 1.0 look like an empty, valid request. The messages are walked as
//! they lie in the buffer; each series' labels are spelled into canonical bytes and recognised
//! there, so a sender's repeated series cost neither allocation nor hashing.
//!
//! Specs: <https://prometheus.io/docs/specs/remote_write_spec/> and
//! <https://prometheus.io/docs/specs/remote_write_spec_2_0/>.

mod histogram;
mod v1;
mod v2;

pub(super) use histogram::is_sound;

use model::{AppendError, Appended, Batch, Durability, RejectReason, SampleSink, Value};

use super::{
    Fault, Received, Receiver, Refusal, Reply, Request, encoding,
    lanes::Failed,
    protobuf::{Fields, Malformed},
};

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
    /// Decodes a remote-write request. A refusal carries the headers 2.0 demands.
    pub fn remote_write(&self, request: &Request<'_>) -> Result<Received, Refusal> {
        let received = Message::from_content_type(request.content_type)
            .and_then(|message| self.message(message, request));
        received.map_err(|mut refusal| {
            refusal.headers.extend(Written::default().headers());
            refusal
        })
    }

    fn message(&self, message: Message, request: &Request<'_>) -> Result<Received, Refusal> {
        self.decode("remote_write", request.now_ms, |buffer, intake| {
            encoding::unpack_snappy(request, self.limits(), buffer)?;
            match message {
                Message::V1 => v1::read(buffer, intake).map_err(Failed::from),
                Message::V2 => v2::read(buffer, intake).map_err(Failed::from),
            }
        })
    }

    /// The whole exchange: decodes, stores, and says what came of it. Never 2xx unless every
    /// sample and histogram was stored; what can succeed later is 503 with `Retry-After`, and a
    /// repeat stores nothing twice.
    pub fn serve_remote_write(
        &self,
        request: &Request<'_>,
        sink: &dyn SampleSink,
        durability: Durability,
    ) -> Reply {
        let mut received = match self.remote_write(request) {
            Ok(received) => received,
            Err(refusal) => return refusal.into(),
        };
        let (outcome, written) = store(&mut received, sink, durability);
        if outcome.is_err() {
            self.forget_metadata();
        }
        reply(&received, &outcome, written)
    }
}

/// Stores a batch and counts both kinds exactly. A sink says how many samples it stored, not of
/// which kind, so a batch with both kinds goes in two parts.
fn store(
    received: &mut Received,
    sink: &dyn SampleSink,
    durability: Durability,
) -> (Result<Appended, AppendError>, Written) {
    let mut written = Written::default();
    let batch = std::mem::take(&mut received.batch);
    let all = batch.samples.len() as u64;
    let (floats, histograms) = if received.histograms == 0 || received.histograms == all {
        let no_floats = all > 0 && received.histograms == all;
        let empty = Batch::default();
        if no_floats {
            (empty, batch)
        } else {
            (batch, empty)
        }
    } else {
        split(batch)
    };
    let mut total = Appended::default();
    let mut append = |part: &Batch| {
        if part.samples.is_empty() && part.metadata.is_empty() && part.exemplars.is_empty() {
            return Ok(0);
        }
        let appended = sink.append(part, durability)?;
        total.stored += appended.stored;
        total.rejected.extend(appended.rejected);
        total.exemplars += appended.exemplars;
        Ok(appended.stored)
    };
    let stored = append(&floats).and_then(|samples| {
        written.samples = samples;
        written.histograms = append(&histograms)?;
        Ok(())
    });
    written.exemplars = total.exemplars;
    (stored.map(|()| total), written)
}

fn split(batch: Batch) -> (Batch, Batch) {
    let is_float = |sample: &model::Sample| matches!(sample.value, Value::Float(_));
    let (floats, histograms) = batch.samples.into_iter().partition(is_float);
    let floats = Batch {
        samples: floats,
        metadata: batch.metadata,
        door: batch.door,
        ..Batch::default()
    };
    let histograms = Batch {
        samples: histograms,
        exemplars: batch.exemplars,
        door: batch.door,
        ..Batch::default()
    };
    (floats, histograms)
}

/// The reply to a request that was read, for what the sink made of its batch. Refused exemplars
/// do not make a request fail: they are best effort, and their count says what became of them.
#[must_use]
pub fn reply(
    received: &Received,
    outcome: &Result<Appended, AppendError>,
    written: Written,
) -> Reply {
    let refused = received.rejected.samples + received.rejected.histograms;
    let invalid = !received.rejected.is_empty()
        && (refused > 0 || received.rejected.reasons.keys().any(|fault| fails(*fault)));
    let mut reply = match outcome {
        Err(error) => Refusal::unavailable(error.to_string(), RETRY_AFTER_S).into(),
        Ok(appended) if invalid || !appended.rejected.is_empty() => {
            Refusal::bad(explain(received, &appended.rejected)).into()
        }
        Ok(_) => Reply::done(),
    };
    reply.headers.extend(written.headers());
    reply
}

/// Whether a fault makes a request invalid even when no sample was lost to it.
fn fails(fault: Fault) -> bool {
    matches!(fault, Fault::NoValues | Fault::BadReference)
}

fn explain(received: &Received, rejected: &[(RejectReason, u64, model::Labels)]) -> String {
    let mut parts: Vec<String> = received.rejected.summary().into_iter().collect();
    for (reason, count, example) in rejected {
        parts.push(format!("{} ({count}, first: {example})", reason.as_str()));
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
