//! The name of an alert: 64-bit FNV-1a over its sorted labels, as Alertmanager computes it, so
//! that both call one alert the same.

use std::fmt;

use model::Labels;
use serde::{Deserialize, Serialize};

/// Identifies an alert; sixteen hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint(pub u64);

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;
/// Stands after each name and each value: a byte that UTF-8 never has.
const SEPARATOR: u8 = 0xff;

impl Fingerprint {
    /// Of a label set.
    #[must_use]
    pub fn of(labels: &Labels) -> Self {
        let bytes = labels.iter().flat_map(|(name, value)| {
            let ended = |text: &str| text.bytes().chain([SEPARATOR]).collect::<Vec<_>>();
            ended(name).into_iter().chain(ended(value))
        });
        Self(bytes.fold(OFFSET, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(PRIME)
        }))
    }

    /// From its sixteen digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok()?;
        is_hex.then_some(Self(number))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is not a fingerprint"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_fnv_1a_and_its_digits_read_back() {
        let empty = Fingerprint::of(&Labels::empty());
        assert_eq!(empty.to_string(), "cbf29ce484222325", "FNV's offset basis");
        let one = Fingerprint::of(&Labels::from_pairs([("a", "b"), ("c", "d")]));
        let other = Fingerprint::of(&Labels::from_pairs([("a", "bc"), ("d", "x")]));
        assert_ne!(one, other);
        assert_eq!(Fingerprint::parse(&one.to_string()), Some(one));
        for bad in ["", "12", "cbf29ce48422232x", "+bf29ce484222325"] {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
    }
}
