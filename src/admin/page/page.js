'use strict';
/* page.js - the page: asks /api/live.json once a second and shows it. Whatever comes from clients
 * (keys, prefixes, names) reaches the document by textContent alone. */

const POLL_MS = 1000;
const LAG_MS = 2300; // the charts' right edge is so long ago: by then its sample is there
const $ = (id) => document.getElementById(id);
const still = matchMedia('(prefers-reduced-motion: reduce)');

/* ---- words and numbers ---- */

function short(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '–';
  for (const [size, unit] of [[1e9, 'G'], [1e6, 'M'], [1e4, 'k']])
    if (n >= size) return (n / (unit === 'k' ? 1e3 : size)).toFixed(n >= size * 100 ? 0 : 1) + unit;
  return n >= 100 || Number.isInteger(n) ? String(Math.round(n)) : n.toFixed(1);
}
function bytes(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '–';
  const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1024;
  return `${i && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}
function micros(us) {
  if (us === null || us === undefined || Number.isNaN(us)) return '–';
  if (us < 1000) return `${Math.round(us)} µs`;
  return us < 1e6 ? `${(us / 1e3).toFixed(us < 1e4 ? 2 : us < 1e5 ? 1 : 0)} ms` : `${(us / 1e6).toFixed(2)} s`;
}
function span(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${s % 60}s`;
  return s < 86400 ? `${Math.floor(s / 3600)}h ${Math.floor(s / 60) % 60}m` : `${Math.floor(s / 86400)}d ${Math.floor(s / 3600) % 24}h`;
}

/* ---- the document ---- */

function make(tag, name, ...inside) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...inside.filter((one) => one !== null && one !== undefined));
  return element;
}
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
/* One child for each item, found again by its key, so that what moves can be seen to move. */
function keyed(parent, items, key, create, update) {
  const had = parent.known ?? (parent.known = new Map());
  const wanted = new Set();
  let at = 0;
  if (items.length) parent.querySelector(':scope > .none')?.remove();
  for (const item of items) {
    const id = key(item);
    wanted.add(id);
    let element = had.get(id);
    if (!element) had.set(id, element = create(item));
    update(element, item);
    if (parent.children[at] !== element) parent.insertBefore(element, parent.children[at] ?? null);
    at++;
  }
  for (const [id, element] of had) if (!wanted.has(id)) { element.remove(); had.delete(id); }
  if (!items.length && !parent.children.length) parent.append(make('p', 'none', parent.dataset.none ?? 'nothing yet'));
}
function rowsOf(table) {
  if (!table) return [];
  const names = table.columns.map((column) => column.name);
  return table.rows.map((row) => Object.fromEntries(row.map((value, i) => [names[i], value])));
}

/* ---- bars ---- */

function bars(parent, tone, items) {
  const most = Math.max(1e-9, ...items.map((item) => item.full ?? item.size));
  keyed(parent, items, (item) => item.key, () => {
    const bar = make('div', 'bar', make('span', 'name'), make('span', 'value'));
    bar.style.setProperty('--tone', `var(--${tone})`);
    return bar;
  }, (bar, item) => {
    const [name, value] = bar.children;
    const part = item.size / most;
    bar.style.setProperty('--part', part.toFixed(4));
    bar.dataset.part = part > 0 ? '1' : '0';
    bar.title = item.title ?? item.name;
    const text = [item.name, item.note ?? '', item.tag ?? '', item.value, item.more ?? ''].join('\u0000');
    if (bar.shown === text) return;
    if (bar.shown !== undefined && item.flash) { bar.classList.remove('hit'); void bar.offsetWidth; bar.classList.add('hit'); }
    bar.shown = text;
    name.replaceChildren(item.name);
    if (item.tag) {
      const tag = make('span', 'tag', item.tag);
      if (item.tagTone) tag.style.setProperty('--tag', `var(--${item.tagTone})`);
      name.append(tag);
    }
    if (item.note) name.append(make('small', '', item.note));
    value.replaceChildren(item.value, ...(item.more ? [make('small', '', item.more)] : []));
  });
}

/* ---- gauges ---- */

