// ---- Rasters: a canvas of our own, every spike a pixel or more ---------------------------------------------------

function addRaster(figure, spec) {
  const times = unpack(spec.times_ms, Float32Array);
  const rows = unpack(spec.rows, Uint16Array);
  const populations = spec.populations.map((p) => ({ ...p, on: true }));
  const kindOf = new Uint8Array(spec.n_rows);
  populations.forEach((p, k) => kindOf.fill(k, p.first, p.stop));
  const label = `${figure.querySelector(".paper").alt} Arrow keys move, plus and minus zoom, 0 shows the whole stretch.`;
  const canvas = element("canvas", { tabindex: 0, role: "img", "aria-label": label });
  const spike = element("span", { class: "spike" });
  let [from, to] = [0, spec.shown_ms];
  let offsets = [], shownRows = 0; // a hidden population leaves its place to the others
  let box, scale;

  function measure() {
    scale = devicePixelRatio || 1;
    [canvas.width, canvas.height] = [canvas.clientWidth * scale, canvas.clientHeight * scale].map(Math.round);
    const named = populations.length > 1 ? 66 * scale : 8 * scale; // room for the names of the bands
    box = { left: named, top: 4 * scale, width: canvas.width - named - 8 * scale, height: canvas.height - 40 * scale };
  }
  const x = (ms) => box.left + ((ms - from) / (to - from)) * box.width;
  const y = (row) => box.top + ((row + 0.5) / shownRows) * box.height; // the first population stands on top, as layers do in cortex
  const rgba = (colour) => {
    const [r, g, b] = [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  };

  function draw() {
    if (!canvas.clientWidth) return;
    const brush = canvas.getContext("2d");
    const image = brush.createImageData(canvas.width, canvas.height);
    const pixels = new Uint32Array(image.data.buffer);
    const colours = populations.map((p) => rgba(visible(p.colour)));
    const wide = Math.round(scale * Math.min(5, Math.max(1, Math.sqrt(spec.shown_ms / (to - from))))); // dots grow on zoom
    const tall = Math.max(Math.min(wide, Math.round(3 * scale)), Math.floor((0.8 * box.height) / shownRows));
    const bottom = box.top + box.height - tall;
    const right = box.left + box.width - wide;
    const [perMs, perRow] = [box.width / (to - from), box.height / shownRows];
    for (let k = bisect(times, from); k < times.length && times[k] <= to; k++) {
      const kind = kindOf[rows[k]];
      if (!populations[kind].on) continue;
      const left = Math.min(right, box.left + (times[k] - from) * perMs) | 0;
      const top = Math.min(bottom, box.top + (rows[k] - offsets[kind]) * perRow) | 0;
      for (let j = top; j < top + tall; j++) pixels.fill(colours[kind], j * canvas.width + left, j * canvas.width + left + wide);
    }
    brush.putImageData(image, 0, 0);
    brush.font = `${12 * scale}px system-ui, sans-serif`;
    brush.fillStyle = brush.strokeStyle = style("--soft");
    brush.strokeRect(box.left, box.top, box.width, box.height);
    const rough = (to - from) / Math.max(2, canvas.clientWidth / 110);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    brush.textAlign = "center";
    for (let k = Math.ceil(from / step); k * step <= to; k++) {
      brush.fillRect(x(k * step), box.top + box.height, scale, 5 * scale);
      const half = 18 * scale;
      brush.fillText(significant(k * step, 7), Math.min(canvas.width - half, Math.max(half, x(k * step))), box.top + box.height + 18 * scale);
    }
    nameBands(brush, perRow);
    brush.textAlign = "center";
    brush.fillStyle = style("--soft");
    brush.fillText("time (ms)", box.left + box.width / 2, canvas.height - 4 * scale);
  }
  function nameBands(brush, perRow) { // each population at its band; those that are too close move apart
    if (populations.length < 2) return;
    const shown = populations.filter((p) => p.on);
    const middles = shown.map((p) => box.top + ((p.first + p.stop) / 2 - offsets[populations.indexOf(p)]) * perRow);
    const places = spread(middles, 12 * scale, box.top + box.height - 4 * scale);
    brush.textAlign = "right";
    brush.font = `${11 * scale}px system-ui, sans-serif`;
    shown.forEach((p, k) => {
      brush.fillStyle = visible(p.colour);
      brush.fillText(p.name.length > 9 ? `${p.name.slice(0, 8)}…` : p.name, box.left - 5 * scale, places[k] + 4 * scale);
    });
    brush.font = `${12 * scale}px system-ui, sans-serif`;
  }
  const redraw = onceAFrame(draw);
  function view(start, length) {
    const span = Math.min(spec.shown_ms, Math.max(1, length));
    from = Math.min(spec.shown_ms - span, Math.max(0, start));
    to = from + span;
    redraw();
  }
  const zoom = (factor, at = (from + to) / 2) => view(at - (at - from) * factor, (to - from) * factor);
  const move = (share) => view(from + share * (to - from), to - from);
  const timeAt = (event) => from + ((event.offsetX * scale - box.left) / box.width) * (to - from);

  function readOut(event) {
    const reach = (4 * scale * (to - from)) / box.width;
    const [ms, height] = [timeAt(event), event.offsetY * scale];
    let best = null, least = 12 * scale;
    for (let k = bisect(times, ms - reach); k < times.length && times[k] < ms + reach; k++) {
      const kind = kindOf[rows[k]];
      const distance = populations[kind].on ? Math.hypot(x(times[k]) - x(ms), y(rows[k] - offsets[kind]) - height) : Infinity;
      if (distance < least) [best, least] = [k, distance];
    }
    if (best === null) return (spike.textContent = "");
    const p = populations[kindOf[rows[best]]];
    const unit = Math.floor(((rows[best] - p.first) * p.size) / (p.stop - p.first));
    return (spike.textContent = `${times[best].toFixed(1)} ms: ${p.name}, unit ${unit.toLocaleString("en")}`);
  }

  const pointers = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, event.offsetX);
    canvas.setPointerCapture(event.pointerId);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return readOut(event);
    const before = [...pointers.values()];
    const shift = event.offsetX - pointers.get(event.pointerId);
    pointers.set(event.pointerId, event.offsetX);
    const after = [...pointers.values()];
    if (after.length === 1) return move((-shift * scale) / box.width);
    return zoom(Math.abs(before[0] - before[1]) / Math.max(8, Math.abs(after[0] - after[1])), timeAt(event));
  });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the wheel alone scrolls the page
    event.preventDefault();
    zoom(1.002 ** event.deltaY, timeAt(event));
  }, { passive: false });
  const keys = { ArrowLeft: () => move(-0.2), ArrowRight: () => move(0.2), "+": () => zoom(0.5), "-": () => zoom(2), 0: () => view(0, spec.shown_ms) };
  canvas.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  });

  function arrange() {
    shownRows = 0;
    offsets = populations.map((p) => {
      const offset = p.first - shownRows;
      shownRows += p.on ? p.stop - p.first : 0;
      return offset;
    });
    shownRows = Math.max(1, shownRows);
    redraw();
  }
  const items = populations.map((p) => ({ name: `${p.name}: ${(p.stop - p.first).toLocaleString("en")} of ${p.size.toLocaleString("en")}`, colour: p.colour, thick: true, of: p }));
  const tools = element("div", { class: "tools" }, button("Zoom in", keys["+"]), button("Zoom out", keys["-"]), button("Earlier", keys.ArrowLeft),
    button("Later", keys.ArrowRight), button("All", keys[0]), spike);
  const [shown, whole] = [spec.shown_ms, spec.duration_ms].map((ms) => Number(ms.toPrecision(6)).toLocaleString("en"));
  const stretch = spec.shown_ms < spec.duration_ms ? `the first ${shown} of ${whole} ms` : `${whole} ms`;
  const note = `${times.length.toLocaleString("en")} of ${spec.n_spikes.toLocaleString("en")} spikes are shown: ${stretch}. Drag to move, Ctrl and wheel or two fingers to zoom; point at a spike to read it.`;
  function tableRows() {
    const counts = populations.map(() => 0);
    rows.forEach((row) => counts[kindOf[row]]++);
    return populations.map((p, k) => [p.name, p.size, p.stop - p.first, counts[k]].map((v) => v.toLocaleString("en")));
  }
  const below = dataBelow(["population", "units", "units shown", "spikes shown"], tableRows);
  const list = legend(figure.dataset.key, items, (item, on) => { item.of.on = on; arrange(); });
  figure.querySelector(".screen").append(element("div", { class: "chart" }, tools, canvas, list, element("p", { class: "note" }, note), below));
  drawn.push(draw);
  new ResizeObserver(() => { measure(); draw(); }).observe(canvas);
  measure();
  arrange();
}
