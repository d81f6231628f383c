//! A person is told of what is on record, and of nothing else.

use e2e::server::Server;
use rusqlite::{Connection, TransactionBehavior};
use serde_json::json;

const BUTTON: &str = "/api/v1/loop/red-button";

#[tokio::test]
async fn who_asks_while_the_journal_cannot_be_written_is_not_told_that_it_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[collect]\nhost = \"off\"\n";
    let server = Server::start(folder.path(), config).await;
    server.ready().await;

    // Another program holds the journal for longer than the server waits for it.
    let path = folder.path().join("data/journal.sqlite");
    let mut other = Connection::open(path).unwrap();
    let held = other
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    let by = json!({"by": "operator"});
    let refused = server.http.json("POST", BUTTON, &by).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.text.contains("journal"), "{}", refused.text);
    held.rollback().unwrap();

    // What was asked meanwhile comes onto the record with the next turn that can be written.
    let pressed = server.http.json("POST", BUTTON, &by).await;
    assert_eq!(pressed.status, 200, "{}", pressed.text);
    assert_eq!(pressed.json()["red_button"], "operator");
    server.program.kill().await;
    let again = Server::start(folder.path(), config).await;
    again.ready().await;
    let status = again.look("status").await;
    assert_eq!(status["red_button"], "operator", "{status}");
}
