//! Nouns and ports that two or more stages share; no logic.
//!
//! Read the files in the order of the data flow:
//! [`labels`], [`sample`], [`series`] (what was measured) → [`finding`] (what it means) →
//! [`proposal`] (what to try) → [`decision`] (may we) → [`change`] (what is done) →
//! [`verdict`] (what it was worth). [`alert`] is what people are called for; [`knob`] is the thing
//! that changes; [`ports`] are the seams between stages; [`clock`] is the only way to learn the
//! time; [`re2`] is how regular expressions are read.

pub mod alert;
pub mod change;
pub mod clock;
pub mod decision;
pub mod digest;
pub mod finding;
pub mod histogram;
pub mod id;
pub mod knob;
pub mod labels;
pub mod matcher;
pub mod points;
pub mod ports;
pub mod proposal;
pub mod re2;
pub mod sample;
pub mod series;
pub mod study;
pub mod verdict;

pub use alert::{Alert, AlertSink};
pub use change::{Arm, Change, ChangeState, Order, OrderKind, Outcome, Setting};
pub use clock::Clock;
pub use decision::{Decision, Ruling, Why};
pub use digest::{Digest, Run, Thinned, Windows};
pub use finding::{Finding, FindingKind, Interval};
pub use histogram::{Histogram, ResetHint, Span};
pub use id::{ChangeId, FindingId, Generation, ProposalId, StudyId, TrialId};
pub use knob::{ApplyCost, Domain, KnobSpec, KnobValue, Scale};
pub use labels::{Labels, LabelsBuilder, METRIC_NAME};
pub use matcher::{MatchOp, Matcher};
pub use points::{Point, SeriesTable, SharedLabels};
pub use ports::{
    AppendError, Appended, Changes, DigestIter, Durability, LabelQuery, ReadError, RejectReason,
    SampleSink, Selection, SeriesIter, SeriesReader, points_batch,
};
pub use proposal::{Author, Proposal};
pub use sample::{Batch, Exemplar, Metadata, MetricType, Sample, Value};
pub use series::{STALE_NAN_BITS, Series, is_stale, stale_nan};
pub use study::{Params, Study, StudyState, Trial, TrialState};
pub use verdict::{Call, Effect, Ending, Goal, GuardBreach, Verdict};
