//! A turn is whole or not there: after a drop, after a copy taken at any moment, after a kill.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use journal::Journal;
use model::{ChangeId, ChangeState};

use crate::nouns::change;

/// Set in the child process that writes until it is killed.
const CHILD: &str = "JOURNAL_TEST_WRITES_TO";

/// One turn: a change and its event, which belong together.
fn turn(journal: &mut Journal, id: u64) {
    let mut batch = journal.batch().unwrap();
    batch
        .record_change(&change(id, ChangeState::Trying))
        .unwrap();
    batch.append_event(1, &id.to_string()).unwrap();
    batch.commit().unwrap();
}

/// Turns 1 to n, each whole; gives n.
fn whole_turns(journal: &Journal) -> u64 {
    let events = journal.events().unwrap();
    let changes = journal.changes(u32::MAX).unwrap();
    let expected: Vec<String> = (1..=events.len()).map(|id| id.to_string()).collect();
    assert_eq!(events, expected);
    let ids: Vec<String> = changes.iter().rev().map(|c| c.id.to_string()).collect();
    assert_eq!(ids, expected);
    expected.len() as u64
}

#[test]
fn a_batch_dropped_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut journal = Journal::open(&path).unwrap();
    turn(&mut journal, 1);
    let mut batch = journal.batch().unwrap();
    batch
        .record_change(&change(2, ChangeState::Trying))
        .unwrap();
    batch.append_event(1, "2").unwrap();
    drop(batch);
    assert_eq!(journal.change(ChangeId(2)).unwrap(), None);
    // The number given to the event that never was is given again: no gap.
    turn(&mut journal, 2);
    assert_eq!(whole_turns(&journal), 2);
}

/// What a crash leaves is the files as they are, without a close: copies at every turn.
#[test]
fn files_copied_without_a_close_hold_every_turn_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut journal = Journal::open(&path).unwrap();
    for id in 1..=20 {
        turn(&mut journal, id);
        let mut batch = journal.batch().unwrap();
        batch
            .record_change(&change(99, ChangeState::Trying))
            .unwrap();
        let copy = folder.path().join(format!("copy-{id}.db"));
        copied(&path, &copy);
        drop(batch);
        assert_eq!(whole_turns(&Journal::open(&copy).unwrap()), id);
    }
}

#[test]
fn a_torn_log_loses_the_last_turns_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut journal = Journal::open(&path).unwrap();
    (1..=10).for_each(|id| turn(&mut journal, id));
    let copy = folder.path().join("copy.db");
    let wal = folder.path().join("copy.db-wal");
    let mut seen = Vec::new();
    for cut in (0..40).map(|n| n * 1_000) {
        copied(&path, &copy);
        let bytes = fs::read(&wal).unwrap();
        fs::write(&wal, &bytes[..bytes.len().saturating_sub(cut)]).unwrap();
        // Cut before the schema's own turn, the file is a new one.
        seen.push(whole_turns(&Journal::open(&copy).unwrap()));
    }
    assert_eq!(seen[0], 10);
    assert!(seen.is_sorted_by(|a, b| a >= b), "{seen:?}");
    assert!(
        *seen.last().unwrap() < 10,
        "the cuts reached turns: {seen:?}"
    );
}

fn copied(from: &Path, to: &Path) {
    let wal = |path: &Path| path.with_extension("db-wal");
    let shm = to.with_extension("db-shm");
    if shm.exists() {
        fs::remove_file(shm).unwrap();
    }
    fs::copy(from, to).unwrap();
    fs::copy(wal(from), wal(to)).unwrap();
}

/// The child of the test below: writes turns and says each number once it is durable.
#[test]
fn writes_until_killed_when_asked_to() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let mut journal = Journal::open(path).unwrap();
    let begin = whole_turns(&journal) + 1;
    for id in begin.. {
        turn(&mut journal, id);
        writeln!(std::io::stdout(), "durable {id}").unwrap();
    }
}

#[test]
fn a_kill_in_the_middle_of_writing_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut acknowledged = 0;
    for kill in 1..=8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "durability::writes_until_killed_when_asked_to",
                "--nocapture",
            ])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut durable = || {
            said.by_ref().map(Result::unwrap).find_map(|line| {
                let number = line.rsplit_once("durable ")?.1;
                number.parse::<u64>().ok()
            })
        };
        for _ in 0..kill * 3 {
            acknowledged = durable().expect("the child writes");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it still said before it died was durable too.
        while let Some(id) = durable() {
            acknowledged = id;
        }
        let journal = Journal::open(&path).unwrap();
        assert!(whole_turns(&journal) >= acknowledged, "kill {kill}");
    }
}
