"""The herd's protocol on Python's asyncio Streams, as its first author built it: one file, one process a server.

It is there to be measured beside the node (cargo bench --bench footprint). Like the other rivals it answers IAMAT, WHATSAT
without places and everything else, and floods; it has no limits, keys, ages, or repair of what was lost while a link was down.

python3 asyncio_server.py serve NAME --config FILE
"""

import asyncio
import json
import sys
import time

NO_PLACES = '{"html_attributions":[],"results":[],"status":"ZERO_RESULTS"}'
# Seconds between two tries to reach a neighbour.
PAUSE_S = 0.1


def coordinates(text):
    """Latitude and longitude of `+34.068930-118.445127`; ValueError for anything else."""
    cut = max(text.rfind("+"), text.rfind("-"))
    if cut < 1 or text[0] not in "+-":
        raise ValueError(text)
    latitude, longitude = float(text[:cut]), float(text[cut:])
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise ValueError(text)
    return latitude, longitude


class Herd:
    def __init__(self, name):
        self.name = name
        self.updates = {}  # client: (time, AT line)
        self.neighbours = set()  # writers of links that are up

    def hear(self, client, seconds, at_line):
        known = self.updates.get(client)
        if known is None or seconds > known[0]:
            self.updates[client] = (seconds, at_line)
            for writer in self.neighbours:
                writer.write(at_line.encode() + b"\n")

    def iamat(self, client, position, text):
        coordinates(position)
        seconds = float(text)
        at_line = f"AT {self.name} {time.time() - seconds:+.9f} {client} {position} {text}"
        self.hear(client, seconds, at_line)
        return at_line + "\n"

    def whatsat(self, client, radius, items):
        if not 0 <= float(radius) <= 50 or not 0 <= int(items) <= 20:
            raise ValueError(radius)
        return f"{self.updates[client][1]}\n{NO_PLACES}\n\n"

    def answer(self, line):
        try:
            match line.split():
                case ["IAMAT", client, position, text]:
                    return self.iamat(client, position, text)
                case ["WHATSAT", client, radius, items]:
                    return self.whatsat(client, radius, items)
        except (ValueError, KeyError):
            pass
        return f"? {line}\n"

    async def serve_client(self, reader, writer):
        try:
            while line := await reader.readline():
                writer.write(self.answer(line.decode().rstrip("\n")).encode())
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    async def hear_neighbour(self, reader, writer):
        while line := await reader.readline():
            at_line = line.decode().rstrip("\n")
            match at_line.split():
                case ["AT", _, _, client, _, text]:
                    self.hear(client, float(text), at_line)
        writer.close()

    async def tell_neighbour(self, host, port):
        while True:
            try:
                reader, writer = await asyncio.open_connection(host, port)
            except OSError:
                await asyncio.sleep(PAUSE_S)
                continue
            self.neighbours.add(writer)
            await reader.read()  # until the other end closes
            self.neighbours.discard(writer)


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


async def run(name, herd_map):
    herd = Herd(name)
    nodes = herd_map["nodes"]
    await asyncio.start_server(herd.hear_neighbour, *address(nodes[name]["links"]))
    for edge in herd_map["edges"]:
        if name in edge:
            (other,) = set(edge) - {name}
            asyncio.create_task(herd.tell_neighbour(*address(nodes[other]["links"])))
    clients = await asyncio.start_server(herd.serve_client, *address(nodes[name]["clients"]), backlog=1024)
    await clients.serve_forever()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", name, "--config", file]:
            with open(file, encoding="utf-8") as text:
                herd_map = json.load(text)
            asyncio.run(run(name, herd_map))
        case _:
            sys.exit(__doc__)
