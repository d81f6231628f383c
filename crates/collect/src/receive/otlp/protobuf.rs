//! OTLP's protobuf, walked point by point: one point is in memory at a time.
//!
//! Field numbers: opentelemetry-proto, `metrics/v1/metrics.proto`, `common/v1/common.proto`.

use super::{
    super::{
        intake::{Intake, Stop},
        protobuf::{Fields, Malformed, Value},
    },
    point::{Attribute, Buckets, CUMULATIVE, Example, Header, Kind, Point, Quantile},
    translate::Translator,
};

/// How deep lists and maps in attributes may nest.
const DEPTH_MAX: usize = 16;

/// Reads a whole request.
pub(super) fn read(body: &[u8], intake: &mut Intake<'_>) -> Result<(), Stop> {
    let mut fields = Fields::new(body);
    while let Some((number, field)) = fields.next()? {
        if number == 1 {
            resource_metrics(field.message()?, intake)?;
        }
    }
    Ok(())
}

fn resource_metrics(fields: Fields<'_>, intake: &mut Intake<'_>) -> Result<(), Stop> {
    let mut attributes = Vec::new();
    each(fields, 1, |resource| {
        each(resource.message()?, 1, |field| {
            push_attribute(&mut attributes, field, intake)
        })
    })?;
    let mut translator = Translator::new(intake, &attributes);
    each(fields, 2, |scope| {
        scope_metrics(scope.message()?, &mut translator)
    })?;
    translator.finish()
}

/// Calls `act` with every field of one number.
fn each<'a>(
    mut fields: Fields<'a>,
    wanted: u32,
    mut act: impl FnMut(Value<'a>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    while let Some((number, field)) = fields.next()? {
        if number == wanted {
            act(field)?;
        }
    }
    Ok(())
}

fn scope_metrics(fields: Fields<'_>, translator: &mut Translator<'_, '_>) -> Result<(), Stop> {
    let (mut name, mut version, mut attributes) = ("", "", Vec::new());
    each(fields, 1, |scope| {
        let mut fields = scope.message()?;
        while let Some((number, field)) = fields.next()? {
            match number {
                1 => name = field.text()?,
                2 => version = field.text()?,
                3 => push_attribute(&mut attributes, field, translator.intake)?,
                _ => {}
            }
        }
        Ok(())
    })?;
    translator.scope(name, version, &attributes);
    each(fields, 2, |field| metric(field.message()?, translator))
}

fn metric(mut fields: Fields<'_>, translator: &mut Translator<'_, '_>) -> Result<(), Stop> {
    let (mut name, mut description, mut unit) = ("", "", "");
    let mut data = None;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => name = field.text()?,
            2 => description = field.text()?,
            3 => unit = field.text()?,
            5 | 7 | 9 | 10 | 11 => data = Some((number, field.message()?)),
            _ => {}
        }
    }
    let Some((number, data)) = data else {
        return Ok(());
    };
    let (kind, temporality) = kind(number, data)?;
    let header = Header {
        name,
        description,
        unit,
        kind,
        temporality,
    };
    translator.metric(&header)?;
    each(data, 1, |field| {
        let point = point(field.message()?, kind, translator.intake)?;
        translator.point(&header, &point)
    })
}

fn kind(number: u32, mut data: Fields<'_>) -> Result<(Kind, u64), Malformed> {
    let (mut temporality, mut monotonic) = (0, false);
    while let Some((number, field)) = data.next()? {
        match number {
            2 => temporality = field.varint()?,
            3 => monotonic = field.varint()? != 0,
            _ => {}
        }
    }
    Ok(match number {
        5 => (Kind::Gauge, CUMULATIVE),
        7 => (Kind::Sum { monotonic }, temporality),
        9 => (Kind::Histogram, temporality),
        10 => (Kind::Exponential, temporality),
        _ => (Kind::Summary, CUMULATIVE),
    })
}

