//! Opening: new files, old schemas, newer ones, other people's files, damage.

use std::{fs, path::Path};

use journal::{Journal, JournalError, schema};
use model::ChangeState;
use rusqlite::Connection;

use crate::nouns::change;

fn filled(path: &Path) {
    let mut journal = Journal::open(path).unwrap();
    for id in 1..=300 {
        journal
            .record_change(&change(id, ChangeState::Kept))
            .unwrap();
        journal.append_event(1, &format!("event {id}")).unwrap();
    }
}

fn refused(path: &Path) -> JournalError {
    Journal::open(path).expect_err("the file is not opened")
}

#[test]
fn a_new_file_has_the_newest_schema_and_syncs_every_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    filled(&path);
    let connection = Connection::open(&path).unwrap();
    let pragma = |name: &str| -> String {
        let text = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        format!(
            "{:?}",
            connection.pragma_query_value(None, name, text).unwrap()
        )
    };
    assert_eq!(pragma("journal_mode"), r#"Text("wal")"#);
    let version = format!("Integer({})", schema::newest());
    assert_eq!(pragma("user_version"), version);
    let strict = "SELECT count(*) FROM pragma_table_list
                  WHERE schema = 'main' AND name NOT LIKE 'sqlite_%' AND strict = 0";
    let lax: i64 = connection.query_row(strict, [], |row| row.get(0)).unwrap();
    assert_eq!(lax, 0, "every table is STRICT");
}

#[test]
fn a_step_that_fails_leaves_the_schema_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    // In the way of a table of the first step.
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("CREATE TABLE trials (x); PRAGMA application_id = 0x414c5553")
        .unwrap();
    drop(connection);
    let error = refused(&path);
    assert!(
        matches!(error, JournalError::Migrate { step: 1, .. }),
        "{error:?}"
    );
    let connection = Connection::open(&path).unwrap();
    let tables = "SELECT group_concat(name) FROM sqlite_schema WHERE type = 'table'";
    let tables: String = connection.query_row(tables, [], |row| row.get(0)).unwrap();
    assert_eq!(tables, "trials", "nothing of the step stayed");
    // Once the cause is gone the step is taken.
    connection.execute_batch("DROP TABLE trials").unwrap();
    drop(connection);
    filled(&path);
}

#[test]
fn a_newer_schema_is_refused_in_clear_words_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    filled(&path);
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let before = fs::read(&path).unwrap();
    let error = refused(&path);
    assert!(
        matches!(error, JournalError::Newer { found: 99, .. }),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains("has schema 99, this program knows 1: run the newer")
    );
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn another_programs_database_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("CREATE TABLE notes (text)")
        .unwrap();
    drop(connection);
    let before = fs::read(&path).unwrap();
    assert!(matches!(refused(&path), JournalError::Foreign { .. }));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database_is_told_as_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    fs::write(&path, "scrape_configs:\n".repeat(300)).unwrap();
    let error = refused(&path);
    assert!(matches!(error, JournalError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("restore it from a backup"));
}

#[test]
fn pages_overwritten_with_noise_are_found_at_the_door() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    filled(&path);
    let sound = fs::read(&path).unwrap();
    let pages = sound.len() / 4096;
    assert!(pages > 20, "the file has pages to damage");
    for page in 1..pages {
        let mut bytes = sound.clone();
        bytes[page * 4096..][..512].fill(0xA5);
        fs::write(&path, &bytes).unwrap();
        let error = refused(&path);
        assert!(
            matches!(error, JournalError::Damaged { .. }),
            "page {page}: {error:?}"
        );
    }
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/journal.db");
    assert!(matches!(refused(&path), JournalError::Open { .. }));
}

#[test]
fn an_event_missing_in_the_middle_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    filled(&path);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute("DELETE FROM events WHERE seq = 17", [])
        .unwrap();
    drop(connection);
    let journal = Journal::open(&path).unwrap();
    let gap = journal.events();
    assert!(
        matches!(gap, Err(JournalError::Gap { missing: 17 })),
        "{gap:?}"
    );
}
