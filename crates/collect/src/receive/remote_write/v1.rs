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
    while let Some((number, value)) = fields.next()? {
        field(number, value, intake)?;
    }
    Ok(())
}

/// Reads one field of a message.
#[inline]
pub(super) fn field(number: u32, value: Value<'_>, intake: &mut Intake<'_>) -> Result<(), Stop> {
    match number {
        1 => {
            let message = value.bytes()?;
            if !repeated(message, intake)? {
                series(message, intake)?;
            }
        }
        3 => intake.metadata(metadata(value)?)?,
        _ => {}
    }
    Ok(())
}

/// Takes a series that is foreseen and holds nothing but usual samples; else takes nothing, and
/// says so.
#[inline]
fn repeated(message: &[u8], intake: &mut Intake<'_>) -> Result<bool, Stop> {
    let Some((slot, mut rest)) = intake.memory.interner.foresee(message) else {
        return Ok(false);
    };
    let before = intake.points.len();
    while !rest.is_empty() {
        let Some((value, time_ms, after)) = usual_sample(rest) else {
            intake.points.truncate(before);
            return Ok(false);
        };
        intake.point(slot, time_ms, value)?;
        rest = after;
    }
    intake.memory.interner.arrive(slot);
    Ok(true)
}

/// A sample as encoders write it where neither value nor time is zero: value, then a time between
/// 2^35 and 2^49 ms (1971 to 19,807 AD), 6 or 7 bytes. And what follows.
#[inline]
fn usual_sample(bytes: &[u8]) -> Option<(f64, i64, &[u8])> {
    let [0x12, length @ (16 | 17), 0x09, ..] = bytes else {
        return None;
    };
    let (sample, after) = bytes[2..].split_at_checked(usize::from(*length))?;
    let value = f64::from_le_bytes(*sample[1..].first_chunk()?);
    if sample[9] != 0x10 {
        return None;
    }
    let time_ms = whole_varint(&sample[10..], *sample.last_chunk()?)?;
    Some((value, time_ms.cast_signed(), after))
}

/// The varint that fills `bytes` (at most 8), given the 8 bytes that end with it: continuation
/// bits are checked and squeezed out all at once.
#[inline]
fn whole_varint(bytes: &[u8], end: [u8; 8]) -> Option<u64> {
    const CONTINUES: u64 = 0x8080_8080_8080_8080;
    let unused = 64 - 8 * bytes.len();
    let word = u64::from_le_bytes(end) >> unused;
    let all_but_last = CONTINUES >> (unused + 8);
    if word & CONTINUES != all_but_last {
        return None;
    }
    let word = word & !CONTINUES;
    let word = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> 2;
    Some(word & 0x0000_0000_0fff_ffff | (word & 0x0fff_ffff_0000_0000) >> 4)
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
    let slot = fault.map_or_else(|| intake.slot(Order::Free), Err);
    match (slot, values) {
        (Ok(slot), Some(values)) => {
            let sent = &message[..message.len() - values.rest().len()];
            if !labels_follow(values)? {
                intake.memory.interner.sent_as(slot, sent);
            }
            take_values(values, slot, intake)
        }
        (Ok(_), None) => Ok(()),
        (Err(fault), _) => {
            let example = || String::from_utf8_lossy(message).into_owned();
            counts.reject(&mut intake.received, fault, example);
            Ok(())
        }
    }
}

/// Whether labels stand among the values: then those before them are not the whole set.
fn labels_follow(mut values: Fields<'_>) -> Result<bool, Malformed> {
    while let Some((number, _)) = values.next()? {
        if number == 1 {
            return Ok(true);
        }
    }
    Ok(false)
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

fn take_values(mut fields: Fields<'_>, slot: u32, intake: &mut Intake<'_>) -> Result<(), Stop> {
    while let Some((number, field)) = fields.next()? {
        match number {
            2 => {
                let (value, time_ms, _) = sample(field.bytes()?)?;
                intake.point(slot, time_ms, value)?;
            }
            3 => exemplar(field, &intake.labels(slot).clone(), intake)?,
            4 => take_histogram(field.bytes()?, &intake.labels(slot).clone(), intake)?,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    }

    #[test]
    fn usual_samples_are_read_as_the_general_walk_reads_them_and_others_left_to_it() {
        for time_ms in [
            0,
            1,
            -1,
            (1 << 35) - 1,
            1 << 35,
            1_790_000_000_123,
            (1 << 42) - 1,
            1 << 42,
            (1 << 49) - 1,
            1 << 49,
            i64::MAX,
        ] {
            let mut message = vec![0x09];
            message.extend(1.5_f64.to_le_bytes());
            message.push(0x10);
            message.extend(varint(i64::cast_unsigned(time_ms)));
            let mut field = vec![0x12, message.len() as u8];
            field.extend(&message);
            field.extend(b"rest");
            let usual = (1 << 35..1 << 49).contains(&time_ms);
            let read = usual_sample(&field);
            assert_eq!(read.is_some(), usual, "{time_ms}");
            assert_eq!(sample(&message), Ok((1.5, time_ms, 0)));
            if usual {
                assert_eq!(read, Some((1.5, time_ms, &b"rest"[..])));
            }
            for cut in 0..field.len() - 4 {
                assert_eq!(usual_sample(&field[..cut]), None);
            }
        }
    }

    #[test]
    fn a_varint_that_ends_early_or_late_does_not_fill_its_bytes() {
        let read = |bytes: &[u8]| {
            let mut end = [0xff; 8];
            end[8 - bytes.len()..].copy_from_slice(bytes);
            whole_varint(bytes, end)
        };
        assert_eq!(read(&[0x96, 0x01]), Some(150));
        assert_eq!(read(&[0x16, 0x01]), None);
        assert_eq!(read(&[0x96, 0x81]), None);
        assert_eq!(
            read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            Some((1 << 49) - 1)
        );
    }
}