/// A point; its temporary lists are charged like what is kept, which bounds them too.
fn point(mut fields: Fields<'_>, kind: Kind, intake: &mut Intake<'_>) -> Result<Point, Stop> {
    let mut point = Point::default();
    while let Some((number, field)) = fields.next()? {
        match (kind, number) {
            (_, 2) => point.start_time_unix_nano = field.fixed64()?,
            (_, 3) => point.time_unix_nano = field.fixed64()?,
            (Kind::Gauge | Kind::Sum { .. }, _) => number_field(number, field, &mut point, intake)?,
            (Kind::Histogram, _) => histogram_field(number, field, &mut point, intake)?,
            (Kind::Exponential, _) => exponential_field(number, field, &mut point, intake)?,
            (Kind::Summary, _) => summary_field(number, field, &mut point, intake)?,
        }
    }
    Ok(point)
}

fn number_field(
    number: u32,
    field: Value<'_>,
    point: &mut Point,
    intake: &mut Intake<'_>,
) -> Result<(), Stop> {
    match number {
        4 => (point.as_double, point.as_int) = (Some(field.double()?), None),
        5 => push_example(&mut point.exemplars, field, intake)?,
        6 => (point.as_int, point.as_double) = (Some(field.fixed64()?.cast_signed()), None),
        7 => push_attribute(&mut point.attributes, field, intake)?,
        8 => point.flags = field.uint32()?,
        _ => {}
    }
    Ok(())
}

fn histogram_field(
    number: u32,
    field: Value<'_>,
    point: &mut Point,
    intake: &mut Intake<'_>,
) -> Result<(), Stop> {
    match number {
        4 => point.count = field.fixed64()?,
        5 => point.sum = Some(field.double()?),
        6 => field.each_fixed64(|count| {
            point.bucket_counts.push(count);
            intake.charge(size_of::<u64>())
        })?,
        7 => field.each_fixed64(|bits| {
            point.explicit_bounds.push(f64::from_bits(bits));
            intake.charge(size_of::<f64>())
        })?,
        8 => push_example(&mut point.exemplars, field, intake)?,
        9 => push_attribute(&mut point.attributes, field, intake)?,
        10 => point.flags = field.uint32()?,
        _ => {}
    }
    Ok(())
}

fn exponential_field(
    number: u32,
    field: Value<'_>,
    point: &mut Point,
    intake: &mut Intake<'_>,
) -> Result<(), Stop> {
    match number {
        1 => push_attribute(&mut point.attributes, field, intake)?,
        4 => point.count = field.fixed64()?,
        5 => point.sum = Some(field.double()?),
        6 => point.scale = field.sint32()?,
        7 => point.zero_count = field.fixed64()?,
        8 => point.positive = buckets(field, intake)?,
        9 => point.negative = buckets(field, intake)?,
        10 => point.flags = field.uint32()?,
        11 => push_example(&mut point.exemplars, field, intake)?,
        14 => point.zero_threshold = field.double()?,
        _ => {}
    }
    Ok(())
}

fn buckets(field: Value<'_>, intake: &mut Intake<'_>) -> Result<Buckets, Stop> {
    let mut buckets = Buckets::default();
    let mut fields = field.message()?;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => buckets.offset = field.sint32()?,
            2 => field.each_varint(|count| {
                buckets.bucket_counts.push(count);
                intake.charge(2 * size_of::<u64>())
            })?,
            _ => {}
        }
    }
    Ok(buckets)
}

fn summary_field(
    number: u32,
    field: Value<'_>,
    point: &mut Point,
    intake: &mut Intake<'_>,
) -> Result<(), Stop> {
    match number {
        4 => point.count = field.fixed64()?,
        5 => point.sum = Some(field.double()?),
        6 => {
            intake.charge(size_of::<Quantile>())?;
            point.quantile_values.push(quantile(field)?);
        }
        7 => push_attribute(&mut point.attributes, field, intake)?,
        8 => point.flags = field.uint32()?,
        _ => {}
    }
    Ok(())
}