const ARC = 'M 12 62 A 44 44 0 1 1 100 62'; // three quarters less the feet
const SVG = 'http://www.w3.org/2000/svg';
function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
function gauges(parent, items) {
  keyed(parent, items, (item) => item.name, (item) => {
    const picture = svg('svg', { viewBox: '0 0 112 76', role: 'img' });
    const fore = svg('path', { d: ARC, pathLength: 100, 'stroke-dasharray': '100 200', 'stroke-dashoffset': 100, class: 'fore' });
    picture.append(svg('path', { d: ARC, class: 'back' }), fore, svg('text', { x: 56, y: 58 }));
    return make('div', 'gauge', picture, make('b', '', item.name), make('small'));
  }, (gauge, item) => {
    const [picture, , note] = gauge.children;
    const part = Math.min(1, Math.max(0, item.part || 0));
    picture.children[1].style.strokeDashoffset = String(100 - part * 100);
    picture.children[1].style.opacity = part > 0.001 ? '1' : '0';
    gauge.style.setProperty('--tone', part >= (item.critical ?? 0.9) ? 'var(--bad)' : part >= (item.high ?? 0.8) ? 'var(--warn)' : 'var(--good)');
    say(picture.children[2], item.text ?? `${part > 0 && part < 0.01 ? '<1' : Math.round(part * 100)}%`);
    say(note, item.note);
  });
}

/* ---- charts ---- */

const history = [];    // {t, requests, denied, in, out, p50, p99} a second, of what came between two samples
let ahead = null;      // the server's clock minus ours
function learn(samples, clock) {
  const offset = clock - performance.now(); // evened out: answers take longer at times
  ahead = ahead === null || Math.abs(offset - ahead) > 2000 ? offset : ahead + (offset - ahead) * 0.1;
  let newest = history.length ? history[history.length - 1].t : -1;
  for (let i = 1; i < samples.length; i++) {
    const [t, ...now] = samples[i];
    const [t0, ...was] = samples[i - 1];
    if (t <= newest || t <= t0) {
      const known = history.find((sample) => sample.t === t); // its percentiles came later
      if (known) [known.p50, known.p99] = [now[4], now[5]];
      continue;
    }
    const rate = (at) => Math.max(0, (now[at] - was[at]) * 1000 / (t - t0));
    history.push({ t, requests: rate(0), denied: rate(1), in: rate(2), out: rate(3), p50: now[4], p99: now[5] });
    newest = t;
  }
  if (history.length > 400) history.splice(0, history.length - 400);
}

function ceiling(most) { // the next 1, 2 or 5 times a power of ten
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1e-9)));
  for (const step of [1, 2, 5, 10]) if (most <= step * power) return step * power;
  return most;
}
function color(name) { return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim(); }
let palette = {};
function repaint() { for (const name of ['requests', 'refused', 'latency', 'p99', 'bytes', 'line', 'faint', 'ink', 'card']) palette[name] = color(name); }
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);

