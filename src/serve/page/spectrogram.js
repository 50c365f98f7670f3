// The picture of a recording: chunks end to end, from the previews that the archive has, and where one looks closer, tiles that
// the server makes of the samples. Times are seconds from the start of the recording, frequencies Hz.

import { clockAt, duration } from './tools.js';

/** Requests for pictures at a time; the rest of the browser's connections are for what is heard. */
const AT_ONCE = 3;
const KEPT_TILES = 160;
const KEPT_PREVIEWS = 16;
const [LEFT, BOTTOM, TOP] = [52, 24, 22];
const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600,
  7200, 10800, 21600, 43200, 86400, 172800, 604800];

/** Pictures that are loaded a few at a time, and given up when they are no longer wanted. */
class Pictures {
  constructor(kept, loaded) {
    Object.assign(this, { kept, loaded, have: new Map(), running: new Map(), wanted: [], failed: new Set() });
  }

  get(address) {
    const picture = this.have.get(address);
    if (picture) {
      this.have.delete(address);
      this.have.set(address, picture);
    }
    return picture;
  }

  /** The addresses wanted now, the most important first. */
  want(addresses) {
    this.wanted = addresses.filter((a) => !this.have.has(a) && !this.failed.has(a));
    for (const [address, control] of this.running) {
      if (!addresses.includes(address)) control.abort();
    }
    this.pump();
  }

  pump() {
    while (this.running.size < AT_ONCE) {
      const address = this.wanted.find((a) => !this.running.has(a));
      if (address === undefined) return;
      this.load(address);
    }
  }

  async load(address) {
    const control = new AbortController();
    this.running.set(address, control);
    try {
      const answer = await fetch(address, { signal: control.signal });
      if (!answer.ok) throw new Error(answer.statusText);
      this.have.set(address, await createImageBitmap(await answer.blob()));
      for (const [old, picture] of this.have) {
        if (this.have.size <= this.kept) break;
        picture.close();
        this.have.delete(old);
      }
    } catch (e) {
      if (e.name !== 'AbortError') this.failed.add(address);
    }
    this.running.delete(address);
    this.wanted = this.wanted.filter((a) => a !== address || control.signal.aborted);
    this.loaded();
    this.pump();
  }

  close() {
    this.wanted = [];
    for (const control of this.running.values()) control.abort();
    for (const picture of this.have.values()) picture.close();
    this.loaded = () => {};
  }
}

const mel = (hz) => (hz < 1000 ? hz / (200 / 3) : 15 + (27 * Math.log(hz / 1000)) / Math.log(6.4));

export class Spectrogram {
  /** `pick(time)` is called for a click, `select(from, to)` for a drag with Shift, `moved()` when another part is shown. */
  constructor(canvas, overview, source, { pick, select, moved }) {
    Object.assign(this, { canvas, overview, source, pick, select, moved, passage: null, time: 0 });
    this.total = source.seconds || 0;
    this.rate = source.rate || 44100;
    this.least = Math.min(this.total, Math.max(0.02, (200 * 8) / this.rate));
    this.view = { start: 0, span: this.total };
    const redraw = () => this.later();
    this.tiles = new Pictures(KEPT_TILES, redraw);
    this.previews = new Pictures(KEPT_PREVIEWS, redraw);
    this.small = new Pictures(400, redraw);
    this.watch = new ResizeObserver(redraw);
    this.watch.observe(canvas);
    this.watch.observe(overview);
    this.dark = matchMedia('(prefers-color-scheme: dark)');
    this.dark.addEventListener('change', redraw);
    const hz = source.chunks.find((c) => c.hz)?.hz;
    this.hz = hz && hz[1] <= (this.rate / 2) * 1.01 ? hz : [0, this.rate / 2];
    this.listen();
  }

  close() {
    cancelAnimationFrame(this.waiting);
    this.watch.disconnect();
    for (const pictures of [this.tiles, this.previews, this.small]) pictures.close();
    this.closed = true;
  }

  later() {
    if (!this.waiting && !this.closed) {
      this.waiting = requestAnimationFrame(() => {
        this.waiting = 0;
        this.draw();
      });
    }
  }

  // ---- which part is shown

  show(start, span) {
    span = Math.min(this.total, Math.max(this.least, span));
    start = Math.min(Math.max(0, start), this.total - span);
    this.view = { start, span };
    this.moved();
    this.later();
  }

