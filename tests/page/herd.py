"""Five nodes with pages, a process each, and clients that walk."""

import json
import math
import os
import random
import signal
import socket
import subprocess
import tempfile
import time

NAMES = ["Hill", "Jaquez", "Smith", "Singleton", "Campbell"]
EDGES = [
    ["Hill", "Jaquez"], ["Hill", "Smith"], ["Jaquez", "Singleton"], ["Smith", "Singleton"], ["Smith", "Campbell"],
    ["Singleton", "Campbell"],
]
WORDS = ["kiwi", "heron", "otter", "lynx", "wren", "tapir", "ibis", "fox"]
KEY = "5a" * 32


# Sockets that hold ports until this program ends.
HELD = []


def free_ports(count):
    """Ports that no other program is given before this one ends.

    Each is held by a socket that is bound and does not listen. A node may listen there all the same: both have SO_REUSEADDR.
    """
    for _ in range(count):
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        HELD.append(held)
    return [held.getsockname()[1] for held in HELD[-count:]]


class Nodes:
    """Nodes of a configuration, a process each. Their configuration, key, control sockets and logs are in a folder that goes with them."""

    def __init__(self, program, config):
        self.program = program
        self.folder = tempfile.TemporaryDirectory(prefix="herd-page-")
        self.map = self.path("herd.json")
        with open(self.path("key"), "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(KEY)
        with open(self.map, "w") as file:
            json.dump(config, file, indent=1)
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": self.folder.name}
        self.nodes = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in list(self.nodes):
            self.kill(name)
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def start(self, name, *flags):
        log = open(self.path(f"{name}.log"), "a")
        command = [self.program, "serve", name, "--config", self.map, *flags]
        self.nodes[name] = subprocess.Popen(command, env=self.environment, stderr=log)

    def kill(self, name):
        node = self.nodes.pop(name)
        node.send_signal(signal.SIGKILL)
        node.wait()

    def log(self, name):
        with open(self.path(f"{name}.log"), errors="replace") as file:
            return file.read()

    def token(self, *flags):
        return subprocess.check_output([self.program, "token", "--config", self.map, *flags], text=True).split("\n")[0]


class Herd(Nodes):
    """The herd of PROTOCOL.md. The page of Campbell can be reached from other machines, so it wants the token."""

    def __init__(self, program):
        ports = free_ports(3 * len(NAMES))
        self.clients, links, self.http = (dict(zip(NAMES, ports[first::3])) for first in range(3))
        nodes = {
            name: {
                "clients": f"127.0.0.1:{self.clients[name]}",
                "links": f"127.0.0.1:{links[name]}",
                "http": f"{'0.0.0.0' if name == 'Campbell' else '127.0.0.1'}:{self.http[name]}",
            }
            for name in NAMES
        }
        super().__init__(program, {"nodes": nodes, "edges": EDGES, "key_file": "key", "places": {"source": "offline"}})
        for name in NAMES:
            self.start(name)

    def url(self, name):
        return f"http://127.0.0.1:{self.http[name]}/"

    def send(self, command):
        """Runs a command of the page in a shell, with the address of Hill."""
        words = f"send --to 127.0.0.1:{self.clients['Hill']}"
        subprocess.run(["sh", "-c", command.replace("herd send", f"'{self.program}' {words}")], check=True, stdout=subprocess.DEVNULL)

    def ask(self, name, *lines):
        """A node's answers to these lines."""
        with socket.create_connection(("127.0.0.1", self.clients[name]), timeout=10) as stream:
            stream.sendall("".join(f"{line}\n" for line in lines).encode())
            with stream.makefile() as answers:
                return [answers.readline() for _ in lines]


class Walkers:
    """Clients about the UCLA, each of which tells one node where it is."""

    def __init__(self, herd, count, names=NAMES):
        dice = random.Random(7)
        self.herd = herd
        self.walkers = [
            {
                "id": f"{WORDS[i % len(WORDS)]}-{i:02d}.cs.ucla.edu", "node": names[i % len(names)],
                "lat": 34.0689 + dice.gauss(0, 0.05), "lon": -118.445 + dice.gauss(0, 0.08), "turn": dice.random() * 2 * math.pi,
            }
            for i in range(count)
        ]
        self.dice = dice

    def step(self):
        lines = {}
        for walker in self.walkers:
            walker["turn"] += self.dice.gauss(0, 0.4)
            walker["lat"] += 0.001 * math.sin(walker["turn"])
            walker["lon"] += 0.0012 * math.cos(walker["turn"])
            line = f"IAMAT {walker['id']} {walker['lat']:+.6f}{walker['lon']:+.6f} {time.time():.6f}"
            lines.setdefault(walker["node"], []).append(line)
        for node, said in lines.items():
            if node in self.herd.nodes:
                self.herd.ask(node, *said)
