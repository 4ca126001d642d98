// The herd as a graph: a circle for each node, a line for each edge. The node knows the state of its own links; for others
// the page uses the last `herd` event.

const CENTRE = { x: 170, y: 122, across: 112, down: 92 };
/** A graph with more nodes than this shows no names. */
const NAMES_MAX = 24;

const knots = { lines: [], nodes: [], pending: [] };

function buildGraph() {
  const count = herd.nodes.length;
  const at = herd.nodes.map((_, index) => {
    const angle = 2 * Math.PI * index / count - Math.PI / 2;
    const isAlone = count === 1;
    return { angle, x: CENTRE.x + (isAlone ? 0 : CENTRE.across * Math.cos(angle)), y: CENTRE.y + (isAlone ? 0 : CENTRE.down * Math.sin(angle)) };
  });
  const lines = herd.edges.map(([a, b]) => drawn('line', { x1: at[a].x, y1: at[a].y, x2: at[b].x, y2: at[b].y }));
  const circles = at.map(({ x, y }) => drawn('circle', { cx: x, cy: y, r: count > NAMES_MAX ? 4 : 8 }));
  const names = count > NAMES_MAX ? [] : at.map(({ x, y, angle }, index) => {
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const anchor = cos > 0.3 ? 'start' : cos < -0.3 ? 'end' : 'middle';
    return drawn('text', { x: x + 14 * cos, y: y + (sin > 0 ? 23 : 18) * sin + 4, 'text-anchor': anchor }, herd.nodes[index]);
  });
  const pending = herd.edges.map(([a, b]) => drawn('text', { class: 'pending', x: (at[a].x + at[b].x) / 2, y: (at[a].y + at[b].y) / 2 }));
  $('graph').replaceChildren(...lines, ...pending, ...circles, ...names);
  Object.assign(knots, { lines, pending, circles, names });
}

/** The state of an edge, and the number of pending updates if it is known. */
function edgeState(a, b) {
  const [one, other] = [herd.nodes[a], herd.nodes[b]];
  if (one === herd.node || other === herd.node) {
    const link = herd.status?.links.find(({ node }) => node === one || node === other);
    if (!link) return ['unknown', 0];
    return [link.is_up ? (link.is_in_sync ? 'ok' : 'behind') : 'down', link.pending];
  }
  const verdict = herd.verdict;
  if (!verdict) return ['unknown', 0];
  const has = (list) => list.includes(one) || list.includes(other);
  // The end that answers reports a link to a silent node.
  const states = verdict.links.filter(({ node, neighbour }) => has([node]) && has([neighbour])).map(({ state }) => state);
  if (states.includes('down')) return ['down', 0];
  if (has(verdict.silent)) return ['unknown', 0];
  if (states.includes('pending')) return ['behind', 0];
  // A herd with many links in trouble does not list them all.
  return [verdict.links_left_out > 0 && has(verdict.troubled) ? 'unknown' : 'ok', 0];
}

function nodeState(name) {
  if (name === herd.node) return 'ok';
  const link = herd.status?.links.find(({ node }) => node === name);
  if (link?.is_up) return 'ok';
  if (!herd.verdict) return 'unknown';
  return herd.verdict.silent.includes(name) ? 'down' : 'ok';
}

const WORDS = { ok: 'in sync', behind: 'catching up', down: 'down', unknown: 'not known' };

function showGraph() {
  const troubles = [];
  herd.nodes.forEach((name, index) => {
    const state = nodeState(name);
    knots.circles[index].setAttribute('class', `knot ${state}${name === herd.node ? ' me' : ''}`);
    knots.names[index]?.setAttribute('class', state);
    if (state === 'down') troubles.push(`${name} does not answer`);
  });
  herd.edges.forEach(([a, b], index) => {
    const [state, pending] = edgeState(a, b);
    knots.lines[index].setAttribute('class', `edge ${state}`);
    knots.pending[index].setAttribute('class', `pending ${state}`);
    say(knots.pending[index], pending > 0 ? grouped(pending) : '');
    if (state !== 'ok') troubles.push(`${herd.nodes[a]} to ${herd.nodes[b]} ${WORDS[state]}`);
  });
  const size = `${counted(herd.nodes.length, 'node')} and ${counted(herd.edges.length, 'link')}; this is ${herd.node}`;
  $('graph').setAttribute('aria-label', `${size}. ${troubles.join(', ') || 'All links are in sync'}.`);
  showLinks();
}

/** The state of a link as text. */
function linkWords(link) {
  const trip = link.round_trip_ms === null ? '' : `, round trip ${link.round_trip_ms || '<1'} ms`;
  if (link.is_up && link.is_in_sync) return `in sync${trip}`;
  if (link.is_up) return `catching up${trip}`;
  const since = link.for_ms === null ? 'never up' : `down for ${span(link.for_ms)}`;
  const error = link.last_error ? `: ${link.last_error}` : '';
  const next = link.dials_in_ms === null ? '' : `; next dial in ${span(link.dials_in_ms)}`;
  return since + error + next;
}

function showLinks() {
  const links = herd.status?.links ?? [];
  const body = $('links').tBodies[0];
  while (body.rows.length < links.length) {
    body.append(element('tr', {}, element('th', { scope: 'row' }), element('td', { className: 'state' }), element('td', { className: 'number' })));
  }
  while (body.rows.length > links.length) body.lastChild.remove();
  links.forEach((link, index) => {
    const { cells } = body.rows[index];
    say(cells[0], link.node);
    say(cells[1], linkWords(link));
    cells[1].className = `state ${link.is_up ? (link.is_in_sync ? 'ok' : 'behind') : 'down'}`;
    say(cells[2], grouped(link.pending));
  });
}

/** Whether this address is that of the browser's own machine. */
const isLoopback = (host) => host === 'localhost' || host.startsWith('127.') || host === '[::1]';

/** Links to the pages of the other nodes. A page at loopback opens only on the machine of its node. */
function showPages() {
  const links = herd.nodes.flatMap((name, index) => {
    if (!herd.pages[index] || name === herd.node) return [];
    const url = new URL(herd.pages[index]);
    return isLoopback(url.hostname) && !isLoopback(location.hostname) ? [] : [element('a', { href: url.href, translate: false }, name)];
  });
  $('pages').hidden = links.length === 0;
  $('pages').replaceChildren('Pages of other nodes:', ...links);
}
