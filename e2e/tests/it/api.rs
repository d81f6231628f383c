//! Prometheus's HTTP API: shapes, codes and limits, as its clients rely on them.

use e2e::{
    http::{Client, Reply},
    server::Server,
    service::Service,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server that has scraped a service with two gauges.
struct Scene {
    _folder: TempDir,
    _service: Service,
    server: Server,
}

impl Scene {
    async fn set(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::start().await;
        service.set("shelf_items{kind=\"book\",shelf=\"a\"}", 3.0);
        service.set("shelf_items{kind=\"map\",shelf=\"a\"}", 4.0);
        let config = format!(
            "{settings}\n[collect]\nhost = \"off\"\n[[collect.scrape]]\njob = \"shop\"\nurl = \"{}/metrics\"\ninterval = \"200ms\"\n",
            service.url
        );
        let server = Server::start(folder.path(), &config).await;
        server.answered("shelf_items").await;
        Self {
            _folder: folder,
            _service: service,
            server,
        }
    }

    /// The reply to a GET and to a POST of the same parameters, which must be the same.
    async fn both(&self, path: &str, parameters: &[(&str, &str)]) -> Reply {
        let path = format!("/api/v1/{path}");
        let got = self.server.http.ask(&path, parameters).await;
        let posted = self.server.http.form(&path, parameters).await;
        assert_eq!(got.status, posted.status, "{} {}", got.text, posted.text);
        assert_eq!(got.text, posted.text);
        got
    }

    async fn data(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let reply = self.both(path, parameters).await;
        assert_eq!(reply.status, 200, "{path} {parameters:?}: {}", reply.text);
        assert_eq!(reply.content_type, "application/json");
        let reply = reply.json();
        assert_eq!(reply["status"], "success");
        reply["data"].clone()
    }

    async fn refused(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
        status: u16,
        kind: &str,
    ) -> String {
        let reply = self.both(path, parameters).await;
        let what = format!("{path} {parameters:?}: {} {}", reply.status, reply.text);
        assert_eq!(reply.status, status, "{what}");
        let envelope = reply.json();
        assert_eq!(envelope["status"], "error", "{what}");
        assert_eq!(envelope["errorType"], kind, "{what}");
        envelope["error"].as_str().unwrap().to_owned()
    }
}

/// A moment at which the service has surely been scraped: the newest sample's.
async fn scraped_at(server: &Server) -> f64 {
    server.number("max(timestamp(shelf_items))").await.unwrap()
}

#[tokio::test]
async fn queries_answer_in_prometheus_shapes() {
    let scene = Scene::set("").await;
    let at = scraped_at(&scene.server).await.to_string();

    let vector = scene
        .data("query", &[("query", "shelf_items"), ("time", &at)])
        .await;
    assert_eq!(vector["resultType"], "vector");
    let rows = vector["result"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    let row = rows.iter().find(|r| r["metric"]["kind"] == "book").unwrap();
    assert_eq!(row["metric"]["__name__"], "shelf_items");
    assert_eq!(row["metric"]["job"], "shop");
    assert_eq!(row["value"][0].as_f64(), at.parse().ok());
    assert_eq!(row["value"][1], "3");

    let scalar = scene
        .data("query", &[("query", "1/3"), ("time", "5")])
        .await;
    assert_eq!(
        scalar,
        json!({"resultType": "scalar", "result": [5, "0.3333333333333333"]})
    );
    let text = scene
        .data("query", &[("query", "\"a\""), ("time", "5")])
        .await;
    assert_eq!(text, json!({"resultType": "string", "result": [5, "a"]}));
    let infinite = scene
        .data("query", &[("query", "-1/0"), ("time", "5")])
        .await;
    assert_eq!(infinite["result"][1], "-Inf");

    let raw = scene
        .data(
            "query",
            &[("query", "shelf_items{kind=\"map\"}[1m]"), ("time", &at)],
        )
        .await;
    assert_eq!(raw["resultType"], "matrix");
    assert_eq!(raw["result"][0]["values"][0][1], "4");

    let window = [
        ("query", "vector(1)"),
        ("start", "0"),
        ("end", "10"),
        ("step", "5"),
    ];
    let matrix = scene.data("query_range", &window).await;
    let expected = json!({"resultType": "matrix", "result": [
        {"metric": {}, "values": [[0, "1"], [5, "1"], [10, "1"]]}]});
    assert_eq!(matrix, expected);
    let iso = [
        ("query", "time()"),
        ("start", "1970-01-01T00:00:10Z"),
        ("end", "1970-01-01T01:00:20+01:00"),
        ("step", "10s"),
    ];
    let matrix = scene.data("query_range", &iso).await;
    assert_eq!(
        matrix["result"][0]["values"],
        json!([[10, "10"], [20, "20"]])
    );
}

#[tokio::test]
async fn names_values_series_and_metadata_are_listed() {
    let scene = Scene::set("").await;
    let names = scene.data("labels", &[("match[]", "shelf_items")]).await;
    assert_eq!(
        names,
        json!(["__name__", "instance", "job", "kind", "shelf"])
    );
    let path = "/api/v1/label/kind/values?match[]=shelf_items";
    let values = scene.server.http.get(path).await.json();
    assert_eq!(values["data"], json!(["book", "map"]));
    let none = scene
        .server
        .http
        .get("/api/v1/label/nothing/values")
        .await
        .json();
    assert_eq!(none["data"], json!([]));

    let selectors = [
        ("match[]", "shelf_items{kind=\"map\"}"),
        ("match[]", "up{job=\"shop\"}"),
    ];
    let series = scene.data("series", &selectors).await;
    let found: Vec<&str> = series
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["__name__"].as_str().unwrap())
        .collect();
    assert_eq!(found.len(), 2);
    assert!(
        found.contains(&"shelf_items") && found.contains(&"up"),
        "{found:?}"
    );
    let limited = scene
        .data("series", &[("match[]", "shelf_items"), ("limit", "1")])
        .await;
    assert_eq!(limited.as_array().unwrap().len(), 1);

    scene.server.answered("alluse_loop_turns_total").await;
    let path = "/api/v1/metadata?metric=alluse_loop_turns_total";
    let metadata = scene.server.http.get(path).await.json();
    let of_turns = &metadata["data"]["alluse_loop_turns_total"][0];
    assert_eq!(of_turns["type"], "counter", "{metadata}");
    assert_eq!(of_turns["help"], "Turns of the loop.");

    let build = scene
        .server
        .http
        .get("/api/v1/status/buildinfo")
        .await
        .json();
    assert_eq!(build["status"], "success");
    assert!(
        build["data"]["version"]
            .as_str()
            .unwrap()
            .starts_with(char::is_numeric)
    );
    let formatted = scene
        .data("format_query", &[("query", "sum by(a)(rate( x[5m] ))")])
        .await;
    assert_eq!(formatted, "sum by (a) (rate(x[5m]))");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_the_envelope() {
    let scene = Scene::set("").await;
    let bad = "bad_data";
    let error = scene
        .refused("query", &[("query", "sum(\nup")], 400, bad)
        .await;
    assert!(error.contains("2:3"), "no position: {error}");
    scene.refused("query", &[], 400, bad).await;
    let error = scene
        .refused("query", &[("query", "up"), ("time", "noon")], 400, bad)
        .await;
    assert!(
        error.contains("\"time\"") && error.contains("noon"),
        "{error}"
    );
    scene
        .refused("query", &[("query", "up"), ("timeout", "-1s")], 400, bad)
        .await;

    for (wrong, key) in [
        ([("start", "10"), ("end", "0"), ("step", "1")], "end"),
        ([("start", "0"), ("end", "10"), ("step", "0")], "step"),
        ([("start", "0"), ("end", "10"), ("step", "-5")], "step"),
        ([("start", "0"), ("end", "10"), ("step", "x")], "step"),
        ([("start", "x"), ("end", "10"), ("step", "1")], "start"),
        (
            [("start", "1e300"), ("end", "1e301"), ("step", "1")],
            "start",
        ),
    ] {
        let mut parameters = vec![("query", "up")];
        parameters.extend(wrong);
        let error = scene.refused("query_range", &parameters, 400, bad).await;
        assert!(error.contains(key), "{wrong:?}: {error}");
    }

    scene.refused("series", &[], 400, bad).await;
    for selector in ["{", "1", "up[5m]", "{}", "sum(up)"] {
        let error = scene
            .refused("series", &[("match[]", selector)], 400, bad)
            .await;
        assert!(error.contains("match[]"), "{selector}: {error}");
    }
    scene
        .refused("labels", &[("limit", "many")], 400, bad)
        .await;
    scene
        .refused("format_query", &[("query", ")")], 400, bad)
        .await;

    // Understood, but it cannot be carried out.
    let twice = "shelf_items + on(shelf) shelf_items";
    let error = scene
        .refused("query", &[("query", twice)], 422, "execution")
        .await;
    assert!(error.contains("many-to-many"), "{error}");
    let unknown = scene.server.http.get("/api/v1/no_such_thing").await;
    assert_eq!(unknown.status, 404);
    let wrong = scene
        .server
        .http
        .json("DELETE", "/api/v1/query", &json!({}))
        .await;
    assert_eq!(wrong.status, 405);
}

/// Far more work than any test waits for.
const ENDLESS: &str =
    "quantile_over_time(0.5, (vector(time()) % 7 + vector(time()) % 11)[5000000s:1s])";

/// The only query on the list whose text is this, once it is there.
async fn listed(client: &Client, text: &str) -> Value {
    loop {
        let list = client.get("/api/v1/queries").await.json();
        let rows = list["data"].as_array().unwrap().clone();
        if let Some(row) = rows.into_iter().find(|row| row["query"] == text) {
            return row;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_query_is_listed_and_can_be_killed() {
    let scene = Scene::set("[server]\nquery_timeout = \"10m\"\nquery_slow_after = \"1ms\"\n").await;
    let client = scene.server.http.clone();
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.ask("/api/v1/query", &[("query", ENDLESS)]).await }
    });
    let row = listed(&client, ENDLESS).await;
    assert_eq!(row["state"], "running");
    let path = format!("/api/v1/queries/{}", row["id"].as_str().unwrap());
    let killed = client.send("DELETE", &path, &[]).await;
    assert_eq!(killed.status, 200, "{}", killed.text);
    let ended = asked.await.unwrap();
    assert_eq!(ended.status, 503, "{}", ended.text);
    assert_eq!(ended.json()["errorType"], "canceled");
    let again = client.send("DELETE", &path, &[]).await;
    assert_eq!(again.status, 404, "{}", again.text);
    let slow = client.get("/api/v1/queries/slow").await.json();
    let found = slow["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["query"] == ENDLESS);
    assert_eq!(found.unwrap()["outcome"], "killed");
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_query_along() {
    let scene = Scene::set("[server]\nquery_timeout = \"10m\"\n").await;
    let client = scene.server.http.clone();
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.ask("/api/v1/query", &[("query", ENDLESS)]).await }
    });
    listed(&client, ENDLESS).await;
    asked.abort();
    loop {
        let list = client.get("/api/v1/queries").await.json();
        if list["data"].as_array().unwrap().is_empty() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_query_tells_what_it_took_if_asked() {
    let scene = Scene::set("").await;
    let plain = scene
        .data("query", &[("query", "shelf_items"), ("time", "1")])
        .await;
    assert!(plain.get("stats").is_none());
    let asked = [("query", "count(shelf_items)"), ("stats", "all")];
    let reply = scene.server.http.ask("/api/v1/query", &asked).await.json();
    let stats = &reply["data"]["stats"];
    assert_eq!(stats["samples"]["totalQueryableSamples"], 2, "{reply}");
    assert!(
        stats["samples"]["peakSamples"]
            .as_u64()
            .is_some_and(|n| n >= 1)
    );
    assert!(
        stats["timings"]["execTotalTime"]
            .as_f64()
            .is_some_and(|s| s > 0.0)
    );
}

#[tokio::test]
async fn a_range_asked_again_is_answered_from_what_was_kept_until_a_sample_comes_late() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "[collect]\nhost = \"off\"\n").await;
    // What the server writes about itself comes after it.
    let now_s = server.number("vector(time())").await.unwrap() as i64 / 60 * 60 - 60;
    let write = async |ago_s: i64, value: i64| {
        let line = format!("shelf items={value} {}", (now_s - ago_s) * 1_000_000_000);
        let reply = server.http.raw("/write", "text/plain", &line).await;
        assert_eq!(reply.status, 204, "{}", reply.text);
    };
    let times = [now_s - 1_200, now_s].map(|time| time.to_string());
    let ask = async |more: &[(&str, &str)]| {
        let range = [("start", &*times[0]), ("end", &*times[1]), ("step", "60")];
        let asked = [&[("query", "shelf_items * 2")][..], &range, more].concat();
        let reply = server.http.ask("/api/v1/query_range", &asked).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()["data"]["result"].clone()
    };
    let counted = async || {
        let counters = ["hits", "misses", "steps_reused"];
        let page = server.http.get("/metrics").await.text;
        counters.map(|name| {
            let name = format!("alluse_query_cache_{name}_total ");
            let line = page.lines().find_map(|line| line.strip_prefix(&name));
            line.and_then(|n| n.parse::<u64>().ok()).unwrap()
        })
    };
    write(900, 1).await;
    let first = ask(&[]).await;
    assert_eq!(ask(&[]).await, first);
    assert_eq!(counted().await, [1, 1, 21]);
    assert_eq!(ask(&[("nocache", "1")]).await, first);
    assert_eq!(ask(&[("stats", "all")]).await, first);
    assert_eq!(
        counted().await,
        [1, 1, 21],
        "who does not want it does not get it"
    );
    write(300, 5).await;
    let second = ask(&[]).await;
    assert_ne!(second, first, "what was written is seen");
    assert_eq!(counted().await, [2, 1, 21 + 15]);
    assert_eq!(ask(&[("nocache", "1")]).await, second);
}

#[tokio::test]
async fn limits_hold_and_say_which_they_are() {
    let limits =
        "[server]\nbody_bytes_max = 100000\nquery_bytes_max = 1000\nquery_timeout = \"200ms\"\n";
    let scene = Scene::set(limits).await;
    let long = format!("up{{a=\"{}\"}}", "x".repeat(1_000));
    let error = scene
        .refused("query", &[("query", &long)], 400, "bad_data")
        .await;
    assert!(error.contains("1000") || error.contains("1,000"), "{error}");

    // 11,000 steps, as Prometheus.
    let most = [
        ("query", "vector(1)"),
        ("start", "0"),
        ("end", "11000"),
        ("step", "1"),
    ];
    let points = scene.data("query_range", &most).await;
    assert_eq!(
        points["result"][0]["values"].as_array().unwrap().len(),
        11_001
    );
    let more = [
        ("query", "vector(1)"),
        ("start", "0"),
        ("end", "11001"),
        ("step", "1"),
    ];
    let error = scene.refused("query_range", &more, 400, "bad_data").await;
    assert!(error.contains("11,000 points"), "{error}");

    let body = format!("query=up&x={}", "x".repeat(200_000));
    let kind = "application/x-www-form-urlencoded";
    // On a connection of its own: the server closes it without having read all of that.
    let once = Client::new(&scene.server.http.url);
    let huge = once.raw("/api/v1/query", kind, body).await;
    assert_eq!(huge.status, 413, "{}", huge.text);

    // Far more work than 200 ms: time runs out, the server does not.
    let deep = "quantile_over_time(0.5, (vector(time()) % 7 + vector(time()) % 11)[5000000s:1s])";
    let late = scene
        .refused("query", &[("query", deep)], 503, "timeout")
        .await;
    assert!(!late.is_empty());
    let fine = scene.data("query", &[("query", "1"), ("time", "1")]).await;
    assert_eq!(fine["result"][1], "1");

    // Deeply nested text ends in an error, not in a stack.
    let nested = format!("{}1{}", "(".repeat(450), ")".repeat(450));
    let answer = scene
        .both("query", &[("query", &nested), ("time", "1")])
        .await;
    assert!([200, 400, 422].contains(&answer.status), "{}", answer.text);
}
