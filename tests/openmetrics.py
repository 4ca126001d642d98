#!/usr/bin/env python3
"""Starts a node and reads its figures with the parser of Prometheus' own client, which refuses what OpenMetrics 1.0.0 does
not allow. `openmetrics.py PROGRAM`."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "page"))
from herd import free_ports

from prometheus_client.openmetrics.parser import text_string_to_metric_families

WANTED = {"herd_build": "info", "herd_uptime_seconds": "gauge", "herd_client_commands": "counter", "herd_iamat_over_quota": "counter"}


def fetched(url):
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.headers["Content-Type"], answer.read().decode()
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{url}: no node answers")


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
    clients, links, other, other_links, http = (f"127.0.0.1:{port}" for port in free_ports(5))
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
