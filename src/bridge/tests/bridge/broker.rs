//! Mosquitto and its command-line clients, of Debian's packages mosquitto and mosquitto-clients.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use herd_test_support::{Folder, Log, free_addresses, memory_kib, until, until_some};

const BROKER: &str = "/usr/sbin/mosquitto";

/// A process that ends with the test, and its output.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) log: Log,
}

impl Process {
    /// Starts it, and reads its standard output and its standard error.
    pub(crate) fn start(command: &mut Command, what: &str) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}: is it installed?"));
        let log = Log::default();
        log.follow(child.stdout.take().expect("it is a pipe"));
        log.follow(child.stderr.take().expect("it is a pipe"));
        Process { child, log }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is our child");
    }

    /// Private memory in KiB, the program file not counted.
    pub(crate) fn private_kib(&self) -> u64 {
        memory_kib(self.child.id(), "Anonymous").expect("it is our child")
    }

    pub(crate) fn wait_for_end(&mut self) -> Option<i32> {
        until_some("it ends", || self.child.try_wait().expect("it is our child")).code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- output of process {}\n{}", self.child.id(), self.log.tail());
        }
    }
}

/// A broker, running or not.
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    pub(crate) folder: Folder,
    process: Option<Process>,
}

impl Broker {
    /// Starts Mosquitto with these further settings.
    pub(crate) fn start(settings: &str) -> Broker {
        let (address, folder) = (free_addresses(1)[0], Folder::new());
        // As root, Mosquitto changes to another user, which cannot read this folder.
        let user = if rustix::process::getuid().is_root() { "user root\n" } else { "" };
        let text =
            format!("{user}listener {} {}\npersistence false\n{settings}\n", address.port(), address.ip());
        std::fs::write(folder.path("conf"), text).expect("the folder is ours");
        let mut broker = Broker { address, folder, process: None };
        broker.launch();
        broker
    }

    pub(crate) fn open() -> Broker {
        Broker::start("allow_anonymous true")
    }

    /// A scripted broker: `serve` gets each connection.
    pub(crate) fn played(serve: impl Fn(TcpStream) + Send + 'static) -> Broker {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.expect("a bridge connects"));
            }
        });
        Broker { address, folder: Folder::new(), process: None }
    }

    pub(crate) fn launch(&mut self) {
        let process = Process::start(Command::new(BROKER).arg("-c").arg(self.folder.path("conf")), BROKER);
        process.log.wait_for("running");
        self.process = Some(process);
    }

    pub(crate) fn kill(&mut self) {
        drop(self.process.take().expect("it runs"));
    }

    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args([
            "-h",
            &self.address.ip().to_string(),
            "-p",
            &self.address.port().to_string(),
            "-q",
            "1",
        ]);
        command
    }

    /// A subscriber to all topics. It prints one line for each message: `retained topic message`.
    pub(crate) fn reader(&self) -> Process {
        let mut command = self.client("mosquitto_sub");
        let reader = Process::start(command.args(["-t", "#", "-F", "%r %t %p"]), "mosquitto_sub");
        // The subscriber prints nothing when it begins, so the test publishes a message.
        until("the reader reads", || {
            self.publish("ready", "x");
            reader.log.has("0 ready x")
        });
        reader
    }

    pub(crate) fn publish(&self, topic: &str, message: &str) {
        self.publish_with(topic, &["-m", message]);
    }

    pub(crate) fn publish_with(&self, topic: &str, what: &[&str]) {
        let mut command = self.client("mosquitto_pub");
        let output = command.args(["-t", topic]).args(what).output().expect("mosquitto_pub is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
