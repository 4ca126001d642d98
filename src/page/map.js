// The map: land as an outline, clients as dots that go where their clients go. Mercator's projection, as maps of cities
// want it; the view is its middle and how many pixels the whole world is wide.

const WORLD = "WORLD_OUTLINE";
const WIDTH_MAX = 2 ** 31;
/** Widths of the world in pixels between which the outline fades. Half of its sides are longer than 1.2 degrees, 20 px at 6000. */
const LAND_FADES = [6000, 12000];
/** The part of all clients that the first view shows. */
const MOST = 0.95;
const DOT = matchMedia('(pointer: coarse)').matches ? 6 : 4.5;
const MOVE_MS = 500;
const PULSE_MS = 1200;

const canvas = $('map');
const map = { x: 0.5, y: 0.42, width: 0, isDue: true, hasFitted: false, land: land(), held: new Map(), pinch: 0, at: null };

const mercatorX = (lon) => (lon + 180) / 360;
function mercatorY(lat) {
  const sine = Math.sin(Math.max(-85, Math.min(85, lat)) * Math.PI / 180);
  return 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI);
}

/** The outline as a path, in a world of one by one. See world.py for its form. */
function land() {
  const path = new Path2D();
  for (const ring of WORLD.split('!').slice(1)) {
    let [east, south] = [0, 0];
    let draw = 'moveTo';
    for (let at = 0; at < ring.length; at += 2) {
      const [dx, dy] = [ring.charCodeAt(at) - 79, ring.charCodeAt(at + 1) - 79];
      [east, south] = [east + dx, south + dy];
      // A step of the largest size goes on with the next.
      const isWay = Math.abs(dx) >= 43 || Math.abs(dy) >= 43;
      if (isWay) continue;
      path[draw](east / 1440, mercatorY(90 - south / 4));
      draw = 'lineTo';
    }
    path.closePath();
  }
  return path;
}

const clampWidth = (width) => Math.max(canvas.clientWidth, 256, Math.min(WIDTH_MAX, width));
const toPixels = (x, y) => [(x - map.x) * map.width + canvas.clientWidth / 2, (y - map.y) * map.width + canvas.clientHeight / 2];

function move(x, y, width) {
  map.width = clampWidth(width);
  map.x = Math.max(0, Math.min(1, x));
  map.y = Math.max(0, Math.min(1, y));
  map.isDue = true;
}

/** Zooms about a point of the canvas, which stays where it is. */
function zoom(factor, px = canvas.clientWidth / 2, py = canvas.clientHeight / 2) {
  const width = clampWidth(map.width * factor);
  const [dx, dy] = [px - canvas.clientWidth / 2, py - canvas.clientHeight / 2];
  move(map.x + dx / map.width - dx / width, map.y + dy / map.width - dy / width, width);
}

const seeWorld = () => move(0.5, 0.42, canvas.clientWidth);

/** The view of some points with some room around them: middle and width. */
function viewOf(points) {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const least = (all) => all.reduce((a, b) => Math.min(a, b));
  const most = (all) => all.reduce((a, b) => Math.max(a, b));
  const [west, east, north, south] = [least(xs), most(xs), least(ys), most(ys)];
  // Never nearer than some five kilometres.
  const width = Math.min(0.8 * canvas.clientWidth / Math.max(east - west, 1e-9), 0.8 * canvas.clientHeight / Math.max(south - north, 1e-9), 5e6);
  return [(west + east) / 2, (north + south) / 2, width];
}

const pointsOf = (seen) => seen.map((c) => [mercatorX(c.lon), mercatorY(c.lat)]);

/** Shows all clients that are searched for. */
function seeClients() {
  const points = pointsOf(found());
  if (points.length === 0) return seeWorld();
  move(...viewOf(points));
}

