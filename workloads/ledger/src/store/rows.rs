//! Rows and accounts: how each field is stored, and the few queries everyone needs.

use rusqlite::{
    Connection, OptionalExtension, Row, ToSql, named_params,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};

use crate::{
    account::{Account, AccountId, Book, Books, Kind, PortfolioId, State},
    analytics::Dated,
    money::Cents,
    transaction::{Posting, TransactionKind},
};

/// Stores an enum as its position in its list of all values: compact, and checked when read.
macro_rules! stored_by_position {
    ($($kind:ty),*) => {$(
        impl ToSql for $kind {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                let at = Self::ALL.iter().position(|v| v == self).expect("ALL lists every value");
                let at = i64::try_from(at).expect("a short list");
                Ok(at.into())
            }
        }

        impl FromSql for $kind {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let at = value.as_i64()?;
                let found = usize::try_from(at).ok().and_then(|at| Self::ALL.get(at));
                found.copied().ok_or(FromSqlError::OutOfRange(at))
            }
        }
    )*};
}

stored_by_position!(Kind, State, Book, TransactionKind);

impl ToSql for Cents {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for Cents {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Cents)
    }
}

const COLUMNS: &str = "id, portfolio, owner, name, kind, state, parent, merged_into, initial, \
     cash, buffer, contracts, leaps, created_ms, last_fork_ms, forks_that_day, last_merge_ms, \
     version, last_transaction";

/// In the order of [`COLUMNS`].
fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: row.get(0)?,
        portfolio: row.get(1)?,
        owner: row.get(2)?,
        name: row.get(3)?,
        kind: row.get(4)?,
        state: row.get(5)?,
        parent: row.get(6)?,
        merged_into: row.get(7)?,
        initial: row.get(8)?,
        books: Books {
            cash: row.get(9)?,
            buffer: row.get(10)?,
            contracts: row.get(11)?,
            leaps: row.get(12)?,
        },
        created_ms: row.get(13)?,
        last_fork_ms: row.get(14)?,
        forks_that_day: row.get(15)?,
        last_merge_ms: row.get(16)?,
        version: row.get(17)?,
        last_transaction: row.get(18)?,
    })
}

/// One account.
pub(crate) fn load(connection: &Connection, id: AccountId) -> rusqlite::Result<Option<Account>> {
    let sql = select("WHERE id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_row([id], account).optional()
}

/// The accounts of a portfolio, in order of kind.
pub(crate) fn load_portfolio(
    connection: &Connection,
    portfolio: PortfolioId,
) -> rusqlite::Result<Vec<Account>> {
    let sql = select("WHERE portfolio = ?1 ORDER BY kind");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map([portfolio], account)?.collect()
}

/// Which accounts to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Those after this one.
    pub after: AccountId,
    /// At most so many.
    pub limit: i64,
    /// Of this owner.
    pub owner: Option<String>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// In this state.
    pub state: Option<State>,
}

/// Accounts in order of identity.
pub(crate) fn list(
    connection: &Connection,
    selection: &Selection,
) -> rusqlite::Result<Vec<Account>> {
    // Without an owner the walk follows the primary key, with one the owner's index.
    let owner = match selection.owner {
        Some(_) => "owner = :owner",
        None => ":owner IS NULL",
    };
    let sql = select(&format!(
        "WHERE {owner} AND id > :after AND (:kind IS NULL OR kind = :kind) \
         AND (:state IS NULL OR state = :state) ORDER BY id LIMIT :limit"
    ));
    let parameters = named_params! {
        ":owner": selection.owner,
        ":after": selection.after,
        ":kind": selection.kind,
        ":state": selection.state,
        ":limit": selection.limit,
    };
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map(parameters, account)?.collect()
}

/// Accounts forked off an account, directly or through others, nearest first.
pub(crate) fn descendants(
    connection: &Connection,
    id: AccountId,
    limit: i64,
) -> rusqlite::Result<Vec<Account>> {
    let sql = format!(
        "WITH RECURSIVE line (child, depth) AS (
             SELECT id, 1 FROM accounts WHERE parent = ?1
             UNION ALL
             SELECT a.id, depth + 1 FROM accounts a JOIN line ON a.parent = child
             ORDER BY 2 LIMIT ?2
         ) SELECT {COLUMNS} FROM line JOIN accounts ON id = child ORDER BY depth, id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map((id, limit), account)?.collect()
}

