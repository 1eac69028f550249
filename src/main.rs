//! The `skillkeep` program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    skillkeep::cli::main()
}
