//! Five namespaces, six wires, and a network of clients: made, commanded, and gone without a trace.
//!
//! Everything is made within namespaces of this program's own (network, mounts, processes): [`enter`] starts the program
//! again inside them. So no name can meet another's, and when the program ends, however it ends, the kernel
//! ends its processes and removes its devices: there is nothing to tear down that a kill could leave standing.
//!
//! A node has one address that its neighbours know, and a device to each of them: a wire is a pair of devices and what
//! passes frames between them (`wire.py`). It is the only way between its two nodes, which do not forward.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use herd_test_support::{configuration, configured};

pub(crate) const NAMES: [&str; 5] = ["Hill", "Jaquez", "Smith", "Singleton", "Campbell"];
/// The built-in configuration's edges, by their nodes' numbers.
pub(crate) const EDGES: [(usize, usize); 6] = [(0, 1), (0, 2), (1, 3), (2, 3), (2, 4), (3, 4)];
pub(crate) const CLIENT_PORT: u16 = 8001;
pub(crate) const LINK_PORT: u16 = 9001;
const INSIDE: &str = "HERD_STORM_FOLDER";
const REMEDY: &str = "the storm needs Linux, root, and unshare, nsenter, mount, ip and python3 (Debian: util-linux, mount, iproute2, python3)";

/// The folder of the run, if this is the program inside its namespaces.
pub(crate) fn folder() -> Option<PathBuf> {
    std::env::var_os(INSIDE).map(PathBuf::from)
}

/// Starts this program again, with the same words, inside namespaces of its own.
pub(crate) fn enter(folder: &Path) -> Result<ExitStatus, String> {
    const SPACES: [&str; 7] =
        ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation=private"];
    let tried = Command::new("unshare").args(SPACES).arg("true").output();
    if let Some(why) = failure("unshare", tried) {
        return Err(format!("{why}: {REMEDY}"));
    }
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("unshare");
    command.args(SPACES).arg(me).args(std::env::args_os().skip(1)).env(INSIDE, folder);
    command.status().map_err(|error| format!("unshare: {error}"))
}

fn failure(what: &str, ran: std::io::Result<std::process::Output>) -> Option<String> {
    match ran {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("{what}: {error}")),
    }
}

/// Runs a line of words.
fn run(line: &str) -> Result<(), String> {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or_default();
    let ran = Command::new(program).args(words).stdin(Stdio::null()).output();
    failure(line, ran).map_or(Ok(()), |why| Err(format!("{why} ({REMEDY})")))
}

/// Where neighbours reach this node.
pub(crate) fn link_address(node: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 0, number(node))), LINK_PORT)
}

/// Where clients reach it, on a network that no wire is part of.
pub(crate) fn client_address(node: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 78, number(node), 1)), CLIENT_PORT)
}

fn number(node: usize) -> u8 {
    u8::try_from(node + 1).expect("there are five")
}

pub(crate) fn edge_name(edge: usize) -> String {
    let (a, b) = EDGES[edge];
    format!("{}-{}", NAMES[a], NAMES[b])
}

/// Words that start a program where a node is.
pub(crate) fn at_node(node: usize) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{}", NAMES[node]));
    command
}

/// The networks; the wires end when this goes.
pub(crate) struct World {
    wires: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.wires.kill();
        let _ = self.wires.wait();
    }
}

impl World {
    pub(crate) fn make() -> Result<World, String> {
        run("mount -t tmpfs tmpfs /run")?;
        std::fs::create_dir_all("/run/netns").map_err(|error| format!("/run/netns: {error}"))?;
        run("ip link set lo up")?;
        run("ip netns add wires")?;
        for (node, name) in NAMES.iter().enumerate() {
            let address = client_address(node).ip();
            let gate = Ipv4Addr::new(10, 78, number(node), 2);
            run(&format!("ip netns add {name}"))?;
            run(&format!("ip -n {name} link set lo up"))?;
            run(&format!("ip -n {name} addr add {}/32 dev lo", link_address(node).ip()))?;
            run(&format!("ip link add to-{name} type veth peer name clients netns {name}"))?;
            run(&format!("ip addr add {gate}/30 dev to-{name}"))?;
            run(&format!("ip link set to-{name} up"))?;
            run(&format!("ip -n {name} addr add {address}/30 dev clients"))?;
            run(&format!("ip -n {name} link set clients up"))?;
            // Strangers come to the link port, too.
            run(&format!("ip route add {}/32 via {address}", link_address(node).ip()))?;
        }
        for (edge, &(a, b)) in EDGES.iter().enumerate() {
            for (node, other, end) in [(a, b, 'a'), (b, a, 'b')] {
                let (name, to) = (NAMES[node], NAMES[other]);
                run(&format!(
                    "ip link add to-{to} netns {name} type veth peer name {edge}{end} netns wires"
                ))?;
                run(&format!("nsenter --net=/run/netns/{name} python3 {} --plain to-{to}", script()))?;
                run(&format!("ip -n wires link set {edge}{end} up"))?;
                plug(node, other)?;
            }
        }
        World::start_wires()
    }

