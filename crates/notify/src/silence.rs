//! Silences: alerts that match are not told between two times. Kept a while after their end, so
//! that it can be seen who silenced what.

use std::collections::BTreeMap;

use model::{Labels, MatchOp, Matcher};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::matchers::all_match;

/// How long an ended silence is kept, ms: five days, as Alertmanager keeps it.
const KEPT_MS: i64 = 120 * 3_600_000;

/// Silences at once. Each alert is held against each: 1,000 cost some 0.1 ms an alert.
pub(crate) const SILENCES_MAX: usize = 1_000;

/// A silence.
#[derive(Debug, Clone, PartialEq)]
pub struct Silence {
    /// Its name, given by whoever keeps it.
    pub id: String,
    /// What an alert must satisfy to be silenced.
    pub matchers: Vec<Matcher>,
    /// From when, ms since the Unix epoch.
    pub starts_at_ms: i64,
    /// Until when, ms.
    pub ends_at_ms: i64,
    /// When it was last changed, ms.
    pub updated_at_ms: i64,
    /// Who silenced.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// Where in its life a silence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SilenceState {
    /// It begins later.
    Pending,
    /// It silences.
    Active,
    /// It has ended.
    Expired,
}

impl SilenceState {
    /// As Alertmanager's API says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

impl Silence {
    /// Its state at a time.
    #[must_use]
    pub fn state(&self, now_ms: i64) -> SilenceState {
        if now_ms < self.starts_at_ms {
            SilenceState::Pending
        } else if now_ms < self.ends_at_ms {
            SilenceState::Active
        } else {
            SilenceState::Expired
        }
    }
}

/// A silence as asked for.
#[derive(Debug, Clone)]
pub struct SilenceDraft {
    /// The silence that this one changes.
    pub replaces: Option<String>,
    /// What an alert must satisfy.
    pub matchers: Vec<Matcher>,
    /// From when, ms; in the past means now.
    pub starts_at_ms: i64,
    /// Until when, ms.
    pub ends_at_ms: i64,
    /// Who asks.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// Why a silence is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SilenceRefusal {
    /// There is none of that name.
    #[error("there is no silence {0}")]
    Unknown(String),
    /// It would silence everything.
    #[error(
        "a silence needs a matcher that an empty label does not satisfy, or it would silence everything"
    )]
    Everything,
    /// It ends before it begins.
    #[error("the end of a silence lies after its beginning and in the future")]
    Ended,
    /// Nobody or nothing is named.
    #[error("a silence says who made it and why")]
    Anonymous,
    /// It has ended already.
    #[error("the silence {0} has expired already")]
    Expired(String),
    /// There are too many.
    #[error("there are {SILENCES_MAX} silences already: expire some")]
    TooMany,
}

/// All of them, by name.
#[derive(Debug, Default)]
pub(crate) struct Silences(BTreeMap<String, Silence>);

