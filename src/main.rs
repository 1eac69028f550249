//! The `skillkeep` binary. All code is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    skillkeep::cli::main()
}