/** The first view: without the few clients that are far from the others, if that view is at least twice as near. */
function seeMost() {
  const points = pointsOf([...clients.values()]);
  const middle = (axis) => points.map((point) => point[axis]).sort((a, b) => a - b)[points.length >> 1];
  const [x, y] = [middle(0), middle(1)];
  const far = (point) => Math.hypot(point[0] - x, point[1] - y);
  const near = [...points].sort((a, b) => far(a) - far(b)).slice(0, Math.ceil(MOST * points.length));
  const [all, most] = [viewOf(points), viewOf(near)];
  move(...(most[2] >= 2 * all[2] ? most : all));
}

/** Once, when the first clients are known. */
function fitFirst() {
  if (map.hasFitted || !herd.isComplete || clients.size === 0) return;
  map.hasFitted = true;
  seeMost();
}

const lookAt = (client) => move(mercatorX(client.lon), mercatorY(client.lat), map.width);

/** Where a dot is by now, on its way from where it was, in pixels. */
function dotAt(client, now) {
  const part = client.from && !prefersStill.matches ? Math.min(1, (now - client.movedAt) / MOVE_MS) : 1;
  const eased = part * (2 - part);
  const between = (a, b) => a + (b - a) * eased;
  const from = client.from ?? client;
  return toPixels(between(mercatorX(from.lon), mercatorX(client.lon)), between(mercatorY(from.lat), mercatorY(client.lat)));
}

function drawMap(now) {
  const scale = devicePixelRatio || 1;
  const [w, h] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(w * scale) || canvas.height !== Math.round(h * scale)) {
    [canvas.width, canvas.height] = [Math.round(w * scale), Math.round(h * scale)];
  }
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name);
  const pen = canvas.getContext('2d');
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, w, h);
  drawGrid(pen, w, h, colour);
  drawLand(pen, w, h, scale, colour);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  drawScale(pen, h, colour);
  drawTowns(pen, w, h, colour);
  map.isDue = drawDots(pen, w, h, now, colour);
  if (map.width > LAND_FADES[0] && w > 300) drawInset(pen, w, h, scale, colour);
}

function drawLand(pen, w, h, scale, colour) {
  const [whole, none] = LAND_FADES;
  const alpha = 1 - (map.width - whole) / (none - whole);
  if (alpha <= 0) return;
  const s = map.width * scale;
  pen.globalAlpha = Math.min(1, alpha);
  pen.fillStyle = colour('--land');
  pen.setTransform(s, 0, 0, s, (w / 2 - map.x * map.width) * scale, (h / 2 - map.y * map.width) * scale);
  pen.fill(map.land, 'evenodd');
  pen.globalAlpha = 1;
}

/** Degrees between two lines of the grid: about a hundred pixels. */
function gridStep() {
  const wanted = 36000 / map.width;
  const steps = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
  return steps.find((step) => step <= wanted) ?? 0.001;
}

/** The longitude and the latitude at a pixel of a map of this width or height. */
const lonAt = (px, w) => ((px - w / 2) / map.width + map.x) * 360 - 180;
const latAt = (py, h) => Math.atan(Math.sinh(Math.PI * (1 - 2 * ((py - h / 2) / map.width + map.y)))) * 180 / Math.PI;

function drawGrid(pen, w, h, colour) {
  const step = gridStep();
  pen.strokeStyle = colour('--grid');
  pen.lineWidth = 1;
  pen.beginPath();
  for (let k = Math.ceil(Math.max(-180, lonAt(0, w)) / step); k * step <= Math.min(180, lonAt(w, w)); k++) {
    const [px] = toPixels(mercatorX(k * step), 0);
    pen.moveTo(px, 0);
    pen.lineTo(px, h);
  }
  for (let k = Math.ceil(Math.max(-85, latAt(h, h)) / step); k * step <= Math.min(85, latAt(0, h)); k++) {
    const [, py] = toPixels(0, mercatorY(k * step));
    pen.moveTo(0, py);
    pen.lineTo(w, py);
  }
  pen.stroke();
}