impl Silences {
    pub(crate) fn restored(saved: Vec<SavedSilence>) -> Self {
        let silences = saved.into_iter().filter_map(SavedSilence::meant);
        Self(silences.map(|s| (s.id.clone(), s)).collect())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Silence> {
        self.0.values()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Silence> {
        self.0.get(id)
    }

    /// The first active silence of an alert.
    pub(crate) fn of(&self, labels: &Labels, now_ms: i64) -> Option<&str> {
        let active = self
            .0
            .values()
            .filter(|s| s.state(now_ms) == SilenceState::Active);
        let mut found = active.filter(|s| all_match(&s.matchers, labels));
        found.next().map(|silence| silence.id.as_str())
    }

    /// Sets a silence, and gives its name: that of the one it changes where only its end, its
    /// author or its reason differ, else `fresh`, and the one it changes ends.
    pub(crate) fn set(
        &mut self,
        draft: SilenceDraft,
        fresh: String,
        now_ms: i64,
    ) -> Result<String, SilenceRefusal> {
        let starts_at_ms = draft.starts_at_ms.max(now_ms);
        check(&draft, starts_at_ms)?;
        let old = match &draft.replaces {
            Some(id) => Some(self.0.get(id).ok_or(SilenceRefusal::Unknown(id.clone()))?),
            None => None,
        };
        let same = old
            .filter(|old| is_same_silence(old, &draft, now_ms))
            .cloned();
        let id = same.as_ref().map_or(fresh, |old| old.id.clone());
        if let Some(old) = draft.replaces.filter(|old| *old != id)
            && self.0[&old].state(now_ms) != SilenceState::Expired
        {
            self.expire(&old, now_ms)?;
        }
        if !self.0.contains_key(&id) && self.0.len() >= SILENCES_MAX {
            return Err(SilenceRefusal::TooMany);
        }
        let silence = Silence {
            id: id.clone(),
            matchers: draft.matchers,
            starts_at_ms: same.map_or(starts_at_ms, |old| match old.state(now_ms) {
                SilenceState::Active => old.starts_at_ms,
                SilenceState::Pending | SilenceState::Expired => starts_at_ms,
            }),
            ends_at_ms: draft.ends_at_ms,
            updated_at_ms: now_ms,
            created_by: draft.created_by,
            comment: draft.comment,
        };
        self.0.insert(id.clone(), silence);
        Ok(id)
    }

    /// Ends a silence now.
    pub(crate) fn expire(&mut self, id: &str, now_ms: i64) -> Result<(), SilenceRefusal> {
        let unknown = || SilenceRefusal::Unknown(id.to_owned());
        let silence = self.0.get_mut(id).ok_or_else(unknown)?;
        match silence.state(now_ms) {
            SilenceState::Expired => return Err(SilenceRefusal::Expired(id.to_owned())),
            SilenceState::Pending => silence.starts_at_ms = now_ms,
            SilenceState::Active => {}
        }
        silence.ends_at_ms = now_ms;
        silence.updated_at_ms = now_ms;
        Ok(())
    }

    /// Drops those that ended long ago.
    pub(crate) fn forget(&mut self, now_ms: i64) {
        self.0
            .retain(|_, silence| silence.ends_at_ms + KEPT_MS > now_ms);
    }
}

/// An active silence keeps its name while its matchers stay; a pending one may also move.
fn is_same_silence(old: &Silence, draft: &SilenceDraft, now_ms: i64) -> bool {
    old.matchers == draft.matchers
        && match old.state(now_ms) {
            SilenceState::Active => draft.starts_at_ms <= now_ms,
            SilenceState::Pending => true,
            SilenceState::Expired => false,
        }
}

fn check(draft: &SilenceDraft, starts_at_ms: i64) -> Result<(), SilenceRefusal> {
    if !draft.matchers.iter().any(|matcher| !matcher.matches("")) {
        return Err(SilenceRefusal::Everything);
    }
    if draft.ends_at_ms <= starts_at_ms {
        return Err(SilenceRefusal::Ended);
    }
    if draft.created_by.is_empty() || draft.comment.is_empty() {
        return Err(SilenceRefusal::Anonymous);
    }
    Ok(())
}

/// A silence in a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedSilence {
    id: String,
    matchers: Vec<(String, String, String)>,
    starts_at_ms: i64,
    ends_at_ms: i64,
    updated_at_ms: i64,
    created_by: String,
    comment: String,
}

impl SavedSilence {
    pub(crate) fn of(silence: &Silence) -> Self {
        let saved = |m: &Matcher| (m.name.clone(), m.op.as_str().to_owned(), m.value.clone());
        Self {
            id: silence.id.clone(),
            matchers: silence.matchers.iter().map(saved).collect(),
            starts_at_ms: silence.starts_at_ms,
            ends_at_ms: silence.ends_at_ms,
            updated_at_ms: silence.updated_at_ms,
            created_by: silence.created_by.clone(),
            comment: silence.comment.clone(),
        }
    }

    /// `None` if a matcher is none any more: one of another version's regular expressions.
    fn meant(self) -> Option<Silence> {
        const OPERATORS: [MatchOp; 4] = [
            MatchOp::Equal,
            MatchOp::NotEqual,
            MatchOp::Regex,
            MatchOp::NotRegex,
        ];
        let meant = |(name, sign, value): (String, String, String)| {
            let op = OPERATORS.into_iter().find(|op| op.as_str() == sign)?;
            Matcher::new(name, op, value).ok()
        };
        Some(Silence {
            id: self.id,
            matchers: self
                .matchers
                .into_iter()
                .map(meant)
                .collect::<Option<_>>()?,
            starts_at_ms: self.starts_at_ms,
            ends_at_ms: self.ends_at_ms,
            updated_at_ms: self.updated_at_ms,
            created_by: self.created_by,
            comment: self.comment,
        })
    }
}
