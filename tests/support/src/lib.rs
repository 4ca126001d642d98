//! Real nodes as processes and real sockets on loopback, for tests, benches and the chaos run.
//!
//! A [`Herd`] is built like a story (`Herd::five().keyed().start()`) and takes everything it started with it
//! when it goes. Nothing here asserts on time: to wait is to look again and again until something holds, and a
//! test fails only after a wait that no healthy machine needs. `HERD_BIN` names another build to be tested.

mod client;
mod herd;
pub mod http;
mod node;
mod process;
mod proxy;
pub mod rows;
mod scenes;
mod stranger;
mod supervised;
pub mod tables;
pub mod upstream;

pub use client::{Client, exchange};
pub use herd::{Builder, Herd, configuration, configured, key, public_key};
pub use node::{
    Launch, Log, LogReader, Measured, Node, answers, built, command, has_two_cores, places_file, printed,
    program, ran, runs_beside,
};
pub use process::{cpu_s, memory_kib, private_kib};
pub use proxy::{Fault, Proxy};
pub use scenes::{KIWI, everyone_learns_of_everyone, is_skew, now_ns};
pub use stranger::Stranger;
pub use supervised::{Up, is_free, runs};

use std::fs::Permissions;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// How long anything may take before a test gives up. Far more than it ever takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until there is something to see.
pub fn until_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begin.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Looks until it holds, for so long.
pub fn until_within(patience: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < patience, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Looks until it holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    until_some(what, || holds().then_some(()));
}

/// Reads JSON.
pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The root of the repository.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A number that no other herd of this process has.
fn fresh_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Sockets that hold ports until this process ends.
static HELD: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

/// Addresses on a loopback host that no other call of this process gives out before 250 more, whose ports no other process is
/// given before this one ends.
pub fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let process = std::process::id();
    let byte = |value: u32| u8::try_from(value % 250 + 1).expect("it is at most 250");
    free_addresses_on(Ipv4Addr::new(127, byte(process), byte(process / 250), byte(fresh_number())), count)
}

/// Addresses on this host, whose ports no other process is given before this one ends.
///
/// Each is held by a socket that is bound and does not listen. The kernel does not give such a port to a program that asks for
/// any port, nor to a connection. It lets a program listen on it that names it, as both have SO_REUSEADDR (socket(7)).
pub fn free_addresses_on(host: Ipv4Addr, count: usize) -> Vec<SocketAddr> {
    // They add up, and many systems allow a process 1,024 descriptors at first.
    allow_many_files();
    let mut held = HELD.lock().expect("no panics");
    let address = SocketAddr::new(IpAddr::V4(host), 0);
    let (addresses, sockets): (Vec<_>, Vec<_>) =
        (0..count).map(|_| hold(address).expect("loopback has free ports")).unzip();
    held.extend(sockets);
    addresses
}

/// A socket that is bound to this address and does not listen, and what it is bound to.
fn hold(address: SocketAddr) -> rustix::io::Result<(SocketAddr, OwnedFd)> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    let bound = SocketAddr::try_from(rustix::net::getsockname(&socket)?).expect("an internet address");
    Ok((bound, socket))
}

/// A folder that is removed with everything in it.
pub struct Folder(PathBuf);

impl Folder {
    /// Makes a folder that no other test has.
    #[expect(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Folder {
        let name = format!("herd-test-{}-{}", std::process::id(), fresh_number());
        // The path of a control socket below it has 108 bytes at most, so it is not in the folder of the build.
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the folder for temporary files can be written");
        Folder(path)
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, and gives its path.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("the folder is ours");
        path
    }

    /// Writes a file that only its owner reads, and gives its path.
    pub fn write_private(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.write(name, bytes);
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("the file is ours");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Allows this process as many descriptors as it may have, and says how many that is.
pub fn allow_many_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Numbers that look random and are the same in every run (xorshift).
pub struct Dice(u64);

impl Dice {
    /// Numbers that follow from this seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below this one.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.roll() % count as u64).unwrap_or(0)
    }

    /// The next bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.roll().to_be_bytes()[0]).collect()
    }
}
