// The clients, and their table with search and sort.

/** By id: {id, lat, lon, time, origin, heardAt, from, movedAt, round}. */
const clients = new Map();
/** Rows shown at first, and added per click. */
const ROWS_FIRST = 20;
const ROWS_STEP = 100;
const table = { by: 'id', falls: false, words: '', rows: ROWS_FIRST, chosen: null, round: 0, isDue: true };

/** Takes an entry's line: AT, origin, skew, client, position, time, age. */
function takeClient(line) {
  const [, origin, , id, position, time, age_s] = line.split(' ');
  const degrees = /^([+-][\d.]+)([+-][\d.]+)$/.exec(position);
  if (!degrees) return;
  const [lat, lon] = [Number(degrees[1]), Number(degrees[2])];
  const now = performance.now();
  const before = clients.get(id);
  const moved = before && (before.lat !== lat || before.lon !== lon);
  clients.set(id, {
    id, lat, lon, time, origin, heardAt: now - 1000 * Number(age_s), round: table.round,
    from: moved ? before : null, movedAt: herd.isComplete ? now : -Infinity,
  });
  if (moved) before.from = null;
  table.isDue = true;
  map.isDue = true;
}

/** All entries have been sent: removes older clients that were not among them. */
function forgetAbsent() {
  for (const [id, client] of clients) if (client.round !== table.round) clients.delete(id);
  table.isDue = true;
  map.isDue = true;
}

/** Removes clients that the node has removed: expired, or evicted from a full table. */
function forgetOld() {
  const floor_ns = herd.status?.table.floor_ns;
  const floor_s = floor_ns === null || floor_ns === undefined ? -Infinity : floor_ns / 1e9 - 1e-6;
  for (const [id, client] of clients) {
    const isOld = performance.now() - client.heardAt >= 1000 * herd.life_s;
    if (isOld || Number(client.time) < floor_s) {
      clients.delete(id);
      map.isDue = true;
    }
  }
}

const COMPARE = {
  id: (a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0),
  lat: (a, b) => a.lat - b.lat || a.lon - b.lon,
  origin: (a, b) => (a.origin < b.origin ? -1 : a.origin > b.origin ? 1 : COMPARE.id(a, b)),
  age: (a, b) => b.heardAt - a.heardAt || COMPARE.id(a, b),
  time: (a, b) => Number(a.time) - Number(b.time) || COMPARE.id(a, b),
};

/** The clients that match the search, sorted. */
function found() {
  const words = table.words.toLowerCase();
  const all = [...clients.values()];
  const some = words ? all.filter((c) => c.id.toLowerCase().includes(words) || c.origin.toLowerCase().includes(words)) : all;
  const compare = COMPARE[table.by];
  return some.sort(table.falls ? (a, b) => compare(b, a) : compare);
}

const CLOCK = new Intl.DateTimeFormat([], {
  year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: '2-digit', second: '2-digit', timeZoneName: 'short',
});

/** A client's own time in the local format, with the zone; invalid times stay unchanged. */
function clock(time) {
  const date = new Date(1000 * Number(time));
  return Number.isNaN(date.getTime()) ? time : CLOCK.format(date);
}

const place = (client) => `${client.lat.toFixed(5)}, ${client.lon.toFixed(5)}`;
const ago = (client) => span(performance.now() - client.heardAt);

function emptyRow() {
  const button = element('button', { type: 'button' });
  const row = element('tr', {}, element('th', { scope: 'row' }, button, element('span', { className: 'narrow quiet' })), element('td', { className: 'roomy' }), element('td'),
    element('td', { className: 'number' }), element('td', { className: 'number roomy' }));
  button.addEventListener('click', () => choose(button.textContent));
  return row;
}

