//! Helpers for the tests of the configuration and of the command line: small configurations.

use std::fmt::Write as _;
use std::path::Path;

use super::{Config, Environment, Severity};

/// A node of a configuration made by [`config_text`].
pub(crate) struct Node<'a> {
    pub(crate) name: &'a str,
    pub(crate) clients: &'a str,
    pub(crate) links: &'a str,
}

/// A configuration: node `i`, from 0, is on line `i + 2`.
pub(crate) fn config_text(nodes: &[Node<'_>], edges: &[(&str, &str)]) -> String {
    let mut text = "{ \"nodes\": {".to_owned();
    for (index, node) in nodes.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let (name, clients, links) = (node.name, node.clients, node.links);
        write!(text, "{comma}\n\"{name}\": {{ \"clients\": \"{clients}\", \"links\": \"{links}\" }}")
            .expect("a String");
    }
    write!(text, " }},\n\"edges\": {:?} }}", edges.iter().map(|(a, b)| [a, b]).collect::<Vec<_>>())
        .expect("a String");
    text
}

/// The errors of a configuration called `m`, in an empty environment.
pub(crate) fn errors_of(nodes: &[Node<'_>], edges: &[(&str, &str)]) -> Vec<String> {
    let config = Config::parse(&config_text(nodes, edges), Path::new("m"));
    let (_, findings) = config.check_in(&Environment::default());
    findings.iter().filter(|f| f.severity == Severity::Error).map(ToString::to_string).collect()
}
