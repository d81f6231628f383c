//! What reaches the loop beside the change feed: news of targets, outcomes of orders, questions of people.
//! One bounded queue, read by one thread, so that a turn sees everything in one order.

use model::Outcome;
use tokio::sync::{mpsc, oneshot};
use wire::control::{Change, Decision, ProposalRequest, TrustLevel};

/// Mails waiting at most: more than this means the loop stands still, and the senders wait.
pub(crate) const MAILS_MAX: usize = 1_024;

/// One mail.
#[derive(Debug)]
pub(crate) enum Mail {
    /// A target answered a discovery.
    Seen {
        /// Its name.
        target: String,
        /// What it said.
        discovery: act::Discovery,
    },
    /// A target did not answer.
    Lost {
        /// Its name.
        target: String,
    },
    /// An order was carried out, or failed.
    Outcome(Outcome),
    /// A question, and where its answer goes.
    Ask(Ask, oneshot::Sender<Reply>),
    /// Undo what runs, put back what this run kept if asked, and end.
    Stop {
        /// Whether kept changes are put back.
        put_back: bool,
    },
}

/// A question to the loop.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    Propose(ProposalRequest),
    Approve { change: u64, by: String },
    Reject { change: u64, by: String },
    Undo { change: u64, by: String },
    StopStudy { study: u64 },
    RedButton { by: String },
    Release { by: String },
    Unfreeze { target: String, by: String },
    Trust(TrustLevel),
}

/// Its answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Decision(Decision),
    Change(Box<Change>),
    /// Done; see the status.
    Status,
    NotFound(String),
    Conflict(String),
    /// The journal could not be written: what was asked is not on record, and nothing was sent.
    Unrecorded,
}

/// The way into the loop.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox(mpsc::Sender<Mail>);

impl Mailbox {
    /// A mailbox and the end the loop reads.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Mail>) {
        let (sender, receiver) = mpsc::channel(MAILS_MAX);
        (Self(sender), receiver)
    }

    /// Sends a mail; waits while the queue is full. Whether the loop still reads.
    pub(crate) async fn send(&self, mail: Mail) -> bool {
        self.0.send(mail).await.is_ok()
    }

    /// Asks and waits for the answer; `None` when the loop has ended.
    pub(crate) async fn ask(&self, question: Ask) -> Option<Reply> {
        let (sender, receiver) = oneshot::channel();
        self.send(Mail::Ask(question, sender)).await.then_some(())?;
        receiver.await.ok()
    }
}
