// One recording: its picture, playing it, passages, and what is known about it.

import { Player } from './player.js';
import { Spectrogram } from './spectrogram.js';
import { details } from './details.js';
import { amount, clockAt, duration, el, getJson, kilohertz, say, sayProblem } from './tools.js';

/** Reads 1:02:03.5, 2:03 or 123.5. */
export function readTime(text) {
  const parts = text.trim().split(':');
  if (parts.length > 3 || !parts.every((p, i) => (i === parts.length - 1 ? /^\d+(\.\d*)?$/ : /^\d+$/).test(p))) return null;
  return parts.reduce((sum, p) => sum * 60 + Number(p), 0);
}

function icon(shape) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', shape);
  svg.append(path);
  return svg;
}

const SHAPES = {
  play: 'M7 4.5v15l13-7.5z',
  pause: 'M6 4.500h4.500v15H6zM13.500 4.500H18v15h-4.500z',
  back: 'M11 6 3 12l8 6zM20 6l-8 6 8 6z',
  on: 'M13 6l8 6-8 6zM4 6l8 6-8 6z',
};

export class SourceView {
  constructor(box, id, time) {
    Object.assign(this, { box, id });
    this.stop = new AbortController();
    box.replaceChildren(el('p', { class: 'notice' }, 'Loading …'));
    getJson(`/api/source/${id}`, this.stop.signal).then((source) => this.fill(source, time), (e) => {
      if (e.name === 'AbortError') return;
      const text = e.status === 404 ? 'This recording is not in the archive, or not any more.' : e.message;
      box.replaceChildren(el('div', { class: 'notice' }, el('p', {}, text),
        el('p', {}, el('a', { class: 'button', href: '#' }, 'All recordings'))));
      say('');
    });
  }

