//! The ledger as its API sees it: commands to the writer, questions to the readers and caches.

use std::{path::PathBuf, sync::Arc};

use knob::{Apply, DeclareError, Knob, Scale};
use runtime::{
    Clock,
    cache::{self, Cache},
    clock::unix_ms,
    metrics::Registry,
};
use serde::Serialize;
use thiserror::Error;

use crate::{
    account::{Account, AccountId, Kind, State},
    analytics::{Fold, Report},
    command::Command,
    money::Cents,
    rules::{Refusal, Rules},
    store::{
        Failure, OpenError,
        readers::{Readers, Settings},
        rows::{self, Cursor, Selection},
        schema::Directory,
        seed::{self, Seed},
        session::{Done, Request, Session},
        writer::Writer,
    },
    telemetry::Telemetry,
};

/// Relatives listed in each direction of a lineage.
const MOST_RELATIVES: usize = 1_000;
/// Finished analytics are a few hundred bytes.
const ANALYTICS_CACHE: cache::Config = cache::Config {
    capacity: 1_000,
    ttl_ms: 60_000,
};
const ACCOUNT_CACHE: cache::Config = cache::Config {
    capacity: 1_000,
    ttl_ms: 60_000,
};

/// Where the books are and what holds for them.
#[derive(Debug, Clone)]
pub struct Config {
    /// Data directory.
    pub data: PathBuf,
    /// Rules an installation may set.
    pub rules: Rules,
    /// What empty books are filled with.
    pub seed: Option<Seed>,
}

/// Why a ledger does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The books.
    #[error("cannot open the ledger")]
    Open(#[from] OpenError),
    /// The first accounts.
    #[error("cannot fill the books")]
    Seed(#[from] Failure),
    /// Two parts declare one knob.
    #[error("cannot declare the knobs")]
    Knobs(#[from] DeclareError),
}

/// An open ledger.
#[derive(Debug)]
pub struct Ledger {
    writer: Writer,
    readers: Readers,
    accounts: Cache<AccountId, Arc<Account>>,
    /// By account and version: a changed account has another key, the old one ages away.
    analytics: Cache<(AccountId, i64), Arc<str>>,
    batch: Knob<i64>,
    clock: Clock,
}

/// An account as a reply tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct View {
    id: AccountId,
    portfolio: i64,
    owner: String,
    name: String,
    kind: Kind,
    state: State,
    initial_cents: Cents,
    balance_cents: Cents,
    available_cents: Cents,
    buffer_cents: Cents,
    invested_cents: Cents,
    parent: Option<AccountId>,
    merged_into: Option<AccountId>,
    created_ms: i64,
    version: i64,
}

/// An account among its relatives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lineage {
    account: View,
    /// What it was forked off, nearest first.
    ancestors: Vec<View>,
    /// What was forked off it, directly or through others, nearest first.
    descendants: Vec<View>,
    /// Whether there are more than are listed.
    truncated: bool,
}

#[derive(Serialize)]
struct AnalyticsReply {
    account: AccountId,
    version: i64,
    as_of_ms: i64,
    drawdown_limit: f64,
    drawdown_exceeded: bool,
    #[serde(flatten)]
    report: Report,
}

impl Ledger {
    /// Opens the books, fills them if they are empty, and starts the writer.
    ///
    /// # Errors
    /// The books cannot be opened or filled.
    pub fn open(
        config: Config,
        clock: Clock,
        knobs: &knob::Registry,
        metrics: &Registry,
        telemetry: &Arc<Telemetry>,
    ) -> Result<Self, StartError> {
        let directory = Arc::new(Directory::take(&config.data)?);
        let connection = directory.writer()?;
        let mut session = Session::new(connection, config.rules).map_err(OpenError::from)?;
        if let Some(seed) = config.seed {
            seed::fill(&mut session, seed, unix_ms())?;
        }
        let census = rows::census(session.connection()).map_err(OpenError::from)?;
        telemetry.census(&census);
        let settings = Settings::declare(knobs)?;
        let accounts = Cache::new("accounts", ACCOUNT_CACHE, knobs, metrics)?;
        let on_commit = follow(&accounts, telemetry, clock);
        Ok(Self {
            readers: Readers::new(directory, settings.clone(), clock, knobs, metrics)?,
            writer: Writer::start(session, settings, on_commit, clock, knobs, metrics)?,
            accounts,
            analytics: Cache::new("analytics", ANALYTICS_CACHE, knobs, metrics)?,
            batch: declare_batch(knobs)?,
            clock,
        })
    }

    /// Carries a command out; it is on disk when this returns.
    ///
    /// # Errors
    /// A rule is against it, or the database failed.
    pub async fn execute(&self, command: Command, key: Option<String>) -> Result<Done, Failure> {
        let at_ms = unix_ms();
        self.writer
            .execute(Request {
                command,
                key,
                at_ms,
            })
            .await
    }

    /// An account as last committed.
    ///
    /// # Errors
    /// It is unknown, or the database failed.
    pub async fn account(&self, id: AccountId) -> Result<Arc<Account>, Failure> {
        if let Some(account) = self.accounts.get(&id, self.clock.now()) {
            return Ok(account);
        }
        let ticket = self.accounts.ticket(&id);
        let found = self
            .readers
            .run("read an account", move |c| rows::load(c, id))
            .await?;
        let account = Arc::new(found.ok_or(Refusal::UnknownAccount(id))?);
        let now = self.clock.now();
        self.accounts.insert(id, Arc::clone(&account), ticket, now);
        Ok(account)
    }

