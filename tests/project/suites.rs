//! The scripts that choose suites of `tests/e2e` by name know all of them, and no other.

use std::collections::BTreeSet;

use crate::{read, rust_files};

/// The suites of the end-to-end binary: the modules at its root.
fn suites() -> BTreeSet<String> {
    let text = read("tests/e2e/main.rs");
    text.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).map(str::to_owned).collect()
}

/// The filters of a script, such as `links::`, each without its colons.
fn filters(line: &str) -> BTreeSet<String> {
    line.split_whitespace().filter_map(|word| word.strip_suffix("::")).map(str::to_owned).collect()
}

/// The lines of a shell variable that is set to a quoted list.
fn list(text: &str, variable: &str) -> Vec<String> {
    let (_, rest) = text.split_once(&format!("\n{variable}='")).expect("the variable is set");
    let (list, _) = rest.split_once('\'').expect("it is quoted");
    list.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

#[test]
fn of_other_runtimes() {
    let text = read(".ci/run");
    let (_, rest) = text.split_once("\ntest_runtime() {").expect("the function is there");
    let (body, _) = rest.split_once("\n}\n").expect("it ends");
    let chosen = filters(body);
    assert_eq!(chosen.len(), 12, "the suites of a running node: {chosen:?}");
    let unknown: Vec<_> = chosen.difference(&suites()).cloned().collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    // A filter is a part of a name, so no suite may end in the name of another.
    for suite in suites() {
        let others = chosen.iter().filter(|chosen| suite != **chosen && suite.ends_with(chosen.as_str()));
        assert_eq!(others.count(), 0, "{suite} is chosen by another's name");
    }
}

#[test]
fn of_emulated_board() {
    let text = read(".ci/cross");
    let run = list(&text, "SUITES").into_iter();
    let left_out = list(&text, "LEFT_OUT").into_iter().map(|line| {
        let (name, reason) = line.split_once("  ").expect("a reason follows the name");
        assert!(!reason.is_empty(), "{name}");
        name.to_owned()
    });
    let named: Vec<String> =
        run.chain(left_out).filter_map(|name| name.strip_prefix("e2e::").map(str::to_owned)).collect();
    assert_eq!(named.iter().cloned().collect::<BTreeSet<_>>(), suites());
    assert_eq!(named.len(), suites().len(), "each is in one of the lists");
}

/// What a test may be called: it is shown after its module's name, and its comment may say more.
const NAME_BYTES_MAX: usize = 26;

#[test]
fn names_are_short() {
    for file in ["tests/e2e", "tests/project"].into_iter().flat_map(rust_files) {
        let (text, name) = (read(&file), file.display());
        let tests =
            text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn ")?.1.split_once('('));
        for (test, _) in tests {
            assert!(test.len() <= NAME_BYTES_MAX, "{name}: {test} has more than {NAME_BYTES_MAX} bytes");
        }
    }
}
