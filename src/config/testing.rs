//! Helpers for the tests of the configuration and of the command line: small configurations and temporary folders.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// A folder of its own for a test, removed with all that is in it.
pub(crate) struct TestDir(PathBuf);

impl TestDir {
    pub(crate) fn new() -> TestDir {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("herd-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the temporary folder can be written");
        TestDir(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file with these rights.
    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, text).expect("the folder can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("the file is ours");
        path
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
