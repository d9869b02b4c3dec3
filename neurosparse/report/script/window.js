// ---- The window: circuits move with it -------------------------------------------------------------------------

const circuits = (data.windows?.circuits ?? []).map((circuit) => ({
  name: circuit.name,
  windows: unpack(circuit.window_ms, Float64Array),
  fractions: unpack(circuit.active_fraction, Float64Array),
}));
function between(xs, ys, x) { // linear; null outside
  const k = bisect(xs, x);
  if (k === xs.length || (k === 0 && xs[0] !== x)) return null;
  return xs[k] === x ? ys[k] : ys[k - 1] + ((ys[k] - ys[k - 1]) * (x - xs[k - 1])) / (xs[k] - xs[k - 1]);
}
const activeIn = (circuit, ms) => between(circuit.windows, circuit.fractions, ms);
function windowOf(circuit, fraction) { // below the shortest window the curve goes to the origin
  const { windows, fractions } = circuit;
  return fraction < fractions[0] ? (windows[0] * fraction) / fractions[0] : between(fractions, windows, fraction);
}
function whyNot(circuit, ms) { // no share of a circuit in a window
  const shortest = circuit.windows[0];
  return ms < shortest ? `shorter than its step of ${inMs(shortest)}` : "longer than its record";
}

let windowMs = data.windows?.start_ms;
const followers = []; // what moves with the window: the chart, the spikes
let setWindow = () => {};

function startWindow() {
  const { grid_ms: grid, networks } = data.windows;
  const [slider, number, beside, note] = ["slider", "window-ms", "beside", "window-note"].map((id) => document.getElementById(id));
  const [shortest, longestOfAll] = [grid[0], grid.at(-1)];

  function put(row, fraction, equivalent, words, longest) {
    const [active, equal] = row.querySelectorAll("data");
    active.value = fraction ?? "";
    active.textContent = fraction === null ? words : percent(fraction);
    equal.value = equivalent ?? "";
    equal.textContent = fraction === null ? "-" : equivalent === null ? `more than ${inMs(longest)}` : inMs(equivalent);
  }
  function show() {
    const other = circuits[beside.value];
    const longest = other.windows.at(-1);
    document.getElementById("beside-name").textContent = other.name;
    circuits.forEach((circuit, k) => {
      const fraction = activeIn(circuit, windowMs);
      const equivalent = fraction === null ? null : circuit === other ? windowMs : windowOf(other, fraction);
      put(document.querySelector(`[data-circuit="${k}"]`), fraction, equivalent, whyNot(circuit, windowMs), longest);
    });
    networks.forEach((network, k) => {
      put(document.querySelector(`[data-network="${k}"]`), network.active_fraction, network.equivalent_ms[beside.value], "", longest);
    });
    slider.value = Math.log10(windowMs);
    slider.setAttribute("aria-valuetext", inMs(windowMs));
    followers.forEach((follow) => follow());
  }
  function clamped(ms) { // what is out of reach is said, not ignored
    const within = Math.min(longestOfAll, Math.max(shortest, ms));
    note.textContent = within === ms ? "" : ms > within ? `The longest window is ${inMs(within)}: shown is this.` : `The shortest window is ${inMs(within)}: shown is this.`;
    return within;
  }
  setWindow = (ms) => { // by hand: three digits are enough, the ends are kept
    const within = clamped(ms);
    windowMs = within === ms ? Math.min(longestOfAll, Math.max(shortest, Number(ms.toPrecision(3)))) : within;
    number.value = significant(windowMs, 6);
    remember("window", number.value);
    show();
  };
  slider.addEventListener("input", () => setWindow(10 ** slider.value));
  slider.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (!step) return;
    event.preventDefault();
    stepWindow(step);
  });
  number.addEventListener("input", () => {
    const typed = Number(number.value);
    if (number.value === "" || !(typed > 0)) return void (note.textContent = "A window is a number of ms above 0.");
    windowMs = clamped(typed);
    remember("window", significant(windowMs, 6));
    show();
  });
  number.addEventListener("change", () => (number.value = significant(windowMs, 6)));
  beside.addEventListener("input", () => { remember("beside", beside.value); show(); });
  const asked = Number(chosen.get("window"));
  if (asked > 0) windowMs = clamped(asked);
  if (circuits[chosen.get("beside")]) beside.value = chosen.get("beside");
  number.value = significant(windowMs, 6);
  show();
}
function stepWindow(steps) { // 2.5 % of a decade and at least the last of three digits
  const next = windowMs * 10 ** (0.025 * steps);
  setWindow(next.toPrecision(3) === windowMs.toPrecision(3) ? next * (1 + Math.sign(steps) / 100) : next);
}
