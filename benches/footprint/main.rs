//! What a node costs, on smol and on tokio: memory, processor time, system calls, row by row, in one run.
//!
//! ```text
//! cargo bench --bench footprint                  builds both programs, measures them in turn, prints a table
//!     -- --rounds 5 --json FILE --svg FILE       more rounds, and the table as data or as a picture
//!     -- --program smol=FILE --program tokio=FILE    programs that are there: on a board, where nothing is built
//! ```
//!
//! The first program is compared with the second. Each is started with an empty environment, on a core of its own where
//! there are two, and asked the same by the same clients; A B A B, so that a machine that grows slower slows both. A row is
//! the median of the rounds, with the least and the largest. Linux only. valgrind and strace are used where they are
//! installed; a row without its tool says so.

mod client;
mod measure;
mod process;
mod rows;
mod svg;
mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;

use measure::Program;
use rows::Table;

const ROUNDS_DEFAULT: usize = 3;

struct Options {
    rounds: usize,
    json: Option<PathBuf>,
    svg: Option<PathBuf>,
    programs: Vec<Program>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { rounds: ROUNDS_DEFAULT, json: None, svg: None, programs: Vec::new() };
    // Cargo adds `--bench`.
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--rounds" => {
                options.rounds =
                    value()?.parse().ok().filter(|rounds| *rounds > 0).ok_or("--rounds: a number")?;
            }
            "--json" => options.json = Some(value()?.into()),
            "--svg" => options.svg = Some(value()?.into()),
            "--program" => {
                let given = value()?;
                let (name, file) = given.split_once('=').ok_or("--program: NAME=FILE")?;
                options.programs.push(Program::there(name, file.into()));
            }
            _ => return Err(format!("unknown word {word}")),
        }
    }
    Ok(options)
}

/// Builds a package of this workspace as it is deployed, in a folder of its own, and gives the program.
fn built(name: &str, package: &str, features: &[&str], folder: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("target/footprint").join(folder);
    let done = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .args(["build", "--locked", "--release", "--package", package, "--bin", name, "--target-dir"])
        .arg(&target)
        .args(features)
        .status()
        .expect("cargo can be run");
    assert!(done.success(), "{package} was not built");
    target.join("release").join(name)
}

/// The node of this workspace on either runtime.
fn build() -> Vec<Program> {
    // `herd up` is no part of the node on tokio, so neither is it here.
    let full_smol = ["--no-default-features", "--features", "smol,tls,import"];
    let small_smol = ["--no-default-features", "--features", "smol"];
    let small_tokio = ["--no-default-features"];
    [("smol", "herd", &full_smol[..], &small_smol[..]), ("tokio", "herd-tokio", &[], &small_tokio[..])]
        .map(|(name, package, full, small)| Program {
            name: name.to_owned(),
            file: built(package, package, full, "full"),
            small: Some(built(package, package, small, "small")),
        })
        .into()
}

fn main() {
    let mut options = match options() {
        Ok(options) => options,
        Err(message) => {
            eprintln!("footprint: {message}");
            std::process::exit(2);
        }
    };
    if options.programs.is_empty() {
        options.programs = build();
    }
    let mut table = Table::new(options.programs.iter().map(|program| program.name.clone()).collect());
    measure::sizes(&options.programs, &mut table);
    for round in 0..options.rounds {
        for (which, program) in options.programs.iter().enumerate() {
            eprintln!("round {} of {}: {}", round + 1, options.rounds, program.name);
            measure::one_node(program, which, &mut table);
            measure::herd_of_five(program, which, &mut table);
        }
    }
    for (which, program) in options.programs.iter().enumerate() {
        eprintln!("under valgrind and strace: {}", program.name);
        tools::counts(program, which, &mut table);
    }
    print!("{table}");
    let save = |file: &Option<PathBuf>, text: String| {
        if let Some(file) = file {
            std::fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    };
    save(&options.json, table.json());
    save(&options.svg, svg::picture(&table));
}
