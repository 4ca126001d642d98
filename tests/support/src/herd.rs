//! A herd of real nodes: its members, their edges, and the proxies on the edges.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::{Index, IndexMut};
use std::path::{Path, PathBuf};
use std::process::Command;

use herd::proto::noise::key_pair::KeyPair;

use super::node::{Launch, LogReader, Measured, Node, command, places_file, printed, ran, runs_beside};
use super::proxy::Proxy;
use super::{Dice, Folder, free_addresses, json, until};

/// How often a herd is started with other ports because another process had taken one.
const STARTS_MAX: u32 = 5;

/// A herd to be.
pub struct Builder {
    names: Vec<&'static str>,
    edges: Vec<(&'static str, &'static str)>,
    proxied: Vec<(&'static str, &'static str)>,
    played: Vec<&'static str>,
    keyed: bool,
    secret: bool,
    log_level: &'static str,
    descriptors: Option<u32>,
    places: Option<String>,
    measured: Option<Measured>,
}

/// A herd whose nodes run.
pub struct Herd {
    nodes: Vec<Node>,
    edges: Vec<(&'static str, &'static str)>,
    proxies: Vec<((&'static str, &'static str), Proxy)>,
    /// Nodes that the test plays itself: no process, only addresses.
    played: Vec<&'static str>,
    /// The configuration's member `places`.
    places: Option<String>,
    /// Whether configurations have the public keys of the nodes.
    secret: bool,
    /// Where maps, keys, control sockets and tables are.
    pub folder: Folder,
}

impl Herd {
    /// The five nodes of PROTOCOL.md and their six edges.
    pub fn five() -> Builder {
        let names = ["Campbell", "Hill", "Jaquez", "Singleton", "Smith"];
        let edges = [
            ("Hill", "Jaquez"),
            ("Hill", "Smith"),
            ("Jaquez", "Singleton"),
            ("Singleton", "Smith"),
            ("Campbell", "Smith"),
            ("Campbell", "Singleton"),
        ];
        Herd::of(&names, &edges)
    }

    /// Hill and Smith, and the edge between them. Hill dials.
    pub fn pair() -> Builder {
        Herd::of(&["Hill", "Smith"], &[("Hill", "Smith")])
    }

    /// Hill alone.
    pub fn one() -> Builder {
        Herd::of(&["Hill"], &[])
    }

    /// Any herd. The first name of an edge is the one that sorts first.
    pub fn of(names: &[&'static str], edges: &[(&'static str, &'static str)]) -> Builder {
        assert!(edges.iter().all(|(dialler, dialled)| dialler < dialled), "the first name dials");
        Builder {
            names: names.to_vec(),
            edges: edges.to_vec(),
            proxied: Vec::new(),
            played: Vec::new(),
            keyed: false,
            secret: false,
            log_level: "info",
            descriptors: None,
            places: Some(format!("{{ \"source\": \"offline\", \"file\": {:?} }}", places_file())),
            measured: None,
        }
    }
}

impl Builder {
    /// Where places come from: the configuration's member `places`.
    pub fn places(mut self, member: impl Into<String>) -> Builder {
        self.places = Some(member.into());
        self
    }

    /// The configuration has no member `places`.
    pub fn without_places(mut self) -> Builder {
        self.places = None;
        self
    }

    /// For a bench: how each node is started. Nodes keep no log, so that nothing waits for their links.
    pub fn measured(mut self, how: Measured) -> Builder {
        self.measured = Some(how);
        self
    }

    /// Every node knows the herd's key.
    pub fn keyed(mut self) -> Builder {
        self.keyed = true;
        self
    }

    /// Every node has a key pair of its own, too, and links are secret.
    pub fn secret(mut self) -> Builder {
        (self.keyed, self.secret) = (true, true);
        self
    }

    /// Keyed or not, as a table of both has it.
    pub fn keyed_if(mut self, keyed: bool) -> Builder {
        self.keyed = keyed;
        self
    }

    /// A proxy stands on this edge.
    pub fn proxied(mut self, dialler: &'static str, dialled: &'static str) -> Builder {
        assert!(self.edges.contains(&(dialler, dialled)), "the herd has this edge");
        self.proxied.push((dialler, dialled));
        self
    }

    /// A proxy stands on every edge.
    pub fn all_proxied(mut self) -> Builder {
        self.proxied.clone_from(&self.edges);
        self
    }

    /// The test plays this node: it is in the configuration and no process.
    pub fn played(mut self, name: &'static str) -> Builder {
        self.played.push(name);
        self
    }

    /// Nodes log from this level on.
    pub fn log_level(mut self, level: &'static str) -> Builder {
        self.log_level = level;
        self
    }

    /// Each node may have so many descriptors.
    pub fn descriptors(mut self, limit: u32) -> Builder {
        self.descriptors = Some(limit);
        self
    }

