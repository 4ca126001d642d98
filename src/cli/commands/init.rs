//! `herd init`: writes the configuration and the keys of a new herd.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::key::NewKey;
use crate::cli::{Failure, write};
use crate::config::{Config, Endpoint, Keys, Severity, key_digits, private_key_file, quoted};

/// The first ports of a machine. Each further node on the same machine has the next ones.
const PORTS: [(&str, u16); 3] = [("clients", 8001), ("links", LINKS_PORT), ("http", 8011)];
const LINKS_PORT: u16 = 9001;

/// Herds of at least this size get chords beside the ring.
const CHORDS_FROM: usize = 4;

/// A node of the new herd.
#[derive(Debug, PartialEq)]
struct Board {
    name: String,
    /// Where its neighbours dial it, with the port of the first node of a machine.
    links: Endpoint,
}

/// Writes `herd.json`, `key` and the private keys to the folder, and prints what to do next.
pub(in crate::cli) fn run(boards: &[String], folder: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let could_not = |message: String| Failure::CouldNotRun(format!("init: {message}"));
    let boards = if boards.is_empty() { asked()? } else { given(boards)? };
    let (config, key) = (folder.join("herd.json"), folder.join("key"));
    let privates: Vec<PathBuf> = boards.iter().map(|board| private_key_file(folder, &board.name)).collect();
    for file in [&config, &key].into_iter().chain(&privates) {
        if fs::symlink_metadata(file).is_ok() {
            let remedy = "name another folder with --out, or remove it";
            return Err(could_not(format!("{} is there already ({remedy})", file.display())));
        }
    }
    let cannot_make = |error: io::Error| could_not(format!("cannot make a key: {error}"));
    let pairs = boards.iter().map(|_| NewKey::draw()).collect::<io::Result<Vec<_>>>().map_err(cannot_make)?;
    let text = herd_json(&boards, &pairs);
    let findings = Config::parse(&text, &config).text_findings();
    if let Some(error) = findings.iter().find(|finding| finding.severity == Severity::Error) {
        return Err(could_not(error.to_string()));
    }
    let fresh = Keys::fresh().map_err(cannot_make)?;
    let cannot_write = |file: &Path, error: io::Error| could_not(format!("{}: {error}", file.display()));
    fs::create_dir_all(folder).map_err(|error| cannot_write(folder, error))?;
    write_new(&key, &fresh.to_line(), 0o600).map_err(|error| cannot_write(&key, error))?;
    for (pair, file) in pairs.iter().zip(&privates) {
        pair.write(file).map_err(|error| cannot_write(file, error))?;
    }
    write_new(&config, &text, 0o644).map_err(|error| cannot_write(&config, error))?;
    write(out, next_steps(&boards, &config, &key).as_bytes())
}

fn write_new(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut new = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()
}

/// The nodes of the command line: `NAME=HOST` each, where the host is an address or a name.
fn given(operands: &[String]) -> Result<Vec<Board>, Failure> {
    let wrong = |operand: &str| {
        let remedy = "write NAME=HOST, such as Hill=192.168.1.11 or Hill=hill.local";
        Failure::Usage(format!(
            "herd init: {} is not a node with its address ({remedy}); see: herd init --help",
            quoted(operand)
        ))
    };
    operands
        .iter()
        .map(|operand| {
            let (name, address) = operand.split_once('=').ok_or_else(|| wrong(operand))?;
            let bare = address.trim_start_matches('[').trim_end_matches(']');
            let links = match bare.parse::<IpAddr>() {
                Ok(ip) => Some(Endpoint::Address((ip, LINKS_PORT).into())),
                Err(_) => Endpoint::named(&format!("{address}:{LINKS_PORT}")),
            };
            Ok(Board { name: name.to_owned(), links: links.ok_or_else(|| wrong(operand))? })
        })
        .collect()
}

/// Asks a person for the nodes.
fn asked() -> Result<Vec<Board>, Failure> {
    if !io::stdin().is_terminal() {
        let remedy = "such as: herd init Hill=192.168.1.11 Smith=192.168.1.12 Campbell=192.168.1.13";
        return Err(Failure::Usage(format!("herd init: no nodes ({remedy}); see: herd init --help")));
    }
    let mut operands = Vec::new();
    let mut lines = io::stdin().lock().lines();
    loop {
        let n = operands.len() + 1;
        let _ = write!(io::stderr(), "node {n}, as NAME=HOST (an empty line ends): ");
        match lines.next() {
            Some(Ok(line)) if !line.trim().is_empty() => match given(&[line.trim().to_owned()]) {
                Ok(_) => operands.push(line.trim().to_owned()),
                Err(_) => {
                    let _ = writeln!(io::stderr(), "write it as Hill=192.168.1.11 or Hill=hill.local");
                }
            },
            _ if operands.is_empty() => return Err(Failure::CouldNotRun("init: no nodes".to_owned())),
            _ => return given(&operands),
        }
    }
}

