// Whether the herd is in sync, in one sentence at the head of the page, and the figures of this node.

/** The sentence: a state and a text, for the worst known problem. */
function verdict() {
  if (!herd.isConnected) return ['down', herd.node ? `No connection to ${herd.node}. Trying again.` : 'No connection to the node. Trying again.'];
  const { status, verdict: census } = herd;
  if (!status && !census) return ['unknown', 'Asking the node…'];
  // A silent node may have come back since the herd was asked.
  const silent = census?.silent.filter((name) => nodeState(name) === 'down') ?? [];
  if (silent.length > 0) return ['down', silentWords(silent, census.nodes)];
  const down = (status?.links ?? []).filter((link) => !link.is_up).map((link) => link.node);
  if (down.length > 0) return ['down', down.length > 1 ? `The links to ${some(down)} are down` : `The link to ${down[0]} is down`];
  if (!census) return ['unknown', 'Asking the herd…'];
  return censusWords(census);
}

/** Nodes that do not answer, and how many of all do. */
function silentWords(silent, nodes) {
  const answered = `(${nodes - silent.length} of ${nodes})`;
  if (silent.length === nodes - 1 && nodes > 2) return `No other node answers ${answered}`;
  return `${some(silent)} ${silent.length > 1 ? 'do' : 'does'} not answer ${answered}`;
}

/** The state of a herd in which all nodes answer. */
function censusWords(census) {
  if (census.other_map > 0) {
    return ['down', `${counted(census.other_map, 'node')} ${census.other_map > 1 ? 'have' : 'has'} another configuration: give all nodes the same`];
  }
  if (census.in_sync) {
    const all = census.nodes > 2 ? `all ${census.nodes}` : 'both';
    return ['ok', census.nodes === 1 ? 'One node, and it is up' : `In sync: ${all} nodes hold the same`];
  }
  const twice = census.links.find(({ state }) => state === 'name_in_use');
  if (twice) return ['down', `Two boards use the name ${twice.neighbour}, reports ${twice.node}`];
  if (census.troubled.length > 0) return ['behind', `A link is down, or still catching up, at ${some(census.troubled)}`];
  if (census.differing_parts === 0) return ['behind', 'Catching up'];
  return ['behind', `Catching up: ${census.differing_parts} of 64 buckets of the tables ${census.differing_parts > 1 ? 'differ' : 'differs'}`];
}

/** The first few names, and the number of others. */
function some(names) {
  const [shown, left] = [names.slice(0, 4), names.length - 4];
  return left > 0 ? `${shown.join(', ')} and ${left} more` : shown.join(', ').replace(/, ([^,]*)$/, ' and $1');
}

function showVerdict() {
  const [state, words] = verdict();
  $('verdict').className = `verdict ${state}`;
  say($('verdict-words'), words);
  document.body.classList.toggle('stale', !herd.isConnected);
  document.title = `${state === 'ok' ? '' : '(!) '}${herd.node || 'herd'}: ${words}`;
}

/** The figures: name, value, and whether to show a warning. */
function facts({ table: held, clients: connected, places, http, ...status }) {
  const all = [
    ['Up for', span(status.up_ms)],
    ['Clock', status.clock_is_trusted ? 'trusted' : 'not trusted', !status.clock_is_trusted],
    ['Clients known', `${grouped(held.entries)} of ${grouped(held.capacity)}`],
    ['Evicted', grouped(held.evicted), held.evicted > 0],
    ['Clients connected', `${grouped(connected.connected)} of ${grouped(connected.max)}`],
    ['Clients evicted', grouped(connected.pushed_out), connected.pushed_out > 0],
    ['Places', placesWords(places), places.paused_s !== null || (places.last_failure_ago_s ?? Infinity) < 600],
    ['Subscribers', grouped(http.subscribers)],
    ['Refused over HTTP', grouped(http.denied + http.refused)],
    ['Log lines lost', grouped(status.log_lines_lost), status.log_lines_lost > 0],
  ];
  if (held.oldest_s !== null) all.splice(3, 0, ['Oldest entry', `${span(1000 * held.oldest_s)} ago`]);
  if (status.private_kb !== null) all.push(['Memory', `${grouped(status.private_kb)} KB`]);
  all.push(['Release', `herd ${status.version}`]);
  return all;
}

function placesWords(places) {
  const words = [places.source];
  if (places.waiting > 0) words.push(`${places.waiting} waiting`);
  if (places.paused_s !== null) words.push(`paused for ${places.paused_s} s`);
  if (places.last_failure !== null) words.push(`${places.last_failure} (${span(1000 * places.last_failure_ago_s)} ago)`);
  return words.join(', ');
}

function showFacts() {
  const list = $('facts');
  const all = facts(herd.status);
  while (list.children.length < 2 * all.length) list.append(element('dt'), element('dd'));
  while (list.children.length > 2 * all.length) list.lastChild.remove();
  all.forEach(([what, words, isWarned], index) => {
    const [term, value] = [list.children[2 * index], list.children[2 * index + 1]];
    say(term, what);
    say(value, words);
    value.className = isWarned ? 'warned' : '';
  });
  showCounters();
}

/** Counters by name; counters above zero come first. */
function showCounters() {
  const { counters, places } = herd.status;
  const ofPlaces = Object.entries(places).filter(([name, value]) => typeof value === 'number' && !/_s$|waiting|queue_max|workers/.test(name));
  const all = [...Object.entries(counters), ...ofPlaces.map(([name, value]) => [`places_${name}`, value])];
  herd.firstCounters ??= Object.fromEntries(all);
  all.sort((a, b) => (b[1] > 0) - (a[1] > 0));
  const body = $('counters').tBodies[0];
  while (body.rows.length < all.length) {
    body.append(element('tr', {}, element('th', { scope: 'row' }), element('td', { className: 'number' }), element('td', { className: 'number' })));
  }
  all.forEach(([name, value], index) => {
    const { cells } = body.rows[index];
    const since = value - (herd.firstCounters[name] ?? 0);
    say(cells[0], name.replaceAll('_', ' '));
    say(cells[1], grouped(value));
    say(cells[2], since > 0 ? `+${grouped(since)}` : '');
  });
}