    /// Starts all nodes and waits until all serve and all links between them are up.
    pub fn start(self) -> Herd {
        for _ in 0..STARTS_MAX {
            let mut herd = self.build();
            match herd.start_all() {
                Ok(()) => {
                    if self.measured.is_none() {
                        herd.wait_for_links();
                    }
                    return herd;
                }
                Err(why) => assert!(why.contains("in use"), "{why}"),
            }
        }
        panic!("{STARTS_MAX} times another process had taken a port");
    }

    /// Everything but the processes.
    pub fn build(&self) -> Herd {
        let folder = Folder::new();
        let addresses = free_addresses(2 * self.names.len());
        let pairs: Vec<(SocketAddr, SocketAddr)> =
            addresses.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let mut proxies = Vec::new();
        for &(dialler, dialled) in &self.proxied {
            let index = self.names.iter().position(|name| *name == dialled).expect("it is in the herd");
            proxies.push(((dialler, dialled), Proxy::to(pairs[index].1, self.secret)));
        }
        let mut nodes = Vec::new();
        for (&name, &(clients, links)) in self.names.iter().zip(&pairs) {
            let launch = Launch {
                map: folder.path(&format!("{name}.json")),
                log_level: self.log_level,
                descriptors: self.descriptors,
                flags: Vec::new(),
                environment: Vec::new(),
                log_reader: LogReader::Follows,
                measured: self.measured.clone(),
            };
            nodes.push(Node::new(name, clients, links, launch));
        }
        let herd = Herd {
            nodes,
            edges: self.edges.clone(),
            proxies,
            played: self.played.clone(),
            places: self.places.clone(),
            secret: self.secret,
            folder,
        };
        let key = key(u64::from(addresses[0].port()));
        for node in &herd.nodes {
            herd.write_map(node.name, self.keyed);
            if self.keyed {
                herd.write_keys(node.name, &[&key]);
                herd.write_private(node.name, node.name);
            }
        }
        herd
    }
}

/// A key: 64 hex digits, others for another seed.
pub fn key(seed: u64) -> String {
    hex(&Dice::new(seed).bytes(32))
}

/// A node as the member of a configuration. `more` members stand at its end, each after a comma.
pub fn configured(name: &str, clients: SocketAddr, links: SocketAddr, more: &str) -> String {
    format!("\"{name}\": {{ \"clients\": \"{clients}\", \"links\": \"{links}\"{more} }}")
}

/// A configuration of these nodes, each from [`configured`]. `more` members stand at its end, each after a comma.
pub fn configuration(nodes: &[String], edges: &[(&str, &str)], more: &str) -> String {
    let edges: Vec<String> = edges.iter().map(|(a, b)| format!("[\"{a}\", \"{b}\"]")).collect();
    let nodes = nodes.join(",\n    ");
    format!("{{ \"nodes\": {{ {nodes} }},\n  \"edges\": [{}]{more} }}\n", edges.join(", "))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("a String takes every write");
        digits
    })
}

/// The private key of this seed: the seed, repeated.
fn private_key(seed: &str) -> [u8; 32] {
    std::array::from_fn(|at| seed.as_bytes()[at % seed.len()])
}

/// The public key of this seed as 64 hex digits.
pub fn public_key(seed: &str) -> String {
    hex(&KeyPair::new(private_key(seed)).public().0)
}

impl Herd {
    /// Writes the configuration as this node is to see it: a neighbour behind a proxy has the proxy's address.
    pub fn write_map(&self, reader: &str, keyed: bool) {
        let member = |node: &Node| {
            let proxy = self.proxies.iter().find(|(edge, _)| *edge == (reader, node.name));
            let links = proxy.map_or(node.links, |(_, proxy)| proxy.address);
            let public = match self.secret {
                true => format!(", \"public_key\": \"{}\"", public_key(node.name)),
                false => String::new(),
            };
            configured(node.name, node.clients, links, &public)
        };
        let nodes: Vec<String> = self.nodes.iter().map(member).collect();
        let key = if keyed { format!(",\n  \"key_file\": \"{reader}.key\"") } else { String::new() };
        let places =
            self.places.as_ref().map(|places| format!(",\n  \"places\": {places}")).unwrap_or_default();
        self.put_map(reader, configuration(&nodes, &self.edges, &(key + &places)));
    }

    /// Writes this text as the configuration of a node.
    pub fn put_map(&self, name: &str, text: impl AsRef<[u8]>) {
        self.folder.write(&format!("{name}.json"), text);
    }

    /// Gives a node these keys, the current one first. It reads them when it starts.
    pub fn write_keys(&self, name: &str, keys: &[&str]) {
        self.folder.write_private(&format!("{name}.key"), keys.join("\n"));
    }

