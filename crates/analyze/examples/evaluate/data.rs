//! Reads the labelled sets from the data folder, and says when it is absent.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;

/// The folder of a set; `None`, with a line on stderr, when it is absent.
pub(crate) fn folder(set: &str) -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = data.join(set);
    if !folder.is_dir() {
        eprintln!("skipped: no data set {set} in {}", data.display());
        return None;
    }
    Some(folder)
}

/// The rows of a compressed CSV file, without its header.
pub(crate) fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = text(path);
    text.lines()
        .skip(1)
        .map(|line| line.split(',').map(str::to_owned).collect())
        .collect()
}

/// A file's text, unpacked if it ends in `gz`.
pub(crate) fn text(path: &Path) -> String {
    let file = BufReader::new(File::open(path).expect("the set is complete"));
    let mut text = String::new();
    let read = if path.extension().is_some_and(|e| e == "gz") {
        GzDecoder::new(file).read_to_string(&mut text)
    } else {
        { file }.read_to_string(&mut text)
    };
    read.expect("the set is readable UTF-8");
    text
}

/// `2014-04-01 00:00:00` as ms since the Unix epoch, UTC (days from civil: Hinnant 2013).
pub(crate) fn parse_time(text: &str) -> i64 {
    let part = |at: usize, len: usize| -> i64 {
        text.get(at..at + len)
            .and_then(|t| t.parse().ok())
            .expect("a timestamp")
    };
    let (year, month, day) = (part(0, 4), part(5, 2), part(8, 2));
    let shifted = year - i64::from(month <= 2);
    let era = shifted.div_euclid(400);
    let year_of_era = shifted - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    (days * 86_400 + part(11, 2) * 3600 + part(14, 2) * 60 + part(17, 2)) * 1000
}
