//! Carries commands out on the writing connection, one after the other, inside a transaction of
//! SQLite that the caller opens and commits.
//!
//! A command first reads and decides, then writes: a refused one has written nothing, so the
//! others of its group are not touched.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::{Failure, rows, storage};
use crate::{
    account::{Account, AccountId, Kind, PortfolioId, State},
    command::{Command, Receipt},
    money::Cents,
    rules::{Ids, Refusal, Rules, fork, lifecycle, merge, movement, opening, reinvest},
    transaction::{Change, Entry},
};

/// The writing connection and what it has to know beside the tables.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    rules: Rules,
    next: Next,
}

/// Identities not used yet. One writer: they are counted here and not asked of the tables.
#[derive(Debug, Clone, Copy)]
struct Next {
    ids: Ids,
    transaction: i64,
}

/// What a command came to.
#[derive(Debug, Clone)]
pub struct Done {
    /// The [`Receipt`] as JSON, byte for byte the same for a repeated key.
    pub receipt: Arc<str>,
    /// What changed; absent for a repeated key.
    pub change: Option<Change>,
}

/// A command with when and under which key it was asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// What to do.
    pub command: Command,
    /// Carried out once for all requests with this key.
    pub key: Option<String>,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
}

impl Session {
    /// Takes over a connection that has the tables.
    ///
    /// # Errors
    /// SQLite fails.
    pub fn new(connection: Connection, rules: Rules) -> rusqlite::Result<Self> {
        let next = |column: &str, table: &str| {
            let sql = format!("SELECT coalesce(max({column}), 0) + 1 FROM {table}");
            connection.query_row(&sql, [], |row| row.get::<_, i64>(0))
        };
        let next = Next {
            ids: Ids {
                account: next("id", "accounts")?,
                portfolio: next("portfolio", "accounts")?,
            },
            transaction: next("id", "transactions")?,
        };
        Ok(Self {
            connection,
            rules,
            next,
        })
    }

    /// The connection, for reading and for its settings.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The account opened last; 0 before the first.
    #[must_use]
    pub fn newest_account(&self) -> AccountId {
        self.next.ids.account - 1
    }

