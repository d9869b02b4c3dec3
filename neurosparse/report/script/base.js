/* The page is whole without this script. It makes tables sort, puts charts in the place of figures, and moves the window. */
const data = JSON.parse(document.getElementById("data").textContent);
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const dark = matchMedia("screen and (prefers-color-scheme: dark)");
const touch = matchMedia("(pointer: coarse)").matches;
const drawn = []; // functions that draw again, in the colours of the day or the night

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
const bytes = (text) => Uint8Array.fromBase64?.(text) ?? Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const unpack = (text, Type) => new Type(bytes(text).buffer);
const significant = (value, digits) => String(Number(value.toPrecision(digits)));
const inMs = (value) => `${Number(value.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 })} ms`;
function percent(fraction) { // the digits that the rest of the page and comparison.json's sentences show
  const value = 100 * fraction;
  if (value === 0 || value === 100) return `${value} %`;
  return `${value < 9.95 ? value.toPrecision(2) : value.toFixed(1)} %`;
}
const byNight = { "#000000": "--text", "#6e6e6e": "--soft", "#0072b2": "--blue", "#332288": "--indigo", "#882255": "--wine", "#117733": "--green" }; // too dark to be seen on a dark page
const visible = (colour) => (byNight[colour] ? style(byNight[colour]) : colour);
function bisect(sorted, value) { // the first index with sorted[index] >= value
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
function onceAFrame(draw) { // a function that asks for a drawing, however often it is called
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  };
}

// ---- What is chosen stands in the address: the window, the circuit compared with, what is hidden

const chosen = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
let writing;
function remember(key, value) {
  if (value === null || value === "") chosen.delete(key);
  else chosen.set(key, value);
  clearTimeout(writing); // a browser takes only so many changes of the address in a while
  writing = setTimeout(() => history.replaceState(null, "", `#${chosen}`), 150);
}
const hidden = new Set(chosen.getAll("hide").flatMap((names) => names.split("|")));
function rememberHidden(name, on) {
  if (on) hidden.delete(name);
  else hidden.add(name);
  remember("hide", [...hidden].join("|"));
}
function spread(places, gap, most) { // labels that would cover each other move apart, order kept
  const order = places.map((_, k) => k).sort((a, b) => places[a] - places[b]);
  const moved = [...places];
  order.forEach((k, i) => { if (i) moved[k] = Math.max(moved[k], moved[order[i - 1]] + gap); });
  let ceiling = most;
  for (const k of order.toReversed()) {
    moved[k] = Math.min(moved[k], ceiling);
    ceiling = moved[k] - gap;
  }
  return moved;
}
