//! Five real nodes, and everything that a network, a power supply and clients can do to them.
//!
//! ```text
//! cargo test --locked --test chaos -- --minutes 2              the storm (root: it makes network namespaces)
//! cargo test --locked --test chaos -- --minutes 2 --seed 7     the same plan again
//! cargo test --release --locked --test chaos -- --soak --minutes 60    an hour of clients that come and go
//! ```

mod client;
mod ledger;
mod load;
mod memory;
mod nodes;
mod plan;
mod soak;
mod storm;
mod world;

use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

const USAGE: &str = "usage: cargo test --test chaos -- [--soak] [--minutes M] [--seed S]";

struct Options {
    minutes: f64,
    seed: u64,
    is_soak: bool,
}

fn options() -> Result<Options, String> {
    // The number of the process is the same in each run: it is the first of its namespace.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut options = Options { minutes: 2.0, seed: u64::from(now.subsec_nanos()), is_soak: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--minutes" => {
                let minutes = value()?.parse().ok().filter(|minutes| (0.1..=10_000.0).contains(minutes));
                options.minutes = minutes.ok_or("--minutes: a number from 0.1")?;
            }
            "--seed" => options.seed = value()?.parse().map_err(|_| "--seed: a whole number")?,
            "--soak" => options.is_soak = true,
            _ => return Err(format!("unknown word {word}")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("storm: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let ended = if options.is_soak {
        soak::run(options.minutes, options.seed)
    } else if let Some(folder) = world::folder() {
        storm::run(&folder, options.minutes, options.seed)
    } else {
        return outside();
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("storm: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the folder of the run and starts the program again inside namespaces. After a failure the logs stay.
fn outside() -> ExitCode {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("storm-{}", std::process::id()));
    let ended = std::fs::create_dir_all(&folder)
        .map_err(|error| format!("{}: {error}", folder.display()))
        .and_then(|()| world::enter(&folder));
    match ended {
        Ok(status) if status.success() => {
            let _ = std::fs::remove_dir_all(&folder);
            ExitCode::SUCCESS
        }
        Ok(_) => {
            eprintln!("storm: failed; what happened and the logs of the nodes are in {}", folder.display());
            ExitCode::FAILURE
        }
        Err(why) => {
            let _ = std::fs::remove_dir_all(&folder);
            eprintln!("storm: {why}");
            ExitCode::FAILURE
        }
    }
}
