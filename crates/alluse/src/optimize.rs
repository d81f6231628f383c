//! `alluse optimize`: a search as a process, one JSON object a line on standard input and output.

use std::io::{BufRead, Read, Write};

use ::optimize::{Method, protocol::Session};

use crate::{Failure, cli::SearchMethod};

/// Longest request, bytes: a `tell` of ten thousand results fits many times over.
const LINE_MAX: u64 = 16 << 20;

/// Answers requests until `close` or the end of the input.
pub(crate) fn run(method: SearchMethod) -> Result<(), Failure> {
    let method = match method {
        SearchMethod::Gp => Method::TrustRegionGp,
        SearchMethod::Random => Method::Random,
    };
    converse(method, std::io::stdin().lock(), std::io::stdout().lock())
        .map_err(|error| Failure::of(&error))
}

fn converse(
    method: Method,
    mut input: impl BufRead,
    mut output: impl Write,
) -> std::io::Result<()> {
    let mut session = Session::new(method);
    let mut line = String::new();
    while !session.is_closed() {
        line.clear();
        if input.by_ref().take(LINE_MAX).read_line(&mut line)? == 0 {
            break;
        }
        if !line.trim().is_empty() {
            writeln!(output, "{}", session.reply(line.trim_end()))?;
            output.flush()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reply_a_request_until_it_is_closed() {
        let requests = concat!(
            r#"{"op":"init","space":[{"type":"float","name":"x","low":0,"high":1}],"seed":1}"#,
            "\n\n",
            r#"{"op":"ask"}"#,
            "\nnonsense\n",
            r#"{"op":"close"}"#,
            "\n",
            r#"{"op":"ask"}"#,
        );
        let mut replies = Vec::new();
        converse(Method::TrustRegionGp, requests.as_bytes(), &mut replies).unwrap();
        let replies = String::from_utf8(replies).unwrap();
        let lines: Vec<&str> = replies.lines().collect();
        assert_eq!(lines.len(), 4, "{replies}");
        assert_eq!(lines[0], r#"{"ok":true}"#);
        assert!(lines[1].contains(r#""params":{"x":"#) && lines[2].contains("error"));
    }
}