class Chart {
  constructor(id, options) {
    Object.assign(this, { canvas: $(id), seconds: 300, floor: 1, top: 0, drawn: 0 }, options);
    this.pen = this.canvas.getContext('2d');
    if (this.axis) {
      this.canvas.addEventListener('pointermove', (event) => { this.hover = event.offsetX; });
      this.canvas.addEventListener('pointerleave', () => { this.hover = null; });
    }
  }
  size() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
    }
    this.pen.setTransform(scale, 0, 0, scale, 0, 0);
    return [width, height];
  }
  draw(now) {
    const [width, height] = this.size(), pen = this.pen;
    if (!width) return;
    const known = history.length ? (now - history[0].t) / 1000 : 0; // a gate just started fills its charts too
    const seconds = Math.min(Math.max(known, 20), width < 480 ? this.seconds * 0.4 : this.seconds), from = now - seconds * 1000;
    const left = 0, right = this.axis ? width - 52 : width, low = this.axis ? height - 18 : height, high = this.axis ? 8 : 6;
    const seen = history.filter((sample) => sample.t >= from - 2000);
    const most = Math.max(this.floor, ...seen.flatMap((sample) => this.lines.map((line) => sample[line.field] ?? 0)));
    const goal = this.axis ? ceiling(most * 1.05) : most * 1.15;
    const glides = this.drawn > 1 && !still.matches; // the first picture is there at once
    this.drawn = seen.length;
    this.top = glides && Math.abs(goal - this.top) > goal * 0.01 ? this.top + (goal - this.top) * 0.18 : goal;
    const x = (t) => left + (t - from) / (seconds * 1000) * (right - left);
    const y = (value) => low - Math.min(1.02, value / this.top) * (low - high);
    pen.clearRect(0, 0, width, height);
    if (this.axis) this.grid(pen, { left, right, low, high, y, seconds });
    pen.save();
    pen.beginPath();
    pen.rect(left, 0, right - left, height);
    pen.clip();
    for (const line of this.lines) this.line(pen, seen, line, x, y, low, high);
    pen.restore();
    if (this.axis && this.hover !== null && this.hover !== undefined) this.tip(pen, seen, { from, seconds, left, right, low, high, x, y });
  }
  grid(pen, { left, right, low, y, seconds }) {
    pen.font = '11px system-ui, sans-serif';
    pen.lineWidth = 1;
    pen.textBaseline = 'middle';
    for (let i = 0; i <= 4; i++) {
      const value = this.top * i / 4, at = Math.round(y(value)) + 0.5;
      pen.strokeStyle = palette.line;
      pen.beginPath(); pen.moveTo(left, at); pen.lineTo(right, at); pen.stroke();
      pen.fillStyle = palette.faint;
      pen.textAlign = 'left';
      if (i % 2 === 0) pen.fillText(this.format(value), right + 8, at);
    }
    pen.textAlign = 'center';
    const step = seconds > 150 ? 60 : seconds > 70 ? 30 : seconds > 40 ? 15 : 5;
    for (let s = step; s < seconds * 0.97; s += step)
      pen.fillText(s % 60 ? `-${s}s` : `-${s / 60}m`, right - s / seconds * (right - left), low + 11);
  }
  line(pen, seen, line, x, y, low, high) {
    const points = [];
    for (const sample of seen)
      if (sample[line.field] !== null && sample[line.field] !== undefined) points.push([x(sample.t), y(sample[line.field])]);
    if (points.length < 2) return;
    const tone = palette[line.tone];
    pen.beginPath();
    pen.moveTo(...points[0]);
    for (let i = 1; i < points.length; i++) { // through the middles: smooth, and never above a sample
      const [ax, ay] = points[i - 1], [bx, by] = points[i];
      const middle = (ax + bx) / 2;
      pen.bezierCurveTo(middle, ay, middle, by, bx, by);
    }
    pen.strokeStyle = tone;
    pen.lineWidth = this.axis ? 2 : 1.75;
    pen.lineJoin = 'round';
    pen.stroke();
    if (line.fill === false) return;
    pen.lineTo(points[points.length - 1][0], low);
    pen.lineTo(points[0][0], low);
    pen.closePath();
    const shade = pen.createLinearGradient(0, high, 0, low);
    shade.addColorStop(0, tone + '66');
    shade.addColorStop(1, tone + '05');
    pen.fillStyle = shade;
    pen.fill();
  }
  tip(pen, seen, { from, seconds, left, right, low, high, x, y }) {
    const t = from + (Math.min(this.hover, right) - left) / (right - left) * seconds * 1000;
    let best = null;
    for (const sample of seen) if (!best || Math.abs(sample.t - t) < Math.abs(best.t - t)) best = sample;
    if (!best) return;
    const at = x(best.t);
    pen.strokeStyle = palette.faint;
    pen.beginPath(); pen.moveTo(at, high); pen.lineTo(at, low); pen.stroke();
    const text = this.lines.map((line) => `${line.name} ${this.format(best[line.field])}`).join('   ');
    for (const line of this.lines) {
      pen.fillStyle = palette[line.tone];
      pen.beginPath(); pen.arc(at, y(best[line.field] ?? 0), 3.5, 0, 7); pen.fill();
    }
    pen.font = '600 12px system-ui, sans-serif';
    const wide = pen.measureText(text).width + 16, start = Math.min(Math.max(at - wide / 2, left), right - wide);
    pen.fillStyle = palette.card; pen.strokeStyle = palette.line;
    pen.beginPath(); pen.roundRect(start, high, wide, 24, 7); pen.fill(); pen.stroke();
    pen.fillStyle = palette.ink; pen.textAlign = 'left';
    pen.fillText(text, start + 8, high + 12.5);
  }
}
const charts = [
  new Chart('c-requests', { axis: true, floor: 4, format: short, lines: [{ field: 'requests', tone: 'requests', name: 'requests' }, { field: 'denied', tone: 'refused', name: 'refused' }] }),
  new Chart('c-latency', { axis: true, floor: 100, format: micros, lines: [{ field: 'p99', tone: 'p99', name: 'p99' }, { field: 'p50', tone: 'latency', name: 'p50' }] }),
  new Chart('s-requests', { seconds: 120, floor: 4, lines: [{ field: 'requests', tone: 'requests' }] }),
  new Chart('s-latency', { seconds: 120, floor: 100, lines: [{ field: 'p99', tone: 'p99', fill: false }, { field: 'p50', tone: 'latency' }] }),
  new Chart('s-refused', { seconds: 120, floor: 4, lines: [{ field: 'denied', tone: 'refused' }] }),
  new Chart('s-bytes', { seconds: 120, floor: 100, lines: [{ field: 'out', tone: 'requests', fill: false }, { field: 'in', tone: 'bytes' }] }),
];
let drawn = 0;
function frame(at) {
  if (at - drawn > 45) { // some twenty pictures a second glide well enough
    drawn = at;
    for (const chart of charts) chart.draw(at + ahead - LAG_MS);
  }
  requestAnimationFrame(frame);
}

