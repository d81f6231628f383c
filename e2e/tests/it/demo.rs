//! `alluse demo`: to its end, and ended in the middle; nothing stays behind either way.

use std::{path::Path, time::Duration};

use e2e::{proc, program::Talking, wait};
use rustix::process::Signal;
use serde_json::Value;

/// The longest a demo of 25 s may take here: its setting, a change that is just being judged when
/// the time is up, the harmful one, its end.
const DEMO_MAX: Duration = Duration::from_secs(240);

fn demo(folder: &Path, more: &[&str]) -> Talking {
    let data = folder.join("data").display().to_string();
    let mut arguments = vec!["demo", "--listen=127.0.0.1:0", "--data", &data];
    arguments.extend(more);
    Talking::start(&arguments, &folder.join("demo.log"))
}

/// Nothing that was started for a folder still runs.
async fn nothing_stays(folder: &Path) {
    wait::until("every program of the demo to be gone", async || {
        let left = proc::that_name(folder);
        left.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn runs_to_its_end_and_reports_every_change_with_what_proves_it() {
    let _place = wait::place().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    let json = file.display().to_string();
    let more = ["--duration=25s", "--once", "--seed=3", "--json", &json];
    let mut demo = demo(folder.path(), &more);
    let status = demo.ended(DEMO_MAX).await;
    let said = demo.said();
    assert_eq!(status.code(), Some(0), "{said}");
    nothing_stays(folder.path()).await;

    let outcome: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(outcome["loop_did_its_work"], true);
    assert_eq!(outcome["knobs_put_back"], true);
    let report = &outcome["report"];
    for number in ["cpu_seconds", "cpu_share", "memory_bytes"] {
        assert!(
            report["own"][number].as_f64().is_some_and(|n| n > 0.0),
            "{}",
            report["own"]
        );
    }
    let changes = report["changes"].as_array().unwrap();
    assert!(changes.len() >= 2, "{changes:?}");
    for change in changes {
        let state = change["state"].as_str().unwrap();
        assert!(["kept", "undone"].contains(&state), "{change}");
        assert_eq!(change["verified"], true, "{change}");
        for setting in change["settings"].as_array().unwrap() {
            let expected = if state == "kept" { "new" } else { "old" };
            assert_eq!(setting["read_back"], setting[expected], "{change}");
        }
    }
    let judged = changes.iter().filter(|c| c["verdict"].is_object());
    for change in judged.clone() {
        let verdict = &change["verdict"];
        let call = verdict["call"].as_str().unwrap();
        assert!(
            ["better", "worse", "inconclusive"].contains(&call),
            "{verdict}"
        );
        assert!(
            verdict["pairs"].is_u64() && verdict["alpha"].is_f64(),
            "{verdict}"
        );
        if change["state"] == "kept" {
            let high = verdict["effect"]["high"].as_f64();
            assert!(
                high.is_some_and(|high| high < 0.0),
                "kept without evidence: {change}"
            );
        }
    }
    assert!(judged.count() >= 1);

    let harm = &outcome["harm"];
    assert_eq!(
        (harm["state"].as_str(), harm["verified"].as_bool()),
        (Some("undone"), Some(true))
    );
    assert!(harm["total_ms"].as_u64().is_some(), "{harm}");
    for line in [
        "Dashboard: http://127.0.0.1:",
        "durable commits",
        "warming up",
        "tuning for 25 s",
    ] {
        assert!(
            said.contains(line),
            "the person is not told {line:?}:\n{said}"
        );
    }
}

#[tokio::test]
async fn ended_in_the_middle_it_puts_the_knobs_back_and_leaves_nothing() {
    let _place = wait::place().await;
    let folder = tempfile::tempdir().unwrap();
    let mut demo = demo(folder.path(), &["--rate=100"]);
    // In the middle of a trial: the first change has begun.
    let begun = "the demo to try its first change";
    wait::within(DEMO_MAX, begun, async || {
        demo.said().contains("change 1").then_some(())
    })
    .await;
    demo.signal(Signal::INT);
    let status = demo.ended(Duration::from_secs(60)).await;
    let said = demo.said();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(
        said.contains("every knob at its default again, and no lease"),
        "{said}"
    );
    nothing_stays(folder.path()).await;
}

#[tokio::test]
async fn killed_outright_its_programs_end_by_themselves() {
    let _place = wait::place().await;
    let folder = tempfile::tempdir().unwrap();
    let mut demo = demo(folder.path(), &["--rate=20"]);
    wait::within(DEMO_MAX, "the demo to be set up", async || {
        demo.said().contains("tuning for").then_some(())
    })
    .await;
    demo.signal(Signal::KILL);
    demo.ended(Duration::from_secs(10)).await;
    nothing_stays(folder.path()).await;
}
