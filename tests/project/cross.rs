//! The two ways to build for boards, `cross/build` and the tool `cross`, build the same: linker, flags, C compiler,
//! features, target by target. Nothing is built here and no network is used: settings are read as Cargo would
//! find them, in the tree on one side, in the container on the other.

use std::collections::BTreeMap;
use std::process::Command;

use toml::Table;

use crate::{path, read};

/// Without a container and without `cross`: what PCs build for themselves.
const HOST_TARGET: &str = "x86_64-unknown-linux-gnu";

fn table(name: &str) -> Table {
    read(name).parse().unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What decides how a target is built.
#[derive(Debug, PartialEq)]
struct Settings {
    linker: Option<String>,
    flags: Vec<String>,
    c_compiler: Option<String>,
    archiver: Option<String>,
    /// What Cargo is called with: profile, features, lock file.
    cargo: String,
    /// With which variables Cargo is called.
    environment: Vec<String>,
    /// What is installed for it.
    packages: Vec<String>,
}

/// How Cargo is called.
#[derive(Default)]
struct Call {
    arguments: String,
    environment: Vec<String>,
}

/// What `.cargo/config.toml` says of a target, and what the environment makes of it.
fn settings(target: &str, environment: &BTreeMap<String, String>, cargo: &Call, packages: &str) -> Settings {
    let config = table(".cargo/config.toml");
    let own = config["target"].get(target);
    let text = |value: &toml::Value| value.as_str().expect("a string").to_owned();
    // Cargo joins the flags of all the sections that fit, the target's own first.
    let linux = config["target"].get("cfg(target_os = \"linux\")").expect("flags for Linux");
    let mut flags = Vec::new();
    for section in own.into_iter().chain([linux]) {
        let list = section.get("rustflags").and_then(|flags| flags.as_array());
        flags.extend(list.into_iter().flatten().map(text));
    }
    let of_cargo = format!("CARGO_TARGET_{}_", target.replace('-', "_").to_uppercase());
    let words = |text: &String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    if let Some(more) = environment.get(&format!("{of_cargo}RUSTFLAGS")) {
        flags.extend(words(more));
    }
    // These take the place of all the others.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        if let Some(all) = environment.get(name) {
            flags = words(all);
        }
    }
    let tool = |kind: &str| {
        let names = [format!("{kind}_{target}"), format!("{kind}_{}", target.replace('-', "_"))];
        let variables = config["env"].as_table().expect("a table");
        let in_config = || names.iter().find_map(|name| variables.get(name));
        let in_environment = names.iter().find_map(|name| environment.get(name)).cloned();
        in_environment.or_else(|| in_config().map(|value| text(&value["value"])))
    };
    Settings {
        linker: environment
            .get(&format!("{of_cargo}LINKER"))
            .cloned()
            .or_else(|| own.and_then(|own| own.get("linker")).map(text)),
        flags,
        c_compiler: tool("CC"),
        archiver: tool("AR"),
        cargo: cargo.arguments.clone(),
        environment: cargo.environment.clone(),
        packages: words(&packages.to_owned()),
    }
}

/// What `cross/build --show` says, by the first word of the line.
fn shown(target: &str) -> BTreeMap<String, String> {
    let output = Command::new(path("cross/build")).args(["--show", target]).output().expect("it can be run");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{target}: {text}");
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(first, rest)| (first.to_owned(), rest.to_owned()))
        .collect()
}

/// The targets that `cross/build` names when it is asked for one that is none.
fn targets() -> Vec<String> {
    let output = Command::new(path("cross/build")).arg("nowhere").output().expect("it can be run");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    let found: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    assert!(found.len() >= 5, "{text}");
    found
}

/// A Dockerfile's instructions, each on one line.
fn instructions(name: &str) -> Vec<String> {
    let text: String =
        read(name).lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    text.replace("\\\n", " ").lines().map(str::to_owned).collect()
}

/// The variables that a Dockerfile sets.
fn environment(name: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in instructions(name) {
        let Some(mut rest) = line.strip_prefix("ENV ").map(str::trim) else { continue };
        while let Some((variable, value)) = rest.split_once("=\"") {
            let (value, more) = value.split_once('"').expect("the value is quoted");
            found.insert(variable.to_owned(), value.to_owned());
            rest = more.trim();
        }
        assert_eq!(rest, "", "{name}: a variable without quotes");
    }
    found
}