/* ---- the parts of the page ---- */

let before = null; // the answer before this one, for rates
function rate(now, was, ms) {
  return was === undefined || ms <= 0 ? 0 : Math.max(0, (now - was) * 1000 / ms);
}

function showTiles(live) {
  const last = history[history.length - 1];
  if (!last) return;
  const timed = history.slice(-5).filter((sample) => sample.p50 !== null).pop();
  say($('n-requests'), short(last.requests));
  say($('n-p50'), timed ? micros(timed.p50) : '–');
  say($('n-p99'), timed ? `· ${micros(timed.p99)}` : '');
  say($('n-refused'), short(last.denied));
  $('n-refused').closest('.tile').classList.toggle('alarm', last.denied > 0);
  say($('n-in'), `${bytes(last.in)}/s`);
  say($('n-out'), `· ${bytes(last.out)}/s`);
}

function showState(live, stats, version, nodes) {
  const down = nodes.filter((node) => node.up === 0).length;
  const [word, tone] = stats.draining ? ['draining', 'warn'] : nodes.length && down === nodes.length ? ['backend away', 'bad']
    : down ? ['some nodes away', 'warn'] : stats.reload_ok ? ['serving', 'good'] : ['last reload failed', 'warn'];
  const pill = $('state');
  say(pill.querySelector('b'), word);
  pill.style.setProperty('--tone', `var(--${tone})`);
  pill.classList.toggle('live', tone === 'good');
  const facts = [['clients', short(stats.clients)], ['up', span(stats.uptime_seconds * 1000)], ['rules', String(stats.rules)],
    ['threads', String(stats.workers)], ['version', version.version ?? '']];
  keyed($('facts'), facts, (fact) => fact[0], (fact) => make('div', '', make('dt', '', fact[0]), make('dd')), (div, fact) => say(div.lastChild, fact[1]));
  document.title = `${short(history[history.length - 1]?.requests)}/s · respgate`;
}

