// The page of `shmvisor web`. It gets two kinds of events: "state", all that there is at one time, and
// "calls". Names come from the processes of a stranger: they become text nodes alone (text(), cell()),
// never markup, attributes or code.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const MOST_POINTS = 300;
// States come each second; after a longer pause a plot begins anew.
const MOST_SECONDS_BETWEEN_POINTS = 15;
const MOST_CALLS = 500;
const CALL_NAMES = ["shmget", "shmat", "shmdt", "shmctl"];

// Of the machine, as each state has it.
let pageBytes = 0;

const at = (id) => document.getElementById(id);

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function drawn(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (text !== undefined) made.textContent = text;
  return made;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let unit = 0;
  for (; bytes >= 999.5 && unit + 1 < units.length; unit++) bytes /= 1024;
  return (unit && bytes < 9.95 ? bytes.toFixed(1) : bytes.toFixed(0)) + " " + units[unit];
}

function short(number) {
  return number >= 1e6 ? (number / 1e6).toFixed(1) + " M"
    : number >= 1e4 ? (number / 1e3).toFixed(1) + " k"
    : number >= 100 || Number.isInteger(number) ? number.toFixed(0)
    : number >= 0.05 ? number.toFixed(1) : number.toPrecision(1);
}

const shortened = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
const sum = (list, of) => list.reduce((total, one) => total + of(one), 0);

// --- tables

function fillTable(id, columns, rows, classOf) {
  const table = at(id);
  if (!table.tHead.firstChild) {
    const heading = table.tHead.insertRow();
    for (const [title, , number] of columns) heading.append(element("th", title, number ? "number" : ""));
  }
  table.tBodies[0].replaceChildren(...rows.map((row) => {
    const line = element("tr", undefined, classOf ? classOf(row) : "");
    for (const [, of, number] of columns) {
      const value = of(row);
      const cell = element("td", value instanceof Node ? undefined : String(value), number ? "number" : "");
      if (value instanceof Node) cell.append(value);
      line.append(cell);
    }
    return line;
  }));
}

function used(part, all, words) {
  const box = element("span");
  const meter = element("meter");
  meter.max = 1;
  meter.value = all > 0 ? Math.min(1, part / all) : 0;
  box.append(meter, " " + words);
  return box;
}

const limitOf = (pages) => (pages * pageBytes > 2 ** 63 ? "no limit" : size(pages * pageBytes));

function showTables(state) {
  fillTable("segments", [
    ["shmid", (s) => s.shmid, true], ["key", (s) => s.key], ["bytes", (s) => size(s.segsz), true],
    ["resident", (s) => size(s.resident_pages * pageBytes), true], ["nattch", (s) => s.nattch, true],
    ["mode", (s) => s.mode], ["uid", (s) => s.uid, true], ["creator", (s) => s.cpid + " " + s.creator],
    ["status", (s) => [s.dest ? "removed" : "", s.locked ? "locked" : ""].filter(Boolean).join(", ")],
    ["registry", (s) => s.registry],
  ], state.segments, (s) => (s.dest ? "removed" : ""));
  at("segments-note").textContent = state.segments_left_out
    ? `and ${state.segments_left_out} more, which are smaller` : state.segments.length ? "" : "there is none";
  fillTable("registries", [
    ["name", (r) => r.name],
    ["segments of shmmni", (r) => used(r.segments, r.shmmni, `${r.segments} of ${r.shmmni}`)],
    ["memory of shmall", (r) => used(r.pages, r.shmall, `${size(r.pages * pageBytes)} of ${limitOf(r.shmall)}`)],
    ["calls", (r) => short(sum(r.calls, (c) => c.calls)), true],
    ["errors", (r) => short(sum(r.calls, (c) => c.errors)), true],
  ], state.registries);
  const refusals = {};
  for (const registry of state.registries)
    for (const [reason, count] of registry.refusals) refusals[reason] = (refusals[reason] || 0) + count;
  at("refusals").textContent = "refused by: " +
    (Object.entries(refusals).map(([reason, count]) => `${reason} ${count}`).join(", ") || "nothing");
  const held = new Map();
  for (const map of state.maps) {
    const one = held.get(map.pid) || { segments: 0, bytes: 0 };
    held.set(map.pid, { segments: one.segments + 1, bytes: one.bytes + map.bytes });
  }
  fillTable("processes", [
    ["pid", (p) => p.pid, true], ["command", (p) => p.command], ["uid", (p) => p.uid, true],
    ["segments", (p) => (p.readable ? (held.get(p.pid) || { segments: 0 }).segments : "?"), true],
    ["maps", (p) => (p.readable ? size((held.get(p.pid) || { bytes: 0 }).bytes) : "?"), true],
  ], state.processes);
}

