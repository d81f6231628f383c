//! DNS messages (RFC 1035, section 4): one question out, its answers in, never past their end.

use std::{
    io::{Error, ErrorKind, Result},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::super::DnsRecord;

/// Bytes of a name at most (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 255;
/// Bytes of one part of a name.
const LABEL_BYTES_MAX: usize = 63;
/// The class of the Internet.
const INTERNET: u16 = 1;
/// "Ask on for me."
const RECURSION_DESIRED: u16 = 0x0100;
const IS_ANSWER: u16 = 0x8000;
const IS_TRUNCATED: u16 = 0x0200;
/// Answer codes.
const NO_ERROR: u16 = 0;
const NO_SUCH_NAME: u16 = 3;
/// Records of one answer.
const RECORDS_MAX: usize = 4096;

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) data: Vec<Data>,
    pub(super) is_truncated: bool,
}

/// One record's data. Names are without their last dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Data {
    Address(IpAddr),
    Service { target: String, port: u16 },
    Mail(String),
    NameServer(String),
}

fn number(record: DnsRecord) -> u16 {
    match record {
        DnsRecord::A => 1,
        DnsRecord::Ns => 2,
        DnsRecord::Mx => 15,
        DnsRecord::Aaaa => 28,
        DnsRecord::Srv => 33,
    }
}

/// A question for the records of a name.
pub(super) fn question(id: u16, name: &str, record: DnsRecord) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(18 + name.len());
    for word in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    for label in name.split('.') {
        let length = u8::try_from(label.len()).unwrap_or(u8::MAX);
        let fits = (1..=LABEL_BYTES_MAX).contains(&label.len()) && name.len() < NAME_BYTES_MAX - 1;
        if !fits {
            let what = format!("{name:?} is no name that can be looked up");
            return Err(Error::new(ErrorKind::InvalidInput, what));
        }
        bytes.push(length);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    for word in [number(record), INTERNET] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    Ok(bytes)
}

/// Whether bytes are an answer to the question with this number.
pub(super) fn answers(bytes: &[u8], id: u16) -> bool {
    let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    word(0) == Some(id) && word(2).is_some_and(|flags| flags & IS_ANSWER != 0)
}

