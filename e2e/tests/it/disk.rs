//! A full disk: ingest stops and says so, nothing acknowledged is lost, and it resumes by itself.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use e2e::{server::Server, service::Service, wait};
use serde_json::{Value, json};

/// A small file system in memory, unmounted at the end.
struct Disk(PathBuf);

impl Disk {
    /// `None` where this process may not mount.
    fn of(bytes: u64, at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={bytes}");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at)
            .output();
        let mounted = mount.is_ok_and(|m| m.status.success());
        mounted.then(|| Self(at.to_owned()))
    }

    /// Writes until there is no room; the file.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::create(&path).unwrap();
        let block = [0x55_u8; 1 << 12];
        while file.write_all(&block).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a program that is being killed may still hold it.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// The store's ballast is 16 MiB; the rest is room for the journal, a log and a few parts.
const DISK_BYTES: u64 = 40 << 20;

async fn ticks(server: &Server) -> Vec<Value> {
    let rows = server.query("ticks_total[1h]").await;
    rows.first()
        .map_or_else(Vec::new, |r| r["values"].as_array().unwrap().clone())
}

async fn subsystem(server: &Server, name: &str) -> Value {
    let health = server.http.get("/api/v1/health").await.json();
    let all = health["data"]["subsystems"].as_array().unwrap().clone();
    all.into_iter().find(|s| s["name"] == name).unwrap()
}

/// The store's state is the disk's fault, and so is that of what depends on the store.
async fn blamed(server: &Server) {
    let disk = subsystem(server, "disk").await;
    assert_eq!(disk["status"], "unhealthy", "{disk}");
    assert_eq!(disk["causes"], json!([]));
    let store = subsystem(server, "store").await;
    assert_eq!(store["status"], "unhealthy", "{store}");
    assert_eq!(store["causes"], json!(["disk"]));
    let queries = subsystem(server, "queries").await;
    assert_eq!(queries["status"], "degraded", "{queries}");
    assert_eq!(queries["causes"], json!(["disk"]));
    assert_eq!(subsystem(server, "clock").await["status"], "healthy");

    let failed = server.http.get("/readyz").await;
    assert_eq!(failed.status, 503);
    assert!(failed.text.contains("[-]store failed"), "{}", failed.text);
    let path = "/readyz?verbose&exclude=store&exclude=journal";
    let excluded = server.http.get(path).await;
    assert_eq!(excluded.status, 200, "{}", excluded.text);
    let said = "[+]store excluded: ok\n";
    assert!(excluded.text.contains(said), "{}", excluded.text);
    assert_eq!(server.http.get("/livez").await.status, 200);
    assert_eq!(server.http.get("/startupz").await.status, 200);
}

#[tokio::test]
async fn a_full_disk_stops_ingest_with_a_clear_state_and_space_resumes_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("disk");
    let Some(disk) = Disk::of(DISK_BYTES, &data) else {
        println!("skipped: a file system cannot be mounted here");
        return;
    };
    let _place = wait::place().await;
    let service = Service::start().await;
    let config = format!(
        "[collect]\nhost_interval = \"100ms\"\n[[collect.scrape]]\njob = \"clock\"\nurl = \"{}/metrics\"\ninterval = \"100ms\"\n",
        service.url
    );
    let server = Server::start_on(folder.path(), &data, &config).await;
    server.answered("ticks_total > 5").await;
    assert_eq!(server.http.get("/-/ready").await.status, 200);

    // Full: the ballast the store gives back is eaten too.
    let mut filler = disk.fill();
    let full = wait::until("the store to say that the disk is full", async || {
        filler = disk.fill();
        let ready = server.http.get("/-/ready").await;
        (ready.status == 503).then_some(ready.text)
    })
    .await;
    assert!(full.contains("disk_full"), "{full}");
    wait::until("the status to say so", async || {
        (server.look("status").await["store"] == "disk_full").then_some(())
    })
    .await;
    blamed(&server).await;
    let metrics = server.http.get("/metrics").await.text;
    assert!(
        metrics.contains("\nalluse_store_disk_full 1\n"),
        "{metrics}"
    );
    assert_eq!(server.http.get("/-/healthy").await.status, 200);
    let acknowledged = ticks(&server).await;
    assert!(
        acknowledged.len() > 5,
        "queries are answered: {acknowledged:?}"
    );

    fs::remove_file(&filler).unwrap();
    wait::until("ingest to resume", async || {
        let ready = server.http.get("/-/ready").await.status == 200;
        let more = ticks(&server).await.len() > acknowledged.len();
        (ready && more).then_some(())
    })
    .await;
    wait::until("the status to say so", async || {
        (server.look("status").await["store"] == "healthy").then_some(())
    })
    .await;
    for name in ["disk", "store", "collector"] {
        wait::until("health to come back", async || {
            (subsystem(&server, name).await["status"] != "unhealthy").then_some(())
        })
        .await;
    }
    assert_eq!(server.http.get("/readyz").await.status, 200);
    let kept = ticks(&server).await;
    for point in &acknowledged {
        assert!(kept.contains(point), "{point} is lost");
    }

    // Also on disk.
    let before = ticks(&server).await;
    server.program.kill().await;
    let again = Server::start_on(folder.path(), &data, "[collect]\nhost = \"off\"\n").await;
    let after = ticks(&again).await;
    let lost: Vec<_> = before.iter().filter(|p| !after.contains(p)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    again.program.kill().await;
}
