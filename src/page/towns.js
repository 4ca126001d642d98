// Names of towns on the map, from the node's places file. Without such a file the node answers 404, and the map has none.

/** The map has names from this width of the world in pixels on. */
const TOWNS_FROM = 3000;
/** Clients whose distance decides which names come first. */
const NEAR_MAX = 500;
const towns = { list: [], area: '', isAsking: false, isThere: true };

/** The visible area in whole steps of the grid, so that a small move does not ask again. */
function areaOfView(w, h) {
  const step = gridStep();
  const side = (degrees, round, most) => Math.max(-most, Math.min(most, step * round(degrees / step))).toFixed(3);
  return [side(latAt(h, h), Math.floor, 90), side(lonAt(0, w), Math.floor, 180), side(latAt(0, h), Math.ceil, 90), side(lonAt(w, w), Math.ceil, 180)].join();
}

async function askForTowns(w, h) {
  if (towns.isAsking || !towns.isThere || !herd.isConnected) return;
  const area = areaOfView(w, h);
  if (area === towns.area) return;
  Object.assign(towns, { isAsking: true, area });
  try {
    const answer = await fetch(`towns?${area}`);
    towns.isThere = answer.status !== 404;
    if (answer.ok) towns.list = nearestFirst((await answer.json()).towns);
  } catch { /* The node does not answer: the stream of events says so. */ }
  towns.isAsking = false;
  // The view may have moved meanwhile.
  map.isDue = true;
}

/** Towns near clients come first: where names overlap, the first is drawn. */
function nearestFirst(list) {
  const near = [...clients.values()].slice(0, NEAR_MAX);
  for (const town of list) town.far = near.reduce((least, { lat, lon }) => Math.min(least, (lat - town.lat) ** 2 + (lon - town.lon) ** 2), Infinity);
  return list.sort((a, b) => a.far - b.far);
}

function drawTowns(pen, w, h, colour) {
  if (map.width < TOWNS_FROM) return;
  askForTowns(w, h);
  pen.font = '12px system-ui, sans-serif';
  pen.textAlign = 'center';
  pen.fillStyle = colour('--quiet');
  pen.strokeStyle = colour('--sea');
  pen.lineWidth = 3;
  pen.lineJoin = 'round';
  // The corners have the scale and the small map of the world.
  const taken = [[0, h - 40, 140, h], [w - 150, h - 100, w, h]];
  for (const { name, lat, lon } of towns.list) {
    const [x, y] = toPixels(mercatorX(lon), mercatorY(lat));
    const half = pen.measureText(name).width / 2 + 6;
    const box = [x - half, y - 10, x + half, y + 10];
    const isOut = box[0] < 0 || box[1] < 0 || box[2] > w || box[3] > h;
    if (isOut || taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
    taken.push(box);
    pen.strokeText(name, x, y + 4);
    pen.fillText(name, x, y + 4);
  }
  pen.textAlign = 'start';
}
