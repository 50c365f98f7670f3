// Playing a recording: its pieces one after the other, the next one made ready before the present one ends.
// Pieces are the chunks' FLACs, straight out of their TIFFs, or, where a browser seeks badly in FLAC (Safari) or cannot play it,
// stretches of the whole recording as WAV, decoded by the server, without any seam between chunks.

/** Bytes of a WAV that every browser takes. */
const LONGEST_WAV = 2 ** 31 - 2 ** 20;
/** Seconds before the end of a piece at which the next one is made ready. */
const AHEAD = 20;

export function prefersWav() {
  const probe = document.createElement('audio');
  const safari = /Apple/.test(navigator.vendor || '') && !/CriOS|FxiOS|Chrome/.test(navigator.userAgent);
  return safari || probe.canPlayType('audio/flac') === '';
}

export class Player {
  /** `changed` is told of every change of time and state, `failed` gets a sentence. */
  constructor(source, changed, failed) {
    Object.assign(this, { source, changed, failed, playing: false, at: 0, until: null, group: 0 });
    this.total = source.seconds || 0;
    this.elements = [0, 1].map(() => this.element());
    this.pieces = [];
    this.setForm(prefersWav() || !source.chunks.every((c) => c.playable) ? 'wav' : 'flac');
  }

  element() {
    const audio = new Audio();
    audio.preload = 'auto';
    const present = () => audio === this.audio;
    audio.addEventListener('timeupdate', () => present() && this.tick());
    audio.addEventListener('ended', () => present() && this.next());
    audio.addEventListener('error', () => present() && audio.getAttribute('src') && this.broken());
    for (const name of ['waiting', 'playing', 'seeked', 'stalled', 'canplay']) {
      audio.addEventListener(name, () => present() && this.changed());
    }
    return audio;
  }

  get audio() {
    return this.elements[0];
  }

  get waiting() {
    return this.playing && this.audio.readyState < 3;
  }

  setForm(form) {
    const was = this.playing;
    const time = this.time;
    this.form = form;
    this.pieces = form === 'flac' ? this.flacPieces() : this.wavPieces();
    this.piece = null;
    for (const audio of this.elements) this.empty(audio);
    this.at = time;
    if (was) this.play();
    this.changed();
  }

  flacPieces() {
    return this.source.chunks.filter((c) => c.playable && c.start !== null && c.end > c.start).map((c) => ({
      start: c.start, end: c.end, address: `/chunk/${c.id}/flac${this.group ? `?n=${this.group}` : ''}`,
    }));
  }

  wavPieces() {
    const { samples, rate, channels, bits, id } = this.source;
    if (!samples || !rate) return [];
    // Where it is not known how wide samples are, as wide as they can be.
    const width = { 8: 1, 16: 2, 24: 3 }[bits] || (bits && bits <= 32 ? 4 : 8);
    const longest = Math.floor(LONGEST_WAV / ((channels || 1) * width));
    const pieces = [];
    for (let from = 0; from < samples; from += longest) {
      const to = Math.min(samples, from + longest);
      pieces.push({ start: from / rate, end: to / rate, address: `/source/${id}/wav?from=${from}&to=${to}` });
    }
    return pieces;
  }

  get time() {
    if (!this.piece || this.pending !== null) return this.at;
    return this.piece.start + this.audio.currentTime;
  }

  empty(audio) {
    audio.pause();
    audio.piece = null;
    if (audio.getAttribute('src')) {
      audio.removeAttribute('src');
      audio.load();
    }
  }

  load(audio, piece) {
    if (audio.piece === piece) return;
    audio.piece = piece;
    audio.src = piece.address;
  }

  /** Goes to a time of the recording, seconds. */
  seek(time) {
    this.at = Math.min(Math.max(0, time), Math.max(0, this.total - 0.001));
    const piece = this.pieces.find((p) => this.at < p.end && this.at >= p.start)
      || this.pieces.find((p) => p.start >= this.at) || this.pieces.at(-1);
    if (!piece) return;
    if (piece !== this.piece) {
      if (this.elements[1].piece === piece) this.swap();
      else this.load(this.audio, piece);
      this.piece = piece;
    }
    const within = Math.max(0, this.at - piece.start);
    this.pending = within;
    const audio = this.audio;
    const go = () => {
      if (this.piece !== piece || this.pending === null) return;
      audio.currentTime = this.pending;
      this.pending = null;
      this.changed();
    };
    if (audio.readyState >= 1) go();
    else audio.addEventListener('loadedmetadata', go, { once: true });
    this.changed();
  }

  pending = null;

  swap() {
    this.audio.pause();
    this.elements.reverse();
  }

  async play() {
    if (!this.pieces.length) {
      this.failed('Nothing of this recording can be played here.');
      return;
    }
    if (this.time >= this.total - 0.05) this.at = 0, this.piece = null;
    if (!this.piece) this.seek(this.at);
    this.playing = true;
    this.changed();
    try {
      await this.audio.play();
    } catch (e) {
      // A later call, or the browser, has decided otherwise.
      if (e.name === 'NotAllowedError') {
        this.playing = false;
        this.failed('The browser wants a click before it plays.');
      }
    }
    this.changed();
  }

  pause() {
    this.playing = false;
    this.until = null;
    this.audio.pause();
    this.changed();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** Plays a passage and stops at its end. */
  passage(from, to) {
    this.seek(from);
    this.play();
    this.until = to;
  }

  tick() {
    if (!this.piece) return;
    if (this.pending === null) this.at = this.piece.start + this.audio.currentTime;
    if (this.until !== null && this.at >= this.until) this.pause();
    if (this.playing && this.piece.end - this.at < AHEAD) {
      const next = this.pieces[this.pieces.indexOf(this.piece) + 1];
      if (next) this.load(this.elements[1], next);
    }
    this.changed();
  }

  next() {
    const next = this.pieces[this.pieces.indexOf(this.piece) + 1];
    if (!next || !this.playing) {
      this.playing = false;
      this.at = this.total;
      this.changed();
      return;
    }
    this.load(this.elements[1], next);
    this.swap();
    this.piece = next;
    this.pending = null;
    this.at = next.start;
    if (this.audio.currentTime > 0) this.audio.currentTime = 0;
    this.audio.play().catch(() => this.changed());
  }

  broken() {
    const time = this.time;
    if (this.form === 'flac' && this.source.samples) {
      this.failed('The browser cannot play this FLAC; going on with WAV.');
      this.at = time;
      this.setForm('wav');
      return;
    }
    this.playing = false;
    this.failed('This part cannot be played: it is missing or damaged, or the browser does not know its format.');
    this.changed();
  }

  close() {
    this.changed = () => {};
    this.failed = () => {};
    for (const audio of this.elements) this.empty(audio);
  }
}
