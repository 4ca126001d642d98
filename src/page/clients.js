// The clients: what is known of each, and the table that can be searched and sorted.

/** By id: {id, lat, lon, time, origin, heardAt, from, movedAt, told}. */
const clients = new Map();
/** Rows that are shown at first, and more at a time: a phone is narrow. */
const ROWS_STEP = matchMedia('(max-width: 40rem)').matches ? 20 : 100;
const table = { by: 'id', falls: false, words: '', rows: ROWS_STEP, chosen: null, round: 0, isDue: true };

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
    id, lat, lon, time, origin, heardAt: now - 1000 * Number(age_s), told: table.round,
    from: moved ? before : null, movedAt: herd.isToldAll ? now : -Infinity,
  });
  if (moved) before.from = null;
  table.isDue = true;
  map.isDue = true;
}

/** All entries were told: what was known before and was not among them is gone. */
function forgetUntold() {
  for (const [id, client] of clients) if (client.told !== table.round) clients.delete(id);
  table.isDue = true;
  map.isDue = true;
}

/** Forgets what the node has forgotten: by age, or because a full table has newer ones. */
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

/** The clients that were searched for, in the order that was asked for. */
function found() {
  const words = table.words.toLowerCase();
  const all = [...clients.values()];
  const some = words ? all.filter((c) => c.id.toLowerCase().includes(words) || c.origin.toLowerCase().includes(words)) : all;
  const compare = COMPARE[table.by];
  return some.sort(table.falls ? (a, b) => compare(b, a) : compare);
}

/** A client's own time, as people write it; times that no calendar has stay as they are. */
function clock(time) {
  const date = new Date(1000 * Number(time));
  return Number.isNaN(date.getTime()) ? time : date.toLocaleString();
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
  const of = table.words ? `${grouped(rows.length)} of ${grouped(clients.size)} clients match` : `${grouped(clients.size)} clients`;
  // What a search finds is said aloud; that clients come and go all the time is not.
  $('count').setAttribute('aria-live', table.words ? 'polite' : 'off');
  say($('count'), rows.length > shown.length ? `${of}; the first ${grouped(shown.length)} are shown` : of);
  const left = rows.length - shown.length;
  $('more').hidden = left <= 0;
  say($('more'), `Show ${grouped(Math.min(left, ROWS_STEP))} more`);
  table.isDue = false;
}

/** Marks a client in the table and on the map; once more, and it is marked no longer. */
function choose(id) {
  table.chosen = table.chosen === id ? null : id;
  const client = clients.get(table.chosen);
  if (client) lookAt(client);
  map.isDue = true;
  showTable();
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
  table.rows = ROWS_STEP;
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