    /// Accounts in order of identity.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list(&self, selection: Selection) -> Result<Vec<View>, Failure> {
        let query = move |c: &rusqlite::Connection| rows::list(c, &selection);
        let accounts = self.readers.run("list accounts", query).await?;
        Ok(accounts.iter().map(View::of).collect())
    }

    /// An account's ancestors and descendants.
    ///
    /// # Errors
    /// It is unknown, or the database failed.
    pub async fn lineage(&self, id: AccountId) -> Result<Lineage, Failure> {
        let account = self.account(id).await?;
        let parent = account.parent;
        let limit = i64::try_from(MOST_RELATIVES).expect("a small constant") + 1;
        let query = move |c: &rusqlite::Connection| {
            let ancestors = rows::ancestors(c, parent, MOST_RELATIVES)?;
            Ok((ancestors, rows::descendants(c, id, limit)?))
        };
        let (ancestors, mut descendants) = self.readers.run("read a lineage", query).await?;
        let truncated = descendants.len() > MOST_RELATIVES;
        descendants.truncate(MOST_RELATIVES);
        Ok(Lineage {
            account: View::of(&account),
            ancestors: ancestors.iter().map(View::of).collect(),
            descendants: descendants.iter().map(View::of).collect(),
            truncated,
        })
    }

    /// What an account's postings say, as JSON.
    ///
    /// # Errors
    /// It is unknown, or the database failed.
    pub async fn analytics(&self, id: AccountId) -> Result<Arc<str>, Failure> {
        let account = self.account(id).await?;
        let key = (id, account.version);
        if let Some(reply) = self.analytics.get(&key, self.clock.now()) {
            return Ok(reply);
        }
        let ticket = self.analytics.ticket(&key);
        let as_of_ms = unix_ms();
        let report = self.fold(&account).await?.report(as_of_ms);
        assert_eq!(
            report.balance_cents,
            account.balance(),
            "the postings up to an account's last transaction sum to its balance"
        );
        let limit = account.kind.properties().drawdown_limit as f64 / 1_000.0;
        let reply = AnalyticsReply {
            account: id,
            version: account.version,
            as_of_ms,
            drawdown_limit: limit,
            drawdown_exceeded: report.current_drawdown > limit,
            report,
        };
        let reply: Arc<str> = serde_json::to_string(&reply).expect("plain data").into();
        self.analytics
            .insert(key, Arc::clone(&reply), ticket, self.clock.now());
        Ok(reply)
    }

    /// Postings up to the account's last transaction, in batches: between two of them the
    /// connection serves others. Postings never change, so the batches agree with each other.
    async fn fold(&self, account: &Account) -> Result<Fold, Failure> {
        let mut fold = Fold::default();
        let mut cursor = Cursor {
            account: account.id,
            after: (0, -1),
            until: account.last_transaction,
        };
        loop {
            let limit = self.batch.get();
            let query = move |c: &rusqlite::Connection| {
                let mut cursor = cursor;
                Ok((rows::postings(c, &mut cursor, limit)?, cursor))
            };
            let (postings, moved) = self.readers.run("read postings", query).await?;
            postings.iter().for_each(|posting| fold.add(posting));
            cursor = moved;
            if (postings.len() as i64) < limit {
                return Ok(fold);
            }
        }
    }

    /// Finishes what is queued and closes the books.
    pub fn close(self) {
        self.writer.stop();
    }
}

/// What follows each commit, before its requests are answered: whoever reads after an answer
/// reads what it promised.
fn follow(
    accounts: &Cache<AccountId, Arc<Account>>,
    telemetry: &Arc<Telemetry>,
    clock: Clock,
) -> crate::store::writer::OnCommit {
    let (accounts, telemetry) = (accounts.clone(), Arc::clone(telemetry));
    Box::new(move |change| {
        let now = clock.now();
        for (_, account) in &change.updated {
            accounts.update(&account.id, Arc::new(account.clone()), now);
        }
        telemetry.committed(change);
    })
}

fn declare_batch(knobs: &knob::Registry) -> Result<Knob<i64>, DeclareError> {
    // A posting is 64 bytes in memory: a full batch is at most 640 KiB.
    Knob::int("analytics.batch", 256)
        .unit("postings")
        .range(16..=10_000)
        .scale(Scale::Log)
        .max_step(0.5)
        .apply(Apply::Free)
        .help("Postings analytics read in one turn on a connection.")
        .register(knobs)
}

impl View {
    /// Which account.
    #[must_use]
    pub fn id(&self) -> AccountId {
        self.id
    }

    /// The account as it stands.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self {
            id: account.id,
            portfolio: account.portfolio,
            owner: account.owner.clone(),
            name: account.name.clone(),
            kind: account.kind,
            state: account.state,
            initial_cents: account.initial,
            balance_cents: account.balance(),
            available_cents: account.available(),
            buffer_cents: account.books.buffer,
            invested_cents: account.invested(),
            parent: account.parent,
            merged_into: account.merged_into,
            created_ms: account.created_ms,
            version: account.version,
        }
    }
}
