#!/usr/bin/env python3
"""Starts a node and reads its figures with the parser of Prometheus' own client, which refuses what OpenMetrics 1.0.0 does
not allow. `openmetrics.py PROGRAM`."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

WANTED = {"herd_build": "info", "herd_uptime_seconds": "gauge", "herd_client_commands": "counter", "herd_iamat_over_quota": "counter"}


# Sockets that hold ports.
HELD = []


def free_addresses(count):
    """Addresses whose ports no other program is given before this one ends: see tests/page/herd.py."""
    for _ in range(count):
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        HELD.append(held)
    return ["{}:{}".format(*held.getsockname()) for held in HELD[-count:]]


def fetched(url):
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.headers["Content-Type"], answer.read().decode()
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{url}: nobody answers")


def check(url):
    kind, text = fetched(url)
    if not kind.startswith("application/openmetrics-text; version=1.0.0"):
        sys.exit(f"it says that it is {kind}")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for name, kind in WANTED.items():
        if name not in families or families[name].type != kind:
            sys.exit(f"{name} is missing, or is no {kind}")
    samples = sum(len(family.samples) for family in families.values())
    print(f"{len(families)} families, {samples} samples: all is OpenMetrics")


def main():
    clients, links, other, other_links, http = free_addresses(5)
    nodes = {
        "Hill": {"clients": clients, "links": links, "http": http},
        "Smith": {"clients": other, "links": other_links},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "herd.json")
        with open(path, "w") as file:
            json.dump({"nodes": nodes, "edges": [["Hill", "Smith"]]}, file)
        environment = {**os.environ, "XDG_RUNTIME_DIR": folder}
        node = subprocess.Popen([sys.argv[1], "serve", "Hill", "--config", path], env=environment)
        try:
            check(f"http://{http}/metrics")
        finally:
            node.terminate()
            node.wait()


main()
