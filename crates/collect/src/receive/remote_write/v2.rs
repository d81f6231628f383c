//! `io.prometheus.write.v2.Request`: one table of symbols, series that refer into it.
//!
//! What the specification demands of a series is demanded: references in range and in pairs,
//! labels sorted, unique and not empty, samples or histograms but not both and not neither. The
//! table's first symbol must be empty, so that reference 0 can mean "nothing".

use model::{Labels, Metadata, MetricType};

use super::{
    super::{
        Fault,
        intake::{Intake, Stop},
        interner::Order,
        protobuf::{Fields, Malformed, Value},
    },
    Counts, metric_type, sample,
    v1::{keep_exemplar, take_histogram},
};

/// The symbols of a request, as bytes: they are checked for UTF-8 where a label set is new.
#[derive(Debug)]
pub(super) struct Symbols<'a>(Vec<&'a [u8]>);

impl<'a> Symbols<'a> {
    /// Field 4 wherever it stands: protobuf does not promise an order.
    fn read(body: &'a [u8], intake: &mut Intake<'_>) -> Result<Self, Stop> {
        let mut symbols = Vec::new();
        let mut fields = Fields::new(body);
        while let Some((number, field)) = fields.next()? {
            if number == 4 {
                intake.charge(size_of::<&[u8]>())?;
                symbols.push(field.bytes()?);
            }
        }
        Self::of(symbols)
    }

    /// A table of these symbols.
    pub(super) fn of(symbols: Vec<&'a [u8]>) -> Result<Self, Stop> {
        match symbols.first() {
            Some(first) if !first.is_empty() => Err(Stop::Bad(
                "the first symbol is not the empty string".to_owned(),
            )),
            _ => Ok(Self(symbols)),
        }
    }

    #[inline]
    fn get(&self, reference: u64) -> Result<&'a [u8], Fault> {
        let index = usize::try_from(reference).unwrap_or(usize::MAX);
        self.0.get(index).copied().ok_or(Fault::BadReference)
    }

    fn text(&self, reference: u64) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.get(reference)?).map_err(|_invalid| Fault::NotUtf8)
    }
}

/// Reads a whole message.
pub(super) fn read(body: &[u8], intake: &mut Intake<'_>) -> Result<(), Stop> {
    let symbols = Symbols::read(body, intake)?;
    let mut told = Told::default();
    let mut fields = Fields::new(body);
    while let Some((number, value)) = fields.next()? {
        field(number, value, &symbols, &mut told, intake)?;
    }
    Ok(())
}

/// Reads one field of a message whose symbols are known.
pub(super) fn field(
    number: u32,
    value: Value<'_>,
    symbols: &Symbols<'_>,
    told: &mut Told,
    intake: &mut Intake<'_>,
) -> Result<(), Stop> {
    if number == 5 {
        series(value.bytes()?, symbols, told, intake)?;
    }
    Ok(())
}

/// What a series' metadata says, as references; and of which metric name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    name: u64,
    metric_type: u64,
    help: u64,
    unit: u64,
}

fn series(
    message: &[u8],
    symbols: &Symbols<'_>,
    told: &mut Told,
    intake: &mut Intake<'_>,
) -> Result<(), Stop> {
    intake.begin_labels();
    let mut counts = Counts::default();
    let mut references = References::default();
    let mut metadata = None;
    let mut values = None;
    let mut fields = Fields::new(message);
    let mut before = fields;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => references.push(field, symbols, intake)?,
            2 => counts.samples += 1,
            3 => counts.histograms += 1,
            4 => counts.exemplars += 1,
            5 => metadata = Some(field),
            _ => {}
        }
        if number != 1 && values.is_none() {
            values = Some(before);
        }
        before = fields;
    }
    let checked = references.finish().and_then(|()| check(counts));
    match checked.and_then(|()| intake.slot(Order::Strict)) {
        Ok(slot) => {
            if let Some(values) = values {
                take_values(values, slot, symbols, intake)?;
            }
            match metadata {
                Some(field) => take_metadata(field, slot, references.name, symbols, told, intake),
                None => Ok(()),
            }
        }
        Err(fault) => {
            let example = || example(message, symbols);
            counts.reject(&mut intake.received, fault, example);
            Ok(())
        }
    }
}

fn check(counts: Counts) -> Result<(), Fault> {
    match (counts.samples, counts.histograms) {
        (0, 0) => Err(Fault::NoValues),
        (0, _) | (_, 0) => Ok(()),
        _ => Err(Fault::MixedValues),
    }
}

/// Label references on their way into the scratch.
#[derive(Debug, Default)]
struct References<'s> {
    /// A name without its value yet.
    half: Option<&'s [u8]>,
    fault: Option<Fault>,
    /// Reference of the metric's name.
    name: u64,
}

impl<'s> References<'s> {
    #[inline]
    fn push(
        &mut self,
        field: Value<'_>,
        symbols: &Symbols<'s>,
        intake: &mut Intake<'_>,
    ) -> Result<(), Malformed> {
        field.each_varint(|reference| {
            if let Err(fault) = self.push_one(reference, symbols, intake) {
                self.fault.get_or_insert(fault);
            }
            Ok(())
        })
    }

