// The wall: one card a chunk, of which only those in sight are there. Pages of the list come as they are needed; what has
// scrolled out of sight before its page came is not asked for.

import { amount, clockParts, duration, el, getJson, kilohertz, named, number, say, sayProblem } from './tools.js';

const PAGE = 100;
/** Pages kept. */
const KEPT = 60;
/** Higher than this no browser scrolls well; longer lists are scrolled through proportionally. */
const HIGHEST = 12_000_000;

export class Wall {
  constructor(box, empty, section) {
    Object.assign(this, { box, empty, section, archive: null, total: 0, sources: 0, wanted: null });
    this.cards = new Map();
    this.pages = new Map();
    this.loading = new Map();
    this.due = null;
    this.focused = 0;
    this.run = null;
    const later = () => this.later();
    window.addEventListener('scroll', later, { passive: true });
    new ResizeObserver(later).observe(section);
    box.addEventListener('focusin', (event) => {
      const index = Number(event.target.closest?.('[data-index]')?.dataset.index);
      if (Number.isInteger(index)) this.focused = index;
    });
  }

  /** Shows what is wanted; the same again only comes back into sight. */
  async show(wanted) {
    const key = JSON.stringify(wanted);
    if (key === this.wanted) {
      window.scrollTo(0, this.scrolled || 0);
      this.later();
      this.tell();
      if (this.returning) this.focus(this.focused);
      this.returning = false;
      return;
    }
    this.wanted = key;
    this.run?.abort();
    this.run = new AbortController();
    const run = this.run;
    const address = `/api/chunks?${new URLSearchParams(wanted)}`;
    try {
      const first = await getJson(`${address}&offset=0&limit=${PAGE}`, run.signal);
      if (run.signal.aborted) return;
      this.address = address;
      this.pages = new Map([[0, first.items]]);
      this.loading = new Map();
      this.total = first.total;
      this.sources = first.sources;
      this.focused = 0;
      for (const card of this.cards.values()) card.remove();
      this.cards.clear();
      window.scrollTo(0, 0);
      this.tell();
      this.draw();
    } catch (e) {
      if (e.name !== 'AbortError') {
        this.wanted = null;
        sayProblem(e.message);
      }
    }
  }

  tell() {
    const some = this.total > 0;
    const { q, from, to } = JSON.parse(this.wanted);
    const nothing = q || from || to ? 'No recording matches' : 'This archive holds no recordings yet';
    this.empty.hidden = some;
    this.empty.querySelector('p').textContent = q ? 'Every word has to begin a word in the name or the metadata: fewer or shorter ones find more.'
      : from || to ? 'Nothing here was being recorded then, by the clocks of the recordings.'
        : 'Recordings appear here once they are archived and the index is brought up to date (tiff2flac index).';
    this.empty.querySelector('button').hidden = !(q || from || to);
    const recordings = `${number(this.sources)} recording${this.sources === 1 ? '' : 's'}`;
    const all = this.archive && this.sources === this.archive.sources;
    const long = all && amount(this.archive.seconds) ? ` · ${amount(this.archive.seconds)}` : '';
    say(some ? `${recordings} · ${number(this.total)} chunk${this.total === 1 ? '' : 's'}${long}` : nothing);
  }

