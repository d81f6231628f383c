//! What was stored together, as subscribers see it: shared by all of them, and no label set is
//! copied to show it.

use std::{borrow::Cow, sync::Arc};

use model::{Batch, Labels, Point, Sample, SharedLabels, points_batch};

/// Floats of the series of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Points {
    /// Label sets by [`Point::series`].
    pub labels: SharedLabels,
    /// In the order they were stored.
    pub points: Vec<Point>,
    /// How they came in.
    pub door: &'static str,
}

/// What was stored together.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// Came as a batch.
    Batch(Arc<Batch>),
    /// Came as points of a table.
    Points(Arc<Points>),
}

impl From<Batch> for Shown {
    fn from(batch: Batch) -> Self {
        Self::Batch(Arc::new(batch))
    }
}

impl From<Points> for Shown {
    fn from(points: Points) -> Self {
        Self::Points(Arc::new(points))
    }
}

impl Shown {
    /// How many samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.samples.len(),
            Self::Points(points) => points.points.len(),
        }
    }

    /// Whether it holds no samples: metadata alone, at most.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How they came in.
    #[must_use]
    pub fn door(&self) -> &'static str {
        match self {
            Self::Batch(batch) => batch.door,
            Self::Points(points) => points.door,
        }
    }

    /// All of it as a batch; points are made into one.
    #[must_use]
    pub fn batch(&self) -> Cow<'_, Batch> {
        match self {
            Self::Batch(batch) => Cow::Borrowed(batch),
            Self::Points(shown) => {
                Cow::Owned(points_batch(&shown.labels, &shown.points, shown.door))
            }
        }
    }

    /// What it is taken to hold, bytes. Labels of a batch are counted each time, though mostly
    /// shared; of those of a table, what is copied when the table grows.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Batch(batch) => bytes_of_batch(batch),
            Self::Points(shown) => size_of_val(&*shown.points) + shown.labels.own_bytes(),
        }
    }

    /// The rest behind the first `seen` samples; metadata stays.
    pub(super) fn behind(self, seen: usize) -> Self {
        match self {
            _ if seen == 0 => self,
            Self::Batch(batch) => {
                let mut rest = Batch::clone(&batch);
                rest.samples.drain(..seen);
                rest.into()
            }
            Self::Points(shown) => {
                let points = shown.points[seen..].to_vec();
                shown.only(points)
            }
        }
    }

    /// Samples of wanted series, without metadata unless all are; `None` if there is none.
    pub(super) fn of(self, wants: impl Fn(&Labels) -> bool) -> Option<Self> {
        match &self {
            Self::Batch(batch) => {
                let wanted = batch.samples.iter().filter(|s| wants(&s.labels));
                let wanted: Vec<&Sample> = wanted.collect();
                match wanted.len() {
                    0 => None,
                    all if all == batch.samples.len() => Some(self),
                    _ => Some(Self::from(Batch {
                        samples: wanted.into_iter().cloned().collect(),
                        door: batch.door,
                        ..Batch::default()
                    })),
                }
            }
            Self::Points(shown) => {
                let wanted = |p: &&Point| shown.labels.get(p.series).is_some_and(&wants);
                let points: Vec<Point> = shown.points.iter().filter(wanted).copied().collect();
                (!points.is_empty()).then(|| shown.only(points))
            }
        }
    }
}

impl Points {
    /// Others of the same table.
    fn only(&self, points: Vec<Point>) -> Shown {
        Shown::from(Self {
            labels: self.labels.clone(),
            points,
            door: self.door,
        })
    }
}

fn bytes_of_batch(batch: &Batch) -> usize {
    let samples = batch.samples.iter();
    let samples: usize = samples
        .map(|s| size_of::<Sample>() + s.labels.as_bytes().len())
        .sum();
    let metadata = batch.metadata.iter();
    let metadata: usize = metadata
        .map(|m| size_of_val(m) + m.family.len() + m.help.len() + m.unit.len())
        .sum();
    samples + metadata
}
