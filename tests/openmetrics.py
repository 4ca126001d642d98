#!/usr/bin/env python3
"""Starts a node and reads its figures with the parsers of Prometheus' own client, which refuse what OpenMetrics 1.0.0 and the
text format 0.0.4 do not allow. `openmetrics.py PROGRAM`."""

import os
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "page"))
from herd import Nodes, free_ports

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

# The header of Prometheus itself (3.2), and those of scrapers that know one format.
PROMETHEUS = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
TEXT = "text/plain; version=0.0.4"
WANTED = {"herd_build": "info", "herd_uptime_seconds": "gauge", "herd_client_commands": "counter", "herd_iamat_over_quota": "counter"}


def fetched(url, accept):
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})
    for _ in range(100):
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.headers["Content-Type"], answer.read().decode()
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{url}: no node answers")


def samples(url, accept, kind, parse, wanted):
    """The names and labels of all samples, checked to be of this kind."""
    sent, text = fetched(url, accept)
    if not sent.startswith(kind):
        sys.exit(f"{accept}: it says that it is {sent}")
    families = {family.name: family for family in parse(text)}
    for name, kind_wanted in wanted.items():
        if name not in families or families[name].type != kind_wanted:
            sys.exit(f"{accept}: {name} is missing, or is no {kind_wanted}")
    lines = text.splitlines()
    if kind == TEXT:
        # What the parser of node_exporter (Go) refuses and this one does not.
        for line in lines:
            if line.startswith("#") and not line.startswith(("# HELP ", "# TYPE ")):
                sys.exit(f"{accept}: {line}")
            if line.startswith("# TYPE ") and line.split()[3] not in ("counter", "gauge", "untyped"):
                sys.exit(f"{accept}: {line}")
        declared = {line.split()[2] for line in lines if line.startswith("# TYPE ")}
        named = {line.replace("{", " ").split()[0] for line in lines if not line.startswith("#")}
        if not named <= declared:
            sys.exit(f"{accept}: no type for {named - declared}")
    print(f"{accept}: {len(families)} families, all is {kind}")
    return {(sample.name, *sorted(sample.labels.items())) for family in families.values() for sample in family.samples}


def check(url):
    in_text = {"herd_build_info" if name == "herd_build" else name: "gauge" if kind == "info" else kind for name, kind in WANTED.items()}
    all_open = [samples(url, accept, OPENMETRICS, openmetrics, WANTED) for accept in (None, "*/*", PROMETHEUS)]
    text = samples(url, "text/plain", TEXT, plain_text, in_text)
    if not all(names == text for names in all_open):
        sys.exit(f"the formats differ: {all_open[0] ^ text}")


def main():
    clients, links, other, other_links, http = (f"127.0.0.1:{port}" for port in free_ports(5))
    nodes = {
        "Hill": {"clients": clients, "links": links, "http": http},
        "Smith": {"clients": other, "links": other_links},
    }
    with Nodes(sys.argv[1], {"nodes": nodes, "edges": [["Hill", "Smith"]]}) as herd:
        herd.start("Hill")
        check(f"http://{http}/metrics")


main()
