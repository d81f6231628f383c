//! What the text protocols share: numbered lines, query parameters, and one way to answer.
//!
//! A line that cannot be read is counted and quoted; the lines around it are stored. The reply is
//! then 400 and says how many were stored, so a sender never takes a partial write for a whole one.
//! A request is unpacked, read and stored in pieces, so that memory does not grow with it.

use model::{AppendError, Appended, Batch, Durability, SampleSink};

use super::{
    Fault, Limits, Received, Receiver, Refusal, Reply, Request, encoding, intake::Intake,
    lanes::Failed,
};

/// Seconds after which a sender should repeat a batch that could not be stored.
const RETRY_AFTER_S: u32 = 5;

/// Bytes of samples after which what is there is stored: some 9,000 floats.
const PIECE_BYTES: usize = 384 << 10;

/// Bytes that the samples of one line may take, whatever stood before it.
const LINE_SAMPLES_BYTES: usize = 6 << 20;

/// What may take what an intake has gathered, called after each line.
pub(super) type Relieve<'r> = dyn FnMut(&mut Intake<'_>) + 'r;

/// How a protocol reads a request of lines.
pub(super) type Read = fn(&Request<'_>, &mut Intake<'_>, &mut Relieve<'_>) -> Result<(), Failed>;

/// Told of each line, or of its fault, with its number.
type EachLine<'e> = dyn FnMut(usize, Result<&str, Fault>) -> Result<(), Failed> + 'e;

/// Calls `each` with the lines that are not blank, without their ends, numbered from 1. A line that
/// is too long or is not UTF-8 comes as the fault it has. Of the body no more than a line is held.
pub(super) fn each_line(
    request: &Request<'_>,
    limits: &Limits,
    each: &mut EachLine<'_>,
) -> Result<(), Failed> {
    let mut lines = Lines {
        limit: limits.line_bytes,
        number: 0,
        begun: Vec::new(),
        each,
    };
    encoding::each_step(request, limits, &mut |bytes: &[u8]| lines.take(bytes))?;
    lines.end_of_body()
}

/// A body cut into lines as it comes.
struct Lines<'e> {
    limit: usize,
    number: usize,
    /// The beginning of a line whose end has not come; more than a line may have when it is too
    /// long.
    begun: Vec<u8>,
    each: &'e mut EachLine<'e>,
}

