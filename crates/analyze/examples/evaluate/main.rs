//! Judges the analysis on the labelled sets in `../shared/data` and on synthetic series:
//! `cargo run -p analyze --release --example evaluate [noise] [iops] [nab] [tcpd] [forecast] [speed]`.
#![expect(clippy::print_stdout, reason = "an evaluation prints its tables")]

mod data;
mod forecast;
mod iops;
mod nab;
mod noise;
mod score;
mod speed;
mod tcpd;

const PARTS: [(&str, fn()); 6] = [
    ("noise", noise::evaluate),
    ("iops", iops::evaluate),
    ("nab", nab::evaluate),
    ("tcpd", tcpd::evaluate),
    ("forecast", forecast::evaluate),
    ("speed", speed::evaluate),
];

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    for (name, evaluate) in PARTS {
        if asked.is_empty() || asked.iter().any(|a| a == name) {
            println!("== {name}");
            evaluate();
        }
    }
}
