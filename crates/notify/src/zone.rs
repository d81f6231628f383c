//! The clock of a place: how far it is ahead of UTC at a moment, summer time included.
//!
//! Read from a compiled file of the time zone database (TZif, RFC 8536): the moments at which the
//! offset changed, and after the last of them a rule that holds for ever, in the notation of
//! POSIX's `TZ`.

mod rule;

use rule::Rule;

/// A zone: UTC by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Zone {
    /// Seconds east of UTC before the first change.
    first_s: i32,
    /// From when (seconds since the Unix epoch) which offset holds, in order of time.
    changes: Vec<(i64, i32)>,
    /// After the last change.
    rule: Option<Rule>,
}

/// Bytes of the head of a TZif file.
const HEAD: usize = 44;

/// Numbers of the things a block holds, from its head.
struct Counts {
    ut: usize,
    standard: usize,
    leap: usize,
    time: usize,
    kind: usize,
    name: usize,
}

impl Zone {
    /// A clock so many minutes ahead of UTC all year.
    #[must_use]
    pub fn fixed(minutes: i16) -> Self {
        Self {
            first_s: i32::from(minutes) * 60,
            ..Self::default()
        }
    }

    /// From a TZif file of any version.
    pub fn parse(file: &[u8]) -> Result<Self, String> {
        Self::read(file).ok_or_else(|| "is not a file of the time zone database".to_owned())
    }

    fn read(file: &[u8]) -> Option<Self> {
        let (version, counts) = head(file)?;
        let body = &file[HEAD..];
        if version == 0 {
            return block(body, &counts, 4);
        }
        // The block of the first version has 32-bit times; what follows it has 64.
        let second = body.get(counts.bytes(4)..)?;
        let (_, counts) = head(second)?;
        let body = &second[HEAD..];
        let mut zone = block(body, &counts, 8)?;
        let foot = body.get(counts.bytes(8)..)?.strip_prefix(b"\n")?;
        let end = foot.iter().position(|byte| *byte == b'\n')?;
        let text = std::str::from_utf8(&foot[..end]).ok()?;
        if !text.is_empty() {
            zone.rule = Some(Rule::parse(text)?);
        }
        Some(zone)
    }

    /// Seconds east of UTC at a moment, seconds since the Unix epoch.
    #[must_use]
    pub fn offset_s(&self, at_s: i64) -> i32 {
        let after = self.changes.partition_point(|(from, _)| *from <= at_s);
        match (&self.rule, after.checked_sub(1)) {
            (Some(rule), _) if after == self.changes.len() => rule.offset_s(at_s),
            (_, Some(last)) => self.changes[last].1,
            (_, None) => self.first_s,
        }
    }
}

impl Counts {
    /// Bytes of a block whose times take so many.
    fn bytes(&self, time: usize) -> usize {
        let leap = self.leap * (time + 4);
        self.time * (time + 1) + self.kind * 6 + self.name + leap + self.standard + self.ut
    }
}

/// The version's byte and the counts.
fn head(file: &[u8]) -> Option<(u8, Counts)> {
    let head = file.get(..HEAD)?;
    if !head.starts_with(b"TZif") {
        return None;
    }
    let count = |index: usize| {
        let bytes = head[20 + 4 * index..][..4].try_into().expect("four bytes");
        usize::try_from(u32::from_be_bytes(bytes)).ok()
    };
    let counts = Counts {
        ut: count(0)?,
        standard: count(1)?,
        leap: count(2)?,
        time: count(3)?,
        kind: count(4)?,
        name: count(5)?,
    };
    Some((head[4], counts))
}

/// The changes of a block.
fn block(body: &[u8], counts: &Counts, width: usize) -> Option<Zone> {
    let body = body.get(..counts.bytes(width))?;
    let (times, rest) = body.split_at(counts.time * width);
    let (indices, rest) = rest.split_at(counts.time);
    let kinds = &rest[..counts.kind * 6];
    let offset = |index: usize| {
        let bytes = kinds.get(index * 6..)?.get(..4)?;
        Some(i32::from_be_bytes(bytes.try_into().ok()?))
    };
    let time = |bytes: &[u8]| match bytes.try_into() {
        Ok(eight) => i64::from_be_bytes(eight),
        Err(_four) => i64::from(i32::from_be_bytes(bytes.try_into().expect("four bytes"))),
    };
    let changes = times.chunks_exact(width).zip(indices);
    let changes: Option<Vec<(i64, i32)>> = changes
        .map(|(bytes, index)| Some((time(bytes), offset(usize::from(*index))?)))
        .collect();
    let changes = changes?;
    changes.is_sorted_by(|a, b| a.0 < b.0).then_some(Zone {
        first_s: offset(0)?,
        changes,
        rule: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one change in a block of each version, and a rule.
    fn file(foot: &str) -> Vec<u8> {
        let head = |version: u8| {
            let mut head = b"TZif".to_vec();
            head.push(version);
            head.extend([0; 15]);
            for count in [0_u32, 0, 0, 1, 2, 8] {
                head.extend(count.to_be_bytes());
            }
            head
        };
        let rest = |body: &mut Vec<u8>| {
            body.push(1);
            body.extend(600_i32.to_be_bytes());
            body.extend([0, 0]);
            body.extend(3_600_i32.to_be_bytes());
            body.extend([0, 4]);
            body.extend(b"LMT\0CET\0");
        };
        let mut file = head(b'2');
        file.extend(100_i32.to_be_bytes());
        rest(&mut file);
        file.extend(head(b'2'));
        file.extend(100_i64.to_be_bytes());
        rest(&mut file);
        file.extend(format!("\n{foot}\n").into_bytes());
        file
    }

    #[test]
    fn before_the_first_change_between_and_after_the_last() {
        let zone = Zone::parse(&file("")).unwrap();
        assert_eq!((zone.offset_s(99), zone.offset_s(100)), (600, 3_600));
        let zone = Zone::parse(&file("XXX-2")).unwrap();
        assert_eq!((zone.offset_s(99), zone.offset_s(100)), (600, 7_200));
        assert_eq!(Zone::default().offset_s(0), 0);
        assert_eq!(Zone::fixed(-210).offset_s(0), -12_600);
    }

    #[test]
    fn a_damaged_file_is_refused_wherever_it_is_cut() {
        let whole = file("CET-1CEST,M3.5.0,M10.5.0/3");
        for end in 0..whole.len() {
            assert!(Zone::parse(&whole[..end]).is_err(), "{end}");
        }
        assert!(Zone::parse(&whole).is_ok());
        let mut huge = whole;
        huge[20..44].fill(0xff);
        assert!(Zone::parse(&huge).is_err());
    }
}