  fill(source, time) {
    // Of a recording with chunks missing, perhaps only these say how long it goes on.
    source.seconds ??= source.chunks.reduce((last, c) => Math.max(last, c.end || 0), 0);
    this.source = source;
    const button = (name, label, shape, action, more = '') =>
      el('button', { type: 'button', id: name, class: `icon ${more}`, 'aria-label': label, title: label, onclick: action }, icon(shape));
    this.canvas = el('canvas', { id: 'spectrogram', tabindex: 0, role: 'slider', 'aria-label': 'Place in the recording', 'aria-valuemin': 0, 'aria-valuemax': Math.round(source.seconds || 0) });
    this.overview = el('canvas', { id: 'overview', 'aria-hidden': 'true' });
    this.playButton = button('play', 'Play (Space)', SHAPES.play, () => this.player.toggle(), 'main');
    this.clock = el('span', { class: 'wall-clock' });
    this.now = el('output', { id: 'now', 'aria-label': 'Time in the recording' }, duration(0, 1));
    this.form = el('select', { id: 'form', 'aria-label': 'What is played', onchange: () => this.player.setForm(this.form.value) },
      el('option', { value: 'flac' }, 'FLAC'), el('option', { value: 'wav' }, source.chunks.length > 1 ? 'WAV, seamless' : 'WAV'));
    this.form.title = 'FLAC: the archive’s own bytes, chunk by chunk. WAV: decoded by the server, without a seam between chunks.';
    this.group = source.chunks[0]?.flacs > 1 && el('select', { id: 'group', 'aria-label': 'Channels', onchange: () => {
      this.player.group = Number(this.group.value);
      this.player.setForm('flac');
      this.form.value = 'flac';
    } }, ...Array.from({ length: source.chunks[0].flacs }, (_, n) =>
      el('option', { value: n }, `Channels ${n * 8 + 1}–${Math.min(source.channels, n * 8 + 8)}`)));
    const facts = [source.seconds && amount(source.seconds), kilohertz(source.rate),
      source.channels && `${source.channels} channel${source.channels === 1 ? '' : 's'}`, source.container?.toUpperCase()].filter(Boolean);
    const started = clockAt(source.recorded, 0);
    const head = el('div', { class: 'head' },
      el('a', { class: 'back', href: '#', onclick: (event) => { event.preventDefault(); document.getElementById('home').click(); } }, '← All recordings'),
      el('h1', { class: source.name.length > 60 ? 'long' : null }, el('bdi', {}, source.name)),
      el('p', { class: 'facts' }, source.folder ? el('bdi', {}, source.folder) : null,
        started ? el('span', {}, `${started.date} ${started.time} ${started.offset}`.trim()) : null, el('span', {}, facts.join(' · '))));
    this.zoomText = el('span', { class: 'zoom-text' });
    const controls = el('div', { class: 'controls' },
      button('back', '5 seconds back (←)', SHAPES.back, () => this.by(-5)), this.playButton,
      button('on', '5 seconds on (→)', SHAPES.on, () => this.by(5)),
      el('span', { class: 'times' }, this.now, el('span', { class: 'soft' }, ` / ${duration(source.seconds)}`), this.clock),
      el('span', { class: 'stretch' }), this.group || null, this.form,
      el('span', { class: 'zoom', role: 'group', 'aria-label': 'Zoom' },
        el('button', { type: 'button', id: 'zoom-out', 'aria-label': 'Zoom out (−)', onclick: () => this.picture.zoom(2) }, '−'), this.zoomText,
        el('button', { type: 'button', id: 'zoom-in', 'aria-label': 'Zoom in (+)', onclick: () => this.picture.zoom(0.5) }, '+'),
        el('button', { type: 'button', id: 'zoom-all', 'aria-label': 'Show all (0)', onclick: () => this.picture.all() }, 'All')));
    this.box.replaceChildren(head, el('div', { class: 'stage' }, this.canvas, this.overview, controls), this.passageBox(), details(source, (t) => this.go(t), this.stop.signal));
    this.player = new Player(source, () => this.changed(), (text) => sayProblem(text));
    this.form.value = this.player.form;
    this.picture = new Spectrogram(this.canvas, this.overview, source, {
      pick: (t) => {
        this.go(t);
        this.canvas.focus({ preventScroll: true });
      },
      select: (from, to) => this.setPassage(from, to),
      moved: () => this.moved(),
    });
    const first = Math.min(Math.max(0, time), source.seconds || 0);
    this.player.seek(first);
    const chunk = source.chunks.findLast?.((c) => c.start <= first + 1e-6);
    if (source.chunks.length > 1 && chunk && first > 0) this.picture.show(chunk.start, chunk.end - chunk.start);
    else this.picture.show(0, this.picture.total);
    document.title = source.name;
    say(source.complete ? '' : 'Something of this recording is missing from the archive');
    this.changed();
    this.frame();
  }

  /** While it plays, the place moves smoothly. */
  frame() {
    if (this.stop.signal.aborted) return;
    if (this.player.playing) {
      this.picture.setTime(this.player.time, true);
      this.showTime();
    }
    requestAnimationFrame(() => this.frame());
  }

  passageBox() {
    const field = (id, label) => el('label', {}, el('span', {}, label),
      el('input', { id, type: 'text', inputmode: 'decimal', size: 11, autocomplete: 'off', placeholder: '0:00.000', onchange: () => this.readPassage() }),
      el('button', { type: 'button', title: `${label} is where it plays now`, 'aria-label': `${label} is where it plays now`, onclick: () => this.mark(id) }, 'now'));
    this.links = ['flac', 'wav'].map((form) => el('a', { class: 'button', id: `passage-${form}`, 'aria-disabled': 'true', role: 'link' }, form.toUpperCase()));
    return el('section', { class: 'passage', 'aria-labelledby': 'passage-title' },
      el('h2', { id: 'passage-title' }, 'Passage'),
      el('div', { class: 'row' }, field('begin', 'From'), field('end', 'To'),
        el('button', { type: 'button', id: 'passage-play', onclick: () => this.range && this.player.passage(...this.range) }, 'Play'),
        el('span', { class: 'downloads' }, 'Download ', ...this.links),
        el('button', { type: 'button', class: 'plain', onclick: () => this.setPassage(null) }, 'Clear')),
      el('p', { class: 'soft' }, 'Shift and drag in the picture, or ', el('kbd', {}, '['), ' and ', el('kbd', {}, ']'), ' while it plays. To the sample, across chunks.'));
  }

