//! What is measured: the node on two runtimes, and beside it whatever is there to be compared with.
//!
//! The first two are what the table is about. The others are references, measured in the same run with the same requests:
//! the same node on async-io, the floor on bare epoll, tokio written at the first go, the servers of `benches/compare/rivals`, and where they are installed
//! Redis and Mosquitto, which keep a client's last position, too, each in its own protocol.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::Dialect;

/// A server, and how it is started.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    /// What starts it, up to what the dialect adds.
    pub(crate) words: Vec<String>,
    /// Its program file, where it is one of this workspace: for sizes, and to be run under valgrind.
    pub(crate) file: Option<PathBuf>,
    /// The same without TLS, HTTP and import.
    pub(crate) small: Option<PathBuf>,
    pub(crate) dialect: Dialect,
    /// Whether it tells neighbours.
    pub(crate) floods: bool,
    /// Whether it asks other servers for places.
    pub(crate) asks: bool,
    /// Whether it has nothing in common with the node but the requests.
    pub(crate) is_rival: bool,
}

impl Program {
    /// A node that is there.
    pub(crate) fn node(name: &str, file: PathBuf, small: Option<PathBuf>) -> Program {
        Program { asks: true, small, is_rival: false, ..Program::native(name, file) }
    }

    fn native(name: &str, file: PathBuf) -> Program {
        // It is started in another folder.
        let file = std::path::absolute(&file).unwrap_or(file);
        let words = vec![file.to_str().expect("a plain path").to_owned()];
        Program { file: Some(file), ..Program::reference(name, words, Dialect::Herd) }
    }

    fn reference(name: &str, words: Vec<String>, dialect: Dialect) -> Program {
        let floods = dialect == Dialect::Herd;
        Program {
            name: name.to_owned(),
            words,
            file: None,
            small: None,
            dialect,
            floods,
            asks: false,
            is_rival: true,
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Builds a package of this workspace as it is deployed, and gives a copy of the program in a folder of its own: what the builds
/// have in common is compiled once.
fn built(package: &str, features: &[&str], folder: &str) -> PathBuf {
    let target = root().join("target/footprint");
    let done = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root())
        .args(["build", "--locked", "--release", "--package", package, "--bin", package, "--target-dir"])
        .arg(&target)
        .args(features)
        .status()
        .expect("cargo can be run");
    assert!(done.success(), "{package} was not built");
    let folder = target.join(folder);
    std::fs::create_dir_all(&folder).expect("a folder beside what was built");
    let program = folder.join(package);
    std::fs::copy(target.join("release").join(package), &program).expect("it was built");
    program
}

fn herd(features: &str, folder: &str) -> PathBuf {
    built("herd", &["--no-default-features", "--features", features], folder)
}

/// The node of this workspace on its own runtime and on tokio. The one on tokio does not have `herd up`, so the other does not
/// have it either.
pub(crate) fn pair() -> Vec<Program> {
    let tokio = |features: &[&str], folder| built("herd-tokio", features, folder);
    vec![
        Program::node("smol", herd("smol,tls,import", "full"), Some(herd("smol", "small"))),
        Program::node("tokio", tokio(&[], "full"), Some(tokio(&["--no-default-features"], "small"))),
    ]
}

/// What else there is on this machine, and a word on what there is not.
pub(crate) fn references() -> (Vec<Program>, Vec<String>) {
    let floor = Program::native("epoll", built("herd-epoll", &[], "full"));
    let (portable, small) = (herd("portable,tls,import", "portable"), herd("portable", "portable-small"));
    let mut programs = vec![
        Program::node("async-io", portable, Some(small)),
        Program { floods: false, is_rival: false, ..floor },
        Program::native("tokio, first go", built("herd-tokio-naive", &[], "full")),
    ];
    let mut missing = Vec::new();
    let rival = |file: &str| {
        root().join("benches/compare/rivals").join(file).to_str().expect("a plain path").to_owned()
    };
    let mut add = |name: &str, words: Option<Vec<String>>, dialect: Dialect| match words {
        Some(words) => programs.push(Program::reference(name, words, dialect)),
        None => missing.push(format!("{name}: it is not installed")),
    };
    let run = |program: &str, more: &[String]| Some([&[found(program)?], more].concat());
    add("Python asyncio", run("python3", &[rival("asyncio_server.py")]), Dialect::Herd);
    add("Node.js", run("node", &[rival("node_server.js")]), Dialect::Herd);
    add("Java NIO", java(&rival("NioServer.java")), Dialect::Herd);
    add("Redis", run("redis-server", &[]), Dialect::Redis);
    add("Mosquitto", run("mosquitto", &[]), Dialect::Mqtt);
    (programs, missing)
}

/// Compiled before, so that the compiler is not measured. The settings are for a small board.
fn java(source: &str) -> Option<Vec<String>> {
    let (java, compiler) = (found("java")?, found("javac")?);
    let classes = root().join("target/footprint/java");
    let done = Command::new(compiler).arg("-d").arg(&classes).arg(source).status().expect("it was found");
    assert!(done.success(), "{source} was not compiled");
    let classes = classes.to_str().expect("a plain path");
    Some(
        [&java, "-XX:+UseSerialGC", "-Xmx64m", "-Xss256k", "-cp", classes, "NioServer"]
            .map(str::to_owned)
            .into(),
    )
}

/// The path of a program, which is started with an empty environment.
fn found(program: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    // Debian keeps servers out of a user's path.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let file = folders.map(|folder| folder.join(program)).find(|file| file.is_file())?;
    file.to_str().map(str::to_owned)
}