function showGauges(live, stats) {
  const items = [];
  for (const node of rowsOf(live.pressure)) { // one for each node that tells its limit
    if (node.limit > 0) items.push({ name: `${node.node} memory`, part: node.used / node.limit, note: `${bytes(node.used)} of ${bytes(node.limit)}` });
    if (node['disk-limit'] > 0) items.push({ name: `${node.node} disk`, part: node.disk / node['disk-limit'], note: `${bytes(node.disk)} of ${bytes(node['disk-limit'])}` });
  }
  const limit = (name, used, most) => items.push({ name, part: used / most, text: short(used), note: `of ${short(most)}` });
  limit('clients', stats.clients, stats.clients_max);
  limit('pinned links', stats.links_pinned, stats.links_pinned_max);
  limit('shared links', stats.links_shared, stats.links_shared_max);
  gauges($('gauges'), items);
}

function showNodes(nodes, was, ms) {
  const old = new Map(was.map((node) => [node.node, node]));
  keyed($('nodes'), nodes, (node) => node.node, () => make('div', 'node', make('i', 'dot'), make('span', 'who'), make('span', 'what'), make('dl')), (card, node) => {
    const tone = node.state === 'up' ? 'good' : node.state === 'partly up' ? 'warn' : 'bad';
    card.style.setProperty('--tone', `var(--${tone})`);
    card.children[1].replaceChildren(make('b', '', node.node), make('small', '', `${node.address}${node.server ? ` · ${node.server}` : ''}`));
    say(card.children[2], node.state);
    const facts = [['requests', `${short(rate(node.requests, old.get(node.node)?.requests, ms))}/s`], ['p50', micros(node.p50)], ['p99', micros(node.p99)], ['in flight', short(node['in-flight'])],
      ['parked', short(node.parked)], ['links', `${node.shared} shared, ${node.pinned} pinned, ${node.warm} warm`]];
    keyed(card.children[3], facts, (fact) => fact[0], (fact) => make('div', '', make('dt', '', fact[0]), make('dd')), (div, fact) => say(div.lastChild, fact[1]));
  });
}

function showPrefixes(live) {
  const writer = (row) => (row.writer ? `from ${row.writer}` : '');
  bars($('prefix-writes'), 'requests', rowsOf(live.prefixes).slice(0, 8).map((row) => ({
    key: row.prefix, name: row.prefix, size: row['minute-writes'], value: short(row['minute-writes']), more: `${short(row.writes)} in all`, note: writer(row),
  })));
  bars($('prefix-bytes'), 'bytes', rowsOf(live.prefixes_bytes).slice(0, 8).map((row) => ({
    key: row.prefix, name: row.prefix, size: row['minute-bytes'], value: bytes(row['minute-bytes']), more: `${bytes(row.bytes)} in all`, note: writer(row),
  })));
}

function showQueues(live) {
  const rows = rowsOf(live.queues);
  $('queues').closest('.card').hidden = rows.length === 0;
  bars($('queues'), 'bytes', rows.map((row) => ({
    key: row.key, name: row.key, size: row['max-length'] ? row.length / row['max-length'] : 0, full: 1, value: short(row.length),
    more: row['max-length'] ? `of ${short(row['max-length'])}` : '', note: [row.type, row.pending && `${short(row.pending)} pending`, row.lag && `${short(row.lag)} behind`, row.dead && `${row.dead} dead`].filter(Boolean).join(' · '),
  })));
}

const modeTone = { enforce: 'good', observe: 'warn', off: 'faint' };
function showRules(live) {
  const count = (row) => row.denied + row.limited + row.delayed + row.observed;
  const rows = rowsOf(live.rules).sort((a, b) => count(b) - count(a));
  $('rules').dataset.none = 'no rules';
  bars($('rules'), 'refused', rows.slice(0, 9).map((row) => ({
    key: row.rule, name: row.rule, size: count(row), value: short(count(row)), flash: true, tag: row.mode, tagTone: modeTone[row.mode],
    more: row.observed && !row.denied ? 'observed' : row.limited > row.denied ? 'limited' : 'refused',
  })));
}

function showCommands(live, was, ms) {
  const old = new Map(was.map((row) => [row.command, row.calls]));
  const rows = rowsOf(live.commands).map((row) => ({ ...row, rate: rate(row.calls, old.get(row.command), ms) }));
  bars($('commands'), 'latency', rows.slice(0, 9).map((row) => ({
    key: row.command, name: row.command.toUpperCase(), size: row.rate, value: short(row.rate), more: `p99 ${micros(row.p99)}`, note: row.errors ? `${short(row.errors)} errors` : '',
  })));
}

