//! Reads the text of a configuration into a [`Config`], and reports mistakes within one member.
//!
//! The reader never stops at a mistake: it notes and skips what it cannot understand. `Config::lost_nodes` and
//! `lost_edges` record that, since skipped nodes and edges can make the herd look partitioned. The reader opens only the
//! configuration file. `check` handles relations between members.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::files::open_regular;

use super::addresses::unusable;
use super::endpoint::Endpoint;
use super::finding::{Findings, Text, near_or, quoted};
use super::json::{self, Document, Raw};
use super::not_json::{has_comment, wrong_language};
use super::{
    AGE_S_MAX, AGE_S_MIN, At, CLIENTS_MAX, CLIENTS_MAX_MIN, CLIENTS_PER_ADDRESS_MAX, CONFIG_BYTES_MAX,
    ClockTrust, Config, EDGES_MAX, EdgeSpec, GATEWAYS_MAX, NAME_BYTES_MAX, NODES_MAX, NodeSpec,
    SNAPSHOT_S_MAX, SNAPSHOT_S_MIN,
};

/// Reads the configuration from a file. An unreadable file gives a configuration with one finding.
pub(super) fn from_file(file: &Path) -> Config {
    let label = file.display().to_string();
    match open_regular(file).and_then(|file| read_bounded(&file)) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => from_text(&text, &label, file.parent().unwrap_or(Path::new(""))),
            Err(error) => {
                let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
                    .iter()
                    .filter(|b| **b == b'\n')
                    .count();
                unreadable(label, Some(line + 1), "the text is not UTF-8".to_owned(), "")
            }
        },
        Err(error) => unreadable(
            label,
            None,
            error.to_string(),
            "name a readable file; without --config, herd uses the built-in configuration",
        ),
    }
}

