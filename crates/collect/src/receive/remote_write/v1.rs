//! `prometheus.WriteRequest`: series with their labels spelled out.
//!
//! Label order is the sender's duty in the specification; as Prometheus does, unsorted labels are
//! sorted rather than refused. Duplicates and missing names are refused.

use model::{Exemplar, Labels, Metadata, MetricType};

use super::{
    super::{
        Fault,
        intake::{Intake, Stop},
        interner::{Order, Scratch},
        protobuf::{Fields, Malformed, Value},
    },
    Counts, histogram, metric_type, sample,
};

/// Reads a whole message.
pub(super) fn read(body: &[u8], intake: &mut Intake<'_>) -> Result<(), Stop> {
    let mut fields = Fields::new(body);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => series(field.bytes()?, intake)?,
            3 => intake.metadata(metadata(field)?)?,
            _ => {}
        }
    }
    Ok(())
}

/// Two walks: the first spells the labels and counts, the second takes the values. Senders write
/// labels first, so the second begins where they end.
fn series(message: &[u8], intake: &mut Intake<'_>) -> Result<(), Stop> {
    let mut fault = None;
    let mut counts = Counts::default();
    let mut values = None;
    intake.begin_labels();
    let mut fields = Fields::new(message);
    let mut before = fields;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => {
                let scratch = &mut intake.memory.scratch;
                let pushed = label(field, scratch, intake.limits)?;
                fault = fault.or(pushed.err());
            }
            2 => counts.samples += 1,
            3 => counts.exemplars += 1,
            4 => counts.histograms += 1,
            _ => {}
        }
        if number != 1 && values.is_none() {
            values = Some(before);
        }
        before = fields;
    }
    let labels = fault.map_or_else(|| intake.labels(Order::Free), Err);
    match (labels, values) {
        (Ok(labels), Some(values)) => take_values(values, &labels, intake),
        (Ok(_), None) => Ok(()),
        (Err(fault), _) => {
            let example = || String::from_utf8_lossy(message).into_owned();
            counts.reject(&mut intake.received, fault, example);
            Ok(())
        }
    }
}

#[inline]
fn label(
    field: Value<'_>,
    scratch: &mut Scratch,
    limits: &super::super::Limits,
) -> Result<Result<(), Fault>, Malformed> {
    let message = field.bytes()?;
    if let Some((name, value)) = usual(message) {
        return Ok(scratch.push(name, value, limits));
    }
    let (mut name, mut value) = (&b""[..], &b""[..]);
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => name = field.bytes()?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    Ok(scratch.push(name, value, limits))
}

/// A label as every encoder writes it: name, then value, both shorter than 128 bytes. Most of a
/// request is such labels, so they are read without the general walk.
#[inline]
fn usual(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x0a, length @ 0..0x80, rest @ ..] = message else {
        return None;
    };
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let [0x12, length @ 0..0x80, value @ ..] = rest else {
        return None;
    };
    (value.len() == usize::from(*length)).then_some((name, value))
}

fn take_values(
    mut fields: Fields<'_>,
    labels: &Labels,
    intake: &mut Intake<'_>,
) -> Result<(), Stop> {
    while let Some((number, field)) = fields.next()? {
        match number {
            2 => {
                let (value, time_ms, _) = sample(field.bytes()?)?;
                intake.float(labels.clone(), time_ms, value)?;
            }
            3 => exemplar(field, labels, intake)?,
            4 => take_histogram(field.bytes()?, labels, intake)?,
            _ => {}
        }
    }
    Ok(())
}

/// A histogram of either version; one that contradicts itself is counted, not stored.
pub(super) fn take_histogram(
    message: &[u8],
    labels: &Labels,
    intake: &mut Intake<'_>,
) -> Result<(), Stop> {
    let sent = histogram::Sent::read(message, intake)?;
    let (time_ms, start_ms) = (sent.time_ms, sent.start_ms);
    match sent.finish() {
        Ok(histogram) => {
            intake.histogram(labels.clone(), time_ms, histogram)?;
            intake.start(start_ms)
        }
        Err(fault) => {
            intake.received.rejected.histograms += 1;
            intake.received.rejected.note(fault, || labels.to_string());
            Ok(())
        }
    }
}

fn exemplar(field: Value<'_>, series: &Labels, intake: &mut Intake<'_>) -> Result<(), Stop> {
    let mut pairs = Vec::new();
    let (mut value, mut time_ms) = (0.0, 0);
    let mut fields = field.message()?;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => pairs.push(text_pair(field)?),
            2 => value = field.double()?,
            3 => time_ms = field.int64()?,
            _ => {}
        }
    }
    keep_exemplar(&pairs, series, (value, time_ms), intake)
}

/// Keeps an exemplar of either version, or counts why not.
pub(super) fn keep_exemplar(
    pairs: &[(&str, &str)],
    series: &Labels,
    (value, time_ms): (f64, i64),
    intake: &mut Intake<'_>,
) -> Result<(), Stop> {
    let fault = if time_ms == 0 {
        Some(Fault::NoTimestamp)
    } else if pairs.len() > intake.limits.labels {
        Some(Fault::TooManyLabels)
    } else if pairs.iter().any(|(name, _)| name.is_empty()) {
        Some(Fault::EmptyLabel)
    } else {
        None
    };
    if let Some(fault) = fault {
        intake.received.rejected.exemplars += 1;
        intake.received.rejected.note(fault, || series.to_string());
        return Ok(());
    }
    intake.exemplar(Exemplar {
        series: series.clone(),
        labels: Labels::from_pairs(pairs.iter().copied()),
        value,
        time_ms,
    })
}

fn text_pair(field: Value<'_>) -> Result<(&str, &str), Malformed> {
    let (mut name, mut value) = ("", "");
    let mut fields = field.message()?;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => name = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((name, value))
}

fn metadata(field: Value<'_>) -> Result<Metadata, Malformed> {
    let mut metadata = Metadata {
        family: String::new(),
        metric_type: MetricType::Unknown,
        help: String::new(),
        unit: String::new(),
    };
    let mut fields = field.message()?;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => metadata.metric_type = metric_type(field.varint()?),
            2 => metadata.family = field.text()?.to_owned(),
            4 => metadata.help = field.text()?.to_owned(),
            5 => metadata.unit = field.text()?.to_owned(),
            _ => {}
        }
    }
    Ok(metadata)
}
