// The page as a whole: which view is shown, the search field, the keys that work everywhere.
// What is shown stands behind the # of the address, so that Back and bookmarks work:
//   #q=harbour&from=…&to=…&order=time      the wall
//   #source=12&t=61.5                      a recording, at a time

import { amount, getJson, number, sayProblem, settled, typing } from './tools.js';
import { Wall } from './wall.js';
import { SourceView } from './source.js';

const $ = (id) => document.getElementById(id);
const wall = new Wall($('wall'), $('empty'), $('wall-view'));
let view = null;
let lastWall = '#';

function wanted() {
  return { q: $('words').value.trim(), from: $('from').value, to: $('to').value, order: $('order').value };
}

function wallAddress(search) {
  const parts = new URLSearchParams();
  for (const [key, value] of Object.entries(search)) {
    if (value && !(key === 'order' && value === 'path')) parts.set(key, value);
  }
  return `#${parts}`;
}

function showTime() {
  const day = (text) => text.replace('T', ' ');
  const [from, to] = [$('from').value, $('to').value];
  const text = from && to ? `${day(from)} – ${day(to)}` : from ? `From ${day(from)}` : to ? `To ${day(to)}` : 'Any time';
  $('when-text').textContent = text;
  $('when').classList.toggle('set', Boolean(from || to));
}

function search() {
  showTime();
  const address = wallAddress(wanted());
  // What is typed while a recording is shown leads back to the wall.
  if (view) location.hash = address;
  else {
    history.replaceState(null, '', address);
    lastWall = address;
    wall.show(wanted());
  }
}

function route() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const id = Number(parts.get('source'));
  view?.close();
  view = null;
  document.body.classList.toggle('on-source', Number.isInteger(id) && id > 0);
  if (Number.isInteger(id) && id > 0) {
    $('wall-view').hidden = true;
    $('source-view').hidden = false;
    view = new SourceView($('source-view'), id, Number(parts.get('t')) || 0);
    window.scrollTo(0, 0);
    return;
  }
  $('source-view').hidden = true;
  $('wall-view').hidden = false;
  lastWall = location.hash || '#';
  $('words').value = parts.get('q') || '';
  $('from').value = parts.get('from') || '';
  $('to').value = parts.get('to') || '';
  $('order').value = parts.get('order') === 'time' ? 'time' : 'path';
  showTime();
  wall.show(wanted());
}

function back() {
  location.hash = lastWall === '#' ? '' : lastWall;
}

const soon = settled(120, search);
$('words').addEventListener('input', soon);
for (const id of ['from', 'to', 'order']) $(id).addEventListener('change', search);
$('search').addEventListener('submit', (event) => {
  event.preventDefault();
  search();
  wall.focusFirst();
});
$('any-time').addEventListener('click', () => {
  $('from').value = $('to').value = '';
  $('when').open = false;
  search();
});
$('empty').querySelector('button').addEventListener('click', () => {
  $('words').value = $('from').value = $('to').value = '';
  search();
  $('words').focus();
});
$('home').addEventListener('click', (event) => {
  event.preventDefault();
  if (view) back();
  else {
    $('words').value = $('from').value = $('to').value = '';
    search();
    window.scrollTo(0, 0);
  }
});
$('help-button').addEventListener('click', () => $('help').showModal());
document.addEventListener('click', (event) => {
  if (!$('when').contains(event.target)) $('when').open = false;
});

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $('help').open) return;
  if (event.key === 'Escape') {
    if ($('when').open) $('when').open = false;
    else if (typing(event.target)) event.target.blur();
    else if (view) back();
    else return;
    event.preventDefault();
    return;
  }
  if (typing(event.target)) {
    if (event.target === $('words') && event.key === 'ArrowDown' && !view) {
      wall.focusFirst();
      event.preventDefault();
    }
    return;
  }
  if (event.key === '/') {
    $('words').focus();
    $('words').select();
  } else if (event.key === '?') $('help').showModal();
  else if (!(view ? view.key(event) : wall.key(event))) return;
  event.preventDefault();
});

window.addEventListener('hashchange', route);
getJson('/api/archive').then((archive) => {
  $('archive-name').textContent = archive.name;
  if (!view) document.title = archive.name;
  wall.archive = archive;
  if (!view && wall.total) wall.tell();
  const hours = amount(archive.seconds);
  $('home').title = `${number(archive.sources)} recordings, ${number(archive.chunks)} chunks${hours ? `, ${hours}` : ''}`;
}, (e) => sayProblem(e.message));
route();
