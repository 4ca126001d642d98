#!/usr/bin/env python3
"""Programs that phones, gateways and map readers have, against real nodes. `apps.py PROGRAM VENV`.

VENV is a virtual environment with mesh2traccar and aio-geojson-generic-client; the other programs are Debian's: curl, node,
ogrinfo, caddy, mosquitto, openssl, chromium. Each test is a function, and a failure ends the run with a message."""

import base64
import http.client
import http.server
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "page"))
from herd import Nodes, free_ports

PROGRAM, VENV = (os.path.abspath(path) for path in sys.argv[1:3])
BODY_BYTES = 1_000_000
TIMES = 20
PATIENCE_S = 60


class Pair(Nodes):
    """Hill, where phones report, and Smith; both have pages."""

    def __init__(self, **members):
        ports = free_ports(7)
        self.phones, self.http, self.smith, self.away = ports[:4]
        nodes = {
            "Hill": {"clients": f"127.0.0.1:{ports[4]}", "links": f"127.0.0.1:{ports[5]}",
                     "phones": f"127.0.0.1:{self.phones}", "http": f"127.0.0.1:{self.http}"},
            "Smith": {"clients": f"127.0.0.1:{self.smith}", "links": f"127.0.0.1:{ports[6]}",
                      "http": f"0.0.0.0:{self.away}"},
        }
        super().__init__(PROGRAM, {"nodes": nodes, "edges": [["Hill", "Smith"]], "key_file": "key", **members})

    def start_both(self):
        for name in ("Smith", "Hill"):
            self.start(name, "--log-level", "debug")
        until("the nodes are linked", lambda: "link to Hill is up" in self.logged())

    def logged(self):
        return self.log("Smith") + self.log("Hill")

    def status(self, name="Hill"):
        return json.loads(output([PROGRAM, "status", name, "--json"], env=self.environment))

    def where(self, client):
        """Where Smith says that a client is."""
        answer = output([PROGRAM, "send", "--to", f"127.0.0.1:{self.smith}", f"WHATSAT {client} 1 0"], check=False)
        return answer.split(" ")[4] if answer.startswith("AT ") else None

    def wait_for(self, client, position):
        until(f"{client} is at {position}", lambda: self.where(client) == position)


def output(command, check=True, **how):
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, **how)
    if check and done.returncode != 0:
        sys.exit(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def until(what, holds):
    end = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"in vain: {what}")
        time.sleep(0.05)


def same(found, expected, what):
    if found != expected:
        sys.exit(f"{what}: {found!r}, and {expected!r} is due")


def basic(name, token):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{token}".encode()).decode()}


def location(latitude, longitude):
    return json.dumps({"_type": "location", "lat": latitude, "lon": longitude, "tst": int(time.time())})


def curl(nodes):
    # curl calls the body a form, whatever it is.
    command = ["curl", "-s", "-u", f"ann:{nodes.token('--phone', 'ann')}", "-d", location(51.5, -0.25)]
    same(output([*command, f"http://127.0.0.1:{nodes.phones}/pub"]), "[]", "curl")
    nodes.wait_for("ann.phone", "+51.5-0.25")


def python(nodes):
    """A client that has sent 1 MB is told why it was refused."""
    for _ in range(TIMES):
        connection = http.client.HTTPConnection("127.0.0.1", nodes.phones, timeout=PATIENCE_S)
        connection.request("POST", "/pub", b"x" * BODY_BYTES, basic("ann", "0000-0000-0000-0000"))
        same(connection.getresponse().status, 413, "a body of 1 MB")
    # One at a time, with pauses.
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", nodes.phones, timeout=PATIENCE_S)
        connection.request("POST", "/pub", b"x" * 100_000, basic("ann", "0000-0000-0000-0000"))
        same(connection.getresponse().status, 401, "a large body with a foreign token")


def node_js(nodes):
    script = """
        const [url, bytes, times] = process.argv.slice(1);
        (async () => {
            for (let i = 0; i < times; i++) {
                const answer = await fetch(url, { method: 'POST', body: 'x'.repeat(bytes) });
                console.log(answer.status);
            }
        })();
    """
    url = f"http://127.0.0.1:{nodes.phones}/pub"
    same(output(["node", "-e", script, url, str(BODY_BYTES), str(TIMES)]), "413\n" * TIMES, "Node.js")


