// The herd's protocol on Node.js and its module `net`: one file, one process a server.
//
// It is there to be measured beside the node (cargo bench --bench footprint). Like the other rivals it answers IAMAT, WHATSAT
// without places and everything else, and floods; it has no limits, keys, ages, or repair of what was lost while a link was down.
//
// node node_server.js serve NAME --config FILE
"use strict";

const fs = require("fs");
const net = require("net");

const NO_PLACES = '{"html_attributions":[],"results":[],"status":"ZERO_RESULTS"}';
const POSITION = /^([+-]\d{1,2}(?:\.\d+)?)([+-]\d{1,3}(?:\.\d+)?)$/;
const NUMBER = /^-?\d+(?:\.\d+)?$/;
// Milliseconds between two tries to reach a neighbour.
const PAUSE_MS = 100;

const [command, name, flag, file] = process.argv.slice(2);
if (command !== "serve" || flag !== "--config" || file === undefined) {
  console.error("usage: node node_server.js serve NAME --config FILE");
  process.exit(2);
}
const map = JSON.parse(fs.readFileSync(file, "utf8"));
// client: [time, AT line]
const updates = new Map();
// Sockets of links that are up.
const neighbours = new Set();

function hear(client, seconds, atLine) {
  const known = updates.get(client);
  if (known === undefined || seconds > known[0]) {
    updates.set(client, [seconds, atLine]);
    for (const socket of neighbours) socket.write(atLine + "\n");
  }
}

function iamat(client, position, time) {
  const parts = POSITION.exec(position);
  if (parts === null || !NUMBER.test(time)) return null;
  if (Math.abs(Number(parts[1])) > 90 || Math.abs(Number(parts[2])) > 180) return null;
  const skew = Date.now() / 1000 - Number(time);
  const atLine = `AT ${name} ${skew < 0 ? "" : "+"}${skew.toFixed(9)} ${client} ${position} ${time}`;
  hear(client, Number(time), atLine);
  return atLine + "\n";
}

function whatsat(client, radius, items) {
  const known = updates.get(client);
  const valid = NUMBER.test(radius) && /^\d+$/.test(items) && Number(radius) >= 0 && Number(radius) <= 50;
  if (known === undefined || !valid || Number(items) > 20) return null;
  return `${known[1]}\n${NO_PLACES}\n\n`;
}

function answer(line) {
  const fields = line.split(/\s+/).filter((field) => field !== "");
  let text = null;
  if (fields.length === 4 && fields[0] === "IAMAT") text = iamat(fields[1], fields[2], fields[3]);
  if (fields.length === 4 && fields[0] === "WHATSAT") text = whatsat(fields[1], fields[2], fields[3]);
  return text ?? `? ${line}\n`;
}

// Calls `take` with the whole lines of each piece of input.
function onLines(socket, take) {
  let rest = "";
  socket.setEncoding("latin1");
  socket.on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    if (lines.length > 0) take(lines);
  });
}

function tellNeighbour({ host, port }) {
  const socket = net.connect({ host, port, noDelay: true });
  socket.on("connect", () => neighbours.add(socket));
  socket.on("error", () => {});
  socket.on("close", () => {
    neighbours.delete(socket);
    setTimeout(() => tellNeighbour({ host, port }), PAUSE_MS);
  });
}

function address(text) {
  const cut = text.lastIndexOf(":");
  return { host: text.slice(0, cut), port: Number(text.slice(cut + 1)) };
}

const links = net.createServer((socket) => {
  socket.on("error", () => {});
  onLines(socket, (lines) => {
    for (const line of lines) {
      const fields = line.split(" ");
      if (fields.length === 6 && fields[0] === "AT") hear(fields[3], Number(fields[5]), line);
    }
  });
});
links.listen(address(map.nodes[name].links));
for (const edge of map.edges) {
  if (edge.includes(name)) tellNeighbour(address(map.nodes[edge[1 - edge.indexOf(name)]].links));
}

const clients = net.createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  onLines(socket, (lines) => socket.write(lines.map(answer).join(""), "latin1"));
});
clients.listen({ ...address(map.nodes[name].clients), backlog: 1024 });
