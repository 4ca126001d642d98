//! Files do not import each other in a circle.
//!
//! A file imports the file that defines what its paths name: in a `use`, or in the code. A re-export is followed to the
//! definition. The file of a folder (`mod.rs`, `lib.rs`) holds its children together, so its imports of them do not count; what
//! they import from it counts. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::{path, read, rust_files};

/// `["server", "driver"]` for `src/server/driver.rs`, and nothing for `src/lib.rs`.
type Module = Vec<String>;

/// The folders of the packages, and packages below them.
const PACKAGES: [(&str, &[&str]); 3] =
    [("src", &["proto", "bridge", "bin", "page"]), ("src/proto", &[]), ("src/bridge", &["tests"])];

#[derive(Default)]
struct Source {
    /// The paths that it names.
    paths: Vec<Vec<String>>,
    /// The paths of its re-exports, by name.
    exports: BTreeMap<String, Vec<String>>,
}

type Sources = BTreeMap<Module, Source>;

fn words(text: &str) -> Vec<String> {
    text.split("::").map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

/// Adds the paths of a tree of imports, each with the name that it gets.
fn expand(before: &[String], tree: &str, found: &mut Vec<(Vec<String>, String)>) {
    if let Some((head, inner)) = tree.split_once('{') {
        let head = [before, &words(head)].concat();
        let (mut depth, mut start) = (0, 0);
        let inner = &inner[..inner.rfind('}').expect("the compiler has read it")];
        for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    let item = inner[start..at].trim();
                    start = (at + 1).min(inner.len());
                    if !item.is_empty() {
                        expand(&head, item, found);
                    }
                }
                _ => {}
            }
        }
        return;
    }
    let (path, name) = tree.split_once(" as ").map_or((tree, None), |(path, name)| (path, Some(name)));
    let mut path = [before, &words(path)].concat();
    if path.last().is_some_and(|word| word == "self") {
        path.pop();
    }
    let name = name.map(str::to_owned).or_else(|| path.last().cloned()).unwrap_or_default();
    found.push((path, name.trim().to_owned()));
}

/// The code without comments, and without items that only tests have.
fn shipped(text: &str) -> String {
    let mut shipped = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            let is_comment = line.trim_start().starts_with("//");
            shipped += if is_comment { "" } else { line.split(" //").next().unwrap_or(line) };
            shipped.push('\n');
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let item = lines.by_ref().find(|line| !line.trim_start().starts_with("#["));
        if item.is_some_and(|item| !item.ends_with([';', '}'])) {
            lines.by_ref().find(|line| line.len() > indent && line[indent..].starts_with('}'));
        }
    }
    shipped
}

impl Source {
    fn of(text: &str) -> Self {
        let text = shipped(text);
        let mut source = Source::default();
        for statement in text.split_inclusive(';') {
            let statement = statement.rsplit("}\n").next().unwrap_or(statement);
            let start = statement.match_indices("use ").map(|(at, _)| at).find(|&at| {
                let line = statement[..at].rsplit('\n').next().unwrap_or_default().trim();
                line.is_empty() || line == "pub" || line.starts_with("pub(")
            });
            let Some(at) = start else { continue };
            let mut found = vec![];
            expand(&[], statement[at + 4..].trim_end_matches(';').trim(), &mut found);
            let is_export = statement[..at].rsplit('\n').next().is_some_and(|line| line.contains("pub"));
            for (path, name) in found {
                if is_export {
                    source.exports.insert(name, path.clone());
                }
                source.paths.push(path);
            }
        }
        let in_code = text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        source.paths.extend(in_code.filter(|word| word.contains("::")).map(words));
        source
    }
}

/// The file that defines what a path names at a place; none for another package's.
fn definition(sources: &Sources, at: &Module, path: &[String], depth: usize) -> Option<Module> {
    let mut rest = path;
    let mut found = at.clone();
    match rest.first()?.as_str() {
        "crate" => (found, rest) = (vec![], &rest[1..]),
        "self" | "super" => {
            while let Some(word) = rest.first().filter(|word| matches!(word.as_str(), "self" | "super")) {
                if word == "super" {
                    found.pop()?;
                }
                rest = &rest[1..];
            }
        }
        child => {
            let child = [&found[..], &[child.to_owned()]].concat();
            sources.contains_key(&child).then_some(())?;
        }
    }
    while let Some(word) = rest.first() {
        let deeper = [&found[..], std::slice::from_ref(word)].concat();
        if !sources.contains_key(&deeper) {
            break;
        }
        (found, rest) = (deeper, &rest[1..]);
    }
    let source = sources.get(&found)?;
    match rest.first().and_then(|name| source.exports.get(name)) {
        Some(export) if depth > 0 => definition(sources, &found, &[export, &rest[1..]].concat(), depth - 1),
        _ => Some(found),
    }
}

