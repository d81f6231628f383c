//! Judges the analysis on the labelled sets in `../shared/data` and on synthetic series:
//! `cargo run -p analyze --release --example evaluate [iops] [nab] [tcpd] [noise] [forecast] [speed]`.
#![expect(clippy::print_stdout, reason = "an evaluation prints its tables")]

mod data;
mod iops;
mod nab;
mod noise;
mod score;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wants = |name: &str| asked.is_empty() || asked.iter().any(|a| a == name);
    let parts: [(&str, fn()); 3] = [
        ("noise", noise::evaluate),
        ("iops", iops::evaluate),
        ("nab", nab::evaluate),
    ];
    for (name, evaluate) in parts {
        if wants(name) {
            println!("== {name}");
            evaluate();
        }
    }
}