def mesh2traccar(nodes):
    """Meshtastic's positions, from a broker, with the token of a gateway."""
    broker = free_ports(1)[0]
    folder = nodes.path("mesh")
    os.mkdir(folder)
    with open(os.path.join(folder, "mesh2traccar.conf"), "w") as file:
        file.write(f"[mqtt]\nbroker = 127.0.0.1\nport = {broker}\ntopic_sub = msh/+\n"
                   f"[traccar]\nurl = http://127.0.0.1:{nodes.phones}/\napi_key = {nodes.token('--phone', '*')}\n")
    package = output([f"{VENV}/bin/python", "-c", "import mesh2traccar; print(mesh2traccar.__path__[0])"], cwd=folder)
    # It looks beside its own code first.
    beside = os.path.join(package.strip(), "mesh2traccar.conf")
    if os.path.exists(beside):
        os.remove(beside)
    mosquitto = subprocess.Popen(["mosquitto", "-p", str(broker)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = open(os.path.join(folder, "out"), "w")
    program = subprocess.Popen([f"{VENV}/bin/python", "-m", "mesh2traccar.mesh2traccar"], cwd=folder, stdout=log, stderr=log)
    try:
        message = {"type": "position", "from": 0xa1b2c3d4,
                   "payload": {"latitude_i": 517000000, "longitude_i": -3000000, "time": int(time.time())}}
        publish = ["mosquitto_pub", "-p", str(broker), "-t", "msh/node", "-m", json.dumps(message)]

        def is_known():
            output(publish, check=False)
            return nodes.where("!a1b2c3d4") == "+51.7-0.3"

        until("mesh2traccar reports", is_known)
    finally:
        program.kill()
        mosquitto.kill()


def gdal(nodes):
    for url in (f"http://127.0.0.1:{nodes.http}", f"http://x:{nodes.token()}@127.0.0.1:{nodes.away}"):
        text = output(["ogrinfo", "-ro", "-al", f"{url}/clients.geojson"])
        for line in ("Geometry: Point", "name (String) = ann.phone", "POINT (-0.25 51.5)"):
            if line not in text:
                sys.exit(f"ogrinfo: {line!r} is missing in\n{text}")


def home_assistant(nodes):
    """The library of Home Assistant's integration geo_json_events."""
    script = """
import asyncio, sys
from aiohttp import ClientSession
from aio_geojson_generic_client.feed import GenericFeed

async def main():
    async with ClientSession() as session:
        feed = GenericFeed(session, (51.5, -0.25), sys.argv[1], filter_radius=10.0)
        status, entries = await feed.update()
        print(status, [(entry.title, entry.coordinates) for entry in entries])

asyncio.run(main())
"""
    url = f"http://127.0.0.1:{nodes.http}/clients.geojson"
    same(output([f"{VENV}/bin/python", "-c", script, url]), "OK [('ann.phone', (51.5, -0.25))]\n", "aio-geojson")


def caddy(nodes):
    """Behind a proxy everybody comes from loopback, and needs the token."""
    reports, pages = free_ports(2)
    with open(nodes.path("Caddyfile"), "w") as file:
        file.write("{\n admin off\n auto_https off\n}\n"
                   f"http://127.0.0.1:{reports} {{\n reverse_proxy 127.0.0.1:{nodes.phones}\n}}\n"
                   f"http://127.0.0.1:{pages} {{\n reverse_proxy 127.0.0.1:{nodes.http} {{\n  header_up Host localhost\n }}\n}}\n")
    environment = {**os.environ, "XDG_DATA_HOME": nodes.path("data"), "XDG_CONFIG_HOME": nodes.path("config")}
    log = open(nodes.path("caddy"), "w")
    program = subprocess.Popen(["caddy", "run", "--adapter", "caddyfile", "--config", nodes.path("Caddyfile")],
                               env=environment, stdout=log, stderr=log)
    try:
        code = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"]
        page = f"http://127.0.0.1:{pages}/clients.geojson"
        until("caddy listens", lambda: output([*code, page], check=False) not in ("", "000"))
        same(output([*code, page]), "401", "the page without a token")
        same(output([*code, "-u", f"x:{nodes.token()}", page]), "200", "the page with its token")
        report = [*code, "-d", location(48.25, 2.5), f"http://127.0.0.1:{reports}/pub"]
        same(output(report), "401", "a report without a token")
        same(output([*report, "-u", f"eve:{nodes.token('--phone', 'eve')}"]), "200", "a report with its token")
        nodes.wait_for("eve.phone", "+48.25+2.5")
    finally:
        program.kill()


def chromium(nodes):
    """A page of somebody else makes the browser ask, with the right token even."""
    url = f"http://127.0.0.1:{nodes.phones}/{nodes.token('--phone', 'van7')}?id=van7&lat=1&lon=2"
    page = f"""<img src="{url}"><script>
        fetch("{url}", {{ mode: "no-cors" }}).catch(() => 0);
        fetch("{url}", {{ mode: "no-cors", method: "POST", body: "lat=1" }}).catch(() => 0);
        </script>"""

    class Evil(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Evil)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    before = nodes.status()["phones"]["rejected"]
    profile = tempfile.TemporaryDirectory(prefix="herd-chromium-")
    browser = subprocess.Popen(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile.name}",
         f"http://localhost:{server.server_port}/"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until("the browser has asked", lambda: nodes.status()["phones"]["rejected"] >= before + 2)
    finally:
        browser.kill()
        browser.wait()
        server.shutdown()
    same(nodes.where("van7"), None, "a page has reported")


def certificate(nodes, days, name="cert"):
    """A certificate of the test's own authority, for localhost."""
    if not os.path.exists(nodes.path("ca.pem")):
        output(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=test", "-keyout", nodes.path("ca.key"), "-out", nodes.path("ca.pem")])
    output(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
            "-keyout", nodes.path(f"{name}.key"), "-out", nodes.path("csr")])
    with open(nodes.path("san"), "w") as file:
        file.write("subjectAltName=DNS:localhost\n")
    command = ["openssl", "x509", "-req", "-in", nodes.path("csr"), "-CA", nodes.path("ca.pem"), "-CAkey", nodes.path("ca.key"),
               "-CAcreateserial", "-extfile", nodes.path("san"), "-out", nodes.path(f"{name}.pem"), "-days", str(days)]
    output(command)


def asked_over_tls(nodes, context, token):
    connection = http.client.HTTPSConnection("localhost", nodes.phones, context=context, timeout=PATIENCE_S)
    connection.request("POST", "/pub", location(51.5, -0.25), basic("ann", token))
    answer = connection.getresponse()
    same((answer.status, answer.read()), (200, b"[]"), "a report over TLS")


def serial(nodes):
    pem = ssl.get_server_certificate(("127.0.0.1", nodes.phones))
    return output(["openssl", "x509", "-noout", "-serial"], input=pem)


def tls():
    """TLS by the clients' own stacks; renewal under load; an expired certificate."""
    with Pair(tls={"cert_file": "cert.pem", "key_file": "cert.key"}) as nodes:
        certificate(nodes, 1)
        nodes.start_both()
        token = nodes.token("--phone", "ann")
        context = ssl.create_default_context(cafile=nodes.path("ca.pem"))
        asked_over_tls(nodes, context, token)
        nodes.wait_for("ann.phone", "+51.5-0.25")
        for version in ("-tls1_2", "-tls1_3"):
            text = output(["openssl", "s_client", "-connect", f"127.0.0.1:{nodes.phones}", "-servername", "localhost", version,
                           "-CAfile", nodes.path("ca.pem"), "-verify_return_error", "-verify_hostname", "localhost"], input="")
            if "Verify return code: 0 (ok)" not in text:
                sys.exit(f"openssl {version}:\n{text}")
        page = ["curl", "-s", "--cacert", nodes.path("ca.pem"), f"https://localhost:{nodes.http}/clients.geojson"]
        same(json.loads(output(page))["type"], "FeatureCollection", "the page over TLS")

        old, ended, count = serial(nodes), threading.Event(), []

        def report():
            while not ended.is_set():
                asked_over_tls(nodes, context, token)
                count.append(1)

        reporters = [threading.Thread(target=report) for _ in range(3)]
        for reporter in reporters:
            reporter.start()
        certificate(nodes, 1)
        nodes.nodes["Hill"].send_signal(signal.SIGHUP)
        until("the new certificate is used", lambda: serial(nodes) != old)
        before = len(count)
        until("phones report on", lambda: len(count) > before + 10)
        ended.set()
        for reporter in reporters:
            reporter.join()

        certificate(nodes, -1)
        nodes.nodes["Hill"].send_signal(signal.SIGHUP)
        until("an expired certificate is refused", lambda: "cert.pem: the certificate has expired" in nodes.logged())
        asked_over_tls(nodes, context, token)
        check = subprocess.run([PROGRAM, "check", nodes.map], capture_output=True, text=True, check=False)
        same((check.returncode, "cert.pem: the certificate has expired" in check.stdout), (1, True), "herd check")


def main():
    with Pair() as nodes:
        nodes.start_both()
        for test in (curl, python, node_js, gdal, home_assistant, caddy, chromium, mesh2traccar):
            began = time.monotonic()
            test(nodes)
            print(f"{test.__name__}: ok ({time.monotonic() - began:.1f} s)", flush=True)
        if nodes.token("--phone", "ann") in nodes.logged():
            sys.exit("a token is in the log")
    tls()
    print("tls: ok")


main()
