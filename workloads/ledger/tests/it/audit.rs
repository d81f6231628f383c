//! Checks books as an auditor would: from the tables alone, without the code that wrote them.

use rusqlite::Connection;

/// Fails unless every transaction's postings sum to zero, every account's books and the postings
/// to them agree, and no money came from nowhere. Gives the number of transactions.
pub(crate) fn audit(books: &Connection) -> i64 {
    let number = |sql: &str| {
        books
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    let unbalanced = "SELECT count(*) FROM
        (SELECT txn FROM postings GROUP BY txn HAVING sum(amount) <> 0)";
    assert_eq!(
        number(unbalanced),
        0,
        "both sides of a transaction are equal"
    );
    for (book, column) in ["cash", "buffer", "contracts", "leaps"].iter().enumerate() {
        let wrong = format!(
            "SELECT count(*) FROM accounts a WHERE {column} <> coalesce((SELECT sum(amount)
             FROM postings WHERE account = a.id AND book = {book}), 0)"
        );
        assert_eq!(number(&wrong), 0, "{column} is the sum of its postings");
    }
    let held = number("SELECT coalesce(sum(cash + buffer + contracts + leaps), 0) FROM accounts");
    let outside = number("SELECT coalesce(sum(amount), 0) FROM postings WHERE account < 0");
    assert_eq!(
        held, -outside,
        "what is here came from outside or the market"
    );
    let orphans = "SELECT count(*) FROM postings p
        WHERE NOT EXISTS (SELECT 1 FROM transactions t WHERE t.id = p.txn)
        OR (account > 0 AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = p.account))";
    assert_eq!(
        number(orphans),
        0,
        "every posting has its transaction and its account"
    );
    let negative = "SELECT count(*) FROM accounts
        WHERE cash + buffer + contracts + leaps < 0 OR buffer < 0 OR contracts < 0 OR leaps < 0
        OR (state = 3 AND cash + buffer + contracts + leaps <> 0) OR state > 3";
    assert_eq!(
        number(negative),
        0,
        "no debts, closed accounts are empty, no fork is half done"
    );
    number("SELECT count(*) FROM transactions")
}