    /// Gives a node the private key of this seed. It reads it when it starts, and at a reload.
    pub fn write_private(&self, name: &str, seed: &str) {
        std::fs::create_dir_all(self.folder.path("private")).expect("the folder is ours");
        self.folder.write_private(&format!("private/{name}"), hex(&private_key(seed)));
    }

    /// Starts all nodes of a herd that was only built, Hill with an HTTP listener, and says where that is.
    pub fn start_with_http(&mut self) -> SocketAddr {
        let http = free_addresses(1)[0];
        self.add_address("Hill", "http", &http.to_string());
        self.start_built();
        http
    }

    /// Adds an address to a node in its own configuration.
    pub fn add_address(&self, name: &str, member: &str, address: &str) {
        let links = format!("\"links\": \"{}\"", self[name].links);
        self.edit_map(name, &links, &format!("{links}, \"{member}\": \"{address}\""));
    }

    /// Adds a member to the configuration of a node.
    pub fn add_member(&self, name: &str, member: &str) {
        self.edit_map(name, "\"edges\"", &format!("{member},\n  \"edges\""));
    }

    /// Replaces a text of a node's configuration, wherever it stands.
    pub fn edit_map(&self, name: &str, old: &str, new: &str) {
        let map = self.map_text(name);
        assert!(map.contains(old), "{map}");
        self.put_map(name, map.replace(old, new));
    }

    /// The configuration as this node sees it.
    pub fn map_text(&self, name: &str) -> String {
        std::fs::read_to_string(self.map(name)).expect("it was written")
    }

    /// A command that serves this node, with neither a folder for its control socket nor one for its table.
    pub fn serve(&self, name: &str) -> Command {
        let mut command = command(None);
        command.args(["serve", name, "--config"]).arg(self.map(name));
        command
    }

    /// What the program does with these words where it finds the nodes of this herd: its status, its output, its messages.
    pub fn ran(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let mut command = command(None);
        ran(runs_beside(&mut command, self.map("Hill")).args(words))
    }

    /// As [`Herd::ran`], of words that are right: the output alone.
    pub fn printed(&self, words: &[&str]) -> String {
        let mut command = command(None);
        printed(runs_beside(&mut command, self.map("Hill")).args(words))
    }

    /// What a node says of itself.
    pub fn status(&self, name: &str) -> serde_json::Value {
        let text = self.printed(&["status", "--json", name]);
        assert_eq!(text.lines().count(), 1);
        json(&text)
    }

    /// Where a node answers `herd status`.
    pub fn control_socket(&self, name: &str) -> PathBuf {
        self.folder.path("herd").join(name).join("control")
    }

    /// Starts all nodes of a herd that was only built, or that has stopped.
    pub fn start_built(&mut self) {
        self.start_all().unwrap_or_else(|why| panic!("{why}"));
        self.wait_for_links();
    }

    /// Starts the nodes that are dialled first, so that no node dials in vain and has to back off.
    fn start_all(&mut self) -> Result<(), String> {
        let played = self.played.clone();
        for node in self.nodes.iter_mut().rev().filter(|node| !played.contains(&node.name)) {
            node.launch();
            node.try_wait_until_it_serves()?;
        }
        Ok(())
    }

    /// Waits until the logs say that every link between two running nodes is up.
    pub fn wait_for_links(&self) {
        for &(a, b) in &self.edges {
            if self[a].is_running() && self[b].is_running() {
                until(&format!("{a} and {b} are linked"), || {
                    self[a].is_linked_to(b) && self[b].is_linked_to(a)
                });
            }
        }
    }

    /// The nodes that run.
    pub fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_running())
    }

    /// The names of all nodes.
    pub fn names(&self) -> Vec<&'static str> {
        self.nodes.iter().map(|node| node.name).collect()
    }

    /// The proxy on this edge.
    pub fn proxy(&self, dialler: &str, dialled: &str) -> &Proxy {
        let found = self.proxies.iter().find(|(edge, _)| *edge == (dialler, dialled));
        &found.expect("a proxy stands on this edge").1
    }

    /// All proxies.
    pub fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        self.proxies.iter().map(|(_, proxy)| proxy)
    }

    /// Waits until every running node holds this AT line for this client.
    pub fn wait_for_at(&self, id: &str, at: &str) {
        for node in self.running() {
            node.wait_for_at(id, at);
        }
    }

    /// The configuration file as this node sees it.
    pub fn map(&self, name: &str) -> &Path {
        &self[name].launch.map
    }
}

impl Index<&str> for Herd {
    type Output = Node;

    fn index(&self, name: &str) -> &Node {
        self.nodes.iter().find(|node| node.name == name).unwrap_or_else(|| panic!("no node {name}"))
    }
}

impl IndexMut<&str> for Herd {
    fn index_mut(&mut self, name: &str) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.name == name).unwrap_or_else(|| panic!("no node {name}"))
    }
}
