// ---- Charts: each has its place from the start, and is drawn once it comes near the screen

const config = {
  responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  showSendToCloud: false, plotlyServerURL: "", // Plotly 4 has a button that uploads the chart
};

// Curves over a common axis are read together: every point can be reached, however close they lie.
function readTogether(spec) {
  const lines = spec.traces.filter((trace) => trace.mode?.includes("lines") && trace.x.length > 1);
  return spec.traces.every((trace) => trace.type !== "bar") && lines.length > 1 && (spec.main || lines.every((line) => line.x[0] === lines[0].x[0]));
}

const isLevel = (trace) => trace.type !== "bar" && trace.x.length > 2 && trace.y[0] !== null && trace.y.every((y) => y === trace.y[0]);

function addChart(figure, spec, k, titled) {
  const plot = element("div", { class: "plot", role: "group", "aria-label": figure.querySelector(".paper").alt });
  spec.main = figure.querySelector("#window-controls") !== null;
  spec.together = readTogether(spec);
  const [extraTraces, extraShapes, afterDrawing] = spec.main ? followWindow(spec, plot) : [() => [], () => [], () => {}];
  let ready = false;
  function draw() {
    if (!ready) return null;
    return Plotly.react(plot, [...traces(spec), ...extraTraces()], layout(spec, plot, extraShapes()), config).then(afterDrawing);
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
  const value = (name, at) => (isNamed(spec[name]) ? placeName(spec[name], at) : significant(at, 4));
  // In the table a network is a row, which has no window; marks on lines are no data of their own.
  const plainName = (trace) => (spec.main ? [...data.windows.circuits, ...data.windows.networks][named.indexOf(trace)]?.name : null) ?? trace.name;
  function rows() {
    const most = 24;
    return spec.traces.flatMap((trace) => {
      const owner = spec.traces.find((other) => other.name && colourOf(other) === colourOf(trace));
      if (spec.main && !trace.name) return [];
      const name = trace.name ? plainName(trace) : owner?.name ?? "-";
      if (isLevel(trace)) return [[name, spec.main ? "any" : `${value("x", trace.x[0])} to ${value("x", trace.x.at(-1))}`, value("y", trace.y[0])]];
      const step = Math.max(1, Math.ceil(trace.x.length / most));
      const some = trace.x.map((_, i) => i).filter((i) => i % step === 0 && trace.x[i] !== null && trace.y[i] !== null);
      return some.map((i) => [name, value("x", trace.x[i]), value("y", trace.y[i])]);
    });
  }
  const title = titled && spec.title ? [element("h4", {}, spec.title)] : [];
  const below = dataBelow(["series", spec.x.label || "at", spec.y.label || "at"], rows);
  const holder = element("div", { class: "holder" }, plot);
  const chart = element("div", { class: `chart${spec.main ? " main" : ""}` }, ...title, holder);
  if (spec.main) { // the slider stands under its axis
    holder.append(windowHandle(plot));
    chart.append(document.querySelector("#window-controls .along"));
  }
  chart.append(legend(`${figure.dataset.key}.${k}`, items, toggle), below);
  figure.querySelector(".screen").append(chart);
  drawn.push(draw);
  return () => { ready = true; return draw(); };
}

// ---- The window on the main chart: a line, a point on each circuit, and a handle

function followWindow(spec, plot) {
  const own = spec.traces.filter((trace) => trace.name); // the circuits are drawn first, in their order
  const shapes = () => [{ type: "line", xref: "x", yref: "paper", x0: windowMs, x1: windowMs, y0: 0, y1: 1, line: { color: style("--soft"), width: 1.5 } }];
  const points = () => {
    const at = circuits.map((circuit, k) => (own[k].hidden ? null : activeIn(circuit, windowMs)));
    return { x: at.map(() => windowMs), y: at.map((fraction) => (fraction === null ? null : 100 * fraction)) };
  };
  const marked = () => [{ type: "scatter", mode: "markers", hoverinfo: "skip", ...points(), marker: { size: 12, symbol: "circle-open", color: style("--soft"), line: { width: 3 } } }];
  const move = onceAFrame(() => {
    if (!plot._fullLayout) return;
    const { x, y } = points();
    Plotly.update(plot, { x: [x], y: [y] }, { shapes: layout(spec, plot, shapes()).shapes }, [spec.traces.length]).then(() => placeHandle(plot));
  });
  followers.push(move);
  let heard = false;
  return [marked, shapes, () => {
    if (!heard) plot.on("plotly_afterplot", () => placeHandle(plot));
    heard = true;
    placeHandle(plot);
  }];
}

function windowHandle(plot) {
  const handle = element("div", { class: "handle", role: "slider", tabindex: 0, "aria-label": "Window, on the figure", hidden: "" });
  const inside = (event) => {
    const { l, w } = plot._fullLayout._size;
    const share = (event.clientX - plot.getBoundingClientRect().left - l) / w;
    const [from, to] = plot._fullLayout.xaxis.range;
    setWindow(10 ** (from + Math.min(1, Math.max(0, share)) * (to - from)));
  };
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    handle.focus();
    handle.setPointerCapture(event.pointerId);
  });
  handle.addEventListener("pointermove", (event) => handle.hasPointerCapture(event.pointerId) && inside(event));
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (!step) return;
    event.preventDefault();
    stepWindow(step);
  });
  return handle;
}

function placeHandle(plot) {
  const handle = plot.parentElement.querySelector(".handle");
  const { l, t, w, h } = plot._fullLayout._size;
  const range = plot._fullLayout.xaxis.range;
  const share = (Math.log10(windowMs) - range[0]) / (range[1] - range[0]);
  handle.hidden = !(share >= 0 && share <= 1);
  Object.assign(handle.style, { left: `${l + share * w}px`, top: `${t}px`, height: `${h}px` });
  const ends = data.windows.ends_log.map((end) => 10 ** end);
  for (const [name, value] of [["min", ends[0]], ["max", ends[1]], ["now", windowMs]]) handle.setAttribute(`aria-value${name}`, significant(value, 6));
  handle.setAttribute("aria-valuetext", inMs(windowMs));
  const slider = document.getElementById("slider"); // its thumb, of 16 px, stands under the line
  [slider.min, slider.max] = range;
  slider.value = Math.log10(windowMs);
  Object.assign(slider.style, { marginLeft: `${l - 8}px`, width: `${w + 16}px` });
}