/** A bar of a round length, true in the middle of the map. */
function drawScale(pen, h, colour) {
  const lat = Math.atan(Math.sinh(Math.PI * (1 - 2 * map.y)));
  const km = 40075 * Math.cos(lat) / map.width * 110;
  const tens = 10 ** Math.floor(Math.log10(km));
  const round = tens * [5, 2, 1].find((n) => n * tens <= km);
  const length = 110 * round / km;
  pen.strokeStyle = pen.fillStyle = colour('--quiet');
  pen.lineWidth = 1.5;
  pen.beginPath();
  pen.moveTo(12, h - 16);
  pen.lineTo(12, h - 12);
  pen.lineTo(12 + length, h - 12);
  pen.lineTo(12 + length, h - 16);
  pen.stroke();
  pen.font = '12px system-ui, sans-serif';
  pen.fillText(round >= 1 ? `${grouped(round)} km` : `${grouped(1000 * round)} m`, 16, h - 18);
}

/** A small world map in a corner that marks the visible area: the map of a city alone does not show where it is. */
function drawInset(pen, w, h, scale, colour) {
  const size = 132;
  const [left, top, tall] = [w - size - 10, h - 0.62 * size - 10, 0.62 * size];
  pen.save();
  pen.fillStyle = colour('--sea');
  pen.strokeStyle = colour('--line');
  pen.beginPath();
  pen.rect(left, top, size, tall);
  pen.fill();
  pen.stroke();
  pen.clip();
  // From 78 north to some 60 south.
  const up = 0.16;
  pen.setTransform(size * scale, 0, 0, size * scale, left * scale, (top - up * size) * scale);
  pen.fillStyle = colour('--land');
  pen.fill(map.land, 'evenodd');
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  const [x, y] = [left + map.x * size, top + (map.y - up) * size];
  pen.strokeStyle = colour('--bad');
  pen.lineWidth = 2;
  pen.strokeRect(x - 4, y - 4, 8, 8);
  pen.restore();
}

/** Draws the dots; says whether some are still on their way. */
function drawDots(pen, w, h, now, colour) {
  let isMoving = false;
  let outside = 0;
  const words = table.words.toLowerCase();
  const isFaint = (c) => words && !c.id.toLowerCase().includes(words) && !c.origin.toLowerCase().includes(words);
  pen.lineWidth = 1.25;
  for (const client of clients.values()) {
    const [px, py] = dotAt(client, now);
    if ((px < 0 || py < 0 || px > w || py > h) && !isFaint(client)) outside += 1;
    if (px < -20 || py < -20 || px > w + 20 || py > h + 20) continue;
    const since = now - client.movedAt;
    if (since < PULSE_MS && !prefersStill.matches) {
      isMoving = true;
      pen.globalAlpha = 0.4 * (1 - since / PULSE_MS);
      circle(pen, px, py, DOT + 12 * since / PULSE_MS);
      pen.strokeStyle = colourOf(client.origin);
      pen.stroke();
    }
    pen.globalAlpha = isFaint(client) ? 0.15 : 1;
    circle(pen, px, py, client.id === table.chosen ? DOT + 3 : DOT);
    pen.fillStyle = colourOf(client.origin);
    pen.fill();
    pen.strokeStyle = client.id === table.chosen ? colour('--text') : colour('--halo');
    pen.stroke();
  }
  pen.globalAlpha = 1;
  $('outside').hidden = outside === 0;
  say($('outside'), `${counted(outside, 'client')} outside the view`);
  return isMoving;
}

function circle(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
}

/** The client whose dot is nearest to a point of the canvas, if any is near. */
function nearest(px, py) {
  let [best, least] = [null, (DOT + 8) ** 2];
  for (const client of clients.values()) {
    const [x, y] = dotAt(client, performance.now());
    const far = (x - px) ** 2 + (y - py) ** 2;
    if (far < least) [best, least] = [client, far];
  }
  return best;
}

