//! Standstill: the red button, and the end of the process.

use serde::{Deserialize, Serialize};

/// What stops the loop as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Freeze {
    /// Who pressed the red button, while it is pressed.
    pub(crate) red_button: Option<String>,
    pub(crate) shutdown: Option<Shutdown>,
}

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shutdown {
    /// Running changes are undone.
    UndoRunning,
    /// So are the changes kept in this life.
    PutBack,
}

impl Freeze {
    /// Why nothing is admitted, as a clause.
    pub(crate) fn reason(&self) -> Option<String> {
        if let Some(by) = &self.red_button {
            return Some(format!("the red button was pressed by {by}"));
        }
        self.shutdown
            .map(|_| "the server is shutting down".to_owned())
    }
}
