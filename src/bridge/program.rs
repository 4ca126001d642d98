//! The program: arguments in, exit status out. It ties the options, the settings and the bridge together.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use herd::server::logging;
use log::Level;

use super::failure::Failure;
use super::options::{self, Command, Options};
use super::{run, settings};

/// Runs the program with the arguments that follow its name, and returns its exit status.
pub fn start(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let done = match options::read(args) {
        Ok(Command::Run(options)) => bridge(&options),
        Ok(Command::Print(text)) => {
            // A closed pipe is not an error: `herd-bridge --help | head -3`.
            let _ = std::io::stdout().write_all(text.as_bytes());
            Ok(())
        }
        Err(failure) => Err(failure),
    };
    let (message, status) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::CouldNotRun(message)) => (message, 1),
        Err(Failure::Usage(message)) => (format!("{message}; see: herd-bridge --help"), 2),
    };
    logging::tell(Level::Error, &format!("herd-bridge: {message}"));
    ExitCode::from(status)
}

/// Runs a bridge until a signal stops it.
fn bridge(options: &Options) -> Result<(), Failure> {
    run(settings::load(options)?).map_err(Failure::CouldNotRun)
}
