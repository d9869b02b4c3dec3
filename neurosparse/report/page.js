"use strict";
/* The page is whole without this script. It makes tables sort, puts charts in the place of figures, and moves the window. */
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dark = matchMedia("screen and (prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)").matches;

  // ---- Helpers ---------------------------------------------------------------------------------------------------

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
  const byNight = { "#000000": "--text", "#0072b2": "--blue", "#332288": "--indigo", "#882255": "--wine", "#117733": "--green" }; // too dark to be seen on a dark page
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

  // ---- Tables ----------------------------------------------------------------------------------------------------

  // Columns whose cells begin with a number sort by it, others as text ("layer 2" before "layer 10"); "-" and "none" come last.
  function makeSortable(table) {
    const body = table.tBodies[0];
    table.querySelectorAll("thead th").forEach((head, column) => {
      const text = (row) => row.cells[column].textContent.replaceAll(",", "");
      const filled = (row) => !["-", "none", ""].includes(text(row));
      head.replaceChildren(element("button", { type: "button", onclick: sort }, head.textContent));
      function sort() {
        const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        const rows = [...body.rows];
        const numeric = rows.filter(filled).every((row) => !Number.isNaN(parseFloat(text(row))));
        const order = (a, b) => numeric ? parseFloat(text(a)) - parseFloat(text(b)) : text(a).localeCompare(text(b), "en", { numeric: true });
        rows.sort((a, b) => filled(b) - filled(a) || (filled(a) ? sign * order(a, b) : 0));
        body.append(...rows);
        table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      }
    });
  }

  // The legend is of buttons, which wrap on a phone and can be reached by keyboard.
  function legend(items, toggle) {
    const list = element("ul", { class: "legend" });
    for (const item of items) {
      const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      swatch.setAttribute("width", 22);
      swatch.setAttribute("height", 12);
      swatch.setAttribute("aria-hidden", "true");
      const dashes = { dash: "6 3", dot: "2 3", dashdot: "6 3 2 3" };
      const look = `stroke-width="${item.thick ? 9 : 2.5}" stroke-dasharray="${dashes[item.dash] ?? ""}" opacity="${item.opacity ?? 1}"`;
      swatch.innerHTML = item.dot ? '<path d="M11 6h0" stroke-width="8" stroke-linecap="round"/>' : `<path d="M0 6H22" ${look}/>`;
      swatch.firstChild.style.stroke = byNight[item.colour] ? `var(${byNight[item.colour]})` : item.colour;
      const button = element("button", { type: "button", "aria-pressed": "true", onclick: press }, swatch, element("span", {}, item.name));
      function press() {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", on);
        toggle(item, on);
      }
      list.append(element("li", {}, button));
    }
    return list;
  }

  function dataTable(columns, rows) {
    const cells = (row) => row.map((cell, k) => element(k ? "td" : "th", k ? {} : { scope: "row" }, String(cell)));
    const head = element("tr", {}, ...columns.map((column) => element("th", { scope: "col" }, column)));
    const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row)))));
    return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The data as a table" }, table);
  }
  function dataBelow(columns, rows) { // made when it is first opened
    const fill = () => details.childElementCount === 1 && details.append(dataTable(columns, rows()));
    const details = element("details", { class: "data", ontoggle: fill }, element("summary", {}, "The data as a table"));
    return details;
  }

  // ---- The window: circuits move with it -------------------------------------------------------------------------

  const circuits = (data.windows?.circuits ?? []).map((circuit) => ({
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

  let windowMs = data.windows?.start_ms;
  let onWindow = () => {}; // the main chart, once it is there
  function startWindow() {
    const { grid_ms: grid, band, networks } = data.windows;
    const [slider, number, beside] = ["slider", "window-ms", "beside"].map((id) => document.getElementById(id));
    const place = (fraction) => {
      const shown = Math.round(1000 * fraction) / 10;
      return shown < 100 * band.low ? "below" : shown > 100 * band.high ? "above" : "within";
    };
    function put(row, fraction, equivalent, longest) {
      const [active, , equal] = [...row.cells].slice(1);
      active.firstChild.value = fraction ?? "";
      active.firstChild.textContent = fraction === null ? "longer than its record" : percent(fraction);
      row.cells[2].textContent = fraction === null ? "-" : place(fraction);
      equal.firstChild.value = equivalent ?? "";
      equal.firstChild.textContent = fraction === null ? "-" : equivalent === null ? `more than ${inMs(longest)}` : inMs(equivalent);
    }
    function show() {
      const other = circuits[beside.value];
      const longest = other.windows.at(-1);
      document.getElementById("beside-name").textContent = beside.selectedOptions[0].textContent;
      circuits.forEach((circuit, k) => {
        const fraction = activeIn(circuit, windowMs);
        const equivalent = fraction === null ? null : circuit === other ? windowMs : windowOf(other, fraction);
        put(document.querySelector(`[data-circuit="${k}"]`), fraction, equivalent, longest);
      });
      networks.forEach((network, k) => {
        put(document.querySelector(`[data-network="${k}"]`), network.active_fraction, network.equivalent_ms[beside.value], longest);
      });
      slider.setAttribute("aria-valuetext", inMs(windowMs));
      onWindow();
    }
    function nearest(ms) {
      const k = Math.min(bisect(grid, ms), grid.length - 1);
      return k && ms - grid[k - 1] < grid[k] - ms ? k - 1 : k;
    }
    slider.addEventListener("input", () => {
      windowMs = grid[slider.value];
      number.value = significant(windowMs, 6);
      show();
    });
    number.addEventListener("input", () => {
      if (!number.validity.valid || number.value === "") return;
      windowMs = Number(number.value);
      slider.value = nearest(windowMs);
      show();
    });
    beside.addEventListener("input", show);
    slider.value = nearest(windowMs);
    number.value = significant(windowMs, 6);
    document.getElementById("window").hidden = false;
    show();
  }

  // ---- Charts ----------------------------------------------------------------------------------------------------

  const text = (value) => value.replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]); // Plotly reads HTML in names
  const colourOf = (trace) => trace.line?.color ?? trace.marker?.color;
  const drawn = []; // functions that draw a chart again, in the colours of the day or the night

  const wrapped = (label, width) => text(label).replace(new RegExp(`(.{1,${Math.floor(width / 7)}})(\\s|$)`, "g"), "$1<br>").replace(/<br>$/, "");

  function axis(spec, length) {
    const ticks = spec.ticktext ? { tickvals: spec.tickvals, ticktext: spec.ticktext.map(text) } : {};
    const decades = Math.abs(spec.range[1] - spec.range[0]);
    const log = spec.type === "log" && !spec.ticktext ? { dtick: decades < 3 ? "D2" : 1, tickformat: "~r" } : {};
    const lines = { gridcolor: style("--line"), linecolor: style("--soft"), zeroline: false, automargin: true };
    return { title: { text: wrapped(spec.label, length), standoff: 8, font: { size: 12 } }, type: spec.type, range: spec.range, ...lines, ...ticks, ...log };
  }
  function layout(spec, plot, shapes = []) {
    const bands = spec.bands.map((band) => ({
      type: "rect", layer: "below", xref: "paper", x0: 0, x1: 1, y0: band.from, y1: band.to, line: { width: 0 },
      fillcolor: band.color, opacity: band.opacity * (dark.matches ? 0.6 : 1), visible: !band.hidden,
    }));
    const annotations = spec.notes.map((note) => ({
      text: text(note.text), x: note.at[0], y: note.at[1], xshift: note.shift[0], yshift: note.shift[1] + 6,
      xanchor: note.anchor, showarrow: false, font: { size: 11 },
    }));
    return {
      xaxis: axis(spec.x, plot.clientWidth - 60), yaxis: axis(spec.y, plot.clientHeight - 60), shapes: [...bands, ...shapes], annotations, uirevision: "keep",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: style("--text") }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: style("--card"), bordercolor: style("--line"), font: { color: style("--text") }, namelength: -1 },
      margin: { l: 10, r: 10, t: touch ? 36 : 10, b: 10 }, modebar: { bgcolor: "rgba(0,0,0,0)", color: style("--soft"), activecolor: style("--text") }, showlegend: false, hovermode: "closest", barmode: "overlay",
      dragmode: touch ? false : "zoom", // a finger scrolls the page
    };
  }
  function traces(spec) {
    const label = (axisSpec, value) => {
      const gaps = axisSpec.tickvals.map((tick) => Math.abs(tick - value));
      return axisSpec.ticktext[gaps.indexOf(Math.min(...gaps))];
    };
    const coordinate = (name, values) => {
      const known = spec[name].ticktext && spec[name].type === "linear";
      return known ? ["%{text}", values.map((v) => text(label(spec[name], v)))] : [`%{meta[${name === "x" ? 0 : 1}]}: %{${name}:.4~r}`];
    };
    return spec.traces.map((trace) => {
      const [x, xNames] = coordinate("x", trace.x);
      const [y, yNames] = coordinate("y", trace.y);
      const colour = visible(colourOf(trace));
      return {
        ...trace, name: text(trace.name), visible: !trace.hidden, meta: [spec.x.label, spec.y.label].map(text),
        ...(xNames || yNames ? { text: xNames ?? yNames, textposition: "none" } : {}),
        ...(trace.line ? { line: { ...trace.line, color: colour } } : {}),
        ...(trace.marker ? { marker: { ...trace.marker, color: colour } } : {}),
        ...(trace.fill ? { fillcolor: colour + "44" } : {}),
        hovertemplate: `${trace.name ? "<b>%{fullData.name}</b><br>" : ""}${x}<br>${y}<extra></extra>`,
      };
    });
  }

  function addChart(screen, spec, label, titled) {
    const plot = element("div", { class: "plot", role: "img", "aria-label": label });
    const isMain = screen.parentElement.querySelector("#window") !== null;
    const marker = { type: "scatter", mode: "markers", hoverinfo: "skip", marker: { size: 12, symbol: "circle-open", line: { width: 3 } } };
    function atWindow() {
      const points = circuits.map((circuit) => activeIn(circuit, windowMs)).map((fraction) => fraction && 100 * fraction);
      const line = { type: "line", xref: "x", yref: "paper", x0: windowMs, x1: windowMs, y0: 0, y1: 1, line: { color: style("--soft"), width: 1.5 } };
      return [{ x: points.map(() => windowMs), y: points }, [line]];
    }
    function draw() {
      const [points, shapes] = isMain ? atWindow() : [null, []];
      marker.marker.color = style("--soft");
      const config = {
        responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
        showSendToCloud: false, plotlyServerURL: "", // Plotly 4 has a button that uploads the chart
      };
      return Plotly.react(plot, [...traces(spec), ...(points ? [{ ...marker, ...points }] : [])], layout(spec, plot, shapes), config);
    }
    const named = spec.traces.filter((trace) => trace.name);
    const items = [
      ...named.map((trace) => ({
        name: trace.name, colour: colourOf(trace), dash: trace.line?.dash, thick: trace.type === "bar" || trace.fill, dot: trace.mode === "markers", of: trace,
      })),
      ...spec.bands.filter((band) => band.name).map((band) => ({ name: band.name, colour: band.color, opacity: band.opacity, thick: true, of: band })),
    ];
    function toggle(item, on) { // what has no name goes with what has its colour
      item.of.hidden = !on;
      if (item.of.x) spec.traces.filter((trace) => !trace.name && colourOf(trace) === item.colour).forEach((trace) => (trace.hidden = !on));
      draw();
    }
    function rows() {
      const most = 24;
      return spec.traces.flatMap((trace) => {
        const step = Math.max(1, Math.ceil(trace.x.length / most));
        const some = trace.x.map((_, k) => k).filter((k) => k % step === 0 && trace.x[k] !== null && trace.y[k] !== null);
        return some.map((k) => [trace.name || "-", significant(trace.x[k], 4), significant(trace.y[k], 4)]);
      });
    }
    const title = titled ? [element("h3", {}, spec.title)] : [];
    const below = dataBelow(["series", spec.x.label || "x", spec.y.label || "y"], rows);
    screen.append(element("div", { class: `chart${isMain ? " main" : ""}` }, ...title, plot, legend(items, toggle), below));
    drawn.push(draw);
    if (isMain) {
      let waiting = false;
      const move = () => {
        waiting = false;
        const [points, shapes] = atWindow();
        Plotly.update(plot, { x: [points.x], y: [points.y] }, { shapes: layout(spec, plot, shapes).shapes }, [spec.traces.length]);
      };
      onWindow = () => {
        if (!waiting) requestAnimationFrame(move);
        waiting = true;
      };
    }
    return draw();
  }

  async function addCharts(figure) {
    const specs = data.charts[figure.dataset.key];
    const [screen, label] = [figure.querySelector(".screen"), figure.querySelector(".paper").alt];
    figure.classList.add("live");
    try {
      for (const spec of specs) await addChart(screen, spec, label, specs.length > 1);
    } catch (error) { // the figure stays
      figure.classList.remove("live");
      console.error(error);
    }
  }

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
      box = { left: 8 * scale, top: 4 * scale, width: canvas.width - 16 * scale, height: canvas.height - 40 * scale };
    }
    const x = (ms) => box.left + ((ms - from) / (to - from)) * box.width;
    const y = (row) => box.top + (1 - (row + 1) / shownRows) * box.height; // the first population stands below
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
      const tall = Math.max(1, Math.floor((0.8 * box.height) / shownRows));
      const wide = Math.max(1, Math.round(scale));
      const right = box.left + box.width - wide;
      const [perMs, perRow] = [box.width / (to - from), box.height / shownRows];
      for (let k = bisect(times, from); k < times.length && times[k] <= to; k++) {
        const kind = kindOf[rows[k]];
        if (!populations[kind].on) continue;
        const left = Math.min(right, box.left + (times[k] - from) * perMs) | 0;
        const top = (box.top + box.height - (rows[k] - offsets[kind] + 1) * perRow) | 0;
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
      brush.fillText("time (ms)", box.left + box.width / 2, canvas.height - 4 * scale);
    }
    let waiting = false;
    function redraw() {
      if (!waiting) requestAnimationFrame(() => { waiting = false; draw(); });
      waiting = true;
    }
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
    const button = (name, does) => element("button", { type: "button", onclick: does }, name);
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
    const list = legend(items, (item, on) => { item.of.on = on; arrange(); });
    figure.querySelector(".screen").append(element("div", { class: "chart" }, tools, canvas, list, element("p", { class: "note" }, note), below));
    figure.classList.add("live");
    drawn.push(draw);
    new ResizeObserver(() => { measure(); draw(); }).observe(canvas);
    measure();
    arrange();
  }

  // ---- Start -----------------------------------------------------------------------------------------------------

  async function loadPlotly() {
    const packed = new Blob([bytes(document.getElementById("plotly").textContent)]).stream();
    const script = element("script");
    script.textContent = await new Response(packed.pipeThrough(new DecompressionStream("gzip"))).text();
    document.head.append(script);
    await new Promise((done) => setTimeout(done)); // what was pressed meanwhile is heard before the first chart is drawn
  }
  async function startCharts() {
    await loadPlotly();
    const [first, ...others] = [...document.querySelectorAll("figure")].filter((figure) => data.charts[figure.dataset.key]);
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries.filter((e) => e.isIntersecting)) {
        seen.unobserve(entry.target);
        addCharts(entry.target);
      }
    }, { rootMargin: "600px" });
    if (first) await addCharts(first);
    others.forEach((figure) => seen.observe(figure));
    performance.mark("charts");
  }

  document.querySelectorAll("table.sortable").forEach(makeSortable);
  if (data.windows) startWindow();
  document.querySelectorAll("figure").forEach((figure) => {
    const spec = data.rasters[figure.dataset.key];
    if (spec) addRaster(figure, spec);
  });
  addEventListener("beforeprint", () => document.querySelectorAll(".answer").forEach((details) => (details.open = true)));
  dark.addEventListener("change", () => drawn.forEach((draw) => draw()));
  performance.mark("interactive");
  document.addEventListener("DOMContentLoaded", () => {
    if ("DecompressionStream" in window) startCharts(); // without it the figures stay as they are
  });
})();
