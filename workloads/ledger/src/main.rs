//! The program: everything is in the library, so that another program can be the ledger too.

use std::process::ExitCode;

fn main() -> ExitCode {
    ledger::cli::main_with(std::env::args_os())
}