  later() {
    if (this.waiting || this.section.hidden) return;
    this.scrolled = window.scrollY;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.draw();
    });
  }

  layout() {
    const width = this.box.clientWidth;
    const gap = width < 600 ? 12 : 16;
    const least = width < 600 || width > 1900 ? 300 : 232;
    const columns = Math.max(1, Math.floor((width + gap) / (least + gap)));
    const cell = (width - gap * (columns - 1)) / columns;
    const height = Math.round(Math.min(cell * 0.5, 200)) + (width > 1900 ? 72 : 66) + gap;
    const rows = Math.ceil(this.total / columns);
    const real = rows * height;
    return { gap, columns, cell, height, rows, real, shown: Math.min(real, HIGHEST) };
  }

  /** Pixels from the top of the list to what is at the top of the window. */
  offset(layout) {
    const top = Math.max(0, window.scrollY - this.box.offsetTop);
    if (layout.real === layout.shown) return { top, shift: 0 };
    const most = Math.max(1, layout.shown - window.innerHeight);
    const real = Math.min(1, top / most) * (layout.real - window.innerHeight);
    return { top: real, shift: top - real };
  }

  draw() {
    if (this.section.hidden) return;
    const layout = this.layout();
    this.box.style.height = `${layout.shown}px`;
    const { top, shift } = this.offset(layout);
    const first = Math.max(0, Math.floor(top / layout.height) - 2) * layout.columns;
    const last = Math.min(this.total, (Math.ceil((top + window.innerHeight) / layout.height) + 2) * layout.columns);
    for (const [index, card] of this.cards) {
      if ((index < first || index >= last) && !card.contains(document.activeElement)) {
        card.remove();
        this.cards.delete(index);
      }
    }
    for (let index = first; index < last; index++) {
      let card = this.cards.get(index);
      const item = this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
      if (!card || (item && card.dataset.id === '')) {
        const fresh = this.card(index, item);
        if (card) card.replaceWith(fresh);
        else this.place(index, fresh);
        this.cards.set(index, fresh);
        card = fresh;
        if (item && index === this.due) queueMicrotask(() => this.giveFocus());
      }
      const [column, row] = [index % layout.columns, Math.floor(index / layout.columns)];
      card.style.width = `${layout.cell}px`;
      card.style.height = `${layout.height - layout.gap}px`;
      card.style.transform = `translate(${column * (layout.cell + layout.gap)}px, ${row * layout.height + shift}px)`;
    }
    if (last > first) this.fetch(Math.floor(first / PAGE), Math.floor((last - 1) / PAGE));
  }

  /** In the order of the list, for those who hear the page instead of seeing it. */
  place(index, card) {
    let next = null;
    for (const [other, element] of this.cards) {
      if (other > index && (next === null || other < Number(next.dataset.index))) next = element;
    }
    this.box.insertBefore(card, next);
  }

  fetch(first, last) {
    for (const [page, control] of this.loading) {
      if (page < first - 1 || page > last + 1) {
        control.abort();
        this.loading.delete(page);
      }
    }
    for (let page = first; page <= last; page++) {
      if (this.pages.has(page) || this.loading.has(page)) continue;
      const control = new AbortController();
      const { run, loading, pages } = this;
      loading.set(page, control);
      const stop = () => control.abort();
      run.signal.addEventListener('abort', stop, { once: true });
      getJson(`${this.address}&offset=${page * PAGE}&limit=${PAGE}`, control.signal).then((answer) => {
        pages.set(page, answer.items);
        for (const old of pages.keys()) {
          if (pages.size <= KEPT) break;
          if (Math.abs(old - page) > 4) pages.delete(old);
        }
        this.later();
      }).catch((e) => {
        if (e.name !== 'AbortError') sayProblem(e.message);
      }).finally(() => {
        if (loading.get(page) === control) loading.delete(page);
      });
    }
  }

  card(index, item) {
    const card = el('div', { class: 'card', role: 'listitem', 'data-index': index, 'data-id': item ? item.id : '' });
    card.setAttribute('aria-setsize', this.total);
    card.setAttribute('aria-posinset', index + 1);
    if (!item) {
      card.append(el('span', { class: 'link waiting' }, el('span', { class: 'picture' })));
      return card;
    }
    const clock = clockParts(item.clock);
    const place = item.end === null ? '' : `${duration(item.start)} – ${duration(item.end)}`;
    const picture = el('span', { class: 'picture' });
    if (item.picture) {
      const image = el('img', { alt: '', decoding: 'async', src: `/chunk/${item.id}/thumb?v=${item.version || 0}` });
      image.addEventListener('error', () => image.replaceWith(el('span', { class: 'none' }, 'no picture')));
      picture.append(image);
    } else picture.append(el('span', { class: 'none' }, item.problem ? 'cannot be read' : 'no picture'));
    if (item.end !== null) picture.append(el('span', { class: 'length' }, duration(item.end - item.start, item.end - item.start < 10 ? 1 : 0)));
    if (item.ok === true) picture.append(el('span', { class: 'badge good', title: 'Compared with its checksum' }, '✓'));
    if (item.ok === false || item.problem) picture.append(el('span', { class: 'badge bad', title: item.problem || 'Not what was archived' }, '!'));
    const when = clock ? `${clock.date}  ${clock.time}` : place;
    const facts = [clock && item.start > 0 ? duration(item.start) : '', kilohertz(item.rate)].filter(Boolean).join(' · ');
    const link = el('a', { class: 'link', href: `#source=${item.source}&t=${item.start}`, tabindex: index === this.focused ? 0 : -1 },
      picture,
      named(item.name, { class: 'name', title: item.folder ? `${item.folder}/${item.name}` : item.name }),
      el('span', { class: 'facts' }, el('span', {}, when), el('span', {}, facts)));
    link.addEventListener('click', () => { this.returning = true; });
    card.append(link);
    return card;
  }

  focusFirst() {
    if (this.total > 0) this.focus(Math.min(this.focused, this.total - 1));
  }

  /** Brings a card into sight and gives it the focus. */
  focus(index) {
    const layout = this.layout();
    const row = Math.floor(index / layout.columns);
    const { top } = this.offset(layout);
    const header = document.getElementById('top').offsetHeight;
    const [above, below] = [row * layout.height - header - 8, (row + 1) * layout.height - window.innerHeight + 8];
    let to = null;
    if (top > above) to = above;
    else if (top < below) to = below;
    if (to !== null) {
      const part = layout.real === layout.shown ? to
        : (to / Math.max(1, layout.real - window.innerHeight)) * (layout.shown - window.innerHeight);
      window.scrollTo(0, this.box.offsetTop + part);
    }
    const before = this.cards.get(this.focused)?.querySelector('a');
    if (before) before.tabIndex = -1;
    this.focused = index;
    this.draw();
    this.due = index;
    this.giveFocus();
  }

  /** A card whose page is still to come gets the focus when it is there. */
  giveFocus() {
    const link = this.cards.get(this.due)?.querySelector('a');
    if (!link) return;
    this.due = null;
    link.tabIndex = 0;
    link.focus({ preventScroll: true });
  }

  /** Keys on the wall; says whether one was used. */
  key(event) {
    if (!this.total || !this.box.contains(document.activeElement)) return false;
    const { columns, height } = this.layout();
    const screen = columns * Math.max(1, Math.floor(window.innerHeight / height) - 1);
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -screen, PageDown: screen,
      Home: -this.total, End: this.total,
    };
    const step = steps[event.key];
    if (step === undefined) return false;
    this.focus(Math.min(this.total - 1, Math.max(0, this.focused + step)));
    return true;
  }
}