function showTotals(state) {
  const of = (name) => sum(state.registries, (r) => r[name]);
  const totals = [
    [of("segments"), "segments"], [of("removed_segments"), "of them removed"], [of("attaches"), "attaches"],
    [size(of("pages") * pageBytes), "in all"], [size(of("resident_pages") * pageBytes), "resident"],
    [size(of("swapped_pages") * pageBytes), "swapped"], [state.processes.length, "processes shown"],
    [short(sum(state.registries, (r) => sum(r.refusals, ([, count]) => count))), "refusals"],
  ];
  at("totals").replaceChildren(...totals.map(([value, words]) => {
    const box = element("div");
    box.append(element("b", String(value)), element("span", words));
    return box;
  }));
}

// --- plots

const history = [];

// seriesOf(point) is undefined where the point has no values.
function plot(id, names, seriesOf, format) {
  const svg = at(id);
  const known = history.filter(seriesOf);
  const [left, right, top, bottom] = [64, 592, 8, 138];
  const most = Math.max(1e-9, ...known.flatMap(seriesOf));
  const [from, to] = [history[0].time, Math.max(history.at(-1).time, history[0].time + 30)];
  const x = (time) => left + ((time - from) / (to - from)) * (right - left);
  const y = (value) => bottom - (value / (most * 1.08)) * (bottom - top);
  const parts = [];
  for (const part of [0, 0.5, 1]) {
    const value = most * part;
    parts.push(drawn("line", { x1: left, x2: right, y1: y(value), y2: y(value), class: "grid" }),
      drawn("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end", class: "dim" }, format(most > 1e-6 ? value : 0)));
  }
  parts.push(drawn("text", { x: left, y: 156, class: "dim" }, new Date(from * 1000).toLocaleTimeString()),
    drawn("text", { x: right, y: 156, "text-anchor": "end", class: "dim" }, new Date(to * 1000).toLocaleTimeString()));
  names.forEach((name, place) => {
    const points = known.map((one) => `${x(one.time).toFixed(1)},${y(seriesOf(one)[place]).toFixed(1)}`);
    parts.push(drawn("polyline", { points: points.join(" "), class: "series c" + place }));
  });
  svg.replaceChildren(...parts);
  const last = seriesOf(history.at(-1));
  at(id + "-legend").replaceChildren(...names.map((name, place) =>
    element("span", last ? `${name} ${format(last[place])}` : name, "c" + place)));
}

function addToHistory(state) {
  const calls = CALL_NAMES.map((name) =>
    sum(state.registries, (r) => sum(r.calls.filter((c) => c.name === name), (c) => c.calls)));
  const last = history.at(-1);
  const seconds = last ? state.time - last.time : Infinity;
  const follows = seconds > 0 && seconds <= MOST_SECONDS_BETWEEN_POINTS;
  if (!follows) history.length = 0;
  // A rate needs a state before.
  const rates = follows
    ? calls.map((count, place) => Math.max(0, count - last.calls[place]) / seconds) : undefined;
  const bytes = ["pages", "resident_pages"].map((name) => sum(state.registries, (r) => r[name]) * pageBytes);
  history.push({ time: state.time, calls, bytes, rates });
  if (history.length > MOST_POINTS) history.shift();
  plot("memory", ["allocated", "resident"], (one) => one.bytes, size);
  plot("rates", CALL_NAMES, (one) => one.rates, short);
}

// --- who maps what: two columns, and a line for each pair

function box(x, y, first, second, hint, dashed) {
  const group = drawn("g", {});
  group.append(drawn("title", {}, hint),
    drawn("rect", { x, y, width: 230, height: 40, rx: 6, class: dashed ? "box dashed" : "box" }),
    drawn("text", { x: x + 10, y: y + 17, "font-weight": 600 }, shortened(first, 30)),
    drawn("text", { x: x + 10, y: y + 33, class: "dim" }, shortened(second, 34)));
  return group;
}

