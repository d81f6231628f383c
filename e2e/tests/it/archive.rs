//! Old days in a second folder, by the real binary: queries see no difference, nor do the tools;
//! without the folder the server says so and does not start.

use e2e::{
    program,
    pushed::{now_ms, write_request},
    server::Server,
    wait,
};

const HEADERS: [(&str, &str); 2] = [
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
];
const DAY_MS: i64 = 86_400_000;
/// Days of backfill.
const DAYS: i64 = 6;

async fn said(arguments: &[&str]) -> (bool, String) {
    let output = program::output(arguments).await;
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[tokio::test]
async fn days_move_to_the_archive_and_are_read_from_it() {
    let _place = wait::place().await;
    let folder = tempfile::tempdir().unwrap();
    let far = folder.path().join("far");
    let config = format!(
        "[collect]\nhost = \"off\"\n[store]\nflush_every = \"1s\"\narchive = \"{}\"\n\
         archive_after = \"2d\"\n",
        far.display()
    );
    let server = Server::start(folder.path(), &config).await;
    let from = (now_ms() / DAY_MS - DAYS) * DAY_MS;
    for hour in 0..DAYS * 24 {
        let series = (0..3).map(|i| {
            let labels = vec![("__name__", "old".to_owned()), ("i", i.to_string())];
            (labels, (hour * i) as f64)
        });
        let body = write_request(series, from + hour * 3_600_000);
        let reply = server.http.bytes("/api/v1/write", &HEADERS, body).await;
        assert_eq!(reply.status, 204, "{}", reply.text);
    }
    // Days whose last sample is two days old; the last of them may be younger.
    let moved = wait::until("the days to move", async || {
        let moved = server.own("alluse_store_archived_parts").await;
        (moved >= (DAYS - 3) as f64).then_some(moved)
    })
    .await;
    let there = std::fs::read_dir(&far).unwrap().flatten();
    let parts = there.filter(|f| f.path().extension().is_some_and(|e| e == "prt"));
    assert!(parts.count() as f64 >= moved);
    let count = "sum(count_over_time(old[10d]))";
    let all = (DAYS * 24 * 3) as f64;
    assert_eq!(server.number(count).await, Some(all));
    let data = folder.path().join("data").display().to_string();
    let (sound, text) = said(&["store", "check", &data]).await;
    assert!(sound, "{text}");
    let (_, text) = said(&["store", "stat", &data, "--json"]).await;
    assert!(
        text.contains("\"damaged\": 0") || text.contains("\"damaged\":0"),
        "{text}"
    );
    let backup = folder.path().join("backup").display().to_string();
    let (done, text) = said(&["backup", "--data", &data, &backup]).await;
    assert!(done, "{text}");
    let (done, text) = said(&["backup", "verify", &backup]).await;
    assert!(done, "{text}");
    server.program.kill().await;

    std::fs::rename(&far, folder.path().join("away")).unwrap();
    let file = folder.path().join("alluse.toml").display().to_string();
    let serve = [
        "serve",
        "--listen=127.0.0.1:0",
        "--config",
        &file,
        "--data",
        &data,
    ];
    let (started, text) = said(&serve).await;
    assert!(!started && text.contains("archive"), "{text}");
    std::fs::rename(folder.path().join("away"), &far).unwrap();
    let server = Server::start(folder.path(), &config).await;
    assert_eq!(server.number(count).await, Some(all));
}
