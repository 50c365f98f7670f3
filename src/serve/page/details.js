// What is known about a recording, its chunks and their states, and what can be taken away.

import { bytes, duration, el, getJson, named, number, say, sayProblem } from './tools.js';

/** Rows of chunks at first. */
const ROWS = 50;

const NAMES = {
  title: 'Title', speaker: 'Speaker', creator: 'Creator', contributor: 'Contributor', rights: 'Rights', description: 'Description',
  keywords: 'Keywords', location: 'Location', latitude: 'Latitude', longitude: 'Longitude', date: 'Date', recorded: 'Recorded',
  recorded_from: 'Known from', album: 'Album', artist: 'Artist', originator: 'Originator', comment: 'Comment',
};

function label(key) {
  if (NAMES[key]) return NAMES[key];
  const text = key.replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function text(value) {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}

function table(rows) {
  const list = el('dl', { class: 'facts-table' });
  for (const [name, value, mono] of rows) {
    if (value === null || value === undefined || value === '') continue;
    list.append(el('dt', {}, name), el('dd', mono ? { class: 'mono' } : { dir: 'auto' }, text(value)));
  }
  return list;
}

function about(source) {
  const order = Object.keys(NAMES);
  const rank = (key) => (order.includes(key) ? order.indexOf(key) : order.length);
  const metadata = Object.entries(source.metadata || {}).filter(([key, value]) => key !== 'fields' && typeof value !== 'object');
  metadata.sort(([a], [b]) => rank(a) - rank(b));
  const fields = Array.isArray(source.metadata?.fields) ? source.metadata.fields.filter((f) => f && typeof f === 'object') : [];
  const parts = [el('h2', {}, 'About')];
  if (metadata.length) parts.push(table(metadata.map(([key, value]) => [label(key), value])));
  parts.push(el('h3', {}, 'File'), table([
    ['Path', source.path], ['Size', source.size === null ? null : `${bytes(source.size)} (${number(source.size)} bytes)`],
    ['Format', [source.container, source.format].filter(Boolean).join(', ')],
    ['Sample rate', source.rate && `${number(source.rate)} Hz`], ['Channels', source.channels],
    ['Samples a channel', source.samples && number(source.samples)], ['Last changed', source.modified],
    ['Restores to', { 'byte-identical': 'the same file, byte for byte', 'original-bytes': 'the same file, kept as it was' }[source.restore] || source.restore],
    ['SHA-256', source.sha256, true],
  ]));
  if (fields.length) {
    parts.push(el('details', {}, el('summary', {}, `All ${fields.length} fields of the recording`),
      table(fields.map((f) => [String(f.key ?? ''), f.value]))));
  }
  return el('section', { class: 'about' }, ...parts);
}

function state(chunk) {
  if (chunk.problem) return ['bad', 'cannot be read', chunk.problem];
  if (chunk.ok === true) return ['good', '✓ verified', `Compared with its checksum, ${chunk.checked}`];
  if (chunk.ok === false) return ['bad', '! not right', chunk.message];
  return ['open', 'not checked', 'Not compared with its checksum since the index was made'];
}

class Chunks {
  constructor(source, go, signal) {
    Object.assign(this, { source, go, signal, shown: 0 });
    this.body = el('tbody');
    this.summary = el('span', { class: 'soft', 'aria-live': 'polite' });
    this.all = el('button', { type: 'button', id: 'check-all', onclick: () => this.checkAll() }, 'Verify all');
    this.more = el('button', { type: 'button', class: 'plain', onclick: () => this.grow() }, 'Show more');
    this.cells = new Map();
    this.grow();
    this.tell();
  }

  section() {
    return el('section', { class: 'chunks', 'aria-labelledby': 'chunks-title' },
      el('div', { class: 'row' }, el('h2', { id: 'chunks-title' }, 'Chunks'), this.all, this.summary),
      el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Chunks' }, el('table', {},
        el('thead', {}, el('tr', {}, ...['Time', 'State', 'FLAC', 'TIFF'].map((h) => el('th', { scope: 'col' }, h)))), this.body)),
      this.more);
  }

  grow() {
    const { chunks } = this.source;
    for (const chunk of chunks.slice(this.shown, this.shown + ROWS)) this.body.append(this.row(chunk));
    this.shown = Math.min(chunks.length, this.shown + ROWS);
    this.more.hidden = this.shown >= chunks.length;
  }

  row(chunk) {
    const place = chunk.start === null ? '–' : `${duration(chunk.start)} – ${duration(chunk.end)}`;
    const cell = el('td', {}, el('div', { class: 'row tight' }));
    this.cells.set(chunk.id, cell);
    this.fill(chunk);
    const flac = chunk.playable
      ? el('a', { class: 'button', href: `/chunk/${chunk.id}/flac?download=1`, download: '', title: `SHA-256 ${chunk.flac_sha256}` }, bytes(chunk.flac_size))
      : '–';
    return el('tr', {}, el('td', {}, el('button', { type: 'button', class: 'plain', title: 'Play from here', onclick: () => this.go(chunk.start) }, place)),
      cell, el('td', {}, flac), el('td', { class: 'mono' }, named(chunk.tiff, {}, /^(.+?)(_chunk_\d+\.tiff?)$/s)));
  }

  fill(chunk, busy = false) {
    const cell = this.cells.get(chunk.id)?.firstChild;
    if (!cell) return;
    const [kind, word, why] = state(chunk);
    const mark = el('span', { class: `state ${busy ? 'open' : kind}`, title: why }, busy ? 'reading …' : word);
    const button = el('button', { type: 'button', class: 'plain verify', disabled: busy, onclick: () => this.check(chunk) }, 'verify');
    cell.replaceChildren(mark, busy || kind === 'good' ? '' : button, kind === 'bad' && !busy ? el('p', { class: 'why' }, why) : '');
  }

  async check(chunk) {
    this.fill(chunk, true);
    try {
      Object.assign(chunk, await getJson(`/api/chunk/${chunk.id}/check`, this.signal));
    } catch (e) {
      if (e.name !== 'AbortError') sayProblem(e.message);
      this.fill(chunk);
      this.tell();
      return false;
    }
    this.fill(chunk);
    this.tell();
    return true;
  }

  async checkAll() {
    this.all.disabled = true;
    for (const chunk of this.source.chunks) {
      if (this.signal.aborted || (chunk.ok !== true && !(await this.check(chunk)))) break;
    }
    this.all.disabled = false;
    if (!this.signal.aborted) say(this.summary.textContent);
  }

  tell() {
    const count = (kind) => this.source.chunks.filter((c) => state(c)[0] === kind).length;
    const [good, bad] = [count('good'), count('bad')];
    const of = number(this.source.chunks.length);
    this.summary.textContent = `${number(good)} of ${of} verified${bad ? `, ${number(bad)} not right` : ''}`;
    this.all.hidden = good === this.source.chunks.length;
  }
}

export function details(source, go, signal) {
  const chunks = new Chunks(source, go, signal);
  const provable = source.sha256 && source.size !== null && source.complete;
  const original = provable
    ? el('p', { class: 'row' }, el('a', { class: 'button main', id: 'original', href: `/source/${source.id}/original`, download: '' }, `Original file, ${bytes(source.size)}`),
      el('span', { class: 'soft' }, 'Rebuilt byte for byte; the download only completes if its SHA-256 is right.'))
    : el('p', { class: 'soft' }, source.complete
      ? 'The archive does not say what the original file was to the byte.' : 'The original file cannot be rebuilt: something of it is missing.');
  const whole = source.samples ? el('p', {}, el('a', { class: 'button', href: `/source/${source.id}/wav?download=1`, download: '' }, 'All of it as WAV')) : null;
  return el('div', { class: 'columns' }, about(source),
    el('div', {}, el('section', { class: 'take' }, el('h2', {}, 'Download'), original, whole), chunks.section()));
}