/// The accounts an account was forked off, nearest first.
pub(crate) fn ancestors(
    connection: &Connection,
    mut id: Option<AccountId>,
    limit: usize,
) -> rusqlite::Result<Vec<Account>> {
    let mut line = Vec::new();
    while let Some(next) = id {
        let Some(account) = load(connection, next)? else {
            break;
        };
        if line.len() == limit {
            break;
        }
        id = account.parent;
        line.push(account);
    }
    Ok(line)
}

/// Where a walk through an account's postings stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Whose.
    pub account: AccountId,
    /// The last posting seen: its transaction and book, as stored.
    pub after: (i64, i64),
    /// The newest transaction to look at.
    pub until: i64,
}

/// The next postings of an account in order, at most `limit`; moves the cursor.
pub(crate) fn postings(
    connection: &Connection,
    cursor: &mut Cursor,
    limit: i64,
) -> rusqlite::Result<Vec<Dated>> {
    let mut statement = connection.prepare_cached(
        "SELECT txn, book, amount, kind, at_ms FROM postings
         WHERE account = ?1 AND (txn, book) > (?2, ?3) AND txn <= ?4
         ORDER BY txn, book LIMIT ?5",
    )?;
    let (txn, book) = cursor.after;
    let parameters = (cursor.account, txn, book, cursor.until, limit);
    let mut rows = statement.query(parameters)?;
    let mut postings = Vec::new();
    while let Some(row) = rows.next()? {
        cursor.after = (row.get(0)?, row.get(1)?);
        postings.push(dated(cursor.account, row)?);
    }
    Ok(postings)
}

fn dated(account: AccountId, row: &Row<'_>) -> rusqlite::Result<Dated> {
    let posting = Posting {
        account,
        book: row.get(1)?,
        amount: row.get(2)?,
    };
    Ok(Dated {
        posting,
        transaction: row.get(0)?,
        kind: row.get(3)?,
        at_ms: row.get(4)?,
    })
}

/// How many accounts there are of each kind in each state.
pub(crate) fn census(connection: &Connection) -> rusqlite::Result<Vec<(Kind, State, i64)>> {
    let mut statement =
        connection.prepare("SELECT kind, state, count(*) FROM accounts GROUP BY kind, state")?;
    let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    statement.query_map([], row)?.collect()
}

pub(crate) fn insert(connection: &Connection, account: &Account) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO accounts ({COLUMNS}) VALUES (:id, :portfolio, :owner, :name, :kind, :state, \
         :parent, :merged_into, :initial, :cash, :buffer, :contracts, :leaps, :created_ms, \
         :last_fork_ms, :forks_that_day, :last_merge_ms, :version, :last_transaction)"
    );
    connection.prepare_cached(&sql)?.execute(named_params! {
        ":id": account.id,
        ":portfolio": account.portfolio,
        ":owner": account.owner,
        ":name": account.name,
        ":kind": account.kind,
        ":state": account.state,
        ":parent": account.parent,
        ":merged_into": account.merged_into,
        ":initial": account.initial,
        ":cash": account.books.cash,
        ":buffer": account.books.buffer,
        ":contracts": account.books.contracts,
        ":leaps": account.books.leaps,
        ":created_ms": account.created_ms,
        ":last_fork_ms": account.last_fork_ms,
        ":forks_that_day": account.forks_that_day,
        ":last_merge_ms": account.last_merge_ms,
        ":version": account.version,
        ":last_transaction": account.last_transaction,
    })?;
    Ok(())
}

pub(crate) fn update(connection: &Connection, account: &Account) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE accounts SET name = ?2, state = ?3, merged_into = ?4, cash = ?5, buffer = ?6,
         contracts = ?7, leaps = ?8, last_fork_ms = ?9, forks_that_day = ?10,
         last_merge_ms = ?11, version = ?12, last_transaction = ?13 WHERE id = ?1",
    )?;
    let books = account.books;
    statement.execute((
        account.id,
        &account.name,
        account.state,
        account.merged_into,
        books.cash,
        books.buffer,
        books.contracts,
        books.leaps,
        account.last_fork_ms,
        account.forks_that_day,
        account.last_merge_ms,
        account.version,
        account.last_transaction,
    ))?;
    Ok(())
}

fn select(condition: &str) -> String {
    format!("SELECT {COLUMNS} FROM accounts {condition}")
}
