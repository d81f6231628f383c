//! What templates compute with.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use super::{float::shortest, time};

/// A value, with Go's types as far as templates meet them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A `map[string]string`.
    Labels(Arc<BTreeMap<String, String>>),
    Sample(Arc<Sample>),
    Samples(Arc<Vec<Arc<Sample>>>),
    /// What `args` makes.
    Map(Arc<BTreeMap<String, Value>>),
    /// Seconds since the Unix epoch, in UTC.
    Time(f64),
    /// Labels, external labels, external URL, value: what a rule's template is given.
    Alert(Arc<AlertData>),
}

/// An element of the answer to `query`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) labels: Arc<BTreeMap<String, String>>,
    pub(super) value: f64,
}

/// The dot a rule's template begins with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AlertData {
    pub(super) labels: Arc<BTreeMap<String, String>>,
    pub(super) external_labels: Arc<BTreeMap<String, String>>,
    pub(super) external_url: String,
    pub(super) value: f64,
}

impl Value {
    /// Go's name of the type, for messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Labels(_) => "map[string]string",
            Self::Sample(_) => "*template.sample",
            Self::Samples(_) => "template.queryResult",
            Self::Map(_) => "map[string]interface {}",
            Self::Time(_) => "*time.Time",
            Self::Alert(_) => "template data",
        }
    }

    /// Whether `if` takes it for true: it is not zero, nil or empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Labels(labels) => !labels.is_empty(),
            Self::Samples(samples) => !samples.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Sample(_) | Self::Time(_) | Self::Alert(_) => true,
        }
    }

    /// `.name` of it.
    pub(super) fn field(&self, name: &str) -> Result<Self, String> {
        let label = |labels: &BTreeMap<String, String>| {
            Self::Text(labels.get(name).cloned().unwrap_or_default())
        };
        let found = match self {
            Self::Labels(labels) => Some(label(labels)),
            Self::Map(map) => Some(map.get(name).cloned().unwrap_or(Self::Nil)),
            Self::Sample(sample) => match name {
                "Labels" => Some(Self::Labels(Arc::clone(&sample.labels))),
                "Value" => Some(Self::Float(sample.value)),
                _ => None,
            },
            Self::Alert(data) => match name {
                "Labels" => Some(Self::Labels(Arc::clone(&data.labels))),
                "ExternalLabels" => Some(Self::Labels(Arc::clone(&data.external_labels))),
                "ExternalURL" => Some(Self::Text(data.external_url.clone())),
                "Value" => Some(Self::Float(data.value)),
                _ => None,
            },
            Self::Time(seconds) => time::part(*seconds, name),
            Self::Nil => return Err(format!("nil data; no entry for key {name:?}")),
            _ => None,
        };
        found.ok_or_else(|| format!("can't evaluate field {name} in type {}", self.type_name()))
    }

    /// As `{{ }}` and `%v` print it.
    pub(super) fn print(&self, out: &mut String) {
        match self {
            Self::Nil => out.push_str("<no value>"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Float(value) => out.push_str(&shortest(*value)),
            Self::Text(text) => out.push_str(text),
            Self::Labels(labels) => print_labels(labels, out),
            Self::Sample(sample) => {
                out.push('{');
                print_labels(&sample.labels, out);
                out.push(' ');
                out.push_str(&shortest(sample.value));
                out.push('}');
            }
            Self::Samples(samples) => {
                let items = samples
                    .iter()
                    .map(|s| Self::Sample(Arc::clone(s)).printed());
                let items: Vec<String> = items.collect();
                write!(out, "[{}]", items.join(" ")).expect("strings take all");
            }
            Self::Map(map) => {
                let items: Vec<String> = map
                    .iter()
                    .map(|(k, v)| format!("{k}:{}", v.printed()))
                    .collect();
                write!(out, "map[{}]", items.join(" ")).expect("strings take all");
            }
            Self::Time(seconds) => out.push_str(&time::go(*seconds)),
            Self::Alert(data) => {
                out.push('{');
                print_labels(&data.labels, out);
                out.push(' ');
                print_labels(&data.external_labels, out);
                let value = shortest(data.value);
                write!(out, " {} {value}}}", data.external_url).expect("strings take all");
            }
        }
    }

    pub(super) fn printed(&self) -> String {
        let mut out = String::new();
        self.print(&mut out);
        out
    }
}

fn print_labels(labels: &BTreeMap<String, String>, out: &mut String) {
    let items: Vec<String> = labels.iter().map(|(k, v)| format!("{k}:{v}")).collect();
    write!(out, "map[{}]", items.join(" ")).expect("strings take all");
}
