#!/usr/bin/env python3
"""Looks at a herd's page as people do, in a real browser, and cuts the herd in two. `click.py PROGRAM [FOLDER]`; pictures go
into the folder, if one is named."""

import os
import sys
import time
import urllib.error
import urllib.request

from browser import Browser, Failed, until
from herd import Herd, Walkers, free_ports

WALKERS = 40
ROWS_FIRST = 20
# From the start of the navigation.
VERDICT_MS_MAX = 500


def check(holds, what):
    if not holds:
        raise Failed(what)


def empty(browser, herd, folder):
    """Before the first client the page shows a command that sends one."""
    browser.screen(1280, 900)
    until("the node answers", lambda: answer(herd.url("Hill") + "healthz") == 200)
    browser.go(herd.url("Hill"))
    until("the page says how to send a position", lambda: not browser.run("return document.getElementById('first').hidden"))
    check(browser.text("#command").startswith("herd send \"IAMAT "), browser.text("#command"))
    check(browser.text("#count") == "0 clients", browser.text("#count"))
    until("the herd is in sync", lambda: "In sync" in browser.text("#verdict"), 40)
    if folder:
        browser.picture(os.path.join(folder, "empty.png"))
    command = browser.text("#command")
    browser.click("#copy")
    until("the command is copied", lambda: browser.text("#copied") == "Copied")
    browser.run("document.getElementById('search').focus()")
    browser.paste()
    pasted = browser.run("return document.getElementById('search').value")
    check(pasted and command.startswith(pasted), f"{pasted!r} was copied")
    browser.run("document.getElementById('search').value = ''; document.getElementById('search').dispatchEvent(new Event('input'))")
    herd.send(command)
    until("the client is there", lambda: browser.text("#count") == "1 client")
    check(browser.run("return document.getElementById('first').hidden"), "the command is still there")
    check(len(browser.texts("#table tbody tr")) == 1, "the client is not listed")


def far_clients(browser, herd):
    """Three of 64 clients are far away: the first view leaves them out, says so, and shows them at a click."""
    Walkers(herd, 60).step()
    for index, place in enumerate(["+51.500000-0.120000", "+48.850000+2.350000", "-33.870000+151.210000"]):
        herd.ask("Hill", f"IAMAT zebra-{index} {place} {time.time():.6f}")
    until("they are known", lambda: browser.text("#count") == "64 clients")
    browser.go(herd.url("Hill"))
    until("the view leaves the far ones out", lambda: browser.text("#outside") == "3 clients outside the view")
    width = browser.run("return map.width")
    check(width > 100_000, f"the world is {width} pixels wide")
    check(land_is_drawn(browser) is False, "the coast is drawn at the zoom of a city")
    browser.click("#outside")
    until("all are in the view", lambda: browser.run("return document.getElementById('outside').hidden"))
    check(land_is_drawn(browser), "the coast is not drawn on the map of the world")


def land_is_drawn(browser):
    """Whether some pixel of the map has the colour of land, but for the small map in its corner."""
    return browser.run("""
        drawMap(performance.now());
        const [w, h] = [canvas.width, canvas.height - 110 * devicePixelRatio];
        const copy = Object.assign(document.createElement('canvas'), { width: w, height: h });
        const pen = copy.getContext('2d', { willReadFrequently: true });
        pen.drawImage(canvas, 0, 0);
        const land = getComputedStyle(document.documentElement).getPropertyValue('--land').slice(1);
        const { data } = pen.getImageData(0, 0, w, h);
        for (let at = 0; at < data.length; at += 4) {
          if ([0, 1, 2].every((i) => data[at + i] === parseInt(land.slice(2 * i, 2 * i + 2), 16))) return true;
        }
        return false;
    """)