  readPassage() {
    const [from, to] = ['begin', 'end'].map((id) => readTime(document.getElementById(id).value));
    if (from !== null && to !== null && from < to) this.setPassage(from, Math.min(to, this.source.seconds), false);
    else this.setPassage(null, null, false);
  }

  mark(id) {
    const other = document.getElementById(id === 'begin' ? 'end' : 'begin');
    document.getElementById(id).value = duration(this.player.time, 3);
    if (!other.value) other.value = duration(id === 'begin' ? this.source.seconds : 0, 3);
    this.readPassage();
  }

  setPassage(from, to, write = true) {
    const { rate, samples, id } = this.source;
    const [first, behind] = [Math.round(from * rate), Math.min(samples, Math.round(to * rate))];
    const sound = from !== null && rate && first < behind;
    this.range = sound ? [first / rate, behind / rate] : null;
    if (write) {
      document.getElementById('begin').value = sound ? duration(from, 3) : '';
      document.getElementById('end').value = sound ? duration(to, 3) : '';
    }
    const addresses = [`/source/${id}/passage?from=${first}&to=${behind}`, `/source/${id}/wav?from=${first}&to=${behind}&download=1`];
    this.links.forEach((link, i) => {
      if (sound) {
        link.href = addresses[i];
        link.setAttribute('download', '');
        link.removeAttribute('aria-disabled');
      } else {
        link.removeAttribute('href');
        link.setAttribute('aria-disabled', 'true');
      }
    });
    this.picture.setPassage(this.range);
  }

  go(time) {
    this.player.until = null;
    this.player.seek(time);
    this.player.play();
  }

  by(seconds) {
    this.player.seek(this.player.time + seconds);
  }

  changed() {
    if (!this.player || !this.picture) return;
    const { playing } = this.player;
    if (this.shownPlaying !== playing) {
      this.shownPlaying = playing;
      this.playButton.replaceChildren(icon(playing ? SHAPES.pause : SHAPES.play));
      this.playButton.setAttribute('aria-label', playing ? 'Pause (Space)' : 'Play (Space)');
      this.playButton.title = playing ? 'Pause (Space)' : 'Play (Space)';
    }
    this.playButton.classList.toggle('waiting', this.player.waiting);
    if (this.form.value !== this.player.form) this.form.value = this.player.form;
    this.picture.setTime(this.player.time, playing);
    this.showTime();
  }

  showTime() {
    const { time } = this.player;
    const text = duration(time, 1);
    if (text === this.now.value) return;
    this.now.value = text;
    const clock = clockAt(this.source.recorded, time);
    this.clock.textContent = clock ? `${clock.date} ${clock.time}` : '';
    this.canvas.setAttribute('aria-valuenow', Math.round(time));
    this.canvas.setAttribute('aria-valuetext', clock ? `${duration(time)}, ${clock.time}` : duration(time));
  }

  moved() {
    const { span } = this.picture.view;
    this.zoomText.textContent = span < 10 ? `${span.toFixed(span < 1 ? 3 : 1)} s` : amount(span);
  }

  /** Keys of this view; says whether one was used. */
  key(event) {
    if (!this.player) return false;
    const onButton = document.activeElement?.matches('button, a[href], summary');
    const step = event.shiftKey ? 30 : 5;
    switch (event.key) {
      case ' ':
        if (onButton && document.activeElement !== this.playButton) return false;
        this.player.toggle();
        return true;
      case 'ArrowLeft': this.by(-step); return true;
      case 'ArrowRight': this.by(step); return true;
      case 'Home': this.player.seek(0); return true;
      case 'End': this.player.seek(this.player.total); return true;
      case '+': case '=': this.picture.zoom(0.5); return true;
      case '-': case '−': this.picture.zoom(2); return true;
      case '0': this.picture.all(); return true;
      case '[': this.mark('begin'); return true;
      case ']': this.mark('end'); return true;
      default: return false;
    }
  }

  close() {
    this.stop.abort();
    this.player?.close();
    this.picture?.close();
    this.box.replaceChildren();
    document.title = document.getElementById('archive-name').textContent;
  }
}