    /// Carries requests out in one transaction of SQLite and commits it; the commit is on disk
    /// when this returns. Gives each request's own result.
    ///
    /// # Errors
    /// SQLite failed: nothing of the group is stored, unless the commit itself failed, when that
    /// is unknown until the next start.
    pub fn group<'a>(
        &mut self,
        requests: impl IntoIterator<Item = &'a Request>,
    ) -> Result<Vec<Result<Done, Refusal>>, Failure> {
        let before = self.next;
        self.begin()?;
        let results = requests.into_iter().map(|request| self.one(request));
        let outcome = results.collect::<Result<Vec<_>, Failure>>();
        let outcome = outcome.and_then(|results| self.commit().map(|()| results));
        if outcome.is_err() {
            self.roll_back();
            self.next = before;
        }
        outcome
    }

    /// Separates what concerns one request from what concerns its group.
    fn one(&mut self, request: &Request) -> Result<Result<Done, Refusal>, Failure> {
        match self.execute(request) {
            Ok(done) => Ok(Ok(done)),
            Err(Failure::Refused(refusal)) => Ok(Err(refusal)),
            Err(failure) => Err(failure),
        }
    }

    fn begin(&self) -> Result<(), Failure> {
        self.run("BEGIN IMMEDIATE", "begin a transaction")
    }

    fn commit(&self) -> Result<(), Failure> {
        self.run("COMMIT", "commit")
    }

    fn run(&self, sql: &str, operation: &'static str) -> Result<(), Failure> {
        let mut statement = self
            .connection
            .prepare_cached(sql)
            .map_err(storage(operation))?;
        statement.execute([]).map_err(storage(operation))?;
        Ok(())
    }

    fn roll_back(&self) {
        // SQLite rolls some failures back by itself; then there is nothing left to roll back.
        if !self.connection.is_autocommit() {
            let rolled_back = self.connection.execute_batch("ROLLBACK");
            if let Err(error) = rolled_back {
                tracing::error!(%error, "cannot roll a failed transaction back");
            }
        }
    }

    fn execute(&mut self, request: &Request) -> Result<Done, Failure> {
        let fingerprint = request.command.fingerprint();
        if let Some(key) = &request.key {
            opening::check_text("a key", key)?;
            if let Some(done) = self.repeated(key, fingerprint)? {
                return Ok(done);
            }
        }
        let mut ids = self.next.ids;
        let mut change = self.decide(&request.command, &mut ids, request.at_ms)?;
        let transaction = self.next.transaction;
        number(&mut change, transaction);
        let receipt = Receipt::of(&change, transaction, request.at_ms);
        let receipt = serde_json::to_string(&receipt).expect("a receipt is plain data");
        self.write(&change, request, fingerprint, &receipt)
            .map_err(storage("write"))?;
        self.next.ids = ids;
        self.next.transaction += i64::from(change.entry.is_some());
        Ok(Done {
            receipt: receipt.into(),
            change: Some(change),
        })
    }

    /// The first result of a key, if it was used.
    fn repeated(&self, key: &str, fingerprint: i64) -> Result<Option<Done>, Failure> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT fingerprint, receipt FROM transactions WHERE key = ?1")
            .map_err(storage("look a key up"))?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?));
        let first: Option<(i64, String)> = statement
            .query_row([key], row)
            .optional()
            .map_err(storage("look a key up"))?;
        match first {
            None => Ok(None),
            Some((first, _)) if first != fingerprint => Err(Refusal::KeyReused.into()),
            Some((_, receipt)) => Ok(Some(Done {
                receipt: receipt.into(),
                change: None,
            })),
        }
    }

    fn decide(&self, command: &Command, ids: &mut Ids, at_ms: i64) -> Result<Change, Failure> {
        let account = |id: &AccountId| self.load(*id);
        let change = match command {
            Command::OpenAccount {
                owner,
                name,
                kind,
                initial_cents,
                portfolio,
            } => {
                let opening = opening_by(owner, name, at_ms);
                return self.open_account(opening, *kind, *initial_cents, *portfolio, ids);
            }
            Command::OpenPortfolio {
                owner,
                name,
                capital_cents,
            } => opening::portfolio(&opening_by(owner, name, at_ms), *capital_cents, ids),
            Command::Rename { account: id, name } => lifecycle::rename(account(id)?, name.clone()),
            Command::SetState { account: id, state } => lifecycle::request(account(id)?, *state),
            Command::Book {
                account: id,
                booking,
                amount_cents,
            } => movement::book(account(id)?, *booking, *amount_cents),
            Command::Transfer {
                from,
                to,
                amount_cents,
            } => movement::transfer(account(from)?, account(to)?, *amount_cents),
            Command::Fork {
                account: id,
                children,
            } => fork::fork(account(id)?, *children, &self.rules.fork, ids, at_ms),
            Command::Merge { sources, target } => return self.merge(sources, *target, at_ms),
            Command::MergePortfolio { portfolio } => {
                return self.merge_portfolio(*portfolio, at_ms);
            }
            Command::Reinvest {
                account: id,
                amount_cents,
            } => reinvest::reinvest(account(id)?, *amount_cents, at_ms),
        };
        Ok(change?)
    }

    fn open_account(
        &self,
        mut opening: opening::Opening,
        kind: Kind,
        initial: Cents,
        portfolio: Option<PortfolioId>,
        ids: &mut Ids,
    ) -> Result<Change, Failure> {
        let portfolio = match portfolio {
            None => ids.portfolio(),
            Some(portfolio) => {
                let accounts = self.load_portfolio(portfolio)?;
                if accounts.iter().any(|account| account.kind == kind) {
                    return Err(Refusal::KindTaken { portfolio, kind }.into());
                }
                opening.owner.clone_from(&accounts[0].owner);
                portfolio
            }
        };
        let identity = (ids.account(), portfolio);
        Ok(opening::account(&opening, identity, kind, initial)?)
    }

    fn merge(
        &self,
        sources: &[AccountId],
        target: AccountId,
        at_ms: i64,
    ) -> Result<Change, Failure> {
        // Counted before anything is loaded, so a long list costs nothing.
        let (least, most) = merge::SOURCES;
        if !(least..=most).contains(&sources.len()) {
            let (what, given) = ("accounts to merge", sources.len());
            return Err(Refusal::Count {
                what,
                given,
                least,
                most,
            }
            .into());
        }
        let target = self.load(target)?;
        let sources = sources
            .iter()
            .map(|id| self.load(*id))
            .collect::<Result<_, _>>()?;
        Ok(merge::by_hand(sources, target, &self.rules.merge, at_ms)?)
    }

    fn merge_portfolio(&self, portfolio: PortfolioId, at_ms: i64) -> Result<Change, Failure> {
        let pair = self.load_portfolio(portfolio)?;
        let target = self.com_of_parent(&pair[0])?;
        let target = target.ok_or(Refusal::NoMergeTarget(portfolio))?;
        Ok(merge::by_rule(
            (portfolio, pair),
            target,
            &self.rules.merge,
            at_ms,
        )?)
    }

    /// The active Com beside the Gen an account was forked off; a parent that has merged hands
    /// its children on to its own parent.
    fn com_of_parent(&self, forked: &Account) -> Result<Option<Account>, Failure> {
        let mut parent = forked.parent;
        while let Some(id) = parent {
            let siblings = self.load_portfolio(self.load(id)?.portfolio)?;
            let com = siblings
                .into_iter()
                .find(|account| account.kind == Kind::Com);
            match com {
                Some(com) if com.state == State::Active => return Ok(Some(com)),
                Some(com) if com.merged_into.is_some() => parent = com.parent,
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn load(&self, id: AccountId) -> Result<Account, Failure> {
        let found = rows::load(&self.connection, id).map_err(storage("read an account"))?;
        Ok(found.ok_or(Refusal::UnknownAccount(id))?)
    }

    /// At least one account.
    fn load_portfolio(&self, id: PortfolioId) -> Result<Vec<Account>, Failure> {
        let found = rows::load_portfolio(&self.connection, id);
        let found = found.map_err(storage("read a portfolio"))?;
        if found.is_empty() {
            return Err(Refusal::UnknownPortfolio(id).into());
        }
        Ok(found)
    }

    fn write(
        &self,
        change: &Change,
        request: &Request,
        fingerprint: i64,
        receipt: &str,
    ) -> rusqlite::Result<()> {
        if let Some(entry) = &change.entry {
            let mut statement = self.connection.prepare_cached(
                "INSERT INTO transactions (id, key, fingerprint, kind, at_ms, volume, receipt)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            let id = self.next.transaction;
            let (key, at_ms) = (&request.key, request.at_ms);
            statement.execute((
                id,
                key,
                fingerprint,
                entry.kind,
                at_ms,
                entry.volume,
                receipt,
            ))?;
            self.write_postings(entry, at_ms)?;
        }
        for account in &change.opened {
            rows::insert(&self.connection, account)?;
        }
        for (_, account) in &change.updated {
            rows::update(&self.connection, account)?;
        }
        Ok(())
    }

    fn write_postings(&self, entry: &Entry, at_ms: i64) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO postings (account, txn, book, amount, kind, at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let txn = self.next.transaction;
        for posting in &entry.postings {
            let (account, book, amount) = (posting.account, posting.book, posting.amount);
            statement.execute((account, txn, book, amount, entry.kind, at_ms))?;
        }
        Ok(())
    }
}

fn opening_by(owner: &str, name: &str, now_ms: i64) -> opening::Opening {
    opening::Opening {
        owner: owner.into(),
        name: name.into(),
        now_ms,
    }
}

/// Marks the accounts with the change they come from.
fn number(change: &mut Change, transaction: i64) {
    let moves = change.entry.is_some();
    let updated = change.updated.iter_mut().map(|(_, account)| {
        account.version += 1;
        account
    });
    for account in change.opened.iter_mut().chain(updated) {
        if moves {
            account.last_transaction = transaction;
        }
    }
}
