//! Mail by SMTP (RFC 5321): one message a connection, with STARTTLS (RFC 3207) or TLS from the
//! start, and AUTH PLAIN or LOGIN (RFC 4954). Credentials never travel in the clear.
//!
//! Our own few hundred lines instead of a library: what is needed of SMTP is a dialogue of seven
//! commands, and the TLS is the one of every other client here.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use collect::http::{SecretSource, TlsSettings};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use super::ways::SendError;

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// By STARTTLS, or not at all if the server does not offer it and no credentials are sent.
    Opportunistic,
    /// By STARTTLS, or there is no mail.
    StartTls,
    /// From the first byte (port 465).
    Implicit,
    /// Never.
    None,
}

/// Mail as configured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mail {
    /// `host:port`.
    pub(crate) smarthost: String,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// How this host greets.
    pub(crate) hello: String,
    pub(crate) encryption: Encryption,
    pub(crate) tls: TlsSettings,
    pub(crate) credentials: Option<(String, SecretSource)>,
}

/// Bytes of one line of a reply.
const LINE_MAX: usize = 4 << 10;
/// Lines of one reply.
const LINES_MAX: usize = 100;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

type Line = BufReader<Box<dyn Stream>>;

/// Sends one mail to all its addresses.
pub(crate) async fn send(mail: &Mail, subject: &str, text: &str) -> Result<(), SendError> {
    let mut session = Session::open(mail).await?.greet(mail).await?;
    session.authenticate(mail).await?;
    session
        .command(&format!("MAIL FROM:<{}>", bare(&mail.from)), 250)
        .await?;
    for to in &mail.to {
        session
            .command(&format!("RCPT TO:<{}>", bare(to)), 250)
            .await?;
    }
    session.command("DATA", 354).await?;
    let body = rendered(mail, subject, text);
    session.write(&body).await.map_err(maybe)?;
    // From here on it may have arrived, whatever happens.
    let reply = session.reply().await.map_err(maybe)?;
    reply.expect(250)?;
    // Whether the farewell is heard changes nothing.
    drop(session.command("QUIT", 221).await);
    Ok(())
}

fn maybe(error: SendError) -> SendError {
    SendError::unknown(error.message)
}

struct Session {
    line: Line,
    is_encrypted: bool,
    /// What the server can do, in upper case.
    offers: Vec<String>,
}

struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    fn expect(&self, code: u16) -> Result<(), SendError> {
        let said = format!(
            "the mail server answered {} {}",
            self.code,
            self.lines.join(" ")
        );
        match self.code {
            given if given == code || (code == 250 && given == 251) => Ok(()),
            500..600 => Err(SendError::refused(said)),
            _ => Err(SendError::lost(said)),
        }
    }
}

impl Session {
    async fn open(mail: &Mail) -> Result<Self, SendError> {
        let stream = TcpStream::connect(&mail.smarthost).await;
        let stream = stream.map_err(|e| SendError::lost(format!("cannot connect: {e}")))?;
        let mut session = Self {
            line: BufReader::new(Box::new(stream)),
            is_encrypted: false,
            offers: Vec::new(),
        };
        if mail.encryption == Encryption::Implicit {
            session = session.encrypted(mail).await?;
        }
        session.reply().await?.expect(220)?;
        Ok(session)
    }

    /// Greets, and encrypts where that is wanted and offered.
    async fn greet(mut self, mail: &Mail) -> Result<Self, SendError> {
        self.hello(mail).await?;
        let wants = matches!(
            mail.encryption,
            Encryption::StartTls | Encryption::Opportunistic
        );
        if !wants || self.is_encrypted {
            return Ok(self);
        }
        if !self.offers.iter().any(|offer| offer == "STARTTLS") {
            return match mail.encryption {
                Encryption::StartTls => Err(SendError::refused(
                    "the mail server does not offer STARTTLS",
                )),
                _ => Ok(self),
            };
        }
        self.command("STARTTLS", 220).await?;
        if !self.line.buffer().is_empty() {
            // Bytes before the handshake are not the server's (CVE-2011-0411).
            return Err(SendError::refused(
                "the mail server speaks before TLS begins",
            ));
        }
        let mut session = self.encrypted(mail).await?;
        session.hello(mail).await?;
        Ok(session)
    }

    async fn hello(&mut self, mail: &Mail) -> Result<(), SendError> {
        self.write(&format!("EHLO {}\r\n", mail.hello)).await?;
        let reply = self.reply().await?;
        reply.expect(250)?;
        self.offers = reply
            .lines
            .iter()
            .skip(1)
            .map(|line| line.to_uppercase())
            .collect();
        Ok(())
    }

