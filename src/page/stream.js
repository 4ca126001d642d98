// What the node tells, as it comes, and when what has come is shown: the table once a second, the map when a dot moves.

/** The node says something every two seconds. */
const SILENCE_MS = 7000;
const AGAIN_MS = 5000;

let source = null;
let triedAt = 0;

function connect() {
  source?.close();
  triedAt = performance.now();
  source = new EventSource('/events');
  source.addEventListener('hello', (event) => hello(JSON.parse(event.data)));
  source.addEventListener('message', (event) => takeClient(event.data));
  source.addEventListener('all', () => {
    herd.isToldAll = true;
    forgetUntold();
    if (!map.hasFitted && clients.size > 0) {
      map.hasFitted = true;
      seeClients();
    }
  });
  source.addEventListener('status', (event) => {
    herd.status = JSON.parse(event.data);
    forgetOld();
    showGraph();
    showFacts();
    showVerdict();
  });
  source.addEventListener('herd', (event) => {
    herd.verdict = JSON.parse(event.data);
    showGraph();
    showVerdict();
  });
  for (const name of ['hello', 'message', 'status', 'herd', 'all']) {
    source.addEventListener(name, () => { herd.heardAt = performance.now(); });
  }
}

/** A new beginning: all that there is will be told. */
function hello(said) {
  if (said.node !== herd.node) herd.firstCounters = null;
  Object.assign(herd, { node: said.node, nodes: said.nodes, edges: said.edges, life_s: said.life_s, isConnected: true, isToldAll: false });
  herd.verdict = null;
  table.round += 1;
  say($('node'), herd.node);
  buildGraph();
  showGraph();
  showVerdict();
}

/** Once a second: what time alone changes, and whether the node still speaks. */
function everySecond() {
  const silent = performance.now() - herd.heardAt;
  if (silent > SILENCE_MS) {
    herd.isConnected = false;
    herd.verdict = null;
    showVerdict();
    // A browser tries again by itself, but not after a refusal, and not when a Wi-Fi went without a word.
    const since = performance.now() - triedAt;
    if (since > AGAIN_MS && (source.readyState === EventSource.CLOSED || since > 3 * SILENCE_MS)) connect();
  }
  say($('alive'), herd.isConnected ? '' : herd.node ? `What is shown is ${span(silent)} old` : '');
  showTable();
  showOrigins();
}

function everyFrame(now) {
  if (map.isDue) drawMap(now);
  requestAnimationFrame(everyFrame);
}

connect();
setInterval(everySecond, 1000);
requestAnimationFrame(everyFrame);