/// Reads an answer: the records of the kind asked for, whatever aliases led there.
pub(super) fn answer(bytes: &[u8], record: DnsRecord) -> Result<Answer> {
    let mut reader = Reader { bytes, at: 2 };
    let flags = reader.word()?;
    let is_truncated = flags & IS_TRUNCATED != 0;
    match flags & 0xF {
        NO_ERROR | NO_SUCH_NAME => {}
        code => {
            return Err(invalid(&format!(
                "the name server refuses with code {code}"
            )));
        }
    }
    let (questions, records) = (reader.word()?, reader.word()?);
    reader.at += 4;
    if is_truncated {
        let data = Vec::new();
        return Ok(Answer { data, is_truncated });
    }
    for _ in 0..questions {
        reader.name()?;
        reader.skip(4)?;
    }
    let mut data = Vec::new();
    for _ in 0..usize::from(records).min(RECORDS_MAX) {
        data.extend(reader.record(record)?);
    }
    Ok(Answer { data, is_truncated })
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.first_chunk::<N>();
        let taken = taken.ok_or_else(|| invalid("a DNS answer that is cut off"))?;
        self.at += N;
        Ok(*taken)
    }

    fn word(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.take()?))
    }

    fn skip(&mut self, bytes: usize) -> Result<()> {
        self.at += bytes;
        if self.at > self.bytes.len() {
            return Err(invalid("a DNS answer that is cut off"));
        }
        Ok(())
    }

    /// A name; pointers lead strictly backwards, so that they end.
    fn name(&mut self) -> Result<String> {
        let mut name = String::new();
        let mut reader = Reader {
            bytes: self.bytes,
            at: self.at,
        };
        let mut earliest = self.at;
        let mut resume = None;
        loop {
            let [length] = reader.take()?;
            match length {
                0 => break,
                1..=63 => {
                    let end = reader.at + usize::from(length);
                    let label = self.bytes.get(reader.at..end);
                    let label = label.ok_or_else(|| invalid("a DNS name that is cut off"))?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(&String::from_utf8_lossy(label));
                    reader.at = end;
                }
                0xC0.. => {
                    let [low] = reader.take()?;
                    resume.get_or_insert(reader.at);
                    let to = usize::from(length & 0x3F) << 8 | usize::from(low);
                    if to >= earliest {
                        return Err(invalid("a DNS name that points forward"));
                    }
                    (earliest, reader.at) = (to, to);
                }
                _ => return Err(invalid("a DNS name of an unknown kind")),
            }
            if name.len() > NAME_BYTES_MAX {
                return Err(invalid("a DNS name that is too long"));
            }
        }
        self.at = resume.unwrap_or(reader.at);
        Ok(name)
    }

    /// One record; `None` when it is of another kind.
    fn record(&mut self, wanted: DnsRecord) -> Result<Option<Data>> {
        self.name()?;
        let (kind, class) = (self.word()?, self.word()?);
        self.skip(4)?;
        let length = usize::from(self.word()?);
        let end = self.at + length;
        let data = if kind == number(wanted) && class == INTERNET {
            Some(self.data(wanted)?)
        } else {
            None
        };
        self.at = end;
        self.skip(0)?;
        Ok(data)
    }

    fn data(&mut self, kind: DnsRecord) -> Result<Data> {
        Ok(match kind {
            DnsRecord::A => Data::Address(Ipv4Addr::from(self.take::<4>()?).into()),
            DnsRecord::Aaaa => Data::Address(Ipv6Addr::from(self.take::<16>()?).into()),
            DnsRecord::Srv => {
                self.skip(4)?; // Priority and weight.
                let port = self.word()?;
                Data::Service {
                    target: self.name()?,
                    port,
                }
            }
            DnsRecord::Mx => {
                self.skip(2)?; // Preference.
                Data::Mail(self.name()?)
            }
            DnsRecord::Ns => Data::NameServer(self.name()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to `_m._tcp.x` with one SRV record whose target is compressed.
    fn srv() -> Vec<u8> {
        let mut bytes = question(7, "_m._tcp.x", DnsRecord::Srv).unwrap();
        bytes[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
        // The owner's name: a pointer to the question's.
        bytes.extend_from_slice(&[0xC0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, 10]);
        // Priority, weight, port 9100, then "h" before a pointer to "x" at the question's end.
        bytes.extend_from_slice(&[0, 0, 0, 5, 0x23, 0x8C, 1, b'h', 0xC0, 20]);
        bytes
    }

    #[test]
    fn a_service_record_is_read_through_its_pointers() {
        let bytes = srv();
        assert!(answers(&bytes, 7) && !answers(&bytes, 8));
        let answer = answer(&bytes, DnsRecord::Srv).unwrap();
        let target = "h.x".to_owned();
        assert_eq!(answer.data, [Data::Service { target, port: 9100 }]);
    }

    #[test]
    fn answers_cut_anywhere_and_pointers_that_loop_are_errors() {
        let bytes = srv();
        for end in 0..bytes.len() {
            assert!(answer(&bytes[..end], DnsRecord::Srv).is_err(), "{end}");
        }
        let mut looped = srv();
        let end = looped.len();
        looped[end - 1] = u8::try_from(end - 2).unwrap();
        assert!(answer(&looped, DnsRecord::Srv).is_err());
        for at in 12..end {
            for byte in [0, 1, 63, 64, 0xC0, 0xFF] {
                let mut bent = srv();
                bent[at] = byte;
                // Whatever it says, it ends and stays inside.
                drop(answer(&bent, DnsRecord::Srv));
            }
        }
    }

    #[test]
    fn names_that_cannot_be_asked_are_refused() {
        let long = "x".repeat(64);
        for bad in ["", "a..b", long.as_str(), &"x.".repeat(200)] {
            assert!(question(1, bad, DnsRecord::A).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_server_that_fails_is_an_error_and_an_unknown_name_is_none() {
        let mut refused = srv();
        refused[3] = 0x82;
        assert!(answer(&refused, DnsRecord::Srv).is_err());
        let mut unknown = question(1, "x", DnsRecord::A).unwrap();
        unknown[2..4].copy_from_slice(&[0x81, 0x83]);
        assert_eq!(answer(&unknown, DnsRecord::A).unwrap().data, []);
    }
}
