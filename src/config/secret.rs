//! Secret links in the configuration: each node's public key in the file, its private key in a file of its own.
//!
//! The private key of the node Hill is in the file `private/Hill` beside the configuration, or in the credential `private-key` of
//! systemd: one line of 64 hex digits. It never appears in a message.

use std::io::Read;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::finding::Findings;
use super::json::Raw;
use super::keys::{from_hex, key_digits};
use super::read::{Reader, join};
use super::{At, Config, Environment, NodeSpec, json};
use crate::files::open_secret;
use crate::proto::node::secret::{Mode, PublicKeys};
use crate::proto::noise::key_pair::{KEY_BYTES, KeyPair, PublicKey};
use crate::proto::out::read_hex;

/// What a configuration says of secret links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretLinks {
    /// Which links the nodes dial and accept.
    pub mode: Mode,
    /// The public keys of each node, in the order of [`Checked::nodes`](super::Checked::nodes).
    pub public_keys: Vec<PublicKeys>,
    /// The folder of the configuration, with the private keys.
    pub folder: PathBuf,
}

/// The file of a node's private key. `folder` is that of the configuration.
#[must_use]
pub fn private_key_file(folder: &Path, node: &str) -> PathBuf {
    folder.join("private").join(node)
}

impl<'a> Reader<'a> {
    /// One public key or an array of two.
    pub(super) fn public_keys(&mut self, value: Raw<'a>, path: &str) -> Option<At<PublicKeys>> {
        let line = self.document.line(value.get());
        let texts = json::elements(value).unwrap_or_else(|| vec![value]);
        let mut keys = PublicKeys::default();
        if texts.is_empty() || texts.len() > keys.len() {
            self.wrong_kind(value, path, "one public key, or two while the key changes");
            return None;
        }
        for (key, text) in keys.iter_mut().zip(texts) {
            let Some(digits) = json::string(text) else {
                self.wrong_kind(text, path, "a public key in a string");
                return None;
            };
            *key = from_hex(&digits).map(PublicKey);
            if key.is_none() {
                let message = "not a public key of 64 hex digits";
                self.error(line, path, message, "herd key NAME prints the public key of a node");
                return None;
            }
        }
        Some(At { value: keys, line })
    }

    /// How a herd moves to secret links.
    pub(super) fn secret_links(&mut self, value: Raw<'_>) {
        let known = [("accept", Mode::Accept), ("dial", Mode::Dial), ("only", Mode::Only)];
        let line = self.document.line(value.get());
        let mode = self.choice(value, "secret_links", &known);
        self.config.secret_links = mode.map(|value| At { value, line });
    }
}

/// Checks the public keys. `None` if no node has one.
pub(super) fn check(
    config: &Config,
    sorted: &[&NodeSpec],
    has_key: bool,
    findings: &mut Findings,
) -> Option<SecretLinks> {
    let Some((node, first)) = sorted.iter().find_map(|node| Some((node, node.public_key.as_ref()?))) else {
        if let Some(mode) = config.secret_links
            && !config.lost_nodes
        {
            let remedy = "make keys with: herd key NAME, or remove the member";
            findings.error(Some(mode.line), "secret_links", "no node has a public_key", remedy);
        }
        return None;
    };
    if !has_key && config.key_file.is_none() {
        let message = "a herd with public keys needs a key_file, too";
        let member = join(&join("nodes", &node.name), "public_key");
        findings.error(Some(first.line), &member, message, super::keys::HOW_TO_MAKE_A_KEY.to_owned());
    }
    let mode = config.secret_links.map_or(Mode::Only, |mode| mode.value);
    // A key that could not be read is not missing.
    let is_whole = mode == Mode::Only && !config.findings.has_errors();
    for node in sorted.iter().filter(|node| is_whole && node.public_key.is_none()) {
        let remedy = format!(
            "make one with: herd key {}; while a herd changes: \"secret_links\": \"accept\"",
            node.name
        );
        let message = "the member \"public_key\" is missing, and other nodes have one";
        findings.error(Some(node.line), &join("nodes", &node.name), message, remedy);
    }
    unlike_keys(sorted, findings);
    Some(SecretLinks {
        mode,
        public_keys: sorted
            .iter()
            .map(|node| node.public_key.map(|at| at.value).unwrap_or_default())
            .collect(),
        folder: config.folder.clone(),
    })
}

