//! `/proc/net/dev` by interface, and the host's TCP and UDP counters.

use std::{io::Result, path::Path};

use model::{Labels, MetricType};

use super::{
    Source,
    frame::{Family, Frame},
    reading::Reading,
    table::{Column, Devices, Rate, column, column_labels, numbers, push_columns},
};

/// The fields after `device:`.
#[rustfmt::skip]
const COLUMNS: [Column; 16] = [
    column(Family::counter("node_network_receive_bytes_total", "Network device statistic receive_bytes."), 0, 1.0),
    column(Family::counter("node_network_receive_packets_total", "Network device statistic receive_packets."), 1, 1.0),
    column(Family::counter("node_network_receive_errs_total", "Network device statistic receive_errs."), 2, 1.0),
    column(Family::counter("node_network_receive_drop_total", "Network device statistic receive_drop."), 3, 1.0),
    column(Family::counter("node_network_receive_fifo_total", "Network device statistic receive_fifo."), 4, 1.0),
    column(Family::counter("node_network_receive_frame_total", "Network device statistic receive_frame."), 5, 1.0),
    column(Family::counter("node_network_receive_compressed_total", "Network device statistic receive_compressed."), 6, 1.0),
    column(Family::counter("node_network_receive_multicast_total", "Network device statistic receive_multicast."), 7, 1.0),
    column(Family::counter("node_network_transmit_bytes_total", "Network device statistic transmit_bytes."), 8, 1.0),
    column(Family::counter("node_network_transmit_packets_total", "Network device statistic transmit_packets."), 9, 1.0),
    column(Family::counter("node_network_transmit_errs_total", "Network device statistic transmit_errs."), 10, 1.0),
    column(Family::counter("node_network_transmit_drop_total", "Network device statistic transmit_drop."), 11, 1.0),
    column(Family::counter("node_network_transmit_fifo_total", "Network device statistic transmit_fifo."), 12, 1.0),
    column(Family::counter("node_network_transmit_colls_total", "Network device statistic transmit_colls."), 13, 1.0),
    column(Family::counter("node_network_transmit_carrier_total", "Network device statistic transmit_carrier."), 14, 1.0),
    column(Family::counter("node_network_transmit_compressed_total", "Network device statistic transmit_compressed."), 15, 1.0),
];

#[rustfmt::skip]
const RATES: [Column; 2] = [
    column(Family::gauge("alluse_host_network_receive_bytes_per_second", "Bytes received a second since the last sample."), 0, 1.0),
    column(Family::gauge("alluse_host_network_transmit_bytes_per_second", "Bytes sent a second since the last sample."), 8, 1.0),
];

/// One interface.
#[derive(Debug)]
struct Interface {
    columns: Vec<Labels>,
    rates: Vec<(Labels, Rate)>,
}

/// `/proc/net/dev`.
#[derive(Debug)]
pub(super) struct Network {
    file: Reading,
    interfaces: Devices<Interface>,
    fields: Vec<f64>,
}

impl Network {
    pub(super) fn new(root: &Path) -> Self {
        let file = Reading::new(root, "proc/net/dev");
        Self {
            file,
            interfaces: Devices::default(),
            fields: Vec::new(),
        }
    }
}

impl Source for Network {
    fn name(&self) -> &'static str {
        "netdev"
    }

    fn sample(&mut self, frame: &mut Frame<'_>, buffer: &mut Vec<u8>) -> Result<()> {
        let text = self.file.text(buffer)?;
        if self.interfaces.is_first_tick() {
            frame.describe(COLUMNS.iter().chain(&RATES).map(|c| &c.family));
        }
        // The first two lines are the table's head.
        for line in text.lines().skip(2) {
            let Some((name, rest)) = line.split_once(':') else {
                continue;
            };
            numbers(rest, &mut self.fields);
            let name = name.trim();
            let interface = self.interfaces.entry(name, || Interface::new(name, frame));
            interface.push(&self.fields, frame);
        }
        self.interfaces.end_tick();
        Ok(())
    }
}

