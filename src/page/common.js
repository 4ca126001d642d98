// State and helpers of the other scripts. The page shows all data of nodes and clients as text, never as HTML.

const $ = (id) => document.getElementById(id);

/** The last state from the node. */
const herd = {
  node: '', nodes: [], pages: [], edges: [], life_s: 86400, status: null, firstCounters: null, verdict: null, heardAt: 0, isConnected: false, isComplete: false,
};

/** An element with these properties and children. */
function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

/** The same in SVG, where properties are attributes. */
function drawn(name, attributes = {}, text = '') {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

/** Sets a text only if it changes, so that a screen reader does not repeat it. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A time in milliseconds, in its largest unit or two. */
function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

const grouped = (number) => Number(number).toLocaleString();

/** A number and its noun. */
const counted = (number, noun) => `${grouped(number)} ${noun}${number === 1 ? '' : 's'}`;

/** The colours of nodes on the map (Okabe and Ito's palette, for colour-blind readers). */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#b8860b', '#56b4e9', '#7b4fb5', '#8a8f8c'];
const colourOf = (origin) => COLOURS[Math.max(0, herd.nodes.indexOf(origin)) % COLOURS.length];

const prefersStill = matchMedia('(prefers-reduced-motion: reduce)');
