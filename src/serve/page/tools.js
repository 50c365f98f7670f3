// Small things that all parts of the page use. Texts from the archive are only ever put in as text.

/** An element with attributes and children; strings become text. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key === 'class') element.className = value;
    else element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** JSON from this server; errors have the server's own words, as a sentence, and its `status`. */
export async function getJson(address, signal) {
  let answer;
  try {
    answer = await fetch(address, { signal, cache: 'no-store' });
  } catch (e) {
    if (e.name === 'AbortError') throw e;
    throw new Error('The server does not answer. Is it still running?');
  }
  if (!answer.ok) {
    const text = (await answer.text()).trim() || `the server answers ${answer.status}`;
    const sentence = text.charAt(0).toUpperCase() + text.slice(1);
    throw Object.assign(new Error(/[.!?]$/.test(sentence) ? sentence : `${sentence}.`), { status: answer.status });
  }
  return answer.json();
}

/** Characters at the end of a name that stay in sight. */
const KEPT_END = /^(.+?)([\x21-\x7e]{12})$/s;
const RIGHT_TO_LEFT = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufeff]/;

/** Characters of a beginning that is never shortened; more of them are always wider than the least that style.css leaves. */
const SHORT = 10;

/** A name in one line; where there is no room for all of it, its middle is left out, since ends tell files apart. */
export function named(text, attributes = {}, end = KEPT_END) {
  const parts = RIGHT_TO_LEFT.test(text) ? null : end.exec(text);
  // A short beginning is kept whole: next to nothing can be left out of it.
  const [head, tail] = parts?.[1].length >= SHORT ? [parts[1], parts[2]] : [text, null];
  const about = { title: text, ...attributes, class: `named ${attributes.class || ''}`.trim() };
  return el('span', about, el('bdi', {}, head), tail && el('bdi', {}, tail));
}

/** 1:02:03, or 2:03; with tenths where `digits` asks for them. */
export function duration(seconds, digits = 0) {
  if (!Number.isFinite(seconds)) return '–';
  const unit = 10 ** digits;
  const all = Math.floor(Math.max(0, seconds) * unit + 1e-6);
  const whole = Math.floor(all / unit);
  const pad = (n) => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const fraction = digits ? '.' + String(all % unit).padStart(digits, '0') : '';
  return (h ? `${h}:${pad(m)}` : `${m}`) + `:${pad(s)}${fraction}`;
}

/** Hours of an archive in words. */
export function amount(seconds) {
  if (!Number.isFinite(seconds) || seconds <= 0) return '';
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  const hours = seconds / 3600;
  return `${hours < 10 ? hours.toFixed(1) : number(Math.round(hours))} h`;
}

export function number(n) {
  return n.toLocaleString('en');
}

export function bytes(n) {
  if (n === null || n === undefined) return '–';
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) [n, i] = [n / 1000, i + 1];
  return `${i && n < 100 ? n.toFixed(1) : number(Math.round(n))} ${units[i]}`;
}

export function kilohertz(rate) {
  return rate ? `${Number((rate / 1000).toFixed(3))} kHz` : '';
}

/** A recording's clock (ISO 8601, kept as it is written) as date, time and offset. */
export function clockParts(text) {
  const found = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?$/.exec(text || '');
  return found ? { date: found[1], time: found[2], offset: found[4] || '' } : null;
}

/** The clock that many seconds on: the same clock, so no time zone comes in. */
export function clockAt(text, seconds) {
  const parts = clockParts(text);
  if (!parts) return null;
  const start = Date.parse(`${parts.date}T${parts.time}Z`);
  const fraction = Number(/T[\d:]+(\.\d+)/.exec(text)?.[1] || 0);
  const at = new Date(start + (seconds + fraction) * 1000);
  if (Number.isNaN(at.getTime())) return null;
  const iso = at.toISOString();
  return { date: iso.slice(0, 10), time: iso.slice(11, 19), offset: parts.offset };
}

/** Calls `body` once things have been quiet for a while. */
export function settled(wait, body) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => body(...values), wait);
  };
}

/** Whether keys belong to a field that is being typed in. */
export function typing(target) {
  return target instanceof HTMLElement && (target.matches('input, select, textarea') || target.isContentEditable);
}

export function say(text) {
  const status = document.getElementById('status');
  status.textContent = text;
  status.classList.remove('problem');
}

export function sayProblem(text) {
  say(text);
  document.getElementById('status').classList.add('problem');
}
