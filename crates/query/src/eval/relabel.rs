//! Functions that change labels: they look at no sample.

use model::{Labels, METRIC_NAME, re2};
use regex::Regex;

use super::grid::{Grid, Row};
use super::{Evaluator, Result, Sink, refuse};
use crate::ast::{Call, Expr};

/// Compiled size a regular expression may reach, bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// What `label_replace` may expand to before it is looked at, bytes.
const EXPANDED_BYTES_MAX: usize = 1 << 20;

/// Longest value a label can have, bytes: `model::Labels` counts them with 16 bits.
const VALUE_BYTES_MAX: usize = 65_535;

fn too_long<T>() -> Result<T> {
    let message = format!("a label would have a value of more than {VALUE_BYTES_MAX} bytes");
    Err(crate::error::QueryError::TooLarge(message))
}

/// The value of a string literal.
pub(super) fn text(expr: &Expr) -> Result<&str> {
    match expr.unwrapped() {
        Expr::Text(t) => Ok(&t.value),
        other => refuse(format!("expected a string literal, got {other}")),
    }
}

/// A label's name: any UTF-8 that is not empty. `role` says in an error what it was for.
fn label_name<'e>(expr: &'e Expr, role: &str) -> Result<&'e str> {
    let name = text(expr)?;
    let is_valid = matches!(expr.unwrapped(), Expr::Text(t) if t.is_valid);
    if is_valid && !name.is_empty() {
        Ok(name)
    } else {
        refuse(format!("invalid {role}: {name}"))
    }
}

fn anchored(pattern: &str) -> Result<Regex> {
    let built = regex::RegexBuilder::new(&format!("^(?s:{})$", re2::translated(pattern)))
        .size_limit(REGEX_BYTES_MAX)
        .build();
    match built {
        Ok(regex) => Ok(regex),
        Err(_) => refuse(format!(
            "invalid regular expression in label_replace(): {pattern}"
        )),
    }
}

impl Evaluator<'_> {
    pub(super) fn label_replace(&self, c: &Call, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        let [replacement, source, pattern] = [&c.args[2], &c.args[3], &c.args[4]].map(text);
        let (replacement, source) = (replacement?, source?);
        let regex = anchored(pattern?)?;
        let target = label_name(&c.args[1], "destination label name in label_replace()")?;
        let references = replacement.matches('$').count();
        self.relabel(&c.args[0], grid, target, sink, |labels| {
            let value = labels.get(source).unwrap_or_default();
            let Some(found) = regex.captures(value) else {
                return Ok(None);
            };
            // Each reference stands for a part of the value at most.
            let most = replacement
                .len()
                .saturating_add(value.len().saturating_mul(references));
            if most > EXPANDED_BYTES_MAX {
                return too_long();
            }
            let mut expanded = String::new();
            re2::expand(&found, replacement, &mut expanded);
            Ok(Some(expanded))
        })
    }

    pub(super) fn label_join(&self, c: &Call, grid: Grid, sink: &mut Sink<'_>) -> Result<()> {
        let separator = text(&c.args[2])?;
        let source = |e| label_name(e, "source label name in label_join()");
        let sources = c.args[3..].iter().map(source).collect::<Result<Vec<_>>>()?;
        let target = label_name(&c.args[1], "destination label name in label_join()")?;
        self.relabel(&c.args[0], grid, target, sink, |labels| {
            let values: Vec<&str> = sources
                .iter()
                .map(|s| labels.get(s).unwrap_or_default())
                .collect();
            let bytes: usize = values.iter().map(|v| v.len() + separator.len()).sum();
            if bytes > VALUE_BYTES_MAX + separator.len() {
                return too_long();
            }
            Ok(Some(values.join(separator)))
        })
    }

    /// Sets one label of every row to what `value` makes of its labels, if it makes something.
    fn relabel(
        &self,
        inner: &Expr,
        grid: Grid,
        target: &str,
        sink: &mut Sink<'_>,
        value: impl Fn(&Labels) -> Result<Option<String>>,
    ) -> Result<()> {
        let mut rows = self.rows(inner, grid)?;
        let mut held = self.budget.hold(0, 0)?;
        for row in rows.iter_mut() {
            if let Some(value) = value(&row.labels)? {
                if value.len() > VALUE_BYTES_MAX {
                    return too_long();
                }
                held.add(0, value.len())?;
                row.labels = row.labels.with(target, &value);
                row.drop_name &= target != METRIC_NAME;
            }
        }
        let rows: Vec<Row> = super::merged(rows.take())?;
        rows.into_iter().try_for_each(sink)
    }
}