function showGraph(state) {
  const name = (registry, shmid) => registry + " " + shmid;
  const mapped = new Set(state.maps.map((map) => name(map.registry, map.shmid)));
  const segments = state.segments.filter((s) => mapped.has(name(s.registry, s.shmid))).slice(0, 60);
  const rows = new Map(segments.map((s, row) => [name(s.registry, s.shmid), row]));
  const maps = state.maps.filter((map) => rows.has(name(map.registry, map.shmid)));
  const middle = new Map();
  for (const map of maps) {
    const [total, count] = middle.get(map.pid) || [0, 0];
    middle.set(map.pid, [total + rows.get(name(map.registry, map.shmid)), count + 1]);
  }
  const mean = (pid) => middle.get(pid)[0] / middle.get(pid)[1];
  const processes = state.processes.filter((p) => middle.has(p.pid)).sort((a, b) => mean(a.pid) - mean(b.pid)).slice(0, 60);
  const places = new Map(processes.map((p, row) => [p.pid, row]));
  const top = (row) => 6 + row * 48;
  const parts = [];
  for (const map of maps) {
    if (!places.has(map.pid)) continue;
    const [from, to] = [top(places.get(map.pid)) + 20, top(rows.get(name(map.registry, map.shmid))) + 20];
    const line = drawn("path", { d: `M236 ${from} C420 ${from} 420 ${to} 604 ${to}`, class: map.writable ? "edge" : "edge dashed" });
    line.append(drawn("title", {}, `${map.writable ? "read and write" : "read only"}, attached ${map.attaches} times`));
    parts.push(line);
  }
  processes.forEach((p, row) => parts.push(box(6, top(row), p.command, `pid ${p.pid}, uid ${p.uid}`, p.command)));
  segments.forEach((s, row) => parts.push(box(604, top(row), `shmid ${s.shmid}  ${s.dest ? "removed" : s.key}`,
    `${size(s.segsz)}, nattch ${s.nattch}${s.registry === "main" ? "" : ", " + s.registry}`,
    `registry ${s.registry}, ${s.segsz} bytes`, s.dest)));
  const height = top(Math.max(processes.length, segments.length, 1));
  const svg = at("graph");
  svg.setAttribute("viewBox", `0 0 840 ${height}`);
  svg.setAttribute("width", "840");
  svg.setAttribute("height", String(height));
  svg.replaceChildren(...parts);
  at("graph-note").textContent = !state.sees_processes ? "the processes are in another pid namespace, and cannot be seen here"
    : maps.length ? "dashed lines: the process may only read; dashed boxes: removed segments" : "nobody maps a segment";
}

// --- calls

let skipped = 0;

function showCalls(batch) {
  if (at("paused").checked) {
    skipped += batch.calls.length + batch.lost;
    at("calls-note").textContent = `${skipped} calls came meanwhile`;
    return;
  }
  skipped = 0;
  at("calls-note").textContent = "";
  const list = at("calls");
  const wasAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const refusedOnly = at("refused-only").checked;
  if (batch.lost) list.append(element("li", `+++ ${batch.lost} calls are not shown +++`, "lost"));
  for (const call of batch.calls) {
    if (refusedOnly && !call.refused) continue;
    const time = new Date(call.time * 1000).toLocaleTimeString();
    list.append(element("li", `${time} ${call.line}`, call.refused ? "refused" : call.failed ? "error" : ""));
  }
  while (list.childElementCount > MOST_CALLS) list.firstElementChild.remove();
  if (wasAtEnd) list.scrollTop = list.scrollHeight;
}

// --- events

function say(words, bad) {
  at("status").textContent = words;
  at("status").className = bad ? "bad" : "";
}

function showState(state) {
  pageBytes = state.run.page_bytes;
  at("run").textContent = `${state.run.kind} ${state.run.title}`;
  document.title = "shmvisor " + state.run.title;
  say("at " + new Date(state.time * 1000).toLocaleTimeString());
  showTotals(state);
  addToHistory(state);
  showGraph(state);
  showTables(state);
}

const events = new EventSource("/events");
events.addEventListener("state", (event) => showState(JSON.parse(event.data)));
events.addEventListener("calls", (event) => showCalls(JSON.parse(event.data)));
events.addEventListener("trouble", (event) => say(JSON.parse(event.data).text, true));
events.addEventListener("ended", (event) => {
  say(JSON.parse(event.data).text, true);
  events.close();
});
events.addEventListener("error", () => say("shmvisor web does not answer; trying again", true));
