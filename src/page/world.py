#!/usr/bin/env python3
"""Makes world.txt, the outline of the page's map: src/page/world.py land-110m.json > src/page/world.txt

land-110m.json is Natural Earth's land at 1:110 million (public domain), in the TopoJSON form of the npm package
world-atlas 2.0.2. Points whose triangle with their neighbours is smaller than AREA_MIN are left out, the smallest first
(Visvalingam and Whyatt 1993), and the rest is rounded to a quarter of a degree.

A ring is a "!" and its points one after another. A point is two characters: the steps to the east and to the south from the
one before, the first from 180 west, 90 north, each from -44 to 44 and written as the character 79 + step. A longer way is
several points.
"""
import heapq
import json
import sys

STEPS_PER_DEGREE = 4
STEP_MAX = 44
FIRST = 35 + STEP_MAX
# Square degrees.
AREA_MIN = 0.35
RING_AREA_MIN = 1.5


def rings(topology):
    scale, translate = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for arc in topology["arcs"]:
        x = y = 0
        points = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            points.append((x * scale[0] + translate[0], y * scale[1] + translate[1]))
        arcs.append(points)
    for geometry in topology["objects"]["land"]["geometries"]:
        for polygon in geometry["arcs"]:
            for ring in polygon:
                points = []
                for index in ring:
                    arc = arcs[index] if index >= 0 else arcs[~index][::-1]
                    points += arc[1:] if points else arc
                yield from cut(points[:-1])


def cut(points):
    """The parts of a ring on a map that ends at 180 degrees: TopoJSON's rings go on across that line."""
    whole, turn = [points[0]], 0
    for (before, _), (x, y) in zip(points, points[1:] + points[:1]):
        turn += 360 * ((x - before < -180) - (x - before > 180))
        whole.append((x + turn, y))
    if turn:
        # Once round the south pole.
        whole += [(whole[-1][0], -90), (whole[0][0], -90)]
    else:
        whole.pop()
    for shift in (-360, 0, 360):
        part = [(x + shift, y) for x, y in whole]
        part = beyond(beyond(part, 1, -180), -1, -180)
        if len(part) > 2:
            yield part


def beyond(points, sign, least):
    """What of a polygon has sign * x >= least (Sutherland and Hodgman 1974)."""
    inside = []
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1]):
        a, b = sign * ax - least, sign * bx - least
        if a >= 0:
            inside.append((ax, ay))
        if (a >= 0) != (b >= 0):
            inside.append((sign * least, ay + (by - ay) * a / (a - b)))
    return inside


def triangle(a, b, c):
    return abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])) / 2


def simplified(points):
    n = len(points)
    before, after = [(i - 1) % n for i in range(n)], [(i + 1) % n for i in range(n)]
    area = lambda i: triangle(points[before[i]], points[i], points[after[i]])
    heap = [(area(i), i) for i in range(n)]
    current = dict((i, a) for a, i in heap)
    heapq.heapify(heap)
    while heap and len(current) > 4:
        size, i = heapq.heappop(heap)
        if current.get(i) != size:
            continue
        if size >= AREA_MIN:
            break
        del current[i]
        after[before[i]], before[after[i]] = after[i], before[i]
        for other in (before[i], after[i]):
            current[other] = max(size, area(other))
            heapq.heappush(heap, (current[other], other))
    return [points[i] for i in sorted(current)]


def area_of(points):
    pairs = zip(points, points[1:] + points[:1])
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)) / 2


def encoded(points):
    text, x, y = ["!"], 0, 0
    for longitude, latitude in points:
        to_x = round((longitude + 180) * STEPS_PER_DEGREE)
        to_y = round((90 - latitude) * STEPS_PER_DEGREE)
        while (x, y) != (to_x, to_y):
            dx = max(-STEP_MAX, min(STEP_MAX, to_x - x))
            dy = max(-STEP_MAX, min(STEP_MAX, to_y - y))
            # A backslash would mean something in a script: a step less is as good.
            dx, dy = (step - (chr(FIRST + step) == "\\") for step in (dx, dy))
            x, y = x + dx, y + dy
            text.append(chr(FIRST + dx) + chr(FIRST + dy))
    return "".join(text)


with open(sys.argv[1], encoding="utf-8") as file:
    all_rings = list(rings(json.load(file)))
print("".join(encoded(simplified(ring)) for ring in all_rings if area_of(ring) >= RING_AREA_MIN))