/// A circle of imports: the first is also the last. None if there is none.
fn circle(sources: &Sources) -> Option<Vec<Module>> {
    let imports = |from: &Module| -> BTreeSet<Module> {
        let to = sources[from].paths.iter().filter_map(|path| definition(sources, from, path, 4));
        to.filter(|to| !to.starts_with(from)).collect()
    };
    let imports: BTreeMap<&Module, BTreeSet<Module>> =
        sources.keys().map(|from| (from, imports(from))).collect();
    let mut done: BTreeSet<&Module> = BTreeSet::new();
    for start in sources.keys() {
        let mut trail: Vec<(&Module, Vec<&Module>)> = vec![(start, imports[start].iter().collect())];
        while let Some((at, next)) = trail.last_mut() {
            let Some(to) = next.pop() else {
                done.insert(at);
                trail.pop();
                continue;
            };
            if let Some(first) = trail.iter().position(|(on, _)| *on == to) {
                return Some(
                    trail[first..].iter().map(|(on, _)| (*on).clone()).chain([to.clone()]).collect(),
                );
            }
            if !done.contains(to) {
                trail.push((to, imports[to].iter().collect()));
            }
        }
    }
    None
}

/// The files of a package, but for these folders and for tests.
fn sources(package: &str, without: &[&str]) -> Sources {
    let mut sources = Sources::new();
    for file in rust_files(package) {
        let below = file.strip_prefix(path(package)).expect("it was listed").with_extension("");
        let mut module: Module = below.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        let is_left_out = module.len() > 1 && without.contains(&module[0].as_str());
        if !is_left_out && !module.last().is_some_and(|name| name.ends_with("tests")) {
            module.pop_if(|name| matches!(name.as_str(), "mod" | "lib"));
            sources.insert(module, Source::of(&read(&file)));
        }
    }
    sources
}

#[test]
fn imports() {
    for (folder, without) in PACKAGES {
        let sources = sources(folder, without);
        assert!(sources.len() > 20, "{folder} has {} files", sources.len());
        if let Some(circle) = circle(&sources) {
            let files: Vec<String> = circle.iter().map(|module| module.join("/")).collect();
            panic!("{folder}: a circle of imports: {}", files.join(" -> "));
        }
    }
}

#[test]
fn seen() {
    let circle_of = |files: &[(&str, &str)]| {
        let sources = files.iter().map(|(module, text)| (words(module), Source::of(text)));
        circle(&sources.collect()).is_some()
    };
    let root = ("", "mod a;\nmod b;\nmod c;\npub use b::B;\n");
    for (a, b, is_circle) in [
        ("use super::b::B;\n", "use super::c::C;\n", false),
        ("use super::b::B;\n", "use super::a::{self, A};\n", true),
        (
            "pub fn f() {}\n\nuse super::{\n    b::{B, X},\n    c::C,\n};\n",
            "fn f() { crate::a::f(); }\n",
            true,
        ),
        // By a re-export of the folder.
        ("use super::B;\n", "use super::a::A;\n", true),
        ("use super::b::B;\n", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n", false),
        ("use super::b::B;\n", "// crate::a::A\n", false),
    ] {
        assert_eq!(circle_of(&[root, ("a", a), ("b", b), ("c", "")]), is_circle, "{a}{b}");
    }
    // A folder's file uses its children, and they what it defines.
    assert!(!circle_of(&[root, ("a", "use super::T;\n"), ("b", "use super::T;\n"), ("c", "")]));
    assert!(circle_of(&[
        root,
        ("a", "mod d;\nuse d::D;\n"),
        ("a::d", "use crate::b;\n"),
        ("b", "use crate::a::d;\n"),
        ("c", "")
    ]));
}
