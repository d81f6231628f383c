//! What the real program does, measured from outside:
//! `cargo xtask bench overhead|footprint|query|ledger|apply|agent`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod agent;
mod apply;
mod footprint;
mod ledger_load;
mod overhead;
mod point_query;

use e2e::figures::machine;

#[tokio::main]
async fn main() {
    println!("{}", machine());
    let name = std::env::args().nth(1).unwrap_or_default();
    match name.as_str() {
        "overhead" => overhead::measure().await,
        "footprint" => footprint::measure().await,
        "query" => point_query::measure().await,
        "ledger" => ledger_load::measure().await,
        "agent" => agent::measure().await,
        "apply" => apply::measure().await,
        _ => panic!("name one of: overhead, footprint, query, ledger, apply, agent"),
    }
}