impl Lines<'_> {
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), Failed> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            if self.begun.is_empty() {
                self.line(&bytes[..end])?;
            } else {
                self.begin(&bytes[..end]);
                self.end_of_body()?;
            }
            bytes = &bytes[end + 1..];
        }
        self.begin(bytes);
        Ok(())
    }

    /// Keeps the beginning of a line, and of one that is too long as much as shows that.
    fn begin(&mut self, bytes: &[u8]) {
        let room = (self.limit + 1).saturating_sub(self.begun.len());
        self.begun
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// What has begun is a line.
    fn end_of_body(&mut self) -> Result<(), Failed> {
        let mut begun = std::mem::take(&mut self.begun);
        let read = self.line(&begun);
        begun.clear();
        self.begun = begun;
        read
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Failed> {
        self.number += 1;
        if line.len() > self.limit {
            return (self.each)(self.number, Err(Fault::ValueTooLong));
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let text = std::str::from_utf8(line).map_err(|_invalid| Fault::NotUtf8);
        (self.each)(self.number, text)
    }
}

/// The value of a query parameter; the last one wins. Values that need decoding are taken as they
/// stand: the parameters asked for are short words.
pub(super) fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.rfind(|(key, _)| *key == name).map(|pair| pair.1)
}

/// A float as text formats write it: NaN and infinities by their usual names, a NaN that is not
/// the usual one as `NaN:` and its 16 hexadecimal digits, as our own exports have it.
pub(super) fn float(text: &str) -> Option<f64> {
    if let Some(digits) = text
        .strip_prefix("NaN:")
        .filter(|digits| digits.len() == 16)
    {
        let value = f64::from_bits(u64::from_str_radix(digits, 16).ok()?);
        return value.is_nan().then_some(value);
    }
    // `parse` would also take "infinity" and "nan" with any sign; all are what they say.
    let plain = !text.is_empty() && !text.starts_with(char::is_whitespace);
    plain.then(|| text.parse().ok()).flatten()
}

impl Receiver {
    /// Decodes a request of lines into one batch, as large as [`Limits::batch_bytes`] lets it be.
    pub(super) fn gather_lines(
        &self,
        door: &'static str,
        request: &Request<'_>,
        read: Read,
    ) -> Result<Received, Refusal> {
        self.decode(door, request, |_buffer, intake| {
            read(request, intake, &mut |_: &mut Intake<'_>| {})
        })
    }

    /// Stores what a text protocol brought, piece by piece as it is read, and says what came of
    /// it: 204, or 400 when a line was refused (what was valid is stored), or 503 when not
    /// everything could be stored now. A body that breaks off, or is a bomb, is refused from there
    /// on; the reply says how many samples before that were stored.
    pub(super) fn serve_lines(
        &self,
        door: &'static str,
        request: &Request<'_>,
        read: Read,
        (sink, durability): (&dyn SampleSink, Durability),
    ) -> Reply {
        let mut stored: Result<Appended, AppendError> = Ok(Appended::default());
        let mut store = |batch: &mut Batch| {
            batch.door = door;
            if let Ok(total) = &mut stored
                && !batch.samples.is_empty()
            {
                match sink.append(batch, durability) {
                    Ok(appended) => add(total, appended),
                    Err(error) => stored = Err(error),
                }
            }
        };
        let received = self.decode(door, request, |_buffer, intake| {
            intake.bytes_max = intake.bytes_max.min(LINE_SAMPLES_BYTES);
            read(request, intake, &mut |intake: &mut Intake<'_>| {
                if intake.charged() >= PIECE_BYTES {
                    store(&mut intake.received.batch);
                    intake.discard();
                }
            })
        });
        let received = received.map(|mut received| {
            store(&mut received.batch);
            received
        });
        if stored.is_err() {
            self.forget_metadata();
        }
        match (received, &stored) {
            (Ok(received), stored) => lines_reply(&received, stored),
            (Err(mut refusal), Ok(appended)) if appended.stored > 0 => {
                let (stored, why) = (appended.stored, refusal.message);
                refusal.message = format!("partial write, {stored} samples stored: {why}");
                refused(refusal)
            }
            (Err(refusal), _) => refused(refusal),
        }
    }
}

/// Adds up what pieces came to; a reason keeps its first example.
fn add(total: &mut Appended, appended: Appended) {
    total.stored += appended.stored;
    for (reason, count, example) in appended.rejected {
        match total.rejected.iter_mut().find(|(r, ..)| *r == reason) {
            Some((_, n, _)) => *n += count,
            None => total.rejected.push((reason, count, example)),
        }
    }
}

/// The reply to a request of lines that was read, for what the sink made of it. What is merely not
/// kept (text fields) does not make a request fail.
fn lines_reply(received: &Received, outcome: &Result<Appended, AppendError>) -> Reply {
    let appended = match outcome {
        Ok(appended) => appended,
        Err(error) => return refused(Refusal::unavailable(error.to_string(), RETRY_AFTER_S)),
    };
    let faults = &received.rejected.reasons;
    let invalid = faults.keys().any(|fault| *fault != Fault::Unsupported);
    if !invalid && appended.rejected.is_empty() {
        return Reply::done();
    }
    let mut parts: Vec<String> = received.rejected.summary().into_iter().collect();
    for (reason, count, example) in &appended.rejected {
        parts.push(format!("{} ({count}, first: {example})", reason.as_str()));
    }
    let stored = appended.stored;
    let why = parts.join("; ");
    refused(Refusal::bad(format!(
        "partial write, {stored} samples stored: {why}"
    )))
}

/// A refusal as both API versions of InfluxDB word it; other senders read the same object.
fn refused(refusal: Refusal) -> Reply {
    let code = match refusal.status {
        413 => "request too large",
        429 => "too many requests",
        503 => "unavailable",
        _ => "invalid",
    };
    let message = &refusal.message;
    let body = serde_json::json!({ "code": code, "message": message, "error": message });
    let mut headers = refusal.headers;
    headers.push(("Content-Type", "application/json".to_owned()));
    Reply {
        status: refusal.status,
        headers,
        body: body.to_string().into_bytes(),
    }
}