  zoom(factor, time = this.time) {
    const { start, span } = this.view;
    const fixed = time >= start && time <= start + span ? time : start + span / 2;
    const next = Math.min(this.total, Math.max(this.least, span * factor));
    this.show(fixed - ((fixed - start) * next) / span, next);
  }

  all() {
    this.show(0, this.total);
  }

  /** Where it is played; the view turns the page where that is out of sight. */
  setTime(time, follow) {
    this.time = time;
    const { start, span } = this.view;
    if (follow && span < this.total && !this.dragging && (time < start || time > start + span)) {
      this.show(time - span * 0.05, span);
    }
    this.later();
  }

  setPassage(passage) {
    this.passage = passage;
    this.later();
  }

  // ---- pointers

  listen() {
    const { canvas, overview } = this;
    const pointers = new Map();
    let start = null;
    canvas.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, event.offsetX);
      start = { x: event.offsetX, time: this.timeAt(event.offsetX), view: { ...this.view }, shift: event.shiftKey, moved: false };
      start.apart = pointers.size === 2 ? this.apart(pointers) : 0;
    });
    canvas.addEventListener('pointermove', (event) => {
      this.hover = event.pointerType === 'mouse' ? { x: event.offsetX, y: event.offsetY } : null;
      this.later();
      if (!pointers.has(event.pointerId) || !start) return;
      pointers.set(event.pointerId, event.offsetX);
      this.dragging = true;
      if (pointers.size === 2 && start.apart > 0) {
        start.moved = true;
        const span = start.view.span * (start.apart / Math.max(8, this.apart(pointers)));
        this.show(start.time - ((start.time - start.view.start) * span) / start.view.span, span);
      } else if (Math.abs(event.offsetX - start.x) > 4 || start.moved) {
        start.moved = true;
        if (start.shift) this.select(...[start.time, this.timeAt(event.offsetX)].sort((a, b) => a - b));
        else this.show(start.view.start - ((event.offsetX - start.x) / this.plotWidth()) * start.view.span, start.view.span);
      }
    });
    const end = (event) => {
      if (pointers.delete(event.pointerId) && start && !start.moved && event.type === 'pointerup') this.pick(start.time);
      if (!pointers.size) start = null;
      this.dragging = pointers.size > 0;
    };
    canvas.addEventListener('pointerup', end);
    canvas.addEventListener('pointercancel', end);
    canvas.addEventListener('pointerleave', () => {
      this.hover = null;
      this.later();
    });
    canvas.addEventListener('wheel', (event) => {
      event.preventDefault();
      const unit = event.deltaMode === 1 ? 32 : 1;
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        const by = ((event.deltaX || event.deltaY) * unit) / this.plotWidth();
        this.show(this.view.start + by * this.view.span, this.view.span);
      } else this.zoom(1.0018 ** Math.max(-400, Math.min(400, event.deltaY * unit)), this.timeAt(event.offsetX));
    }, { passive: false });
    const jump = (event) => {
      const time = (event.offsetX / overview.clientWidth) * this.total;
      if (this.view.span >= this.total) this.pick(time);
      else this.show(time - this.view.span / 2, this.view.span);
    };
    overview.addEventListener('pointerdown', (event) => {
      overview.setPointerCapture(event.pointerId);
      jump(event);
    });
    overview.addEventListener('pointermove', (event) => {
      if (event.buttons & 1 && this.view.span < this.total) jump(event);
    });
  }

  apart(pointers) {
    const [a, b] = [...pointers.values()];
    return Math.abs(a - b);
  }

  plotWidth() {
    return Math.max(1, this.canvas.clientWidth - LEFT);
  }

  timeAt(x) {
    const time = this.view.start + ((x - LEFT) / this.plotWidth()) * this.view.span;
    return Math.min(this.total, Math.max(0, time));
  }

  x(time) {
    return LEFT + ((time - this.view.start) / this.view.span) * this.plotWidth();
  }

  // ---- drawing

  prepare(canvas) {
    const ratio = Math.min(3, window.devicePixelRatio || 1);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    const pen = canvas.getContext('2d');
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    return { pen, width, height, ratio };
  }

  draw() {
    if (this.closed || !this.canvas.clientWidth) return;
    const style = getComputedStyle(this.canvas);
    this.colors = { text: style.getPropertyValue('--soft'), line: style.getPropertyValue('--line'), accent: style.getPropertyValue('--accent') };
    const { pen, width, height, ratio } = this.prepare(this.canvas);
    const plot = { x: LEFT, y: TOP, width: width - LEFT, height: height - TOP - BOTTOM };
    pen.save();
    pen.beginPath();
    pen.rect(plot.x, plot.y, plot.width, plot.height);
    pen.clip();
    pen.fillStyle = '#08060f';
    pen.fillRect(plot.x, plot.y, plot.width, plot.height);
    this.drawPreviews(pen, plot);
    this.drawTiles(pen, plot, ratio);
    this.drawPassage(pen, plot);
    pen.restore();
    this.drawAxes(pen, plot);
    this.drawHead(pen, plot);
    this.drawOverview();
  }

  previewOf(chunk) {
    return `/chunk/${chunk.id}/preview?v=${(chunk.tiff_sha256 || '').slice(0, 12)}`;
  }

  thumbOf(chunk) {
    return `/chunk/${chunk.id}/thumb?v=${(chunk.tiff_sha256 || '').slice(0, 12) || 0}`;
  }

  drawPreviews(pen, plot) {
    const { start, span } = this.view;
    const seen = this.source.chunks.filter((c) => c.end > start && c.start < start + span && c.picture && !c.problem);
    const wide = seen.filter((c) => this.x(c.end) - this.x(c.start) > 240).slice(0, KEPT_PREVIEWS);
    this.previews.want(wide.map((c) => this.previewOf(c)));
    for (const chunk of seen) {
      const picture = this.previews.get(this.previewOf(chunk)) || this.small.get(this.thumbOf(chunk));
      if (picture) pen.drawImage(picture, this.x(chunk.start), plot.y, this.x(chunk.end) - this.x(chunk.start), plot.height);
    }
    this.seenSmall = wide.length === seen.length ? [] : seen.slice(0, 200).map((c) => this.thumbOf(c));
  }

  drawTiles(pen, plot, ratio) {
    const { least, most, tile } = this.source.levels;
    const { start, span } = this.view;
    const column = (span * this.rate) / (plot.width * ratio);
    const level = Math.max(least, Math.floor(Math.log2(column) + 0.25));
    this.level = level;
    if (level > most || !this.source.samples) {
      this.tiles.want([]);
      return;
    }
    const address = (l, n) => `/source/${this.source.id}/tile/${l}/${n}?v=${(this.source.sha256 || '').slice(0, 12)}`;
    const seconds = (l) => (tile * 2 ** l) / this.rate;
    // Coarser ones that are there already stand in for those that are still to come.
    for (let l = Math.min(most, level + 4); l >= level; l--) {
      const length = seconds(l);
      for (let n = Math.floor(start / length); n * length < start + span; n++) {
        const picture = this.tiles.get(address(l, n));
        if (!picture) continue;
        const end = Math.min((n + 1) * length, this.total);
        const used = Math.max(1, Math.round((tile * (end - n * length)) / length));
        pen.drawImage(picture, 0, 0, used, picture.height, this.x(n * length), plot.y, this.x(end) - this.x(n * length) + 0.4, plot.height);
      }
    }
    const length = seconds(level);
    const numbers = [];
    for (let n = Math.floor(start / length); n * length < Math.min(start + span, this.total); n++) numbers.push(n);
    const middle = (start + span / 2) / length;
    numbers.sort((a, b) => Math.abs(a + 0.5 - middle) - Math.abs(b + 0.5 - middle));
    this.tiles.want(numbers.map((n) => address(level, n)));
  }

  drawPassage(pen, plot) {
    if (!this.passage) return;
    const [from, to] = [this.x(this.passage[0]), this.x(this.passage[1])];
    pen.fillStyle = '#fff3';
    pen.fillRect(from, plot.y, to - from, plot.height);
    pen.fillStyle = '#fff';
    pen.fillRect(from - 1, plot.y, 1.5, plot.height);
    pen.fillRect(to, plot.y, 1.5, plot.height);
  }

  y(hz, plot) {
    const scale = this.rate <= 96000 ? mel : (v) => v;
    const [low, high] = this.hz.map(scale);
    return plot.y + plot.height * (1 - (scale(hz) - low) / (high - low));
  }

  drawAxes(pen, plot) {
    pen.font = '11px system-ui, sans-serif';
    pen.fillStyle = this.colors.text;
    pen.strokeStyle = this.colors.line;
    pen.textAlign = 'right';
    pen.textBaseline = 'middle';
    const marks = [0, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 150000, 200000];
    let last = Infinity;
    for (const hz of marks.filter((hz) => hz >= this.hz[0] && hz <= this.hz[1])) {
      const y = this.y(hz, plot);
      if (last - y < 16) continue;
      last = y;
      const text = hz >= 1000 ? `${hz / 1000} kHz` : `${hz} Hz`;
      pen.fillText(text, plot.x - 7, Math.min(plot.y + plot.height - 5, Math.max(plot.y + 5, y)));
      pen.beginPath();
      pen.moveTo(plot.x - 4, y);
      pen.lineTo(plot.x, y);
      pen.stroke();
    }
    const { start, span } = this.view;
    const room = plot.width / 84;
    const step = STEPS.find((s) => span / s <= room) || STEPS.at(-1);
    const digits = step >= 1 ? 0 : step >= 0.1 ? 1 : step >= 0.01 ? 2 : 3;
    pen.textAlign = 'center';
    for (let n = Math.ceil(start / step); n * step <= start + span + 1e-9; n++) {
      const x = this.x(n * step);
      if (x < plot.x - 1 || x > plot.x + plot.width + 1) continue;
      pen.beginPath();
      pen.moveTo(x, plot.y + plot.height);
      pen.lineTo(x, plot.y + plot.height + 4);
      pen.stroke();
      const inside = Math.min(Math.max(x, plot.x + 14), plot.x + plot.width - 22);
      pen.fillText(duration(n * step, digits), inside, plot.y + plot.height + 13);
      const clock = step >= 1 && clockAt(this.source.recorded, n * step);
      if (clock) pen.fillText(step >= 86400 ? clock.date : clock.time, Math.min(Math.max(x, plot.x + 24), plot.x + plot.width - 26), plot.y - 10);
    }
  }

  drawHead(pen, plot) {
    if (this.hover && this.hover.x >= plot.x && !this.dragging) {
      pen.fillStyle = '#ffffff80';
      pen.fillRect(this.hover.x, plot.y, 1, plot.height);
    }
    const x = this.x(this.time);
    if (x < plot.x - 1 || x > plot.x + plot.width + 1) return;
    pen.fillStyle = '#fff';
    pen.fillRect(x - 1, plot.y, 2, plot.height);
    pen.beginPath();
    pen.moveTo(x - 6, plot.y);
    pen.lineTo(x + 6, plot.y);
    pen.lineTo(x, plot.y + 8);
    pen.fill();
  }

  drawOverview() {
    const { pen, width, height } = this.prepare(this.overview);
    pen.fillStyle = '#08060f';
    pen.fillRect(0, 0, width, height);
    const scale = width / (this.total || 1);
    // Of chunks narrower than a few pixels, some stand for their neighbours.
    const shown = [];
    let last = -Infinity;
    for (const chunk of this.source.chunks) {
      if (!chunk.picture || chunk.problem || chunk.start === null) continue;
      if (chunk.start * scale - last >= 3 || (chunk.end - chunk.start) * scale >= 3) {
        shown.push(chunk);
        last = chunk.start * scale;
      }
    }
    this.small.want([...new Set([...shown.map((c) => this.thumbOf(c)), ...(this.seenSmall || [])])].slice(0, 400));
    for (const chunk of shown) {
      const picture = this.small.get(this.thumbOf(chunk));
      if (picture) pen.drawImage(picture, chunk.start * scale, 0, Math.max(3, (chunk.end - chunk.start) * scale), height);
    }
    pen.fillStyle = '#ffffff70';
    if (shown.length < 400) {
      for (const chunk of shown.slice(1)) pen.fillRect(chunk.start * scale, height - 6, 1, 6);
    }
    const [from, to] = [this.view.start * scale, (this.view.start + this.view.span) * scale];
    if (this.view.span < this.total) {
      pen.fillStyle = '#000000a0';
      pen.fillRect(0, 0, from, height);
      pen.fillRect(to, 0, width - to, height);
      pen.strokeStyle = '#fff';
      pen.lineWidth = 1.5;
      pen.strokeRect(from + 0.75, 0.75, Math.max(3, to - from - 1.5), height - 1.5);
    }
    pen.fillStyle = '#fff';
    pen.fillRect(this.time * scale - 0.75, 0, 1.5, height);
  }
}
