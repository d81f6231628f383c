//! Go's `printf`: flags, width, precision and the verbs that texts, numbers and truths have. A verb
//! that does not fit its value prints as Go prints it: `%!d(float64=1.5)`.

use super::{
    float::{fixed, general, not_finite, scientific, shortest},
    value::Value,
};

/// Widest field and longest fraction: enough for any table, too little to fill a memory.
const WIDTH_MAX: usize = 256;

/// One `%...`.
#[derive(Debug, Clone, Copy, Default)]
struct Spec {
    minus: bool,
    plus: bool,
    space: bool,
    zero: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

pub(super) fn printf(layout: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut values = values.iter();
    let mut rest = layout;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let (spec, after) = spec(&rest[at + 1..]);
        let Some(verb) = after.chars().next() else {
            out.push_str("%!(NOVERB)");
            return extra(out, values);
        };
        rest = &after[verb.len_utf8()..];
        if verb == '%' {
            out.push('%');
            continue;
        }
        match values.next() {
            None => out.push_str(&format!("%!{verb}(MISSING)")),
            Some(value) => out.push_str(&one(spec, verb, value)),
        }
    }
    out.push_str(rest);
    extra(out, values)
}

/// Values nobody asked for are said, as Go does.
fn extra<'v>(mut out: String, values: impl Iterator<Item = &'v Value>) -> String {
    let rest: Vec<String> = values
        .map(|v| format!("{}={}", v.type_name(), v.printed()))
        .collect();
    if !rest.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", rest.join(", ")));
    }
    out
}

fn spec(text: &str) -> (Spec, &str) {
    let mut spec = Spec::default();
    let flags = text
        .find(|c| !matches!(c, '-' | '+' | ' ' | '0' | '#'))
        .unwrap_or(text.len());
    for flag in text[..flags].chars() {
        match flag {
            '-' => spec.minus = true,
            '+' => spec.plus = true,
            ' ' => spec.space = true,
            '0' => spec.zero = true,
            _ => spec.sharp = true,
        }
    }
    let (width, rest) = digits(&text[flags..]);
    spec.width = width.unwrap_or(0);
    let Some(fraction) = rest.strip_prefix('.') else {
        return (spec, rest);
    };
    let (precision, rest) = digits(fraction);
    spec.precision = Some(precision.unwrap_or(0));
    (spec, rest)
}

fn digits(text: &str) -> (Option<usize>, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number = text[..end].parse().ok();
    (number.map(|n: usize| n.min(WIDTH_MAX)), &text[end..])
}

fn one(spec: Spec, verb: char, value: &Value) -> String {
    let text = match (verb, value) {
        ('v', Value::Float(v)) => signed(spec, general_or_shortest(spec, *v)),
        ('v', Value::Int(v)) => signed(spec, v.to_string()),
        ('v', Value::Nil) => "<nil>".to_owned(),
        ('v', value) => value.printed(),
        ('T', value) => value.type_name().to_owned(),
        ('t', Value::Bool(v)) => v.to_string(),
        ('s' | 'q' | 'x' | 'X', value) if is_text(value) => text(spec, verb, &value.printed()),
        ('d', Value::Int(v)) => signed(spec, v.to_string()),
        ('x', Value::Int(v)) => radix(*v, |n| format!("{n:x}")),
        ('X', Value::Int(v)) => radix(*v, |n| format!("{n:X}")),
        ('o', Value::Int(v)) => radix(*v, |n| format!("{n:o}")),
        ('b', Value::Int(v)) => radix(*v, |n| format!("{n:b}")),
        ('c', Value::Int(v)) => character(*v).to_string(),
        ('q', Value::Int(v)) => format!("{:?}", character(*v)),
        ('U', Value::Int(v)) => format!("U+{v:04X}"),
        ('e', Value::Float(v)) => signed(spec, scientific(*v, spec.precision.unwrap_or(6))),
        ('E', Value::Float(v)) => {
            let text = scientific(*v, spec.precision.unwrap_or(6));
            signed(spec, text.to_uppercase())
        }
        ('f' | 'F', Value::Float(v)) => signed(spec, fixed(*v, spec.precision.unwrap_or(6))),
        ('g', Value::Float(v)) => signed(spec, general_or_shortest(spec, *v)),
        ('G', Value::Float(v)) => signed(spec, general_or_shortest(spec, *v).to_uppercase()),
        (verb, value) => {
            let printed = value.printed();
            format!("%!{verb}({}={printed})", value.type_name())
        }
    };
    let is_number = match value {
        Value::Int(_) => true,
        Value::Float(v) => not_finite(*v).is_none(),
        _ => matches!(verb, 's' | 'v'),
    };
    padded(spec, text, is_number)
}

fn is_text(value: &Value) -> bool {
    matches!(value, Value::Text(_) | Value::Time(_))
}

fn text(spec: Spec, verb: char, text: &str) -> String {
    let cut: String = match spec.precision {
        Some(most) => text.chars().take(most).collect(),
        None => text.to_owned(),
    };
    let hex = |byte: u8| format!("{byte:02x}");
    match verb {
        'q' => format!("{cut:?}"),
        'x' => cut.bytes().map(hex).collect(),
        'X' => cut.bytes().map(|b| hex(b).to_uppercase()).collect(),
        _ => cut,
    }
}

fn character(code: i64) -> char {
    let code = u32::try_from(code).ok().and_then(char::from_u32);
    code.unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn radix(value: i64, digits: impl Fn(u64) -> String) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", digits(value.unsigned_abs()))
}

fn general_or_shortest(spec: Spec, value: f64) -> String {
    match spec.precision {
        Some(precision) => general(value, precision),
        None => shortest(value),
    }
}

/// With the sign that the flags ask for; infinity has one only then.
fn signed(spec: Spec, text: String) -> String {
    let plain = text.strip_prefix('+').unwrap_or(&text);
    if plain.starts_with('-') {
        return text;
    }
    match (spec.plus, spec.space) {
        (true, _) => format!("+{plain}"),
        (false, true) => format!(" {plain}"),
        (false, false) => text,
    }
}

fn padded(spec: Spec, text: String, zeros: bool) -> String {
    let length = text.chars().count();
    if length >= spec.width {
        return text;
    }
    let missing = spec.width - length;
    if spec.minus {
        return format!("{text}{}", " ".repeat(missing));
    }
    if !spec.zero || !zeros {
        return format!("{}{text}", " ".repeat(missing));
    }
    let sign = usize::from(text.starts_with(['+', '-', ' ']));
    format!("{}{}{}", &text[..sign], "0".repeat(missing), &text[sign..])
}