/// The ones of `packages` that a Dockerfile installs.
fn installed(name: &str, packages: &str) -> String {
    let lines = instructions(name);
    let words: Vec<&str> =
        lines.iter().filter_map(|line| line.strip_prefix("RUN ")).flat_map(str::split_whitespace).collect();
    packages.split(' ').filter(|package| words.contains(package)).collect::<Vec<_>>().join(" ")
}

/// What docs/BUILDING.md tells a user of `cross` to type, after `cross`.
fn typed_with_cross() -> String {
    let text = read("docs/BUILDING.md");
    let (_, rest) =
        text.split_once("CROSS_CONFIG=cross/Cross.toml cross ").expect("BUILDING has the command");
    rest.lines().next().unwrap_or("").split('#').next().unwrap_or("").trim().to_owned()
}

#[test]
fn same_settings() {
    let typed = typed_with_cross();
    assert!(typed.ends_with(" TARGET"), "{typed}");
    let cross = table("cross/Cross.toml");
    for target in targets().iter().filter(|target| *target != HOST_TARGET) {
        let shown = shown(target);
        let call =
            Call { arguments: shown["cargo"].clone(), environment: vec![shown["environment"].clone()] };
        let here = settings(target, &BTreeMap::new(), &call, &shown["install"]);

        let of_target = cross["target"].get(target).unwrap_or_else(|| panic!("Cross.toml lacks {target}"));
        let file = of_target["dockerfile"].as_str().expect("a string").trim_start_matches("./");
        let passed = of_target["env"]["passthrough"].as_array().expect("a list");
        let call = Call {
            arguments: typed.replace("TARGET", target),
            environment: passed.iter().map(|one| one.as_str().expect("a string").to_owned()).collect(),
        };
        let there = settings(target, &environment(file), &call, &installed(file, &shown["install"]));

        assert_eq!(here, there, "{target}: cross/build, and {file}");
        assert!(!here.flags.is_empty(), "{target}: the flags were not found");
    }
}

#[test]
fn targets_of_cross() {
    let cross = table("cross/Cross.toml");
    let known = targets();
    assert_eq!(cross.keys().collect::<Vec<_>>(), ["target"], "[build] would hold for all targets");
    for (target, section) in cross["target"].as_table().expect("a table") {
        assert!(known.contains(target), "cross/build does not know {target}");
        let members: Vec<_> = section.as_table().expect("a table").keys().collect();
        assert_eq!(members, ["dockerfile", "env"], "{target}");
    }
}

#[test]
fn linker() {
    for target in targets().iter().filter(|target| *target != HOST_TARGET) {
        let shown = shown(target);
        let settings = settings(target, &BTreeMap::new(), &Call::default(), "");
        let linker = settings.linker.unwrap_or_else(|| panic!("{target} has no linker"));
        if shown["compiler"] == "zig" {
            for tool in [Some(linker), settings.c_compiler, settings.archiver] {
                let tool = tool.unwrap_or_else(|| panic!("{target}: the crates in C need a compiler too"));
                let file =
                    std::fs::canonicalize(path(&tool)).unwrap_or_else(|error| panic!("{tool}: {error}"));
                assert!(file.ends_with("cross/linker/zig-cc"), "{tool} is {}", file.display());
                assert!(
                    tool.starts_with(&format!("cross/linker/{target}-")),
                    "{tool}: zig-cc goes by its name"
                );
            }
        } else {
            assert_eq!(linker, shown["compiler"], "{target}");
        }
    }
}

#[test]
fn emulated_processor() {
    let check = read("cross/check");
    let cross = table("cross/Cross.toml");
    for target in targets().iter().filter(|target| *target != HOST_TARGET) {
        let row = check.lines().find(|line| line.starts_with(&format!("{target} "))).expect("a row");
        let columns: Vec<&str> = row.split_whitespace().collect();
        let [.., emulator, processor, libraries] = columns[..] else { panic!("{row}") };
        let mut expected = format!("{emulator} -cpu {processor}");
        if libraries != "-" {
            expected.push_str(" -L ");
            expected.push_str(libraries);
        }
        let file = cross["target"][target]["dockerfile"].as_str().expect("a string");
        let variable = format!("CARGO_TARGET_{}_RUNNER", target.replace('-', "_").to_uppercase());
        assert_eq!(environment(file)[&variable], expected, "{file}");
    }
}
