//! Identities: plain counters, handed out in order by whoever owns the noun, so that a run
//! repeats from its seed.

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The identity after this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

ids! {
    /// One change in the governor's record; rises with each proposal that reached it.
    ChangeId,
    /// One finding in the journal.
    FindingId,
    /// Order counter of a target. It never falls; a target refuses an order older than the newest
    /// one it carried out.
    Generation,
    /// One proposal; the change it becomes has its own identity.
    ProposalId,
    /// One study.
    StudyId,
    /// One trial inside a study.
    TrialId,
}
