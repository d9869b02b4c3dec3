// ---- 300 ms of spikes with the window as a box: the neurons that fire in it are lit

const STRIP_MS = 300, STRIP_ROWS = 100;

function addStrip(holder, spec) {
  const [times, rows] = [unpack(spec.times_ms, Float32Array), unpack(spec.rows, Uint16Array)];
  const length = Math.min(STRIP_MS, spec.shown_ms);
  const every = Math.max(1, spec.n_rows / STRIP_ROWS); // a sample, each population in proportion
  const count = Math.floor(spec.n_rows / every);
  const spikes = [];
  for (let k = 0; k < times.length && times[k] < length; k++) {
    const row = Math.round(rows[k] / every);
    if (row < count && Math.round(row * every) === rows[k]) spikes.push([times[k], row]);
  }
  const colourOfRow = (row) => spec.populations.find((p) => Math.round(row * every) < p.stop).colour;
  const canvas = element("canvas", { class: "strip", role: "img", "aria-label": `${significant(length, 3)} ms of spikes of ${count} neurons; the window is a box, and the neurons that fire in it are lit.` });
  const place = element("input", { type: "range", min: 0, max: 1, step: 0.005, value: 0.4 });
  const said = element("p", { class: "note", role: "status" });
  let scale = 1;

  function boxed() { // where the window lies, in ms
    const wide = Math.min(windowMs, length);
    const from = Number(place.value) * (length - wide);
    return [from, from + wide];
  }
  const firing = (from, to) => new Set(spikes.filter(([ms]) => ms >= from && ms < to).map(([, row]) => row));
  function typicalPlace() { // where about as many fire as on average
    const [wide, whole] = [Math.min(windowMs, length), activeIn(circuits[0], windowMs)];
    if (whole === null) return 0.4;
    const miss = (place) => Math.abs(firing(place * (length - wide), place * (length - wide) + wide).size - whole * count);
    const places = [...Array(41).keys()].map((k) => k / 40).sort((a, b) => Math.abs(a - 0.4) - Math.abs(b - 0.4));
    return places.reduce((best, place) => (miss(place) < miss(best) ? place : best));
  }
  function draw() {
    if (!canvas.clientWidth) return;
    scale = devicePixelRatio || 1;
    [canvas.width, canvas.height] = [canvas.clientWidth * scale, canvas.clientHeight * scale].map(Math.round);
    const brush = canvas.getContext("2d");
    const [left, right, below] = [4 * scale, 22 * scale, 22 * scale];
    const [wide, high] = [canvas.width - left - right, canvas.height - below];
    const x = (ms) => left + (ms / length) * wide;
    const size = high / count;
    const [from, to] = boxed();
    const lit = firing(from, to);
    brush.fillStyle = style("--mark");
    brush.globalAlpha = 0.15;
    brush.fillRect(x(from), 0, Math.max(scale, x(to) - x(from)), high);
    for (const row of lit) brush.fillRect(left, row * size, wide, Math.max(1, size));
    brush.globalAlpha = 1;
    for (const [ms, row] of spikes) {
      const inside = ms >= from && ms < to;
      brush.fillStyle = inside ? visible(colourOfRow(row)) : style("--soft");
      brush.globalAlpha = inside ? 1 : 0.6;
      const side = (inside ? 5 : 3) * scale; // what is lit is seen first
      brush.fillRect(x(ms) - side / 2, (row + 0.5) * size - side / 2, side, side);
    }
    brush.globalAlpha = 1;
    for (let row = 0; row < count; row++) { // a lamp for each neuron
      brush.fillStyle = lit.has(row) ? visible(colourOfRow(row)) : style("--line");
      brush.fillRect(canvas.width - 14 * scale, row * size + 0.1 * size, 10 * scale, 0.8 * size);
    }
    brush.strokeStyle = style("--mark");
    brush.lineWidth = 2 * scale;
    brush.strokeRect(x(from), scale, Math.max(scale, x(to) - x(from)), high - 2 * scale);
    brush.fillStyle = style("--soft");
    brush.font = `${12 * scale}px system-ui, sans-serif`;
    brush.textAlign = "center";
    for (let ms = 0; ms < 0.9 * length; ms += canvas.clientWidth > 500 ? 50 : 100) brush.fillText(ms, Math.max(x(ms), 10 * scale), high + 16 * scale);
    brush.textAlign = "right";
    brush.fillText(`${significant(length, 3)} ms`, left + wide, high + 16 * scale);
    say(lit.size);
  }
  function say(lit) {
    const counted = `${lit} of ${count} neurons ${lit === 1 ? "fires" : "fire"}`;
    const whole = activeIn(circuits[0], windowMs);
    const here = windowMs > length ? `The window of ${inMs(windowMs)} is longer than this stretch, in which ${counted}.` : `In this window of ${inMs(windowMs)} ${counted}.`;
    const all = whole === null ? "" : ` Averaged over every place of the window in the record and all neurons of “${circuits[0].name}”: ${percent(whole)}.`;
    said.textContent = here + all;
  }
  place.value = typicalPlace();
  const redraw = onceAFrame(draw);
  place.addEventListener("input", redraw);
  canvas.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    const wide = Math.min(windowMs, length);
    const at = (event.offsetX / canvas.clientWidth) * length - wide / 2;
    place.value = length > wide ? at / (length - wide) : 0;
    redraw();
  });
  holder.append(canvas, element("label", { class: "along" }, "Move the window along the spikes", place), said);
  followers.push(redraw);
  drawn.push(redraw);
  new ResizeObserver(redraw).observe(canvas);
  draw();
}
