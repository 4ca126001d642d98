//! Reads and checks what the configuration says of phones, and of TLS on the node's own listeners.

use std::path::PathBuf;

use super::finding::Findings;
use super::json::Raw;
use super::read::{Reader, join};
use super::{At, Config, PHONE_TOKENS_MAX, PhoneSettings, TlsFiles};
use crate::proto::fields::ClientId;

/// `tls` as written.
#[derive(Clone, Debug)]
pub(super) struct TlsSpec {
    pub(super) cert_file: At<PathBuf>,
    pub(super) key_file: At<PathBuf>,
}

impl TlsSpec {
    pub(super) fn files(&self) -> TlsFiles {
        TlsFiles { cert_file: self.cert_file.value.clone(), key_file: self.key_file.value.clone() }
    }
}

impl<'a> Reader<'a> {
    /// Whether phones see each other.
    pub(super) fn friends(&mut self, value: Raw<'_>) {
        match value.get() {
            "true" => self.config.phones.friends = true,
            "false" => self.config.phones.friends = false,
            _ => self.wrong_kind(value, "friends", "true or false"),
        }
    }

    /// Numbers of tokens, by name.
    pub(super) fn phone_tokens(&mut self, value: Raw<'a>) {
        if !cfg!(feature = "phones") {
            // `check` refuses the listener; without one the numbers have no effect.
            return;
        }
        for (name, value, line) in self.unique_members(value, "phone_tokens", "an object") {
            let path = join("phone_tokens", &name);
            if ClientId::parse(name.as_bytes()).is_none() {
                let message = "no client has this name";
                self.error(line, &path, message, "use 1 to 64 bytes without white space");
            } else if name.contains('%') {
                // A name in a report is an id with this sign encoded.
                self.error(line, &path, "no phone has this name", "leave out the sign %");
            } else if self.config.phones.tokens.len() == PHONE_TOKENS_MAX {
                let message = format!("more than {PHONE_TOKENS_MAX} names");
                return self.error(
                    line,
                    "phone_tokens",
                    message,
                    "change the key instead: then all tokens are new",
                );
            } else if let Some(number) = self.number(value, &path, "numbers", 0..=u32::MAX) {
                self.config.phones.tokens.push((name.into_owned(), number));
            }
        }
    }

    /// The files of a certificate and its private key.
    pub(super) fn tls(&mut self, value: Raw<'a>) {
        let line = self.document.line(value.get());
        if !cfg!(feature = "tls") {
            let message = "this build has no TLS";
            return self.error(
                line,
                "tls",
                message,
                "use a build with the feature tls, or a proxy on this board",
            );
        }
        let (mut cert_file, mut key_file) = (None, None);
        for (name, value, _) in self.known_members(value, "tls", &["cert_file", "key_file"]) {
            let path = join("tls", &name);
            *(if name == "cert_file" { &mut cert_file } else { &mut key_file }) = self.path(value, &path);
        }
        match (cert_file, key_file) {
            (Some(cert_file), Some(key_file)) => self.config.tls = Some(TlsSpec { cert_file, key_file }),
            _ if self.config.findings.has_errors() => {}
            _ => {
                let message = "cert_file and key_file belong together";
                self.error(line, "tls", message, "name both, each a PEM file");
            }
        }
    }
}

/// Notes what is wrong with phones beyond one member.
pub(super) fn check(config: &Config, findings: &mut Findings) {
    for node in &config.nodes {
        let Some(phones) = node.phones else { continue };
        let member = join(&join("nodes", &node.name), "phones");
        if !cfg!(feature = "phones") {
            let message = "this build takes no reports of phones";
            let remedy = "use a build with the feature phones, or remove the member";
            findings.error(Some(phones.line), &member, message, remedy);
        }
        let is_loopback = |at: At<std::net::SocketAddr>| at.value.ip().to_canonical().is_loopback();
        if node.clients.is_some_and(|clients| !is_loopback(clients)) {
            let message = "a program that reaches clients reports for every id without a token";
            let remedy = "if phones are all clients, let clients be on 127.0.0.1";
            findings.warning(Some(phones.line), &member, message, remedy);
        }
    }
    let listens = config.nodes.iter().any(|node| node.phones.is_some());
    let has_settings = config.phones != PhoneSettings::default();
    if has_settings && !listens && !config.lost_nodes {
        let message = "friends and phone_tokens have no effect: no node has phones";
        findings.warning(None, "nodes", message, "add to a node: \"phones\": \"0.0.0.0:5055\"");
    }
}

#[cfg(all(test, any(feature = "phones", feature = "tls")))]
mod tests {
    use std::path::Path;

    use super::*;

    fn found(node: &str, members: &str) -> Vec<String> {
        let text = format!(
            "{{ \"nodes\": {{ \"A\": {{ \"clients\": \"127.0.0.1:1\", \"links\": \"127.0.0.1:2\"{node} }} }}{members} }}"
        );
        Config::parse(&text, Path::new("m")).check().1.iter().map(ToString::to_string).collect()
    }

    #[cfg(feature = "phones")]
    #[test]
    fn mistakes_about_phones_are_reported() {
        let here = ", \"phones\": \"127.0.0.1:5055\"";
        let names: Vec<String> = (0..=PHONE_TOKENS_MAX).map(|n| format!("\"n{n}\": 2")).collect();
        let many = format!(", \"phone_tokens\": {{ {} }}", names.join(", "));
        for (node, members, expected) in [
            (here, ", \"friends\": true, \"phone_tokens\": { \"ann\": 2, \"bob\": 0 }", ""),
            ("", ", \"friends\": true", "friends and phone_tokens have no effect: no node has phones"),
            (here, ", \"friends\": 1", "friends: found a number, expected true or false"),
            (here, ", \"phone_tokens\": []", "phone_tokens: found an array, expected an object"),
            (here, ", \"phone_tokens\": { \"a b\": 1 }", "no client has this name"),
            (here, ", \"phone_tokens\": { \"a%b\": 1 }", "no phone has this name"),
            (here, ", \"phone_tokens\": { \"a\": -1 }", "phone_tokens.a: "),
            (here, &many, "phone_tokens: more than 256 names"),
            (
                ", \"phones\": \"0.0.0.0:5055\"",
                "",
                "phones: 0.0.0.0:5055 is not loopback, but the configuration has no key_file",
            ),
        ] {
            let found = found(node, members);
            assert_eq!(found.is_empty(), expected.is_empty(), "{found:?}");
            assert!(found.iter().all(|finding| finding.contains(expected)), "{expected}: {found:?}");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_certificate_has_a_key() {
        let found = found("", ", \"tls\": { \"cert_file\": \"c\" }");
        assert_eq!(found, ["m:1: tls: cert_file and key_file belong together (name both, each a PEM file)"]);
    }
}
