//! The member `places`: one row per mistake, and the settings of a correct one.

use super::*;
use crate::config::tests::{found_in, with};
use crate::config::{Checked, Config, Finding};
use crate::files::testing::TestDir;

fn places(member: &str) -> String {
    with(&format!(", \"places\": {member}"))
}

/// A member, and what is found in it.
const MISTAKES: [(&str, &[&str]); 10] = [
    ("[]", &["m:4: places: found an array, expected an object"]),
    (
        r#"{ "source": "ofline" }"#,
        &[r#"m:4: places.source: unknown value "ofline" (did you mean "offline"?)"#],
    ),
    (
        r#"{ "source": "google" }"#,
        &[
            "m:4: places.key_file: Google requires a key, but the configuration names no key file (add \"key_file\", or use \"source\": \"offline\")",
        ],
    ),
    (
        r#"{ "source": "google", "cache_s": 60 }"#,
        &[
            "m:4: warning: places.cache_s: Google's terms forbid storing its answers (remove it)",
            "m:4: places.key_file: Google requires a key, but the configuration names no key file (add \"key_file\", or use \"source\": \"offline\")",
        ],
    ),
    (
        r#"{ "url": "http://localhost/", "workers": 2 }"#,
        &[
            "m:4: warning: places.url: the source \"offline\" does not use this member (remove it)",
            "m:4: warning: places.workers: the source \"offline\" does not use this member (remove it)",
        ],
    ),
    (
        r#"{ "timeout_ms": 99 }"#,
        &[r#"m:4: places.timeout_ms: "99" is out of range (use whole milliseconds, 100 to 60000)"#],
    ),
    (
        r#"{ "timeout_ms": 8e3, "time": 1 }"#,
        &[
            r#"m:4: places.time: unknown member (did you mean "timeout_ms"?)"#,
            r#"m:4: places.timeout_ms: "8e3" is out of range (use whole milliseconds, 100 to 60000)"#,
        ],
    ),
    (
        r#"{ "source": "google-legacy", "url": "http://localhost/", "workers": 0, "cache_s": 86401 }"#,
        &[
            r#"m:4: places.workers: "0" is out of range (use whole threads, 1 to 64)"#,
            r#"m:4: places.cache_s: "86401" is out of range (use whole seconds, 0 to 86400)"#,
        ],
    ),
    (
        r#"{ "source": "google-legacy", "url": "http://localhost/", "fallback": "google" }"#,
        &[r#"m:4: places.fallback: unknown value "google" (use one of "offline")"#],
    ),
    (r#"{ "source": "google-legacy", "url": "http://localhost/" }"#, &[]),
];

#[test]
fn every_mistake_names_its_line_member_and_remedy() {
    for (member, expected) in MISTAKES {
        assert_eq!(found_beside_tls(member), expected, "{member}");
    }
}

/// What is found in a member `places`, but for that a build without TLS cannot reach Google.
fn found_beside_tls(member: &str) -> Vec<String> {
    found_in(&places(member)).into_iter().filter(|line| !line.contains("no TLS")).collect()
}

#[test]
fn a_wrong_address_is_reported_but_not_shown() {
    let url = "ftp://user:secret@x";
    let found = found_beside_tls(&format!(r#"{{ "source": "google-legacy", "url": "{url}" }}"#));
    assert_eq!(found, [format!("m:4: places.url: {}", check_url(url).expect_err("not http"))]);
    let proxy = r#"{ "source": "google-legacy", "url": "http://localhost/", "proxy": "secret" }"#;
    let message = ProxyUrl::new("secret").expect_err("not an address");
    assert_eq!(found_beside_tls(proxy), [format!("m:4: places.proxy: {message}")]);
}

fn checked_in(dir: &TestDir, member: &str, places_files: Vec<PathBuf>) -> (Option<Checked>, Vec<Finding>) {
    let environment = Environment { credentials: None, places_files };
    Config::parse(&places(member), &dir.path("m")).check_in(&environment)
}

#[test]
fn a_places_file_is_named_found_or_missed() {
    let dir = TestDir::new();
    let file = dir.write("places.dat", "", 0o644);
    let nowhere = dir.path("nowhere/places.dat");
    let (checked, findings) = checked_in(&dir, "{}", vec![nowhere.clone(), file.clone()]);
    assert_eq!(
        checked.expect("nothing is wrong").settings.places,
        Settings::new(Source::Offline { file: file.clone() })
    );
    assert!(findings.is_empty());

    let (checked, findings) = checked_in(&dir, "{}", vec![nowhere.clone()]);
    assert_eq!(checked.expect("it is only a warning").settings.places.source, Source::Missing);
    assert!(findings[0].to_string().contains("no places file found"), "{findings:?}");

    let (checked, findings) = checked_in(&dir, r#"{ "file": "x" }"#, vec![file]);
    assert!(checked.is_none());
    assert!(findings[0].to_string().contains("places.file: "), "{findings:?}");
    assert!(findings[0].message.contains("No such file"), "{findings:?}");
}

#[test]
fn an_upstream_has_its_key_and_its_fallback() {
    let dir = TestDir::new();
    let file = dir.write("places.dat", "", 0o644);
    dir.write("places-key", "AIza-0123456789\n", 0o600);
    let member = r#"{ "source": "google-legacy", "url": "http://127.0.0.1:1/x", "key_file": "places-key",
        "fallback": "offline", "timeout_ms": 900, "workers": 3, "cache_s": 60 }"#;
    let (checked, findings) = checked_in(&dir, member, vec![file.clone()]);
    assert!(findings.is_empty(), "{findings:?}");
    let places = checked.expect("nothing is wrong").settings.places;
    let key = Some(Key::new("AIza-0123456789").expect("a key"));
    let url = Some("http://127.0.0.1:1/x".to_owned());
    assert_eq!(places.source, Source::GoogleLegacy(Endpoint { url, key }));
    assert_eq!(places.fallback, Some(file));
    assert_eq!((places.timeout_ms, places.workers, places.cache_s), (900, 3, 60));

    dir.write("places-key", "AIza-0123456789\n", 0o644);
    let (checked, findings) = checked_in(&dir, member, vec![]);
    assert!(checked.is_none());
    assert!(findings[0].to_string().contains("chmod 600"), "{findings:?}");
    assert!(!format!("{findings:?}").contains("AIza"));
}

#[test]
fn a_credential_holds_the_key_where_the_configuration_names_none() {
    let dir = TestDir::new();
    dir.write("places-key", "AIza-0123456789", 0o440);
    let environment = Environment { credentials: Some(dir.path("")), places_files: Vec::new() };
    let text = places(r#"{ "source": "google-legacy", "url": "http://192.0.2.1/" }"#);
    let (checked, findings) = Config::parse(&text, &dir.path("m")).check_in(&environment);
    let Source::GoogleLegacy(endpoint) = checked.expect("nothing is wrong").settings.places.source else {
        panic!("another source")
    };
    assert!(endpoint.key.is_some());
    assert!(findings[0].to_string().contains("unencrypted"), "{findings:?}");
}

#[test]
#[cfg(not(feature = "tls"))]
fn a_build_without_tls_says_so_when_it_is_asked_for_https() {
    let dir = TestDir::new();
    dir.write("places-key", "AIza-0123456789", 0o600);
    let google = r#"{ "source": "google", "key_file": "places-key" }"#;
    let own = r#"{ "source": "google-legacy", "url": "https://localhost/" }"#;
    for (member, expected) in [
        (google, "m:4: places.source: this build has no TLS, and Google requires https"),
        (own, "m:4: places.url: this build has no TLS; build it with the feature \"tls\""),
    ] {
        let (checked, findings) = checked_in(&dir, member, vec![dir.write("places.dat", "", 0o644)]);
        assert!(checked.is_none());
        assert!(findings[0].to_string().contains(expected), "{findings:?}");
    }
}
