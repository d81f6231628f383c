//! Targets from DNS records, asked of the name servers of `/etc/resolv.conf`.
//!
//! As in Prometheus the servers are asked directly: `/etc/hosts` is not looked at. UDP first,
//! TCP when the answer does not fit. `search`, `ndots`, `timeout` and `attempts` count.
//! Specs: RFC 1035 (messages), RFC 2782 (SRV), resolv.conf(5).

mod message;

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    io::{Error, ErrorKind, Result},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

use super::{DnsRecord, Found, Group};
use crate::http::read_text;
use message::{Answer, Data};

/// Where Linux keeps the name servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Longest UDP answer without extensions (RFC 1035, section 4.2.1), with room for servers that
/// send more.
const UDP_BYTES: usize = 4096;

/// Whom to ask, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// The servers in order.
    pub servers: Vec<SocketAddr>,
    /// Domains put behind names with few dots.
    pub search: Vec<String>,
    /// Names with as many dots are first looked up as they are.
    pub ndots: usize,
    /// Wait for one answer.
    pub timeout: Duration,
    /// Rounds through the servers.
    pub attempts: usize,
}

impl Default for Resolver {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        }
    }
}

impl Resolver {
    /// The meaning of a `resolv.conf`. Without a server in it, the one on this host.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let mut resolver = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    let server = address.map(|address| SocketAddr::new(address, 53));
                    resolver.servers.extend(server);
                }
                Some("search" | "domain") => {
                    resolver.search = words.map(str::to_owned).collect();
                }
                Some("options") => words.for_each(|word| resolver.option(word)),
                _ => {}
            }
        }
        if resolver.servers.is_empty() {
            resolver
                .servers
                .push(SocketAddr::from(([127, 0, 0, 1], 53)));
        }
        resolver
    }

    fn option(&mut self, word: &str) {
        let Some((name, value)) = word.split_once(':') else {
            return;
        };
        let Ok(number) = value.parse::<usize>() else {
            return;
        };
        match name {
            "ndots" => self.ndots = number.min(15),
            "timeout" => self.timeout = Duration::from_secs(number.clamp(1, 30) as u64),
            "attempts" => self.attempts = number.clamp(1, 5),
            _ => {}
        }
    }

    /// The targets of one name; none when it does not exist.
    pub async fn targets(&self, name: &str, record: DnsRecord, port: u16) -> Result<Group> {
        for name in self.candidates(name) {
            let answer = self.ask(&name, record).await?;
            if !answer.data.is_empty() {
                return Ok(group(&answer.data, port));
            }
        }
        Ok(Group::default())
    }

    /// Full names to try, in order.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(full) = name.strip_suffix('.') {
            return vec![full.to_owned()];
        }
        let searched = self.search.iter();
        let mut names: Vec<String> = searched
            .map(|domain| format!("{name}.{}", domain.trim_matches('.')))
            .collect();
        let has_dots = name.matches('.').count() >= self.ndots;
        names.insert(if has_dots { 0 } else { names.len() }, name.to_owned());
        names
    }

    /// The first server that answers at all decides.
    async fn ask(&self, name: &str, record: DnsRecord) -> Result<Answer> {
        let mut failure = Error::new(ErrorKind::NotFound, "no name server is configured");
        for _ in 0..self.attempts {
            for server in &self.servers {
                let exchange = tokio::time::timeout(self.timeout, exchange(*server, name, record));
                match exchange.await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(error)) => failure = error,
                    Err(_elapsed) => {
                        let what = format!("{server} does not answer");
                        failure = Error::new(ErrorKind::TimedOut, what);
                    }
                }
            }
        }
        Err(failure)
    }
}

/// Looks every name up with this host's resolver configuration.
pub(super) async fn look_up(names: &[String], record: DnsRecord, port: u16) -> Found {
    let text = read_text(RESOLV_CONF.into()).await;
    let resolver = Resolver::from_text(&text.unwrap_or_default());
    let mut found = BTreeMap::new();
    for name in names {
        let targets = resolver.targets(name, record, port).await;
        let groups = targets.map(|mut group| {
            group
                .labels
                .push(("__meta_dns_name".to_owned(), name.clone()));
            vec![group]
        });
        found.insert(name.clone(), groups.map_err(|error| error.to_string()));
    }
    found
}

fn group(records: &[Data], port: u16) -> Group {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let address = |host: &str, port: u16| pair("__address__", format!("{host}:{port}"));
    let target = |data: &Data| match data {
        Data::Address(IpAddr::V4(ip)) => vec![address(&ip.to_string(), port)],
        Data::Address(IpAddr::V6(ip)) => vec![address(&format!("[{ip}]"), port)],
        Data::Service { target, port } => vec![
            address(target, *port),
            pair("__meta_dns_srv_record_target", format!("{target}.")),
            pair("__meta_dns_srv_record_port", port.to_string()),
        ],
        Data::Mail(target) => vec![
            address(target, port),
            pair("__meta_dns_mx_record_target", format!("{target}.")),
        ],
        Data::NameServer(target) => vec![
            address(target, port),
            pair("__meta_dns_ns_record_target", format!("{target}.")),
        ],
    };
    Group {
        targets: records.iter().map(target).collect(),
        labels: Vec::new(),
    }
}

async fn exchange(server: SocketAddr, name: &str, record: DnsRecord) -> Result<Answer> {
    // Random per call, so that an answer cannot be forged without seeing the question.
    let id = u16::try_from(RandomState::new().hash_one(name) & 0xFFFF).expect("16 bits");
    let question = message::question(id, name, record)?;
    let answer = over_udp(server, &question, id, record).await?;
    if answer.is_truncated {
        return over_tcp(server, &question, id, record).await;
    }
    Ok(answer)
}

async fn over_udp(
    server: SocketAddr,
    question: &[u8],
    id: u16,
    record: DnsRecord,
) -> Result<Answer> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; UDP_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // An answer to another question may be old or forged: the wait goes on.
        if message::answers(&buffer[..length], id) {
            return message::answer(&buffer[..length], record);
        }
    }
}

async fn over_tcp(
    server: SocketAddr,
    question: &[u8],
    id: u16,
    record: DnsRecord,
) -> Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).expect("names are short");
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(question);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    if !message::answers(&buffer, id) {
        let what = "an answer to another question";
        return Err(Error::new(ErrorKind::InvalidData, what));
    }
    message::answer(&buffer, record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read() {
        let text = "# remark\nnameserver 10.0.0.1\nnameserver ::1\nnameserver bad\n\
                    search a.example b.example\noptions ndots:2 timeout:1 rotate attempts:9\n";
        let resolver = Resolver::from_text(text);
        assert_eq!(
            resolver.servers,
            ["10.0.0.1:53", "[::1]:53"].map(|s| s.parse::<SocketAddr>().unwrap())
        );
        assert_eq!((resolver.ndots, resolver.attempts), (2, 5));
        assert_eq!(resolver.timeout, Duration::from_secs(1));
        assert_eq!(resolver.candidates("x."), ["x"]);
        assert_eq!(
            resolver.candidates("x.y"),
            ["x.y.a.example", "x.y.b.example", "x.y"]
        );
        assert_eq!(resolver.candidates("x.y.z")[0], "x.y.z");
        assert_eq!(
            Resolver::from_text("").servers[0].to_string(),
            "127.0.0.1:53"
        );
    }
}
