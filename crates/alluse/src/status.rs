//! `alluse status`: how a server's subsystems fare.

use serde_json::Value;

use crate::{Failure, asking, cli::StatusArgs};

/// Asks and prints; fails when anything is unhealthy.
pub(crate) fn run(args: &StatusArgs) -> Result<(), Failure> {
    let reply = asking::ask(|client| client.get(asking::api(&args.url, "health")))?;
    let text = if args.json {
        reply.to_string()
    } else {
        table(&reply["data"])
    };
    asking::print(&text)?;
    if reply["data"]["status"] == "unhealthy" {
        return Err(Failure::new("alluse: the server is unhealthy"));
    }
    Ok(())
}

/// A line a subsystem, and the verdict on all of them.
fn table(data: &Value) -> String {
    let subsystems = data["subsystems"].as_array().into_iter().flatten();
    let mut lines: Vec<String> = subsystems.map(line).collect();
    let verdict = data["status"].as_str().unwrap_or("unknown");
    lines.push(format!("{verdict:<10} overall"));
    lines.join("\n")
}

fn line(subsystem: &Value) -> String {
    let text = |key: &str| subsystem[key].as_str().unwrap_or_default();
    let causes = subsystem["causes"].as_array().into_iter().flatten();
    let causes: Vec<&str> = causes.filter_map(Value::as_str).collect();
    let mut line = format!("{:<10} {:<12}", text("status"), text("name"));
    line.push_str(text("reason"));
    if !causes.is_empty() {
        line.push_str(&format!(" [because of {}]", causes.join(", ")));
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_subsystem_is_a_line_with_its_cause() {
        let data = json!({"status": "unhealthy", "subsystems": [
            {"name": "disk", "status": "unhealthy", "reason": "0 MiB are free", "causes": []},
            {"name": "store", "status": "unhealthy", "reason": "disk_full", "causes": ["disk"]},
            {"name": "clock", "status": "healthy", "reason": "", "causes": []},
        ]});
        assert_eq!(
            table(&data),
            "unhealthy  disk        0 MiB are free\n\
             unhealthy  store       disk_full [because of disk]\n\
             healthy    clock\n\
             unhealthy  overall"
        );
    }
}