    #[inline]
    fn push_one(
        &mut self,
        reference: u64,
        symbols: &Symbols<'s>,
        intake: &mut Intake<'_>,
    ) -> Result<(), Fault> {
        let symbol = symbols.get(reference)?;
        let Some(name) = self.half.take() else {
            self.half = Some(symbol);
            return Ok(());
        };
        if name == model::METRIC_NAME.as_bytes() {
            self.name = reference;
        }
        intake.memory.scratch.push(name, symbol, intake.limits)
    }

    fn finish(&self) -> Result<(), Fault> {
        match self.fault {
            Some(fault) => Err(fault),
            None if self.half.is_some() => Err(Fault::BadReference),
            None => Ok(()),
        }
    }
}

fn take_values(
    mut fields: Fields<'_>,
    slot: u32,
    symbols: &Symbols<'_>,
    intake: &mut Intake<'_>,
) -> Result<(), Stop> {
    while let Some((number, field)) = fields.next()? {
        match number {
            2 => {
                let (value, time_ms, start_ms) = sample(field.bytes()?)?;
                intake.point(slot, time_ms, value)?;
                intake.point_start(start_ms)?;
            }
            3 => take_histogram(field.bytes()?, &intake.labels(slot).clone(), intake)?,
            4 => exemplar(field, &intake.labels(slot).clone(), symbols, intake)?,
            _ => {}
        }
    }
    Ok(())
}

fn exemplar(
    field: Value<'_>,
    series: &Labels,
    symbols: &Symbols<'_>,
    intake: &mut Intake<'_>,
) -> Result<(), Stop> {
    let mut texts = Vec::new();
    let (mut value, mut time_ms) = (0.0, 0);
    let mut fields = field.message()?;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => field.each_varint(|reference| {
                texts.push(symbols.text(reference));
                Ok::<(), Malformed>(())
            })?,
            2 => value = field.double()?,
            3 => time_ms = field.int64()?,
            _ => {}
        }
    }
    let texts: Result<Vec<&str>, Fault> = texts.into_iter().collect();
    let fault = match &texts {
        Ok(texts) if texts.len() % 2 == 0 => {
            let pairs: Vec<_> = texts
                .as_chunks::<2>()
                .0
                .iter()
                .map(|p| (p[0], p[1]))
                .collect();
            return keep_exemplar(&pairs, series, (value, time_ms), intake);
        }
        Ok(_) => Fault::BadReference,
        Err(fault) => *fault,
    };
    intake.received.rejected.exemplars += 1;
    intake.received.rejected.note(fault, || series.to_string());
    Ok(())
}

/// Metadata stands beside each series; neighbours mostly repeat it.
fn take_metadata(
    field: Value<'_>,
    slot: u32,
    name: u64,
    symbols: &Symbols<'_>,
    told: &mut Told,
    intake: &mut Intake<'_>,
) -> Result<(), Stop> {
    let mut now = Told {
        name,
        ..Told::default()
    };
    let mut fields = field.message()?;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => now.metric_type = field.varint()?,
            3 => now.help = field.varint()?,
            4 => now.unit = field.varint()?,
            _ => {}
        }
    }
    if now == *told
        || now
            == (Told {
                name,
                ..Told::default()
            })
    {
        return Ok(());
    }
    *told = now;
    let labels = intake.labels(slot).clone();
    let (Ok(help), Ok(unit)) = (symbols.text(now.help), symbols.text(now.unit)) else {
        let rejected = &mut intake.received.rejected;
        rejected.note(Fault::BadReference, || format!("metadata of {labels}"));
        return Ok(());
    };
    let metric_type = metric_type(now.metric_type);
    intake.metadata(Metadata {
        family: family(labels.metric_name(), metric_type).to_owned(),
        metric_type,
        help: help.to_owned(),
        unit: unit.to_owned(),
    })
}

/// The family a series of a classic histogram or summary belongs to.
fn family(name: &str, metric_type: MetricType) -> &str {
    let suffixes: &[&str] = match metric_type {
        MetricType::Histogram | MetricType::GaugeHistogram => &["_bucket", "_sum", "_count"],
        MetricType::Summary => &["_sum", "_count"],
        MetricType::Counter
        | MetricType::Gauge
        | MetricType::Info
        | MetricType::StateSet
        | MetricType::Unknown => &[],
    };
    let stripped = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
    stripped.unwrap_or(name)
}

/// A refused series in words: the symbols that can be found.
fn example(message: &[u8], symbols: &Symbols<'_>) -> String {
    let mut words = Vec::new();
    let mut fields = Fields::new(message);
    while let Ok(Some((number, field))) = fields.next() {
        let read = field.each_varint(|reference| {
            if words.len() < 8 {
                words.push(symbols.text(reference).unwrap_or("?"));
            }
            Ok::<(), Malformed>(())
        });
        if number != 1 || read.is_err() {
            break;
        }
    }
    words.join(" ")
}