function showTip(px, py) {
  const client = nearest(px, py);
  $('tip').hidden = !client;
  if (!client) return;
  say($('tip'), `${client.id}\n${place(client)}\nheard by ${client.origin} ${ago(client)} ago`);
  const isRight = px > canvas.clientWidth / 2;
  $('tip').style.left = isRight ? 'auto' : `${px + 14}px`;
  $('tip').style.right = isRight ? `${canvas.clientWidth - px + 14}px` : 'auto';
  $('tip').style.top = `${Math.max(0, py - 20)}px`;
}

function showOrigins() {
  const counts = new Map();
  for (const client of clients.values()) counts.set(client.origin, (counts.get(client.origin) ?? 0) + 1);
  const items = [...counts].sort().map(([origin, count]) => {
    const dot = element('i');
    dot.style.background = colourOf(origin);
    return element('li', {}, dot, `${origin} ${grouped(count)}`);
  });
  $('origins').replaceChildren(...items);
  $('empty').hidden = !herd.isComplete || clients.size > 0;
}

const pointOf = (event) => [event.offsetX, event.offsetY];
canvas.addEventListener('pointerdown', (event) => {
  canvas.setPointerCapture(event.pointerId);
  map.held.set(event.pointerId, pointOf(event));
  map.at = pointOf(event);
  map.pinch = 0;
  canvas.classList.add('held');
});
canvas.addEventListener('pointermove', (event) => {
  const [px, py] = pointOf(event);
  const before = map.held.get(event.pointerId);
  if (!before) return showTip(px, py);
  map.held.set(event.pointerId, [px, py]);
  if (map.held.size === 1) {
    move(map.x - (px - before[0]) / map.width, map.y - (py - before[1]) / map.width, map.width);
  } else {
    const [[ax, ay], [bx, by]] = [...map.held.values()];
    const apart = Math.hypot(ax - bx, ay - by);
    if (map.pinch > 0) zoom(apart / map.pinch, (ax + bx) / 2, (ay + by) / 2);
    map.pinch = apart;
    map.at = null;
  }
});
for (const name of ['pointerup', 'pointercancel']) {
  canvas.addEventListener(name, (event) => {
    map.held.delete(event.pointerId);
    map.pinch = 0;
    canvas.classList.toggle('held', map.held.size > 0);
    // A press that did not move is a choice.
    const [px, py] = pointOf(event);
    const client = name === 'pointerup' && map.at && Math.hypot(px - map.at[0], py - map.at[1]) < 5 && nearest(px, py);
    if (client) choose(client.id);
  });
}
canvas.addEventListener('pointerleave', () => { $('tip').hidden = true; });
canvas.addEventListener('wheel', (event) => {
  event.preventDefault();
  zoom(2 ** (-event.deltaY / 200), ...pointOf(event));
}, { passive: false });
const KEYS = {
  '+': () => zoom(1.6), '=': () => zoom(1.6), '-': () => zoom(1 / 1.6), 0: seeClients,
  ArrowLeft: () => move(map.x - 60 / map.width, map.y, map.width), ArrowRight: () => move(map.x + 60 / map.width, map.y, map.width),
  ArrowUp: () => move(map.x, map.y - 60 / map.width, map.width), ArrowDown: () => move(map.x, map.y + 60 / map.width, map.width),
};
canvas.addEventListener('keydown', (event) => {
  if (!KEYS[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  KEYS[event.key]();
});
$('zoom-in').addEventListener('click', () => zoom(2));
$('zoom-out').addEventListener('click', () => zoom(0.5));
$('outside').addEventListener('click', () => {
  seeClients();
  // The button is about to go.
  canvas.focus({ preventScroll: true });
});
$('zoom-clients').addEventListener('click', seeClients);
$('zoom-world').addEventListener('click', seeWorld);
new ResizeObserver(() => {
  if (map.width === 0) seeWorld();
  move(map.x, map.y, map.width);
}).observe(canvas);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { map.isDue = true; });