const columns = [['address'], ['user'], ['name'], ['command'], ['state'], ['requests', short], ['denied', short], ['bytes-in', bytes], ['bytes-out', bytes], ['in-flight', short], ['idle', span], ['age', span]];
function showClients(live, stats) {
  say($('client-count'), `${short(stats.clients)} connected, those that sent most`);
  const table = $('clients');
  if (!table.tHead) {
    table.createTHead().append(make('tr', '', ...columns.map(([name, format]) => make('th', format ? 'n' : '', name.replace('-', ' ')))));
    table.append(make('tbody'));
  }
  keyed(table.tBodies[0], rowsOf(live.clients), (row) => row.id, () => make('tr', '', ...columns.map(([, format]) => make('td', format ? 'n' : 'cut'))), (tr, row) => {
    columns.forEach(([name, format], i) => say(tr.cells[i], format ? format(row[name]) : row[name] || '–'));
  });
}

const eventTone = { denied: 'bad', limited: 'warn', shed: 'warn', observed: 'latency', reload: 'good', admin: 'latency', alert: 'bad' };
function auditLine(line) {
  try { // a printable text has two backslashes for each one
    return JSON.parse(line.replaceAll('\\\\', '\\'));
  } catch {
    return { event: 'line', detail: line };
  }
}
function showAudit(live) {
  const list = $('audit'), fresh = list.known?.size > 0;
  list.dataset.none = 'nothing was refused or changed yet';
  const seen = new Map();
  const lines = rowsOf(live.audit).map((row) => { // equal lines are told apart by their number
    const times = (seen.get(row.line) ?? 0) + 1;
    seen.set(row.line, times);
    return { id: `${times} ${row.line}`, line: row.line };
  });
  keyed(list, lines, (item) => item.id, ({ line }) => {
    const entry = auditLine(line);
    const tag = make('span', 'tag', entry.event);
    tag.style.setProperty('--tag', `var(--${eventTone[entry.event] ?? 'soft'})`);
    const text = make('span', 'text', entry.detail ?? `${(entry.command ?? '').toUpperCase()} ${(entry.keys ?? []).join(' ')}`.trim());
    const from = [entry.rule && `rule ${entry.rule}`, entry.client, entry.user, entry.name].filter(Boolean).join(' · ');
    if (from) text.append(make('small', '', from));
    return make('li', fresh ? 'new' : '', make('time', '', String(entry.time ?? '').slice(11, 19)), tag, text);
  }, () => {});
}

function show(live) {
  learn(live.history, live.clock);
  const stats = Object.fromEntries(rowsOf(live.stats).map((row) => [row.name, row.value]));
  const version = Object.fromEntries(rowsOf(live.version).map((row) => [row.name, row.value]));
  const nodes = rowsOf(live.nodes), ms = before ? live.clock - before.clock : 0;
  showState(live, stats, version, nodes);
  showTiles(live);
  showGauges(live, stats);
  showNodes(nodes, rowsOf(before?.nodes), ms);
  showPrefixes(live);
  showQueues(live);
  showRules(live);
  showCommands(live, rowsOf(before?.commands), ms);
  showClients(live, stats);
  showAudit(live);
  say($('foot'), `${version['config-file'] ?? ''} · configuration ${version['config-generation'] ?? ''} · started ${version.started ?? ''}`);
  before = live;
}

/* ---- asking ---- */

let failures = 0;
async function poll() {
  try {
    const answer = await fetch('/api/live.json', { cache: 'no-store' });
    if (!answer.ok) throw new Error(`${answer.status}`);
    show(await answer.json());
    failures = 0;
    document.body.classList.remove('stale');
  } catch {
    if (++failures >= 3) {
      document.body.classList.add('stale');
      say($('state').querySelector('b'), 'no answer');
      $('state').style.setProperty('--tone', 'var(--bad)');
      $('state').classList.remove('live');
    }
  }
  setTimeout(poll, document.hidden ? 5 * POLL_MS : POLL_MS);
}
repaint();
poll();
requestAnimationFrame(frame);