/// Reads a whole configuration file of at most [`CONFIG_BYTES_MAX`] bytes.
fn read_bounded(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(CONFIG_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > CONFIG_BYTES_MAX {
        let message = format!("the file is longer than {CONFIG_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(bytes)
}

/// The configuration of an unreadable file.
fn unreadable(label: String, line: Option<usize>, message: impl Into<Text>, remedy: &'static str) -> Config {
    let mut findings = Findings::new(label);
    findings.error(line, "", message, remedy);
    Config { findings, lost_nodes: true, ..Config::default() }
}

/// Reads the configuration from its text.
pub(super) fn from_text(text: &str, label: &str, folder: &Path) -> Config {
    if let Some((message, remedy)) = wrong_language(text) {
        return unreadable(label.to_owned(), Some(1), message, remedy);
    }
    let (document, root) = match Document::parse(text) {
        Ok(parsed) => parsed,
        Err((line, _)) if text.lines().nth(line - 1).is_some_and(has_comment) => {
            let message = "not valid JSON: JSON has no comments";
            return unreadable(label.to_owned(), Some(line), message, "remove the comment");
        }
        Err((line, message)) => {
            // The parser's message for a trailing comma, the most common mistake, does not name it.
            let is_comma = message == "key must be a string";
            let remedy = if is_comma { "remove a comma before it" } else { "" };
            return unreadable(label.to_owned(), Some(line), format!("not valid JSON: {message}"), remedy);
        }
    };
    let findings = Findings::new(label.to_owned());
    let config = Config { findings, folder: folder.to_owned(), ..Config::default() };
    let mut reader = Reader { document, config };
    reader.root(root);
    reader.config
}

/// A member of an object: its name, its value, its line.
pub(super) type Member<'a> = (Cow<'a, str>, Raw<'a>, usize);

/// The configuration so far, and its text.
pub(super) struct Reader<'a> {
    pub(super) document: Document<'a>,
    pub(super) config: Config,
}

impl<'a> Reader<'a> {
    pub(super) fn error(
        &mut self,
        line: usize,
        member: &str,
        message: impl Into<Text>,
        remedy: impl Into<Text>,
    ) {
        self.config.findings.error(Some(line), member, message, remedy);
    }

    /// Notes a value of the wrong kind.
    pub(super) fn wrong_kind(&mut self, value: Raw<'_>, member: &str, wanted: &str) {
        let line = self.document.line(value.get());
        self.error(line, member, format!("found {}, expected {wanted}", json::kind(value)), "");
    }

    /// The members of an object, each name once. A duplicate name is an error; the first member counts.
    pub(super) fn unique_members(&mut self, value: Raw<'a>, path: &str, wanted: &str) -> Vec<Member<'a>> {
        let Some(all) = json::members(value) else {
            self.wrong_kind(value, path, wanted);
            return Vec::new();
        };
        let mut first_lines: BTreeMap<Cow<'a, str>, usize> = BTreeMap::new();
        let mut unique = Vec::new();
        for (name, value) in all {
            let line = self.document.member_line(&name, value);
            if let Some(first) = first_lines.get(&name) {
                let message = format!("appears twice, first on line {first}");
                self.error(line, &join(path, &name), message, "remove one of them");
            } else {
                first_lines.insert(name.clone(), line);
                unique.push((name, value, line));
            }
        }
        unique
    }

    /// The members of an object; reports unknown ones.
    pub(super) fn known_members(&mut self, value: Raw<'a>, path: &str, known: &[&str]) -> Vec<Member<'a>> {
        let mut members = self.unique_members(value, path, "an object");
        members.retain(|(name, _, line)| {
            let is_known = known.contains(&name.as_ref());
            if !is_known {
                let all = || format!("known members: {}", known.join(", "));
                let remedy = near_or(name, known.iter().copied(), all);
                self.error(*line, &join(path, name), "unknown member", remedy);
            }
            is_known
        });
        members
    }

    fn root(&mut self, value: Raw<'a>) {
        let (mut has_nodes, mut has_edges) = (false, false);
        for (name, value, _) in self.known_members(
            value,
            "",
            &[
                "nodes",
                "edges",
                "key_file",
                "places",
                "clock",
                "clients_per_address",
                "gateways",
                "snapshot_s",
                "clients_max",
                "lifetime_s",
                "friends",
                "phone_tokens",
                "tls",
                "secret_links",
            ],
        ) {
            match name.as_ref() {
                "nodes" => {
                    has_nodes = true;
                    self.nodes(value);
                }
                "edges" => {
                    has_edges = true;
                    self.edges(value);
                }
                "key_file" => self.config.key_file = self.path(value, "key_file"),
                "places" => self.places(value),
                "gateways" => self.gateways(value),
                "friends" => self.friends(value),
                "phone_tokens" => self.phone_tokens(value),
                "tls" => self.tls(value),
                "secret_links" => self.secret_links(value),
                "clock" => self.clock(value),
                limit => self.limit(limit, value),
            }
        }
        self.config.lost_nodes |= !has_nodes;
        // An error so far can be a name that is misspelt.
        if self.config.findings.has_errors() {
            return;
        }
        let mut missing = |member: &str, remedy: &str| {
            let message = "the member is missing";
            self.config.findings.error(None, member, message, format!("add it: \"{member}\": {remedy}"));
        };
        if !has_nodes {
            missing("nodes", "{ ... }");
        }
        if !has_edges && self.config.nodes.len() != 1 {
            self.config.lost_edges = true;
            missing("edges", "[[\"Hill\", \"Smith\"], ...], the pairs of neighbours");
        }
    }

    /// A member that is a number.
    fn limit(&mut self, member: &str, value: Raw<'a>) {
        let (unit, range) = match member {
            "clients_per_address" => ("clients", 1..=CLIENTS_PER_ADDRESS_MAX),
            "clients_max" => ("clients up to the size of this build", CLIENTS_MAX_MIN..=CLIENTS_MAX),
            "lifetime_s" => ("seconds", AGE_S_MIN..=AGE_S_MAX),
            _ => ("seconds", SNAPSHOT_S_MIN..=SNAPSHOT_S_MAX),
        };
        let given = self.number(value, member, unit, range);
        *match member {
            "clients_per_address" => &mut self.config.clients_per_address,
            "clients_max" => &mut self.config.clients_max,
            "lifetime_s" => &mut self.config.lifetime_s,
            _ => &mut self.config.snapshot_s,
        } = given;
    }

    /// Addresses without ports.
    fn gateways(&mut self, value: Raw<'a>) {
        let Some(elements) = json::elements(value) else {
            return self.wrong_kind(value, "gateways", "an array of addresses");
        };
        for (index, element) in elements.into_iter().enumerate() {
            let (path, line) = (format!("gateways[{index}]"), self.document.line(element.get()));
            if index == GATEWAYS_MAX {
                let message = format!("more than {GATEWAYS_MAX} gateways");
                return self.error(line, "gateways", message, "raise clients_per_address instead");
            }
            let Some(text) = json::string(element) else {
                self.wrong_kind(element, &path, "a string \"ADDRESS\"");
                continue;
            };
            match text.parse::<IpAddr>() {
                Ok(address) => self.config.gateways.push(address.to_canonical()),
                Err(_) => {
                    let message = format!("{} is not an address", quoted(&text));
                    self.error(
                        line,
                        &path,
                        message,
                        "use an address such as 192.168.1.1 or fd00::1, without a port",
                    );
                }
            }
        }
    }

    fn nodes(&mut self, value: Raw<'a>) {
        let members = self.unique_members(value, "nodes", "an object");
        self.config.lost_nodes |= members.is_empty();
        if members.is_empty() && json::members(value).is_some() {
            let line = self.document.line(value.get());
            self.error(line, "nodes", "the herd has no nodes", "add at least one");
        }
        for (name, value, line) in members {
            if self.config.nodes.len() == NODES_MAX {
                self.error(line, "nodes", format!("more than {NODES_MAX} nodes"), "split the herd in two");
                self.config.lost_nodes = true;
                return;
            }
            self.node(name.into_owned(), value, line);
        }
    }

    fn node(&mut self, name: String, value: Raw<'a>, line: usize) {
        let path = join("nodes", &name);
        if !is_name(&name) {
            let message = format!("{} is not a valid node name", quoted(&name));
            let remedy = format!(
                "use 1 to {NAME_BYTES_MAX} letters, digits, '.', '_' and '-'; begin with a letter or a digit"
            );
            self.error(line, &path, message, remedy);
        }
        let known = ["clients", "links", "listen", "http", "phones", "public_key"];
        let members = self.known_members(value, &path, &known);
        for wanted in ["clients", "links"] {
            if json::kind(value) == "an object" && members.iter().all(|(name, ..)| name != wanted) {
                let message = format!("the member {wanted:?} is missing");
                self.error(line, &path, message, format!("add {wanted:?}: \"ADDRESS:PORT\""));
            }
        }
        let mut node = NodeSpec { name, line, ..NodeSpec::default() };
        for (member, value, _) in members {
            let path = join(&path, &member);
            match member.as_ref() {
                "clients" => node.clients = self.address(value, &path),
                "links" => node.links = self.endpoint(value, &path, true),
                "listen" => node.listen = self.address(value, &path),
                "http" => node.http = self.address(value, &path),
                "phones" => node.phones = self.address(value, &path),
                _ => node.public_key = self.public_keys(value, &path),
            }
        }
        self.config.nodes.push(node);
    }

    /// An address literal with its port. No host names: a node binds to it.
    fn address(&mut self, value: Raw<'_>, path: &str) -> Option<At<SocketAddr>> {
        let At { value, line } = self.endpoint(value, path, false)?;
        Some(At { value: value.address()?, line })
    }

    /// An address literal with its port or, if it may be `named`, a host name with its port.
    fn endpoint(&mut self, value: Raw<'_>, path: &str, named: bool) -> Option<At<Endpoint>> {
        let Some(text) = json::string(value) else {
            self.wrong_kind(value, path, "a string \"ADDRESS:PORT\"");
            return None;
        };
        let line = self.document.line(value.get());
        let name = Endpoint::named(&text);
        let endpoint = match (text.parse::<SocketAddr>(), name) {
            (Ok(address), _) => Endpoint::Address(address),
            (Err(_), Some(name)) if named => name,
            (Err(_), name) => {
                let message = format!("{} is not an address with a port", quoted(&text));
                let remedy = match (named, name.is_some()) {
                    (true, _) => {
                        "use an address such as 192.168.1.5:9001 or [fd00::5]:9001, or a host name such as hill.local:9001"
                    }
                    (false, true) => {
                        "use an address such as 192.168.1.5:8001 or 0.0.0.0:8001; only \"links\" takes a host name"
                    }
                    (false, false) => "use an address such as 192.168.1.5:8001 or [fd00::5]:8001",
                };
                self.error(line, path, message, remedy);
                return None;
            }
        };
        if let Some((message, remedy)) = endpoint.address().and_then(unusable) {
            self.error(line, path, format!("{} {message}", quoted(&text)), remedy);
            return None;
        }
        if endpoint.port() == 0 {
            self.error(line, path, format!("{} has no port", quoted(&text)), "use a port from 1 to 65535");
            return None;
        }
        Some(At { value: endpoint, line })
    }

    fn edges(&mut self, value: Raw<'a>) {
        let Some(elements) = json::elements(value) else {
            self.wrong_kind(value, "edges", "an array");
            self.config.lost_edges = true;
            return;
        };
        for (index, element) in elements.into_iter().enumerate() {
            let line = self.document.line(element.get());
            if index == EDGES_MAX {
                self.error(line, "edges", format!("more than {EDGES_MAX} edges"), "split the herd in two");
                self.config.lost_edges = true;
                return;
            }
            let names = json::elements(element).unwrap_or_default();
            let ends = if let [a, b] = names[..] { json::string(a).zip(json::string(b)) } else { None };
            if let Some((a, b)) = ends {
                self.config.edges.push(EdgeSpec { index, line, ends: [a, b] });
            } else {
                let message = "an edge is an array of two names";
                self.error(line, &format!("edges[{index}]"), message, r#"write it as ["Hill", "Smith"]"#);
                self.config.lost_edges = true;
            }
        }
    }

    /// A path, relative to the configuration's folder.
    pub(super) fn path(&mut self, value: Raw<'_>, member: &str) -> Option<At<PathBuf>> {
        match json::string(value) {
            Some(text) if text.is_empty() || text.contains('\0') => {
                let line = self.document.line(value.get());
                self.error(line, member, format!("{} is not a path", quoted(&text)), "name a file");
                None
            }
            Some(text) => {
                Some(At { value: self.config.folder.join(text), line: self.document.line(value.get()) })
            }
            None => {
                self.wrong_kind(value, member, "a path in a string");
                None
            }
        }
    }

    fn clock(&mut self, value: Raw<'_>) {
        let known = [
            ("trusted", ClockTrust::Trusted),
            ("untrusted", ClockTrust::Untrusted),
            ("auto", ClockTrust::Auto),
        ];
        if let Some(clock) = self.choice(value, "clock", &known) {
            self.config.clock = clock;
        }
    }

    /// The value of one of these words.
    pub(super) fn choice<T: Copy>(&mut self, value: Raw<'_>, member: &str, known: &[(&str, T)]) -> Option<T> {
        let Some(text) = json::string(value) else {
            self.wrong_kind(value, member, "a string");
            return None;
        };
        if let Some((_, choice)) = known.iter().find(|(name, _)| *name == text) {
            return Some(*choice);
        }
        let line = self.document.line(value.get());
        let remedy = near_or(&text, known.iter().map(|(name, _)| *name), || {
            let words: Vec<String> = known.iter().map(|(name, _)| format!("{name:?}")).collect();
            format!("use one of {}", words.join(", "))
        });
        self.error(line, member, format!("unknown value {}", quoted(&text)), remedy);
        None
    }

    /// A whole number within a range.
    pub(super) fn number(
        &mut self,
        value: Raw<'_>,
        member: &str,
        unit: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        if json::kind(value) != "a number" {
            self.wrong_kind(value, member, "a number without quotes");
            return None;
        }
        let number = json::whole_number(value).and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let line = self.document.line(value.get());
            let remedy = format!("use whole {unit}, {} to {}", range.start(), range.end());
            self.error(line, member, format!("{} is out of range", quoted(value.get())), remedy);
        }
        number
    }
}

/// Whether this is a valid node name. Names appear in protocol lines, file names and unit names.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The path of a member inside a member: `nodes.Hill`, or `nodes."a b"` if the name is not valid.
pub(super) fn join(path: &str, name: &str) -> String {
    let name = if is_name(name) { name.to_owned() } else { quoted(name) };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}
