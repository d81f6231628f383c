//! Looking after what is kept: stat, check, repair, backup, restore, export, import, delete, with
//! the real binary, while a server runs and after it.

use std::path::{Path, PathBuf};

use e2e::{program::output, server::Server};
use serde_json::Value;

const CONFIG: &str = "[server]\nadmin_api = true\n";

/// Runs a command; its exit code, standard output and standard error.
async fn alluse(arguments: &[&str]) -> (i32, String, String) {
    let ran = output(arguments).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = ran.status.code().unwrap();
    (code, text(ran.stdout), text(ran.stderr))
}

/// Runs a command that has to succeed; its standard output.
async fn done(arguments: &[&str]) -> String {
    let (code, out, err) = alluse(arguments).await;
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    out
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// Lines with everything that is hard to keep: every kind of float, and a native histogram.
fn lines(now_ms: i64) -> String {
    let time = |i: i64| (now_ms - 600_000 + i * 1_000).to_string();
    let values = [
        "0",
        "-0.0",
        "0.1",
        "1e300",
        "5e-324",
        "\"Infinity\"",
        "\"-Infinity\"",
        "\"NaN\"",
        "\"NaN:7ff0000000000002\"",
        "123456789012345.6",
    ];
    let times: Vec<String> = (0..values.len())
        .map(|i| time(i64::try_from(i).unwrap()))
        .collect();
    let steady: Vec<String> = (0..500).map(time).collect();
    // From 1 on: a zero would be written without its fraction.
    let sines: Vec<String> = (1..=500)
        .map(|i| format!("{:?}", f64::from(i).sin()))
        .collect();
    let histogram = format!(
        "{{\"timestamp\":{},\"schema\":2,\"zero_threshold\":0.001,\"zero_count\":1,\"count\":4,\
         \"sum\":\"NaN:7ff8000000000123\",\"positive_spans\":[[-1,2]],\"negative_spans\":[],\
         \"positive_buckets\":[1,2],\"negative_buckets\":[],\"custom_values\":[],\
         \"reset_hint\":\"not_reset\"}}",
        time(3)
    );
    [
        format!(
            "{{\"metric\":{{\"__name__\":\"odd\",\"job\":\"kept\"}},\"values\":[{}],\"timestamps\":[{}]}}",
            values.join(","),
            times.join(",")
        ),
        format!(
            "{{\"metric\":{{\"__name__\":\"sines\",\"job\":\"kept\",\"text\":\"a,\\\"b\\\" ö\"}},\"values\":[{}],\"timestamps\":[{}]}}",
            sines.join(","),
            steady.join(",")
        ),
        format!("{{\"metric\":{{\"__name__\":\"native\",\"job\":\"kept\"}},\"histograms\":[{histogram}]}}"),
    ]
    .join("\n")
}

/// What a folder holds of the lines above, in order.
async fn kept(dir: &str) -> Vec<String> {
    let out = done(&["store", "export", dir, "--match", "{job=\"kept\"}"]).await;
    let mut lines: Vec<String> = out.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn part_of(store: &Path) -> PathBuf {
    let mut parts: Vec<PathBuf> = std::fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "prt"))
        .collect();
    parts.sort();
    parts.pop().expect("a snapshot flushes memory to a part")
}

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(file, bytes).unwrap();
}

async fn pushed(folder: &Path) -> (Server, Vec<String>) {
    let server = Server::start(folder, CONFIG).await;
    let now = server.number("vector(time())").await.unwrap();
    let text = lines((now * 1_000.0) as i64);
    let reply = server
        .http
        .raw("/api/v1/import", "application/json", text.clone())
        .await;
    assert_eq!(reply.status, 204, "{}", reply.text);
    let mut expected: Vec<String> = text.lines().map(str::to_owned).collect();
    expected.sort();
    (server, expected)
}

#[tokio::test]
async fn a_backup_of_a_running_server_is_verified_restored_and_bit_for_bit_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (server, expected) = pushed(folder.path()).await;
    let data = path(folder.path(), "data");
    assert_eq!(kept(&data).await, expected, "read while the server runs");
    let stat: Value =
        serde_json::from_str(&done(&["store", "stat", &data, "--json"]).await).unwrap();
    assert!(
        stat["samples"].as_u64() >= Some(511) && stat["series"].as_u64() >= Some(3),
        "{stat}"
    );
    done(&["store", "check", &data]).await;

    let (by_folder, by_url) = (path(folder.path(), "one"), path(folder.path(), "two"));
    done(&["backup", "--data", &data, &by_folder]).await;
    done(&["backup", "--url", &server.program.url, &by_url]).await;
    for backup in [&by_folder, &by_url] {
        let said = done(&["backup", "verify", backup]).await;
        assert!(said.contains("sound"), "{said}");
        let restored = format!("{backup}-restored");
        done(&["restore", backup, &restored]).await;
        assert_eq!(kept(&restored).await, expected);
        assert!(Path::new(&restored).join("journal.sqlite").is_file());
        let again = Server::start_on(
            &tempfile::tempdir().unwrap().keep(),
            Path::new(&restored),
            CONFIG,
        )
        .await;
        let answer = again
            .number("count({job=\"kept\"} offset 0s) or vector(0)")
            .await;
        assert!(answer.is_some());
        again.terminate().await;
    }
    let (code, _, err) = alluse(&["restore", &by_url, &by_folder]).await;
    assert_eq!((code, err.contains("not empty")), (2, true), "{err}");

    flip(&part_of(&Path::new(&by_url).join("store")), 40);
    let (code, _, err) = alluse(&["backup", "verify", &by_url]).await;
    assert_eq!(
        (code, err.contains("is not what was backed up")),
        (1, true),
        "{err}"
    );
    let lost = path(folder.path(), "lost");
    let (code, ..) = alluse(&["restore", &by_url, &lost]).await;
    assert_eq!(
        (code, Path::new(&lost).exists()),
        (1, false),
        "all of it or nothing"
    );
    server.terminate().await;
}

