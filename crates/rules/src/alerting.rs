//! The alerts of one rule, from one evaluation to the next.

use std::collections::BTreeMap;

use model::{Labels, METRIC_NAME, Sample, Value};

use crate::{
    ALERT_NAME,
    alert::{ActiveAlert, AlertState, RESOLVED_RETENTION_MS},
    group::{RuleError, Surroundings},
    spec::{AlertSpec, ms},
    template::{Context, Template},
};

/// The alerts of one rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alerts {
    pub(crate) by_labels: BTreeMap<Labels, ActiveAlert>,
    /// Whether an earlier life's state was looked for; before, no samples are written that could
    /// be taken for it.
    pub(crate) restored: bool,
}

/// When and for which rule alerts are judged.
pub(crate) struct Moment<'a> {
    pub(crate) name: &'a str,
    pub(crate) spec: &'a AlertSpec,
    pub(crate) limit: usize,
    /// The time of the evaluation, ms.
    pub(crate) at_ms: i64,
    /// The time of its samples, ms.
    pub(crate) sample_ms: i64,
}

impl Alerts {
    /// Takes the answer of one evaluation; the samples that show the alerts.
    pub(crate) fn take(
        &mut self,
        moment: &Moment<'_>,
        answer: &[(Labels, Value)],
        around: &Surroundings<'_>,
    ) -> Result<Vec<Sample>, RuleError> {
        let raised = raised(moment, answer, around)?;
        for (labels, alert) in &raised {
            match self.by_labels.get_mut(labels) {
                Some(known) if known.state != AlertState::Inactive => {
                    known.value = alert.value;
                    known.annotations.clone_from(&alert.annotations);
                }
                _ => {
                    self.by_labels.insert(labels.clone(), alert.clone());
                }
            }
        }
        let mut active = 0;
        let mut samples = Vec::new();
        let restored = self.restored;
        self.by_labels.retain(|labels, alert| {
            let stays = step(alert, raised.contains_key(labels), moment);
            if stays && alert.state != AlertState::Inactive {
                active += 1;
                if restored {
                    samples.extend(alert.samples(moment.sample_ms));
                }
            }
            stays
        });
        if moment.limit > 0 && active > moment.limit {
            self.by_labels.clear();
            return Err(RuleError::Alerts {
                limit: moment.limit,
                count: active,
            });
        }
        Ok(samples)
    }
}

/// Moves one alert on; whether it is kept.
fn step(alert: &mut ActiveAlert, is_there: bool, moment: &Moment<'_>) -> bool {
    let at_ms = moment.at_ms;
    if is_there {
        alert.keep_firing_since_ms = None;
        let held = at_ms - alert.active_at_ms >= ms(moment.spec.hold);
        if alert.state == AlertState::Pending && held {
            alert.state = AlertState::Firing;
            alert.fired_at_ms = Some(at_ms);
        }
        return true;
    }
    match alert.state {
        AlertState::Pending => false,
        AlertState::Inactive => alert
            .resolved_at_ms
            .is_some_and(|resolved| at_ms - resolved <= RESOLVED_RETENTION_MS),
        AlertState::Firing => {
            if !keeps_firing(alert, moment) {
                alert.state = AlertState::Inactive;
                alert.resolved_at_ms = Some(at_ms);
            }
            true
        }
    }
}

fn keeps_firing(alert: &mut ActiveAlert, moment: &Moment<'_>) -> bool {
    let span_ms = ms(moment.spec.keep_firing);
    if span_ms == 0 {
        return false;
    }
    let since = *alert.keep_firing_since_ms.get_or_insert(moment.at_ms);
    moment.at_ms - since < span_ms
}

/// The alerts of an answer. Two of them alike are an error: nobody could tell them apart.
fn raised(
    moment: &Moment<'_>,
    answer: &[(Labels, Value)],
    around: &Surroundings<'_>,
) -> Result<BTreeMap<Labels, ActiveAlert>, RuleError> {
    let mut raised = BTreeMap::new();
    for (labels, value) in answer {
        let value = match value {
            Value::Float(value) => *value,
            // As in Prometheus: an alert on a histogram has no number.
            Value::Histogram(_) => 0.0,
        };
        let alert = one(moment, labels, value, around);
        if raised.insert(alert.labels.clone(), alert).is_some() {
            return Err(RuleError::SameLabels("alert"));
        }
    }
    Ok(raised)
}

fn one(moment: &Moment<'_>, labels: &Labels, value: f64, around: &Surroundings<'_>) -> ActiveAlert {
    let query = |expr: &str| {
        let answer = around.evaluator.evaluate(expr, moment.sample_ms)?;
        let number = |(labels, value)| match value {
            Value::Float(value) => (labels, value),
            Value::Histogram(_) => (labels, 0.0),
        };
        Ok(answer.into_iter().map(number).collect())
    };
    let context = Context {
        labels,
        value,
        external_labels: around.external_labels,
        external_url: around.external_url,
        time_ms: moment.at_ms,
        query: &query,
    };
    let mut own = labels.to_builder();
    own.remove(METRIC_NAME);
    for (name, template) in &moment.spec.labels {
        own.set(name, expanded(template, &context));
    }
    own.set(ALERT_NAME, moment.name);
    let annotations = moment.spec.annotations.iter();
    let annotations = annotations.map(|(name, t)| (name.clone(), expanded(t, &context)));
    ActiveAlert {
        labels: own.build(),
        annotations: annotations.collect(),
        value,
        state: AlertState::Pending,
        active_at_ms: moment.at_ms,
        fired_at_ms: None,
        resolved_at_ms: None,
        keep_firing_since_ms: None,
    }
}

/// What a template gives; why it gives nothing, in its place: an alert is raised all the same.
fn expanded(template: &Template, context: &Context<'_>) -> String {
    template
        .expand(context)
        .unwrap_or_else(|error| format!("<error expanding template: {error}>"))
}