class Test:
    def __init__(self, browser, herd, folder):
        self.browser, self.herd, self.folder = browser, herd, folder
        self.walkers = Walkers(herd, WALKERS)

    def picture(self, name):
        if self.folder:
            self.browser.picture(os.path.join(self.folder, f"{name}.png"))

    def verdict(self, words):
        until(f"the page says: {words}", lambda: words in self.browser.text("#verdict"), 40)

    def in_sync(self):
        """The first look: all is well, all clients are there, nothing was refused."""
        self.browser.screen(1280, 900)
        self.browser.go(self.herd.url("Hill"))
        self.verdict("In sync: all 5 nodes hold the same")
        until("all clients are listed", lambda: self.browser.text("#count") == f"{WALKERS} clients")
        rows = self.browser.texts("#table tbody tr")
        check(len(rows) == ROWS_FIRST, f"{len(rows)} rows")
        check(self.browser.text("#more") == f"Show more ({WALKERS - ROWS_FIRST} not shown)", self.browser.text("#more"))
        states = until("links are listed", lambda: self.browser.texts("#links tbody .state"))
        check(len(states) == 2 and all(state.startswith("in sync") for state in states), states)
        knots = self.browser.run("return document.querySelectorAll('#graph circle.knot.ok').length")
        lines = self.browser.run("return document.querySelectorAll('#graph line.edge.ok').length")
        check((knots, lines) == (5, 6), f"{knots} nodes and {lines} links are well")
        spoken = self.browser.run("return document.querySelector('#graph').getAttribute('aria-label')")
        check(spoken == "5 nodes and 6 links; this is Hill. All links are in sync.", spoken)
        pages = self.browser.run("return [...document.querySelectorAll('#pages a')].map((link) => [link.innerText, link.href])")
        check(pages == [[name, self.herd.url(name)] for name in sorted(self.herd.nodes) if name != "Hill"], pages)
        towns = until("the map has towns", lambda: self.browser.run("return towns.list.map(({ name }) => name)"))
        check("Los Angeles" in towns and len(towns) <= 200, towns)
        self.picture("desktop")
        self.browser.click("#more")
        rows = self.browser.texts("#table tbody tr")
        check(len(rows) == WALKERS, f"{len(rows)} rows of all")
        check(not self.browser.run("return document.getElementById('more').checkVisibility()"), "there is more than all")

    def edges(self):
        """How many lines of the graph there are in each state."""
        states = self.browser.run("return [...document.querySelectorAll('#graph line.edge')].map((e) => e.classList[1])")
        return {state: states.count(state) for state in sorted(set(states))}

    def opens_fast(self):
        """The verdict is there within half a second of opening."""
        source = "new MutationObserver(() => { if (document.querySelector('#verdict.ok')) window.answeredAt ??= performance.now(); })"
        self.browser.devtools("Page.addScriptToEvaluateOnNewDocument", source=f"{source}.observe(document, {{subtree: true, attributes: true}})")
        times = []
        for _ in range(5):
            self.browser.go("about:blank")
            self.browser.go(self.herd.url("Hill"))
            times.append(until("the page answers", lambda: self.browser.run("return window.answeredAt")))
        until("all clients are listed again", lambda: self.browser.text("#count") == f"{WALKERS} clients")
        print(f"the verdict after {', '.join(f'{ms:.0f}' for ms in times)} ms")
        # On a busy machine one may take longer.
        check(min(times) < VERDICT_MS_MAX, f"the verdict takes {times} ms")

    def moves(self):
        """A report at the farthest node moves a row and a dot here."""
        row = "[...document.querySelectorAll('#table tbody tr')].find((row) => row.innerText.startsWith('kiwi-00'))"
        before = self.browser.run(f"return {row}.innerText")
        pixels = self.pixels()
        self.herd.ask("Campbell", f"IAMAT kiwi-00.cs.ucla.edu +34.100000-118.300000 {time.time():.6f}")
        until("the row moves", lambda: "34.10000, -118.30000" in self.browser.run(f"return {row}.innerText"))
        until("the map is another", lambda: self.pixels() != pixels)
        check("Campbell" in self.browser.run(f"return {row}.innerText"), "it was heard by Campbell by now")
        check("34.10000" not in before, "it was there before")

    def pixels(self):
        return self.browser.run("return document.getElementById('map').toDataURL()")

    def search_and_sort(self):
        self.browser.press("/")
        focused = self.browser.run("return document.activeElement.id")
        check(focused == "search", f"a slash goes to {focused!r}")
        self.browser.type("#search", "otter")
        until("the search is answered", lambda: self.browser.text("#count") == f"5 of {WALKERS} clients match")
        check(all("otter" in row for row in self.browser.texts("#table tbody tr")), "others are shown, too")
        self.browser.run("document.getElementById('search').value = ''; document.getElementById('search').dispatchEvent(new Event('input'))")
        self.browser.click("[data-by=id]")
        names = self.browser.texts("#table tbody button")
        check(names == sorted(names, reverse=True), names)
        order = self.browser.run("return document.querySelector('[data-by=id]').parentElement.ariaSort")
        check(order == "descending", order)
        self.browser.click("[data-by=id]")

    def choose_and_zoom(self):
        """By mouse and by keyboard: a client is chosen, the map goes to the world and back."""
        self.browser.click("#table tbody button")
        check(self.browser.text("#table tr.chosen").startswith("fox-07"), "the first is not chosen")
        self.chosen()
        self.browser.press("\ue00c")
        city = self.pixels()
        self.browser.click("#zoom-world")
        until("the world is shown", lambda: self.pixels() != city)
        time.sleep(0.5)
        self.picture("world")
        self.browser.run("document.getElementById('map').focus()")
        world = self.pixels()
        self.browser.press("+")
        until("plus zooms", lambda: self.pixels() != world)
        self.browser.press("0")
        self.browser.click("#table tbody button")
        check(not self.browser.texts("#table tr.chosen"), "it is still chosen")
        self.browser.click("summary")
        until("counters are listed", lambda: any(row.startswith("iamat") for row in self.browser.texts("#counters tbody tr")))
        self.browser.click("summary")

    def chosen(self):
        """The map is centred on the client that is chosen; there are links, and times have a zone."""
        row = self.browser.texts("#table tr.chosen td")
        lat, lon = (f"{float(degrees):.5f}" for degrees in row[0].split(", "))
        middle = self.browser.run("return [mercatorX(clients.get(table.chosen).lon) - map.x, mercatorY(clients.get(table.chosen).lat) - map.y]")
        check(max(map(abs, middle)) < 1e-6, f"{middle} off the middle")
        geo, osm = (self.browser.run(f"return document.getElementById('{link}').href") for link in ("geo", "osm"))
        check(geo.startswith(f"geo:{lat[:-1]}") and f",{lon[:-1]}" in geo, geo)
        place = geo.removeprefix("geo:").split(",")
        check(osm == f"https://www.openstreetmap.org/?mlat={place[0]}&mlon={place[1]}#map=15/{place[0]}/{place[1]}", osm)
        near = until("places near it are shown", lambda: self.browser.texts("#near:not([hidden])"))
        check(near[0].startswith("Within 10 km: ") or near[0].startswith("No place within 10 km"), near)
        check(row[3].endswith((" UTC", "GMT")) or "GMT" in row[3], f"{row[3]} has no zone")

    def hostile_names(self):
        """What a stranger calls itself is text, whatever it is."""
        name = "<img/src=x/onerror=alert(1)>\"'&amp;"
        self.herd.ask("Hill", f"IAMAT {name} +34.068930-118.445127 {time.time():.6f}")
        until("it is listed as it is", lambda: name in self.browser.texts("#table tbody button"))
        check(self.browser.run("return document.images.length") == 0, "it made an image")

    def other_screens(self):
        for name, (width, height, scheme, scale, is_phone) in {
            "phone": (390, 844, "light", 2, True), "phone-dark": (390, 844, "dark", 2, True),
            "desktop-dark": (1280, 900, "dark", 1, False), "narrow": (320, 640, "light", 1, True),
        }.items():
            self.browser.screen(width, height, scheme, scale, is_phone)
            self.browser.go(self.herd.url("Hill"))
            self.verdict("In sync")
            until("the clients are there", lambda: self.browser.text("#count") == f"{WALKERS} clients")
            self.walkers.step()
            wide = self.browser.run("return document.documentElement.scrollWidth")
            check(wide <= width, f"{name}: {wide} pixels of {width}")
            figures, list_ = (self.browser.run(f"return document.getElementById('{card}').getBoundingClientRect().top") for card in ("figures", "clients"))
            check(figures < list_ or width > 1000, f"{name}: the figures come after the list")
            time.sleep(1)
            self.picture(name)
        self.browser.screen(1280, 900)

    def partition(self):
        """Two of five are gone; the page says who, keeps what is known, and says when all is well again."""
        self.browser.go(self.herd.url("Hill"))
        self.verdict("In sync")
        self.herd.kill("Smith")
        self.verdict("Smith does not answer (4 of 5)")
        check(self.edges() == {"down": 3, "ok": 3}, f"without Smith: {self.edges()}")
        self.herd.kill("Campbell")
        self.verdict("Campbell and Smith do not answer (3 of 5)")
        check("down for" in self.browser.texts("#links tbody .state")[1], self.browser.texts("#links tbody .state"))
        down = self.browser.run("return document.querySelectorAll('#graph circle.knot.down').length")
        check(down == 2, f"{down} nodes are shown as gone")
        # Of the link between the two the rest knows nothing.
        check(self.edges() == {"down": 3, "ok": 2, "unknown": 1}, f"in the rest: {self.edges()}")
        self.herd.ask("Singleton", f"IAMAT kiwi-00.cs.ucla.edu +34.090000-118.400000 {time.time():.6f}")
        until("what the rest hears is shown", lambda: any("34.09000" in row for row in self.browser.texts("#table tbody tr")))
        self.walkers.step()
        self.picture("partitioned")
        for name in ["Smith", "Campbell"]:
            self.herd.start(name)
        self.verdict("In sync: all 5 nodes hold the same")

    def node_goes(self):
        """The node of the page itself goes: the page says so, and finds it again."""
        self.herd.kill("Hill")
        self.verdict("No connection to Hill")
        self.herd.start("Hill")
        self.verdict("In sync: all 5 nodes hold the same")
        until("all clients are there again", lambda: self.browser.text("#count") == f"{WALKERS + 1} clients")

    def token(self):
        """A page that other machines can reach wants the token, and nobody's log has it."""
        url, token = self.herd.url("Campbell"), self.herd.token()
        for path, status in {"": 401, "events": 401, "clients": 401, "towns?0,0,1,1": 401, "metrics": 200, "healthz": 200}.items():
            check(answer(url + path) == status, f"/{path} is not answered by {status}")
        check(answer(url + "clients", {"Authorization": f"Bearer {token}"}) == 200, "the token does not open")
        check(answer(url + "clients", {"Authorization": "Bearer 0000-0000-0000-0000"}) == 401, "anything opens")
        check(answer(self.herd.url("Hill") + "clients", {"Host": "evil.example"}) == 421, "a foreign name opens")
        # As a browser does it once somebody has typed the password.
        self.browser.go(url.replace("//", f"//anybody:{token}@"))
        self.browser.go(url)
        self.verdict("In sync: all 5 nodes hold the same")
        check(token.replace("-", "") not in self.herd.log("Campbell").replace("-", ""), "the log has the token")

    def run(self):
        until("the nodes listen", lambda: all(answer(self.herd.url(name) + "healthz") == 200 for name in self.herd.nodes))
        self.walkers.step()
        self.in_sync()
        for step in [
            self.opens_fast, self.moves, self.search_and_sort, self.choose_and_zoom, self.other_screens, self.partition, self.hostile_names,
        ]:
            step()
            print(f"{step.__name__}: ok", flush=True)
        complaints = self.browser.complaints()
        check(not complaints, complaints)
        for step in [self.node_goes, self.token]:
            step()
            print(f"{step.__name__}: ok", flush=True)


def answer(url, headers=None):
    """The status of an answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=5) as got:
            return got.status
    except urllib.error.HTTPError as error:
        return error.code


def main():
    folder = sys.argv[2] if len(sys.argv) > 2 else None
    with Herd(os.path.abspath(sys.argv[1])) as herd, Browser(free_ports(1)[0]) as browser:
        try:
            with Herd(herd.program) as fresh:
                empty(browser, fresh, folder)
                far_clients(browser, fresh)
            print("empty, far_clients: ok", flush=True)
            Test(browser, herd, folder).run()
        except Failed as error:
            for name in herd.nodes:
                print(f"--- log of {name}\n{herd.log(name)}", file=sys.stderr)
            sys.exit(f"the page: {error}")
    print("the page: all is as it should be")


main()
