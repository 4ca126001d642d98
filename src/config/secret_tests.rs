use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::config::{Config, Severity};
use crate::files::testing::TestDir;

fn digits(private: u8) -> String {
    key_digits(&KeyPair::new([private; KEY_BYTES]).public().0).to_string()
}

/// A herd of A and B, with these members of each node and of the herd.
fn text(a: &str, b: &str, members: &str) -> String {
    format!(
        "{{ \"nodes\": {{\n\"A\": {{ \"clients\": \"127.0.0.1:1\", \"links\": \"127.0.0.1:2\"{a} }},\n\"B\": {{ \"clients\": \
         \"127.0.0.1:3\", \"links\": \"127.0.0.1:4\"{b} }} }},\n\"edges\": [[\"A\", \"B\"]]{members} }}"
    )
}

fn member(key: &str) -> String {
    format!(", \"public_key\": {key}")
}

#[test]
fn mistakes_about_public_keys_are_reported() {
    let (a, b, other) = (digits(1), digits(2), digits(3));
    let one = |key: &str| member(&format!("\"{key}\""));
    let two = |first: &str, second: &str| member(&format!("[\"{first}\", \"{second}\"]"));
    let weak = "00".repeat(32);
    for (of_a, of_b, members, expected) in [
        (one(&a), one(&b), "", None),
        (two(&other, &a), one(&b.to_uppercase()), "", None),
        (one(&a), String::new(), ", \"secret_links\": \"accept\"", None),
        (one(&a), one(&b), ", \"secret_links\": \"dial\"", None),
        (one(&a), String::new(), "", Some("m:3: nodes.B: the member \"public_key\" is missing")),
        (one(&a), one(&a), "", Some("m:3: nodes.B.public_key: nodes.A has the same key")),
        (two(&a, &a), one(&b), "", Some("m:2: nodes.A.public_key: the two keys are the same")),
        (one(&weak), one(&b), "", Some("m:2: nodes.A.public_key: the key is weak")),
        (one(&a[1..]), one(&b), "", Some("m:2: nodes.A.public_key: not a public key of 64 hex digits")),
        (member("5"), one(&b), "", Some("m:2: nodes.A.public_key: found a number")),
        (member("[]"), one(&b), "", Some("m:2: nodes.A.public_key: found an array")),
        (member(&format!("[\"{a}\", 5]")), one(&b), "", Some("m:2: nodes.A.public_key: found a number")),
        (
            String::new(),
            String::new(),
            ", \"secret_links\": \"only\"",
            Some("m:4: secret_links: no node has a public_key"),
        ),
        (
            one(&a),
            one(&b),
            ", \"secret_links\": \"onyl\"",
            Some("m:4: secret_links: unknown value \"onyl\" (did you mean \"only\"?)"),
        ),
    ] {
        let folder = TestDir::new();
        fs::write(folder.path("key"), "5a".repeat(32)).expect("a new file");
        fs::set_permissions(folder.path("key"), fs::Permissions::from_mode(0o600)).expect("it is ours");
        let key_file = format!(", \"key_file\": \"{}\"{members}", folder.path("key").display());
        let config = Config::parse(&text(&of_a, &of_b, &key_file), Path::new("m"));
        let (_, findings) = config.check_in(&Environment::default());
        let errors: Vec<String> = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(ToString::to_string)
            .collect();
        match expected {
            None => assert!(errors.is_empty(), "{errors:?}"),
            Some(expected) => {
                assert!(errors.len() == 1 && errors[0].starts_with(expected), "{expected}: {errors:?}");
            }
        }
    }
}

#[test]
fn public_keys_need_the_key_of_the_herd() {
    let one = |private| member(&format!("\"{}\"", digits(private)));
    let config = Config::parse(&text(&one(1), &one(2), ""), Path::new("m"));
    let (checked, findings) = config.check_in(&Environment::default());
    assert!(checked.is_none());
    assert!(
        findings[0]
            .to_string()
            .starts_with("m:2: nodes.A.public_key: a herd with public keys needs a key_file")
    );
}

#[test]
fn a_private_key_is_private_whole_and_the_nodes_own() {
    let folder = TestDir::new();
    let mut listed = PublicKeys::default();
    listed[1] = Some(*KeyPair::new([1; KEY_BYTES]).public());
    let links = SecretLinks { mode: Mode::Only, public_keys: vec![listed], folder: folder.path("") };
    fs::create_dir(folder.path("private")).expect("a new folder");
    let file = folder.path("private/A");
    let read = |environment: &Environment| links.key_pair("A", 0, environment).map(|pair| pair.is_some());
    let nowhere = Environment::default();
    assert!(read(&nowhere).is_err_and(|(_, remedy)| remedy.contains("herd key A")));
    let write = |text: &str, mode| {
        fs::write(&file, text).expect("a file of ours");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    let private = "01".repeat(32);
    for (text, mode, expected) in [
        (format!("{private}\n"), 0o600, None),
        (private.clone(), 0o400, None),
        (format!("{private}\r\n"), 0o600, None),
        (format!("{private}\n"), 0o640, Some("gives other users access")),
        (private[1..].to_owned(), 0o600, Some("not a private key")),
        (format!("{private}\n{private}\n"), 0o600, Some("not a private key")),
        (private.replace('1', "G"), 0o600, Some("not a private key")),
        ("02".repeat(32), 0o600, Some("its public key is not that of nodes.A")),
    ] {
        write(&text, mode);
        match (read(&nowhere), expected) {
            (Ok(found), None) => assert!(found),
            (Err((message, _)), Some(expected)) => {
                assert!(message.contains(expected), "{message}");
                assert!(!message.contains(&text[..32]), "{message}");
            }
            (read, expected) => panic!("{read:?}, {expected:?}"),
        }
    }
    // systemd's credential wins, whatever its mode is.
    write("no key", 0o600);
    fs::write(folder.path("private-key"), &private).expect("a new file");
    assert_eq!(read(&Environment { credentials: Some(folder.path("")), ..nowhere.clone() }), Ok(true));
    // A node without a public key yet needs no private one.
    let links = SecretLinks { public_keys: vec![PublicKeys::default()], ..links };
    assert!(matches!(links.key_pair("A", 0, &nowhere), Ok(None)));
}
