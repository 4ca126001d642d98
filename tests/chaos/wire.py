#!/usr/bin/env python3
"""The wires of a herd: passes frames between pairs of network devices, late, thinned, doubled, out of order, or not at all.

    wire.py NAME=DEVICE,DEVICE...    one wire each; commands on standard input, an answer a line
    wire.py --plain DEVICE...        no offload: what a device sends is a frame with a checksum, not a heap of them without

    Hill-Jaquez loss=5 delay=40 jitter=20 duplicate=2 reorder=3 cut=forth     sets all of a wire; what is left out is none
    figures                                                                   what was passed on and what was not, so far

Percent and milliseconds. `cut` is none, forth (from the first device to the second), back, or both. It ends when standard
input does.

This is tc-netem's work. It is done here because the kernels that the tests run on, in virtual machines of CI, come without
that module, and without a way to load one.

It knows nothing of herds. Invariants: a frame leaves as it came, never later than its due time by more than this process is
delayed; at most QUEUE_FRAMES_MAX wait in each direction, and what is more is lost and counted.
"""

import ctypes
import fcntl
import heapq
import random
import select
import socket
import struct
import sys
import time

QUEUE_FRAMES_MAX = 4000
FRAMES_A_TURN = 64
FRAME_BYTES_MAX = 65536
SIOCETHTOOL = 0x8946
# ETHTOOL_STXCSUM, ETHTOOL_SSG, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO
OFFLOADS = (0x17, 0x19, 0x1F, 0x24, 0x2C)
ETH_P_ALL = 3
PACKET_IGNORE_OUTGOING = 23
SOL_PACKET = 263
REORDERED_MS = 15
FIGURES = ("passed", "lost", "cut", "duplicated", "reordered", "overflowed")


def plain(devices):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for device in devices:
            for offload in OFFLOADS:
                value = bytearray(struct.pack("II", offload, 0))
                buffer = (ctypes.c_char * len(value)).from_buffer(value)
                request = struct.pack("16sP", device.encode(), ctypes.addressof(buffer))
                try:
                    fcntl.ioctl(control, SIOCETHTOOL, request)
                except OSError as error:
                    # A kernel may not let one of them be set; without checksums on its devices nothing works.
                    if offload == OFFLOADS[0]:
                        sys.exit(f"{device}: {error}")


class Direction:
    def __init__(self, wire, name, source, target):
        self.wire, self.name, self.source, self.target = wire, name, source, target
        self.queue, self.count, self.last_due = [], 0, 0.0
        self.figures = dict.fromkeys(FIGURES, 0)

    def take(self, frame, now):
        wire, dice = self.wire, random.random
        if wire["cut"] in ("both", self.name):
            self.figures["cut"] += 1
            return
        if dice() * 100 < wire["loss"]:
            self.figures["lost"] += 1
            return
        due = now + (wire["delay"] + dice() * wire["jitter"]) / 1000
        if dice() * 100 < wire["reorder"]:
            # Held back, so that others overtake it.
            self.figures["reordered"] += 1
            self.push(due + REORDERED_MS / 1000, frame)
            return
        # Frames keep their order otherwise: jitter alone must not turn each segment into a duplicate ACK.
        due = self.last_due = max(due, self.last_due)
        self.push(due, frame)
        if dice() * 100 < wire["duplicate"]:
            self.figures["duplicated"] += 1
            self.push(due, frame)

    def push(self, due, frame):
        if len(self.queue) >= QUEUE_FRAMES_MAX:
            self.figures["overflowed"] += 1
            return
        self.count += 1
        heapq.heappush(self.queue, (due, self.count, frame))

    def send_due(self, now):
        while self.queue and self.queue[0][0] <= now:
            frame = heapq.heappop(self.queue)[2]
            try:
                self.target.send(frame)
                self.figures["passed"] += 1
            except OSError:
                # The cable is pulled, or the device's queue is full.
                self.figures["overflowed"] += 1


def packets_of(device):
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    packets.bind((device, ETH_P_ALL))
    packets.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    packets.setblocking(False)
    return packets


def settings(words):
    wire = {"loss": 0.0, "delay": 0.0, "jitter": 0.0, "duplicate": 0.0, "reorder": 0.0, "cut": "none"}
    for word in words:
        key, value = word.split("=")
        if key not in wire or (key == "cut" and value not in ("none", "forth", "back", "both")):
            raise ValueError(word)
        wire[key] = value if key == "cut" else float(value)
    return wire


def command(line, wires, directions):
    words = line.split()
    if words == ["figures"]:
        sums = (f"{name} {sum(way.figures[name] for way in directions)}" for name in FIGURES)
        return ", ".join(sums)
    if not words or words[0] not in wires:
        return f"no such wire: {line.strip()}"
    try:
        wires[words[0]].update(settings(words[1:]))
    except ValueError as error:
        return f"not understood: {error}"
    return "ok"


def drain(way, now):
    for _ in range(FRAMES_A_TURN):
        try:
            frame = way.source.recv(FRAME_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            # The device went down: said once by its socket, then frames come again when it is up.
            return
        way.take(frame, now)


def main(words):
    if words[:1] == ["--plain"]:
        return plain(words[1:])
    wires, directions = {}, []
    for word in words:
        name, devices = word.split("=")
        first, second = map(packets_of, devices.split(","))
        wires[name] = settings([])
        directions += [
            Direction(wires[name], "forth", first, second),
            Direction(wires[name], "back", second, first),
        ]
    poll = select.epoll()
    by_fd = {way.source.fileno(): way for way in directions}
    for fd in [*by_fd, sys.stdin.fileno()]:
        poll.register(fd, select.EPOLLIN)
    print("ready", flush=True)
    while True:
        due = min((way.queue[0][0] for way in directions if way.queue), default=None)
        ready = poll.poll(None if due is None else max(0.0, due - time.monotonic()))
        now = time.monotonic()
        for fd, _ in ready:
            if fd in by_fd:
                drain(by_fd[fd], now)
                continue
            line = sys.stdin.readline()
            if not line:
                return None
            print(command(line, wires, directions), flush=True)
        now = time.monotonic()
        for way in directions:
            way.send_due(now)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