#[tokio::test]
async fn what_is_deleted_over_the_admin_api_is_gone_and_stays_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (server, expected) = pushed(folder.path()).await;
    let data = path(folder.path(), "data");
    let delete = "/api/v1/admin/tsdb/delete_series";
    let refused = server.http.form(delete, &[]).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    let deleted = server
        .http
        .form(delete, &[("match[]", "sines{job=\"kept\"}")])
        .await;
    assert_eq!(deleted.status, 204, "{}", deleted.text);
    let left: Vec<String> = expected
        .into_iter()
        .filter(|l| !l.contains("sines"))
        .collect();
    assert_eq!(kept(&data).await, left);
    let cleaned = server
        .http
        .form("/api/v1/admin/tsdb/clean_tombstones", &[])
        .await;
    assert_eq!(cleaned.status, 204, "{}", cleaned.text);
    server.terminate().await;
    assert_eq!(kept(&data).await, left);
    let off = Server::start(folder.path(), "").await;
    let closed = off.http.form(delete, &[("match[]", "odd")]).await;
    assert_eq!(closed.status, 503, "{}", closed.text);
    assert!(
        closed.text.contains("admin APIs disabled"),
        "{}",
        closed.text
    );
    assert_eq!(kept(&data).await, left);
    off.terminate().await;
}

#[tokio::test]
async fn damage_is_found_repaired_and_what_was_there_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (server, expected) = pushed(folder.path()).await;
    let made = server.http.form("/api/v1/admin/tsdb/snapshot", &[]).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let data = path(folder.path(), "data");
    let (code, ..) = alluse(&["store", "repair", &data, "--yes"]).await;
    assert_eq!(code, 1, "a store in use is not repaired");
    let store = server.store();
    server.terminate().await;

    // The columns come first in a part: this is a block of one series.
    flip(&part_of(&store), 40);
    let (code, out, err) = alluse(&["store", "check", &data]).await;
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("FAULT") && out.contains("lost:"), "{out}");
    let said = done(&["store", "repair", &data]).await;
    assert!(said.contains("Nothing was changed"), "{said}");
    assert!(!store.join("quarantine").exists());
    let done_json = done(&["store", "repair", &data, "--yes", "--json"]).await;
    let repaired: Value = serde_json::from_str(&done_json).unwrap();
    assert_eq!(
        repaired["actions"].as_array().map(Vec::len),
        Some(1),
        "{repaired}"
    );
    done(&["store", "check", &data]).await;
    assert_eq!(
        std::fs::read_dir(store.join("quarantine")).unwrap().count(),
        2
    );
    let left = kept(&data).await;
    assert!(
        left.iter().all(|line| expected.contains(line)),
        "what is left is right"
    );
}

#[tokio::test]
async fn an_export_imports_again_to_the_same_bits_and_others_can_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let (server, expected) = pushed(folder.path()).await;
    let (data, url) = (path(folder.path(), "data"), server.program.url.clone());
    let file = path(folder.path(), "kept.jsonl");
    let select = ["--match", "{job=\"kept\"}"];
    let export = |more: &[&str]| {
        let mut all: Vec<String> = vec!["store".into(), "export".into()];
        all.extend(more.iter().chain(&select).map(|s| (*s).to_owned()));
        all
    };
    let run = async |arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        done(&arguments).await
    };
    run(export(&["--url", &url, "--output", &file])).await;
    let copy = path(folder.path(), "copy");
    done(&["store", "import", &copy, &file]).await;
    assert_eq!(kept(&copy).await, expected);
    done(&["store", "import", "--url", &url, &file]).await;
    assert_eq!(
        kept(&data).await,
        expected,
        "the same once more changes nothing"
    );
    server.terminate().await;

    let only_floats: Vec<String> = expected
        .iter()
        .filter(|l| !l.contains("histograms"))
        .cloned()
        .collect();
    let csv = path(folder.path(), "kept.csv");
    run(export(&[&copy, "--format", "csv", "--output", &csv])).await;
    let from_csv = path(folder.path(), "from-csv");
    done(&["store", "import", &from_csv, &csv]).await;
    assert_eq!(kept(&from_csv).await, only_floats);

    let om = path(folder.path(), "kept.om");
    run(export(&[&copy, "--format", "openmetrics", "--output", &om])).await;
    let from_om = path(folder.path(), "from-om");
    done(&["store", "import", &from_om, &om]).await;
    let sines = |lines: Vec<String>| lines.into_iter().find(|l| l.contains("sines"));
    assert_eq!(sines(kept(&from_om).await), sines(only_floats));

    let database = path(folder.path(), "kept.sqlite");
    run(export(&[
        &copy, "--format", "sqlite", "--output", &database,
    ]))
    .await;
    let bytes = std::fs::read(&database).unwrap();
    assert!(bytes.starts_with(b"SQLite format 3\0"));
}
