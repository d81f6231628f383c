//! Just enough HTTP/1.1 to send requests on a kept-alive connection and read what comes back.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A server that is silent for so long has failed: a merge of everything takes its time.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// A connection that stays open.
#[derive(Debug)]
pub(in crate::bench) struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

/// Status and body.
pub(in crate::bench) type Reply = (u16, Vec<u8>);

impl Connection {
    pub(in crate::bench) fn open(address: SocketAddr) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("cannot connect to {address}: {e}");
        let stream = TcpStream::connect(address).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(SILENCE_MAX)).map_err(failed)?;
        Ok(Self {
            stream: BufReader::new(stream),
            host: address.to_string(),
        })
    }

    /// Waits no longer than this for a reply.
    pub(in crate::bench) fn patience(&mut self, time: Duration) -> Result<(), String> {
        let set = self.stream.get_ref().set_read_timeout(Some(time));
        set.map_err(|e| format!("{}: {e}", self.host))
    }

    pub(in crate::bench) fn get(&mut self, path: &str) -> Result<Reply, String> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.exchange(head.as_bytes(), &[])
    }

    pub(in crate::bench) fn post(
        &mut self,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<Reply, String> {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {length}\r\n\r\n",
            self.host
        );
        self.exchange(head.as_bytes(), body)
    }

    fn exchange(&mut self, head: &[u8], body: &[u8]) -> Result<Reply, String> {
        let request = [head, body].concat();
        let sent = self.stream.get_mut().write_all(&request);
        sent.map_err(|e| format!("{}: cannot send: {e}", self.host))?;
        self.reply()
            .map_err(|e| format!("{}: cannot read the reply: {e}", self.host))
    }

    fn reply(&mut self) -> std::io::Result<Reply> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|s| s.parse().ok());
        let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line
                .split_once(':')
                .map(|(name, value)| (name, value.trim()))
            {
                None => break,
                Some(("content-length", value)) => length = value.parse().unwrap_or(0),
                Some(("transfer-encoding", "chunked")) => chunked = true,
                Some(_) => {}
            }
        }
        let mut body = Vec::new();
        if chunked {
            self.chunks(&mut body)?;
        } else {
            body.resize(length, 0);
            self.stream.read_exact(&mut body)?;
        }
        Ok((status, body))
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> std::io::Result<()> {
        loop {
            let line = self.line()?;
            let bytes = usize::from_str_radix(&line, 16);
            let bytes =
                bytes.map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))?;
            let start = body.len();
            body.resize(start + bytes, 0);
            self.stream.read_exact(&mut body[start..])?;
            self.line()?;
            if bytes == 0 {
                return Ok(());
            }
        }
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

/// A text as part of a URL's query.
pub(in crate::bench) fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
