//! Runs every input of every corpus through its target, on any Rust toolchain, and prints the number of inputs.
//!
//! It has no harness, so that the numbers are visible. A target without a corpus fails, and so does a corpus
//! without a target.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use herd_fuzz::TARGETS;

fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a folder that was just listed").path()).collect();
    paths.sort();
    paths
}

fn main() -> ExitCode {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut failed = Vec::new();
    for folder in listed(&corpus) {
        let name = folder.file_name().unwrap_or_default();
        if !TARGETS.iter().any(|(target, _)| name == *target) {
            failed.push(format!("{}: no target has that name", folder.display()));
        }
    }
    for (name, target) in TARGETS {
        let folder = corpus.join(name);
        let inputs = if folder.is_dir() { listed(&folder) } else { vec![] };
        let mut bytes = 0;
        for input in &inputs {
            let data = std::fs::read(input).unwrap_or_else(|error| panic!("{}: {error}", input.display()));
            bytes += data.len();
            if std::panic::catch_unwind(|| target(&data)).is_err() {
                failed.push(input.display().to_string());
            }
        }
        if inputs.is_empty() {
            failed.push(format!("{name}: the target has no corpus"));
        }
        println!("{name}: {} inputs, {bytes} bytes", inputs.len());
    }
    herd_fuzz::clean_up();
    for failure in &failed {
        eprintln!("failed: {failure}");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
