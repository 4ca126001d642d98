//! The project holds itself to its rules: its code, its documents, the two ways to build for boards, the steps of a
//! deployment. No node is started.

mod circles;
mod cross;
mod dashboard;
mod deploy;
mod man_pages;
mod readme;
mod scenarios;
mod suites;
mod tidy;

use std::path::{Path, PathBuf};

/// A path of the project.
fn path(name: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text of a file of the project.
fn read(name: impl AsRef<Path>) -> String {
    let path = path(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder, in order.
fn files(below: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![path(below)];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder);
        for entry in entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a folder that was just listed").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The Rust files among them.
fn rust_files(below: &str) -> Vec<PathBuf> {
    let mut files = files(below);
    files.retain(|path| path.extension().is_some_and(|ending| ending == "rs"));
    assert!(!files.is_empty(), "{below} has no Rust file");
    files
}