/// Notes keys that two nodes have, and keys that every private key agrees on zero with.
fn unlike_keys(sorted: &[&NodeSpec], findings: &mut Findings) {
    let mut seen: Vec<(PublicKey, &str)> = Vec::new();
    let any = KeyPair::new([1; KEY_BYTES]);
    for node in sorted {
        let Some(keys) = &node.public_key else { continue };
        let member = join(&join("nodes", &node.name), "public_key");
        for key in keys.value.iter().flatten() {
            let other = seen.iter().find(|(other, _)| other == key);
            let message = match other {
                Some((_, other)) if *other == node.name => Some("the two keys are the same".to_owned()),
                Some((_, other)) => Some(format!("{} has the same key", join("nodes", other))),
                None if any.agree(key).is_err() => Some("the key is weak".to_owned()),
                None => None,
            };
            if let Some(message) = message {
                let remedy = format!("make a key of its own with: herd key {}", node.name);
                findings.error(Some(keys.line), &member, message, remedy);
            }
            seen.push((*key, &node.name));
        }
    }
}

/// Notes what is wrong with the private key of this node, which is to run on this board.
pub(super) fn check_private(
    config: &Config,
    node: &NodeSpec,
    environment: &Environment,
    findings: &mut Findings,
) {
    let Some(keys) = &node.public_key else { return };
    if let Err((message, remedy)) = key_pair(&node.name, &keys.value, &config.folder, environment) {
        findings.error(Some(keys.line), &join(&join("nodes", &node.name), "public_key"), message, remedy);
    }
}

impl SecretLinks {
    /// Reads the key pair of the node of this name and number. `None` if the herd does not have its public key yet, as it
    /// moves to secret links.
    ///
    /// # Errors
    /// The message and the remedy: the private key is missing, others can read it, or it does not belong to a public key of
    /// the node.
    pub fn key_pair(
        &self,
        name: &str,
        number: usize,
        environment: &Environment,
    ) -> Result<Option<KeyPair>, (String, String)> {
        let listed = self.public_keys.get(number).copied().unwrap_or_default();
        if listed.iter().all(Option::is_none) {
            return Ok(None);
        }
        key_pair(name, &listed, &self.folder, environment).map(Some)
    }
}

fn key_pair(
    name: &str,
    listed: &PublicKeys,
    folder: &Path,
    environment: &Environment,
) -> Result<KeyPair, (String, String)> {
    let credential = environment.credential("private-key");
    let file = credential.clone().unwrap_or_else(|| private_key_file(folder, name));
    let pair = read_private_key(&file, credential.is_none(), name)?;
    if listed.contains(&Some(*pair.public())) {
        return Ok(pair);
    }
    let digits = key_digits(&pair.public().0);
    let message = format!("{}: its public key is not that of nodes.{name}", file.display());
    Err((message, format!("write \"public_key\": \"{}\", or copy the right file", *digits)))
}

/// Reads a private key. With `must_be_private`, other users must not have access to the file.
///
/// # Errors
/// The message and the remedy.
pub fn read_private_key(file: &Path, must_be_private: bool, node: &str) -> Result<KeyPair, (String, String)> {
    let path = file.display();
    let remedy = format!("make one on the node's own board with: herd key {node}");
    let opened = open_secret(file, must_be_private);
    let opened =
        opened.map_err(|(message, own)| (message, if own.is_empty() { remedy.clone() } else { own }))?;
    // One byte more than digits and a line end, so that a longer file shows.
    const BYTES: usize = 2 * KEY_BYTES + 3;
    let mut text = Zeroizing::new(Vec::with_capacity(BYTES));
    let read = (&opened).take(BYTES as u64).read_to_end(&mut text);
    read.map_err(|error| (format!("{path}: {error}"), remedy.clone()))?;
    let mut private = Zeroizing::new([0; KEY_BYTES]);
    if read_hex(text.trim_ascii_end(), private.as_mut()).is_none() {
        return Err((format!("{path}: not a private key of 64 lower-case hex digits"), remedy));
    }
    Ok(KeyPair::new(*private))
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