fn quantile(field: Value<'_>) -> Result<Quantile, Malformed> {
    let mut quantile = Quantile::default();
    let mut fields = field.message()?;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => quantile.quantile = field.double()?,
            2 => quantile.value = field.double()?,
            _ => {}
        }
    }
    Ok(quantile)
}

fn push_example(
    into: &mut Vec<Example>,
    field: Value<'_>,
    intake: &mut Intake<'_>,
) -> Result<(), Stop> {
    intake.charge(size_of::<Example>())?;
    let mut example = Example::default();
    let mut fields = field.message()?;
    while let Some((number, field)) = fields.next()? {
        match number {
            2 => example.time_unix_nano = field.fixed64()?,
            3 => (example.as_double, example.as_int) = (Some(field.double()?), None),
            4 => example.span_id = bytes_text(field.bytes()?),
            5 => example.trace_id = bytes_text(field.bytes()?),
            6 => (example.as_int, example.as_double) = (Some(field.fixed64()?.cast_signed()), None),
            7 => push_attribute(&mut example.filtered_attributes, field, intake)?,
            _ => {}
        }
    }
    into.push(example);
    Ok(())
}

fn push_attribute(
    into: &mut Vec<Attribute>,
    field: Value<'_>,
    intake: &mut Intake<'_>,
) -> Result<(), Stop> {
    // Attributes live as long as their point: only a point with very many is to be stopped.
    if into.len() >= 4 * intake.limits.labels {
        return intake.charge(size_of::<Attribute>() + field.bytes()?.len());
    }
    into.push(attribute(field)?);
    Ok(())
}

fn attribute(field: Value<'_>) -> Result<Attribute, Malformed> {
    let mut attribute = Attribute::default();
    let mut fields = field.message()?;
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => field.text()?.clone_into(&mut attribute.key),
            2 => attribute.value = scalar(field.message()?)?,
            _ => {}
        }
    }
    Ok(attribute)
}

/// A value as a label has it: text bare, lists and maps as JSON.
fn scalar(fields: Fields<'_>) -> Result<String, Malformed> {
    Ok(match any_value(fields, 0)? {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    })
}

fn any_value(mut fields: Fields<'_>, depth: usize) -> Result<serde_json::Value, Malformed> {
    use serde_json::Value as Json;
    if depth > DEPTH_MAX {
        return Err(Malformed("attributes nested too deep"));
    }
    let mut value = Json::Null;
    while let Some((number, field)) = fields.next()? {
        value = match number {
            1 => field.text()?.into(),
            2 => (field.varint()? != 0).into(),
            3 => field.int64()?.into(),
            4 => double_text(field.double()?),
            5 => list(field.message()?, depth)?,
            6 => map(field.message()?, depth)?,
            7 => bytes_text(field.bytes()?).into(),
            _ => continue,
        };
    }
    Ok(value)
}

/// JSON has no NaN: such numbers are text.
fn double_text(value: f64) -> serde_json::Value {
    if value.is_finite() {
        value.into()
    } else {
        value.to_string().into()
    }
}

fn list(mut fields: Fields<'_>, depth: usize) -> Result<serde_json::Value, Malformed> {
    let mut values = Vec::new();
    while let Some((number, field)) = fields.next()? {
        if number == 1 {
            values.push(any_value(field.message()?, depth + 1)?);
        }
    }
    Ok(values.into())
}

fn map(mut fields: Fields<'_>, depth: usize) -> Result<serde_json::Value, Malformed> {
    let mut values = serde_json::Map::new();
    while let Some((number, field)) = fields.next()? {
        if number != 1 {
            continue;
        }
        let (mut key, mut value) = ("", serde_json::Value::Null);
        let mut pair = field.message()?;
        while let Some((number, field)) = pair.next()? {
            match number {
                1 => key = field.text()?,
                2 => value = any_value(field.message()?, depth + 1)?,
                _ => {}
            }
        }
        values.insert(key.to_owned(), value);
    }
    Ok(values.into())
}

fn bytes_text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
