//! What a node costs, on smol and on tokio: memory, processor time, system calls, row by row, in one run.
//!
//! ```text
//! cargo bench --bench footprint                  builds the programs, measures them in turn, prints a table
//!     -- --rounds 5 --json FILE --svg FILE       more rounds, and the table as data or as a picture
//!     -- --short --check FILE                    only what does not depend on time, compared with a table of --json
//!     -- --program smol=FILE --program tokio=FILE    programs that are there: on a board, where nothing is built
//! ```
//!
//! The first program is compared with the second. Each is started with an empty environment, on a core of its own where
//! there are two, and asked the same by the same clients; A B A B, so that a machine that grows slower slows both. A row is
//! the median of the rounds, with the least and the largest. The floor on epoll is measured as often; the other references
//! (`programs.rs`) once, at the end. Linux only. valgrind and strace are used where they are installed; a row without its tool says so.

mod check;
mod client;
mod https;
mod measure;
mod process;
mod programs;
mod rows;
mod svg;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use programs::Program;
use rows::Table;

const ROUNDS_DEFAULT: usize = 2;

/// Starts of each program for the row of the start.
const START_TURNS: usize = 40;
const START_TURNS_SHORT: usize = 4;

#[derive(Default)]
struct Options {
    rounds: Option<usize>,
    json: Option<PathBuf>,
    svg: Option<PathBuf>,
    in_short: bool,
    check: Option<PathBuf>,
    programs: Vec<Program>,
}

fn options() -> Result<Options, String> {
    let mut options = Options::default();
    // Cargo adds `--bench`.
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--rounds" => {
                let rounds = value()?.parse().ok().filter(|rounds| *rounds > 0);
                options.rounds = Some(rounds.ok_or("--rounds: a number from 1")?);
            }
            "--json" => options.json = Some(value()?.into()),
            "--svg" => options.svg = Some(value()?.into()),
            "--short" => options.in_short = true,
            "--check" => options.check = Some(value()?.into()),
            "--program" => {
                let given = value()?;
                let (name, file) = given.split_once('=').ok_or("--program: NAME=FILE")?;
                options.programs.push(Program::node(name, file.into(), None));
            }
            _ => return Err(format!("unknown word {word}")),
        }
    }
    if options.programs.len() == 1 {
        return Err("--program: there must be two, to be compared".to_owned());
    }
    Ok(options)
}

/// Measures the pair and the floor in turn, then each other reference once, if they are wanted.
fn measured(options: &Options, pair: &[Program], with_references: bool) -> Table {
    let (references, missing) = if with_references { programs::references() } else { Default::default() };
    let all: Vec<&Program> = pair.iter().chain(&references).collect();
    let mut table = Table::new(all.iter().map(|program| program.name.clone()).collect());
    table.missing = missing;
    measure::sizes(&all, &mut table);
    let (often, once): (Vec<_>, Vec<_>) = all.iter().enumerate().partition(|(_, program)| !program.is_rival);
    measure::starts(
        &numbered(&often),
        if options.in_short { START_TURNS_SHORT } else { START_TURNS },
        &mut table,
    );
    measure::starts(&numbered(&once), 1, &mut table);
    let service = https::Service::start();
    let mut round = |which: usize, program: &Program, says: &str| {
        eprintln!("{}: {says}", program.name);
        measure::one_node(program, which, &mut table);
        if program.floods {
            measure::herd_of_five(program, which, &mut table, options.in_short);
        }
        if program.asks {
            service.measure(program, which, &mut table);
        }
    };
    let rounds = options.rounds.unwrap_or(if options.in_short { 1 } else { ROUNDS_DEFAULT });
    for n in 1..=rounds {
        for (which, program) in &often {
            round(*which, program, &format!("round {n} of {rounds}"));
        }
    }
    for &(which, program) in &once {
        round(which, program, "once, as a reference");
    }
    if !options.in_short {
        eprintln!("requests, in turns");
        measure::requests(&numbered(&often), &mut table);
        once.iter().for_each(|reference| measure::requests(&numbered(&[*reference]), &mut table));
    }
    for (which, program) in all.iter().enumerate() {
        eprintln!("{}: under valgrind and strace", program.name);
        tools::counts(program, which, &mut table);
    }
    table
}

fn numbered<'a>(programs: &[(usize, &&'a Program)]) -> Vec<(usize, &'a Program)> {
    programs.iter().map(|(which, program)| (*which, **program)).collect()
}

fn main() -> ExitCode {
    let mut options = match options() {
        Ok(options) => options,
        Err(message) => {
            eprintln!("footprint: {message}");
            return ExitCode::from(2);
        }
    };
    let built = options.programs.is_empty();
    let pair = if built { programs::pair() } else { std::mem::take(&mut options.programs) };
    let table = measured(&options, &pair, built && !options.in_short);
    print!("{table}");
    let save = |file: &Option<PathBuf>, text: String| {
        if let Some(file) = file {
            std::fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    };
    save(&options.json, table.json());
    save(&options.svg, svg::picture(&table));
    match options.check.as_deref().map(|file| check::compare(&table, file)) {
        Some(Err(worse)) => {
            eprintln!("footprint: {worse}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