    fn start_wires() -> Result<World, String> {
        let mut command = Command::new("nsenter");
        command.args(["--net=/run/netns/wires", "python3", script()]);
        command.args((0..EDGES.len()).map(|edge| format!("{}={edge}a,{edge}b", edge_name(edge))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut wires = command.spawn().map_err(|error| format!("python3: {error} ({REMEDY})"))?;
        let commands = wires.stdin.take().expect("it is a pipe");
        let answers = BufReader::new(wires.stdout.take().expect("it is a pipe"));
        let mut world = World { wires, commands, answers };
        match world.answer()?.as_str() {
            "ready" => Ok(world),
            other => Err(format!("the wires say {other:?}")),
        }
    }

    fn answer(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(count) if count > 0 => Ok(line.trim_end().to_owned()),
            _ => Err("the wires have ended".to_owned()),
        }
    }

    /// Sets all of a wire; nothing makes it a good one.
    pub(crate) fn set_wire(&mut self, edge: usize, settings: &str) -> Result<(), String> {
        let asked = format!("{} {settings}", edge_name(edge));
        match self.ask(&asked)?.as_str() {
            "ok" => Ok(()),
            other => Err(format!("{asked}: {other}")),
        }
    }

    /// What was passed on and what was not.
    pub(crate) fn figures(&mut self) -> Result<String, String> {
        self.ask("figures")
    }

    fn ask(&mut self, line: &str) -> Result<String, String> {
        writeln!(self.commands, "{line}").map_err(|error| format!("the wires: {error}"))?;
        self.answer()
    }
}

fn script() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chaos/wire.py")
}

/// Pulls the cable at this node's end: the kernel reports it to the users of the device, and forgets the route.
pub(crate) fn pull(node: usize, other: usize) -> Result<(), String> {
    run(&format!("ip -n {} link set to-{} down", NAMES[node], NAMES[other]))
}

/// Puts the cable in.
pub(crate) fn plug(node: usize, other: usize) -> Result<(), String> {
    let (name, to) = (NAMES[node], NAMES[other]);
    run(&format!("ip -n {name} link set to-{to} up"))?;
    let (mine, its) = (link_address(node).ip(), link_address(other).ip());
    run(&format!("ip -n {name} route replace {its}/32 dev to-{to} src {mine}"))
}

/// Writes the configuration and the key into the folder. All clients come from one address, so the configuration lets an address hold that many; returns the configuration's path.
pub(crate) fn write_map(folder: &Path, key: &str, places: &Path) -> Result<PathBuf, String> {
    use std::os::unix::fs::PermissionsExt;
    let member = |node: usize| configured(NAMES[node], client_address(node), link_address(node), "");
    let nodes: Vec<String> = (0..NAMES.len()).map(member).collect();
    let more = format!(
        ",\n  \"key_file\": \"key\", \"clock\": \"trusted\", \"clients_per_address\": 32768,\n  \"places\": {{ \"source\": \"offline\", \"file\": {places:?} }}"
    );
    let text = configuration(&nodes, &EDGES.map(|(a, b)| (NAMES[a], NAMES[b])), &more);
    let (map, key_file) = (folder.join("herd.json"), folder.join("key"));
    let written = std::fs::write(&map, text)
        .and_then(|()| std::fs::write(&key_file, key))
        .and_then(|()| std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)));
    written.map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(map)
}
