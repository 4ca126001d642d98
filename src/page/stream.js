// Receives the node's events and shows them: the table once a second, the map when a dot moves.

/** The node sends an event every two seconds. */
const SILENCE_MS = 7000;
const AGAIN_MS = 5000;

let source = null;
let triedAt = 0;

function connect() {
  source?.close();
  triedAt = performance.now();
  source = new EventSource('events');
  source.addEventListener('hello', (event) => hello(JSON.parse(event.data)));
  source.addEventListener('message', (event) => {
    takeClient(event.data);
    fitFirst();
  });
  source.addEventListener('all', () => {
    herd.isComplete = true;
    forgetAbsent();
    showTable();
    showOrigins();
    fitFirst();
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

/** A new stream: the node sends all entries again. */
function hello(event) {
  if (event.node !== herd.node) herd.firstCounters = null;
  Object.assign(herd, { node: event.node, nodes: event.nodes, pages: event.pages, edges: event.edges, life_s: event.life_s, isConnected: true, isComplete: false });
  herd.verdict = null;
  Object.assign(towns, { area: '', isThere: true });
  table.round += 1;
  say($('node'), herd.node);
  buildGraph();
  showPages();
  showGraph();
  showVerdict();
}

/** Once a second: updates ages, and checks whether the node still sends events. */
function everySecond() {
  const silent = performance.now() - herd.heardAt;
  if (silent > SILENCE_MS) {
    herd.isConnected = false;
    herd.verdict = null;
    showVerdict();
    // A browser reconnects by itself, but not after a refusal, and not when a Wi-Fi connection is lost silently.
    const since = performance.now() - triedAt;
    if (since > AGAIN_MS && (source.readyState === EventSource.CLOSED || since > 3 * SILENCE_MS)) connect();
  }
  say($('alive'), herd.isConnected ? '' : herd.node ? `Data is ${span(silent)} old` : '');
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