    async fn encrypted(self, mail: &Mail) -> Result<Self, SendError> {
        let host = mail.smarthost.rsplit_once(':').map_or("", |(host, _)| host);
        let name = mail.tls.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name)
            .map_err(|error| SendError::refused(format!("TLS: {error}")))?;
        let config = mail
            .tls
            .client_config()
            .map_err(|e| SendError::refused(e.to_string()))?;
        let connected = TlsConnector::from(Arc::new(config))
            .connect(name, self.line.into_inner())
            .await;
        let stream = connected.map_err(|error| SendError::lost(format!("TLS: {error}")))?;
        Ok(Self {
            line: BufReader::new(Box::new(stream)),
            is_encrypted: true,
            offers: Vec::new(),
        })
    }

    async fn authenticate(&mut self, mail: &Mail) -> Result<(), SendError> {
        let Some((user, password)) = &mail.credentials else {
            return Ok(());
        };
        if !self.is_encrypted && !is_loopback(&mail.smarthost) {
            return Err(SendError::refused(
                "the connection is not encrypted: the password is not sent",
            ));
        }
        let password = password
            .read()
            .await
            .map_err(|error| SendError::lost(crate::api::problem::chain(&error)))?;
        let offered = self
            .offers
            .iter()
            .find_map(|offer| offer.strip_prefix("AUTH "));
        let methods: Vec<&str> = offered.unwrap_or_default().split(' ').collect();
        if methods.contains(&"PLAIN") {
            let both = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
            self.command(&format!("AUTH PLAIN {both}"), 235).await
        } else if methods.contains(&"LOGIN") {
            self.command("AUTH LOGIN", 334).await?;
            self.command(&BASE64_STANDARD.encode(user), 334).await?;
            self.command(&BASE64_STANDARD.encode(password), 235).await
        } else {
            Err(SendError::refused(
                "the mail server offers neither AUTH PLAIN nor LOGIN",
            ))
        }
    }

    async fn command(&mut self, command: &str, expected: u16) -> Result<(), SendError> {
        self.write(&format!("{command}\r\n")).await?;
        self.reply().await?.expect(expected)
    }

    async fn write(&mut self, text: &str) -> Result<(), SendError> {
        let broken = |error| SendError::lost(format!("the mail server broke off: {error}"));
        self.line
            .get_mut()
            .write_all(text.as_bytes())
            .await
            .map_err(broken)?;
        self.line.get_mut().flush().await.map_err(broken)
    }

    /// A reply: lines `250-...`, the last `250 ...`.
    async fn reply(&mut self) -> Result<Reply, SendError> {
        let odd = || SendError::lost("the mail server speaks no SMTP");
        let mut lines = Vec::new();
        while lines.len() < LINES_MAX {
            let line = self.read_line().await?;
            let code: u16 = line.get(..3).and_then(|c| c.parse().ok()).ok_or_else(odd)?;
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, lines });
            }
        }
        Err(odd())
    }

    async fn read_line(&mut self) -> Result<String, SendError> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.line).take(LINE_MAX as u64);
        let read = bounded.read_until(b'\n', &mut line).await;
        read.map_err(|error| SendError::lost(format!("the mail server broke off: {error}")))?;
        if !line.ends_with(b"\n") {
            return Err(SendError::lost("the mail server broke off"));
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

fn is_loopback(smarthost: &str) -> bool {
    let host = smarthost.rsplit_once(':').map_or("", |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// The address of `Name <address>`.
fn bare(address: &str) -> &str {
    let inner = address
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or(address, |(inner, _)| inner).trim()
}

/// The message with its end, every line ended by CRLF and none a lone dot (RFC 5321, 4.5.2). The
/// text travels as base64: label values are any bytes of UTF-8, and lines of any length.
fn rendered(mail: &Mail, subject: &str, text: &str) -> String {
    let clean = |text: &str| text.replace(['\r', '\n'], " ");
    let mut message = String::new();
    for (name, value) in [
        ("From", clean(&mail.from)),
        ("To", clean(&mail.to.join(", "))),
        ("Subject", encoded_word(&clean(subject))),
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Transfer-Encoding", "base64".to_owned()),
        ("Auto-Submitted", "auto-generated".to_owned()),
    ] {
        message.push_str(&format!("{name}: {value}\r\n"));
    }
    message.push_str("\r\n");
    let body = BASE64_STANDARD.encode(text);
    // Base64 is ASCII: any cut is between characters.
    for line in body.as_bytes().chunks(BASE64_LINE) {
        message.push_str(&String::from_utf8_lossy(line));
        message.push_str("\r\n");
    }
    message.push_str(".\r\n");
    message
}

/// Characters of a line of base64 (RFC 2045).
const BASE64_LINE: usize = 76;
/// Bytes of text in one encoded word: 75 characters hold no more (RFC 2047).
const WORD_BYTES: usize = 42;

/// A header's text: as it is when short and ASCII, else in encoded words.
fn encoded_word(text: &str) -> String {
    if text.is_ascii() && text.len() <= BASE64_LINE {
        return text.to_owned();
    }
    let mut words = vec![String::new()];
    for character in text.chars() {
        let last = words.last_mut().expect("begins with one");
        if last.len() + character.len_utf8() > WORD_BYTES {
            words.push(character.to_string());
        } else {
            last.push(character);
        }
    }
    let word = |word: &String| format!("=?utf-8?B?{}?=", BASE64_STANDARD.encode(word));
    words.iter().map(word).collect::<Vec<_>>().join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_cannot_be_broken_out_of_and_long_ones_are_folded() {
        let mail = Mail {
            smarthost: "h:25".to_owned(),
            from: "Alerts <a@b>".to_owned(),
            to: vec!["c@d".to_owned()],
            hello: "x".to_owned(),
            encryption: Encryption::None,
            tls: TlsSettings::default(),
            credentials: None,
        };
        let text = rendered(&mail, "a\r\nBcc: evil@x", ".\n");
        assert!(text.contains("Subject: a  Bcc: evil@x\r\n"), "{text}");
        assert!(text.ends_with("\r\nLgo=\r\n.\r\n"), "{text}");
        assert_eq!(bare(&mail.from), "a@b");
        let long = encoded_word(&"ü".repeat(60));
        assert!(long.split("\r\n ").all(|word| word.len() <= 75), "{long}");
    }

    #[test]
    fn loopback_needs_no_encryption() {
        assert!(
            is_loopback("127.0.0.1:25") && is_loopback("[::1]:25") && is_loopback("localhost:25")
        );
        assert!(!is_loopback("mail.example:25"));
    }
}
