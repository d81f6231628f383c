//! Load averages, file handles and the kernel's name.

use std::{io::Result, path::Path};

use model::Labels;

use super::{
    Source,
    frame::{Family, Frame},
    reading::Reading,
    table::numbers,
};

const LOADS: [Family; 3] = [
    Family::gauge("node_load1", "1m load average."),
    Family::gauge("node_load5", "5m load average."),
    Family::gauge("node_load15", "15m load average."),
];
const THREADS: Family = Family::gauge("node_processes_threads", "Allocated threads in system");

/// `/proc/loadavg`: `0.20 0.18 0.12 1/80 11206`.
#[derive(Debug)]
pub(super) struct Load {
    file: Reading,
    labels: Vec<Labels>,
    threads: Labels,
    fields: Vec<f64>,
}

impl Load {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            file: Reading::new(root, "proc/loadavg"),
            labels: Vec::new(),
            threads: Labels::empty(),
            fields: Vec::new(),
        }
    }

    fn prepare(&mut self, frame: &mut Frame<'_>) {
        if self.labels.is_empty() {
            frame.describe(LOADS.iter().chain([&THREADS]));
            self.labels = LOADS
                .iter()
                .map(|family| frame.series(family.name, &[]))
                .collect();
            self.threads = frame.series(THREADS.name, &[]);
        }
    }
}

impl Source for Load {
    fn name(&self) -> &'static str {
        "loadavg"
    }

    fn sample(&mut self, frame: &mut Frame<'_>, buffer: &mut Vec<u8>) -> Result<()> {
        let text = self.file.text(buffer)?;
        self.prepare(frame);
        numbers(text, &mut self.fields);
        for (labels, load) in self.labels.iter().zip(&self.fields) {
            frame.push(labels, *load);
        }
        let threads = text
            .split_once('/')
            .and_then(|(_, rest)| rest.split(' ').next());
        if let Some(threads) = threads.and_then(|count| count.parse().ok()) {
            frame.push(&self.threads, threads);
        }
        Ok(())
    }
}

const HANDLES: [Family; 2] = [
    Family::gauge(
        "node_filefd_allocated",
        "File descriptor statistics: allocated.",
    ),
    Family::gauge(
        "node_filefd_maximum",
        "File descriptor statistics: maximum.",
    ),
];

/// `/proc/sys/fs/file-nr`: allocated, unused, maximum.
#[derive(Debug)]
pub(super) struct FileHandles {
    file: Reading,
    labels: Vec<Labels>,
    fields: Vec<f64>,
}

impl FileHandles {
    pub(super) fn new(root: &Path) -> Self {
        let file = Reading::new(root, "proc/sys/fs/file-nr");
        Self {
            file,
            labels: Vec::new(),
            fields: Vec::new(),
        }
    }
}

impl Source for FileHandles {
    fn name(&self) -> &'static str {
        "filefd"
    }

    fn sample(&mut self, frame: &mut Frame<'_>, buffer: &mut Vec<u8>) -> Result<()> {
        numbers(self.file.text(buffer)?, &mut self.fields);
        if self.labels.is_empty() {
            frame.describe(&HANDLES);
            self.labels = HANDLES
                .iter()
                .map(|family| frame.series(family.name, &[]))
                .collect();
        }
        for (labels, column) in self.labels.iter().zip([0, 2]) {
            if let Some(value) = self.fields.get(column) {
                frame.push(labels, *value);
            }
        }
        Ok(())
    }
}

const UNAME: Family = Family::gauge(
    "node_uname_info",
    "Labeled system information as provided by the uname system call.",
);

/// The system call `uname`; asked once, for it cannot change while we run.
#[derive(Debug, Default)]
pub(super) struct Uname {
    labels: Option<Labels>,
}

impl Source for Uname {
    fn name(&self) -> &'static str {
        "uname"
    }

    fn sample(&mut self, frame: &mut Frame<'_>, _buffer: &mut Vec<u8>) -> Result<()> {
        if self.labels.is_none() {
            frame.describe([&UNAME]);
        }
        let labels = self.labels.get_or_insert_with(|| uname_labels(frame));
        frame.push(labels, 1.0);
        Ok(())
    }
}

fn uname_labels(frame: &Frame<'_>) -> Labels {
    let name = rustix::system::uname();
    let fields = [
        ("domainname", name.domainname()),
        ("machine", name.machine()),
        ("nodename", name.nodename()),
        ("release", name.release()),
        ("sysname", name.sysname()),
        ("version", name.version()),
    ];
    let fields = fields.map(|(label, text)| (label, text.to_string_lossy()));
    let pairs: Vec<(&str, &str)> = fields
        .iter()
        .map(|(label, text)| (*label, &**text))
        .collect();
    frame.series(UNAME.name, &pairs)
}