function showTable() {
  const rows = found();
  const body = $('table').tBodies[0];
  const shown = rows.slice(0, table.rows);
  while (body.rows.length < shown.length) body.append(emptyRow());
  while (body.rows.length > shown.length) body.lastChild.remove();
  shown.forEach((client, index) => {
    const row = body.rows[index];
    const texts = [client.id, place(client), client.origin, ago(client), clock(client.time)];
    say(row.cells[0].firstChild, texts[0]);
    say(row.cells[0].lastChild, texts[1]);
    for (let cell = 1; cell < texts.length; cell++) say(row.cells[cell], texts[cell]);
    const isChosen = client.id === table.chosen;
    row.classList.toggle('chosen', isChosen);
    row.cells[0].firstChild.setAttribute('aria-pressed', isChosen);
  });
  const match = rows.length === 1 ? 'matches' : 'match';
  const of = table.words ? `${grouped(rows.length)} of ${counted(clients.size, 'client')} ${match}` : counted(clients.size, 'client');
  // A screen reader reads the result of a search aloud, but not every change in the number of clients.
  $('count').setAttribute('aria-live', table.words ? 'polite' : 'off');
  say($('count'), of);
  const left = rows.length - shown.length;
  $('more').hidden = left <= 0;
  say($('more'), `Show more (${grouped(left)} not shown)`);
  showEmpty();
  showChosen();
  table.isDue = false;
}

/** Before the first client: how to send a position. */
function showEmpty() {
  const isEmpty = herd.isComplete && clients.size === 0;
  $('first').hidden = !isEmpty;
  $('table').hidden = isEmpty;
}

/** Copies the command. The newer interface for this does not exist over plain HTTP. */
function copy() {
  getSelection().selectAllChildren($('command'));
  const isCopied = document.execCommand('copy');
  say($('copied'), isCopied ? 'Copied' : 'Selected: press Ctrl+C');
}
$('copy').addEventListener('click', copy);

/** The chosen client, with links to programs that show its position. They get the position only if the link is opened. */
function showChosen() {
  const client = clients.get(table.chosen);
  $('chosen').hidden = !client;
  if (!client) return;
  const [name, words] = $('chosen').children;
  say(name, client.id);
  say(words, `${place(client)}, heard by ${client.origin} ${ago(client)} ago, client’s time ${clock(client.time)}`);
  const [lat, lon] = [client.lat.toFixed(6), client.lon.toFixed(6)];
  $('geo').href = `geo:${lat},${lon}`;
  say($('geo'), $('geo').href);
  $('osm').href = `https://www.openstreetmap.org/?mlat=${lat}&mlon=${lon}#map=15/${lat}/${lon}`;
}

/**
 * Shows the places near the chosen client, as WHATSAT answers them. Asked once for each choice, not as the client moves: an answer
 * may cost money.
 */
async function showNear() {
  const id = table.chosen;
  $('near').hidden = true;
  if (id === null) return;
  try {
    // The id is percent-encoded already, but not as a part of an address.
    const answer = await fetch(`near/${encodeURIComponent(id).replaceAll('%25', '%')}?radius_km=10&items=5`);
    const names = answer.ok ? (await answer.json()).results.map(({ name }) => name) : [];
    if (id !== table.chosen || !answer.ok) return;
    say($('near'), names.length > 0 ? `Within 10 km: ${names.join(', ')}` : 'No place within 10 km is known.');
    $('near').hidden = false;
  } catch { /* The node does not answer: the stream of events says so. */ }
}

/** Marks or unmarks a client in the table and on the map, and moves the map to it. */
function choose(id) {
  table.chosen = table.chosen === id ? null : id;
  const client = clients.get(table.chosen);
  if (client) lookAt(client);
  map.isDue = true;
  showTable();
  showNear();
}

for (const button of document.querySelectorAll('#table thead button')) {
  button.addEventListener('click', () => {
    table.falls = table.by === button.dataset.by && !table.falls;
    table.by = button.dataset.by;
    for (const head of document.querySelectorAll('#table thead th')) head.setAttribute('aria-sort', 'none');
    button.parentElement.setAttribute('aria-sort', table.falls ? 'descending' : 'ascending');
    showTable();
  });
}
$('search').addEventListener('input', () => {
  table.words = $('search').value.trim();
  table.rows = ROWS_FIRST;
  map.isDue = true;
  showTable();
});
$('more').addEventListener('click', () => {
  table.rows += ROWS_STEP;
  showTable();
});
document.addEventListener('keydown', (event) => {
  if (event.key === '/' && !(event.target instanceof HTMLInputElement)) {
    event.preventDefault();
    $('search').focus();
  }
});