/// The text of the configuration.
fn herd_json(boards: &[Board], pairs: &[NewKey]) -> String {
    let mut nodes = String::new();
    for (index, (board, pair)) in boards.iter().zip(pairs).enumerate() {
        let is_here = |other: &&Board| {
            other.links == board.links || (other.links.is_loopback() && board.links.is_loopback())
        };
        let before = boards[..index].iter().filter(is_here).count();
        let lead = if index == 0 { "{ \"nodes\": { " } else { ",\n             " };
        let _ = write!(nodes, "{lead}{:?}: {{ ", board.name);
        for (at, (member, port)) in PORTS.iter().enumerate() {
            let wildcard: IpAddr = match board.links.address() {
                Some(SocketAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
                _ => Ipv4Addr::UNSPECIFIED.into(),
            };
            let port = port.saturating_add(u16::try_from(before).unwrap_or(u16::MAX));
            // Neighbours dial `links`, so it is the node's own address or name.
            let own = board.links.reach((wildcard, port).into());
            let host = match &own {
                own if *member == "links" => own.clone(),
                Endpoint::Name(_) if own.is_loopback() => {
                    Endpoint::Address((Ipv4Addr::LOCALHOST, port).into())
                }
                own if own.is_loopback() => own.clone(),
                _ => Endpoint::Address((wildcard, port).into()),
            };
            let comma = if at == 0 { "" } else { ", " };
            let _ = write!(nodes, "{comma}{member:?}: \"{host}\"");
        }
        let _ = write!(nodes, ",\n               \"public_key\": \"{}\" }}", *key_digits(&pair.public.0));
    }
    let pairs: Vec<String> = edges(boards.len())
        .into_iter()
        .map(|(a, b)| format!("[{:?}, {:?}]", boards[a].name, boards[b].name))
        .collect();
    format!(
        "{nodes} }},\n  \"edges\": [{}],\n  \"key_file\": \"key\",\n  \"places\": {{ \"source\": \"offline\" }} }}\n",
        pairs.join(", ")
    )
}

/// A ring, so that the loss of one node cuts off no other, and chords to the far side, which shorten the ways.
fn edges(nodes: usize) -> Vec<(usize, usize)> {
    let ring = (0..nodes).map(|node| (node, (node + 1) % nodes));
    let mut edges: Vec<(usize, usize)> = match nodes {
        0 | 1 => Vec::new(),
        2 => vec![(0, 1)],
        _ => ring.collect(),
    };
    if nodes >= CHORDS_FROM {
        edges.extend((0..nodes / 2).map(|node| (node, node + nodes / 2)));
    }
    edges
}

fn next_steps(boards: &[Board], config: &Path, key: &Path) -> String {
    let private = private_key_file(config.parent().unwrap_or(Path::new("")), "NAME");
    let (shown, key, private) = (word(config), word(key), word(&private));
    let mut text = format!(
        "Wrote {shown} ({} node{}), {key}, which is the same on every board, and private/NAME for each node, which belongs on its \
         own board alone.\n\nNext:\n  herd check {shown}\n",
        boards.len(),
        if boards.len() == 1 { "" } else { "s" }
    );
    if boards.iter().all(|board| board.links.is_loopback()) {
        let _ = writeln!(text, "  herd up --config {shown}");
        return text;
    }
    let host = |links: &Endpoint| match links {
        Endpoint::Address(address) => address.ip().to_string(),
        Endpoint::Name(_) => links.host().unwrap_or_default().to_owned(),
    };
    let hosts: Vec<String> = boards.iter().map(|board| format!("pi@{}", host(&board.links))).collect();
    let _ = write!(
        text,
        "  cross/deploy --key {key} {shown} {}\n\nOr on each board, with the package installed:\n  sudo install -m 644 {shown} \
         /etc/herd/herd.json\n  sudo install -m 600 {key} /etc/herd/key\n  sudo install -D -m 600 {private} \
         /etc/herd/private/NAME\n  sudo systemctl enable --now herd@NAME\n",
        hosts.join(" ")
    );
    text
}

/// A path as a shell takes it.
fn word(path: &Path) -> String {
    super::terminal::shell_word(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::files::testing::TestDir;
    use std::os::unix::fs::PermissionsExt;

    fn operands(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_new_herd_is_without_fault() {
        for (words, nodes, edges) in [
            ("A=127.0.0.1", 1, 0),
            ("A=127.0.0.1 B=127.0.0.1", 2, 1),
            ("A=10.0.0.1 B=10.0.0.2 C=10.0.0.3", 3, 3),
            ("A=10.0.0.1 B=10.0.0.2 C=fd00::3 D=[fd00::4]", 4, 6),
            ("A=10.0.0.1 B=10.0.0.2 C=10.0.0.3 D=10.0.0.4 E=10.0.0.1", 5, 7),
            ("A=hill.local B=smith.local C=10.0.0.3 D=Hill.local", 4, 6),
            ("A=localhost B=localhost", 2, 1),
            ("A=127.0.0.1 B=localhost C=127.0.0.2", 3, 3),
        ] {
            let folder = TestDir::new();
            let mut out = Vec::new();
            let done = run(&operands(words), &folder.path("new"), &mut out);
            assert!(done.is_ok(), "{words}: {done:?}");
            let config = Config::read(&folder.path("new/herd.json"));
            let (checked, findings) = config.check_in(&Environment::default());
            // Without a places file a warning, and with two nodes none: each is all that the other has.
            assert!(findings.iter().all(|finding| finding.member == "places"), "{words}: {findings:?}");
            let checked = checked.expect("it has no errors");
            assert_eq!((checked.nodes.len(), checked.edges.len()), (nodes, edges), "{words}");
            let mode = fs::metadata(folder.path("new/key")).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let next = String::from_utf8(out).expect("text");
            let is_here = words.contains("127.") || words.contains("localhost");
            assert_eq!(next.contains("herd up"), is_here, "{next}");
            assert_eq!(next.contains("cross/deploy"), !is_here, "{next}");
            assert_eq!(
                next.contains("pi@hill.local pi@smith.local pi@10.0.0.3"),
                words.contains("hill"),
                "{next}"
            );
        }
    }

    #[test]
    fn nothing_is_overwritten_and_a_mistake_writes_nothing() {
        let folder = TestDir::new();
        let init = |words: &str| run(&operands(words), &folder.path("x"), &mut Vec::new());
        assert!(matches!(init("A"), Err(Failure::Usage(message)) if message.contains("\"A\" is not a node")));
        assert!(matches!(init("A=hill.local:9001"), Err(Failure::Usage(_))));
        assert!(matches!(init("A=[hill.local]"), Err(Failure::Usage(_))));
        assert!(matches!(init("A=192.168.1"), Err(Failure::Usage(_))));
        assert!(
            matches!(init("A=224.0.0.1"), Err(Failure::CouldNotRun(message)) if message.contains("multicast"))
        );
        assert!(
            matches!(init("A=10.0.0.1 A=10.0.0.2"), Err(Failure::CouldNotRun(message)) if message.contains("twice"))
        );
        assert!(!folder.path("x").exists());
        assert!(init("A=127.0.0.1").is_ok());
        let before = fs::read(folder.path("x/herd.json")).expect("it is there");
        assert!(
            matches!(init("B=127.0.0.1"), Err(Failure::CouldNotRun(message)) if message.contains("is there already"))
        );
        assert_eq!(fs::read(folder.path("x/herd.json")).expect("it is there"), before);
    }

    #[test]
    fn no_loss_of_one_node_cuts_off_another() {
        for nodes in 3..40 {
            let edges = edges(nodes);
            for lost in 0..nodes {
                let mut reached = vec![(lost + 1) % nodes];
                let mut at = 0;
                while at < reached.len() {
                    for &(a, b) in &edges {
                        let other = if a == reached[at] {
                            b
                        } else if b == reached[at] {
                            a
                        } else {
                            continue;
                        };
                        if other != lost && !reached.contains(&other) {
                            reached.push(other);
                        }
                    }
                    at += 1;
                }
                assert_eq!(reached.len(), nodes - 1, "{nodes} nodes without {lost}");
            }
            let most =
                (0..nodes).map(|node| edges.iter().filter(|(a, b)| *a == node || *b == node).count()).max();
            assert!(most <= Some(4), "{nodes} nodes: {most:?} neighbours");
        }
    }
}
