//! What the subcommands that ask a server have in common: one request, its answer in Prometheus's
//! envelope or the reason there is none, and what is printed of it.

use std::io::Write;

use reqwest::RequestBuilder;
use serde_json::Value;

use crate::Failure;

/// Runs one exchange to its end.
pub(crate) fn block_on<T>(task: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| Failure::of(&error))?.block_on(task)
}

/// The answer, envelope and all; fails with the reason that the server gives.
pub(crate) fn ask(
    request: impl FnOnce(reqwest::Client) -> RequestBuilder,
) -> Result<Value, Failure> {
    block_on(async {
        // The client is made where the exchange runs.
        let reply = request(reqwest::Client::new()).send().await;
        let reply = reply.map_err(|error| Failure::of(&error))?;
        let json: Value = reply.json().await.map_err(|error| Failure::of(&error))?;
        if json["status"] == "success" {
            return Ok(json);
        }
        let why = json["error"].as_str().unwrap_or("no reason given");
        Err(Failure::new(format!("alluse: {why}")))
    })
}

/// A path of a server's API.
pub(crate) fn api(server: &str, path: &str) -> String {
    format!("{}/api/v1/{path}", server.trim_end_matches('/'))
}

/// A text and the end of its last line.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| Failure::of(&error))
}