impl Interface {
    fn new(name: &str, frame: &Frame<'_>) -> Self {
        let rates = column_labels(&RATES, frame, name).into_iter();
        Self {
            columns: column_labels(&COLUMNS, frame, name),
            rates: rates.map(|labels| (labels, Rate::default())).collect(),
        }
    }

    fn push(&mut self, fields: &[f64], frame: &mut Frame<'_>) {
        push_columns(&COLUMNS, &self.columns, fields, frame);
        for (column, (labels, rate)) in RATES.iter().zip(&mut self.rates) {
            let Some(count) = fields.get(column.index) else {
                continue;
            };
            if let Some(per_second) = rate.step(*count, frame.monotonic) {
                frame.push(labels, per_second);
            }
        }
    }
}

/// Fields of `/proc/net/snmp` and `/proc/net/netstat` that say how connections fare: protocol,
/// field, and node_exporter's name.
const SOCKET_FIELDS: [(&str, &str, &str); 13] = [
    ("Tcp", "ActiveOpens", "node_netstat_Tcp_ActiveOpens"),
    ("Tcp", "PassiveOpens", "node_netstat_Tcp_PassiveOpens"),
    ("Tcp", "CurrEstab", "node_netstat_Tcp_CurrEstab"),
    ("Tcp", "InSegs", "node_netstat_Tcp_InSegs"),
    ("Tcp", "OutSegs", "node_netstat_Tcp_OutSegs"),
    ("Tcp", "RetransSegs", "node_netstat_Tcp_RetransSegs"),
    ("Tcp", "InErrs", "node_netstat_Tcp_InErrs"),
    ("Tcp", "OutRsts", "node_netstat_Tcp_OutRsts"),
    ("Udp", "InDatagrams", "node_netstat_Udp_InDatagrams"),
    ("Udp", "OutDatagrams", "node_netstat_Udp_OutDatagrams"),
    ("Udp", "InErrors", "node_netstat_Udp_InErrors"),
    ("TcpExt", "ListenDrops", "node_netstat_TcpExt_ListenDrops"),
    (
        "TcpExt",
        "ListenOverflows",
        "node_netstat_TcpExt_ListenOverflows",
    ),
];

/// `/proc/net/snmp` and `/proc/net/netstat`.
#[derive(Debug)]
pub(super) struct Sockets {
    files: [Reading; 2],
    labels: Vec<Labels>,
}

impl Sockets {
    pub(super) fn new(root: &Path) -> Self {
        let files = ["proc/net/snmp", "proc/net/netstat"].map(|path| Reading::new(root, path));
        Self {
            files,
            labels: Vec::new(),
        }
    }

    fn prepare(&mut self, frame: &mut Frame<'_>) {
        if !self.labels.is_empty() {
            return;
        }
        for (protocol, field, name) in SOCKET_FIELDS {
            let help = format!("Statistic {protocol}{field}.");
            frame.describe_as(name, MetricType::Unknown, &help);
            self.labels.push(frame.series(name, &[]));
        }
    }
}

impl Source for Sockets {
    fn name(&self) -> &'static str {
        "netstat"
    }

    fn sample(&mut self, frame: &mut Frame<'_>, buffer: &mut Vec<u8>) -> Result<()> {
        self.prepare(frame);
        let mut outcome = Ok(());
        for file in &mut self.files {
            match file.text(buffer) {
                Ok(text) => push_protocols(text, &self.labels, frame),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }
}

/// Pairs of lines, `Tcp: names…` and `Tcp: numbers…`.
fn push_protocols(text: &str, labels: &[Labels], frame: &mut Frame<'_>) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let Some((protocol, names)) = names.split_once(':') else {
            continue;
        };
        let Some((_, values)) = values.split_once(':') else {
            continue;
        };
        if !SOCKET_FIELDS.iter().any(|(known, ..)| *known == protocol) {
            continue;
        }
        let fields = names
            .split_ascii_whitespace()
            .zip(values.split_ascii_whitespace());
        for (name, value) in fields {
            let known = |(p, f, _): &(&str, &str, &str)| *p == protocol && *f == name;
            let Some(index) = SOCKET_FIELDS.iter().position(known) else {
                continue;
            };
            if let Ok(value) = value.parse() {
                frame.push(&labels[index], value);
            }
        }
    }
}
