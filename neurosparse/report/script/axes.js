// ---- Charts: axes and traces ----------------------------------------------------------------------------------------------------

const text = (value) => value.replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]); // Plotly reads HTML in names
const colourOf = (trace) => trace.line?.color ?? trace.marker?.color;

const wrapped = (label, width) => text(label).replace(new RegExp(`(.{1,${Math.floor(width / 7)}})(\\s|$)`, "g"), "$1<br>").replace(/<br>$/, "");

function axis(spec, length) {
  const ticks = spec.ticktext ? { tickvals: spec.tickvals, ticktext: spec.ticktext.map(text) } : {};
  const decades = Math.abs(spec.range[1] - spec.range[0]);
  const log = spec.type === "log" && !spec.ticktext ? { dtick: decades < 3 ? "D2" : 1, tickformat: "~r" } : {};
  const lines = { gridcolor: style("--line"), linecolor: style("--soft"), zeroline: false, automargin: true };
  return { title: { text: wrapped(spec.label, length), standoff: 8, font: { size: 12 } }, type: spec.type, range: spec.range, ...lines, ...ticks, ...log };
}
// Labels at the right ends of curves; on a phone there is no room, and the legend has them.
const LETTER = 6.2; // px, on average
const labelsWidth = (spec, plot) => Math.min(0.3 * plot.clientWidth, 12 + LETTER * Math.max(...spec.traces.map((trace) => shortName(trace, spec).length)));
const hasLabels = (spec, plot) => spec.main && plot.clientWidth > 640;
const shortest = (name) => name.split(": ")[0].replace(/ \(spikes\)$/, "");
function shortName({ name }, { traces }) { // whole where two traces would have one name
  const unique = traces.filter((other) => shortest(other.name) === shortest(name)).length === 1;
  return unique ? shortest(name) : name.replace(/ \(spikes\)$/, "");
}
function endLabels(spec, plot, height) {
  const most = Math.floor((labelsWidth(spec, plot) - 8) / LETTER);
  const shown = spec.traces.filter((trace) => trace.name && !trace.hidden && trace.x.length > 1);
  const [low, high] = spec.y.range;
  const ends = shown.map((trace) => {
    const y = trace.y.findLast((value) => value !== null);
    return Math.min(1, Math.max(0, ((spec.y.type === "log" ? Math.log10(y) : y) - low) / (high - low)));
  });
  const places = spread(ends.map((end) => end * height), 15, height);
  return shown.map((trace, k) => {
    const name = shortName(trace, spec);
    return {
      text: text(name.length > most ? `${name.slice(0, most - 1)}…` : name), xref: "paper", x: 1, xanchor: "left", xshift: 4, yref: "paper", y: places[k] / height, yanchor: "middle",
      showarrow: false, font: { size: 11, color: visible(colourOf(trace)) },
    };
  });
}
function layout(spec, plot, shapes = []) {
  const labelled = hasLabels(spec, plot);
  const bands = spec.bands.map((band) => ({
    type: "rect", layer: "below", xref: "paper", x0: 0, x1: 1, y0: band.from, y1: band.to, line: { width: 0 },
    fillcolor: band.color, opacity: band.opacity * (dark.matches ? 0.6 : 1), visible: !band.hidden,
  }));
  const annotations = spec.notes.map((note) => ({
    text: text(note.text), x: note.at[0], y: note.at[1], xshift: note.shift[0], yshift: note.shift[1] + 6,
    xanchor: note.anchor, showarrow: false, font: { size: 11 },
  }));
  const inner = plot.clientHeight - 75;
  return {
    xaxis: axis(spec.x, plot.clientWidth - 60), yaxis: axis(spec.y, plot.clientHeight - 60), shapes: [...bands, ...shapes], annotations: labelled ? [...annotations, ...endLabels(spec, plot, inner)] : annotations, uirevision: "keep",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: style("--text") }, hoverdistance: 40, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: { bgcolor: style("--card"), bordercolor: style("--line"), font: { color: style("--text") }, namelength: -1 },
    margin: { l: 10, r: labelled ? labelsWidth(spec, plot) : 10, t: touch ? 36 : 10, b: 10 }, modebar: { bgcolor: "rgba(0,0,0,0)", color: style("--soft"), activecolor: style("--text") }, showlegend: false, hovermode: spec.together ? "x unified" : "closest", barmode: "overlay",
    dragmode: touch ? false : "zoom", // a finger scrolls the page
  };
}
const isNamed = (axisSpec) => axisSpec.ticktext && axisSpec.type === "linear"; // places with names, not numbers
function placeName(axisSpec, value) {
  const gaps = axisSpec.tickvals.map((tick) => Math.abs(tick - value));
  return axisSpec.ticktext[gaps.indexOf(Math.min(...gaps))];
}
function traces(spec) {
  const coordinate = (name, values) => {
    return isNamed(spec[name]) ? ["%{text}", values.map((v) => text(placeName(spec[name], v)))] : [`%{meta[${name === "x" ? 0 : 1}]}: %{${name}:.4~r}`];
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
      hovertemplate: spec.together ? `${text(shortName(trace, spec) || "-")}: %{y:.4~r}<extra></extra>` : `${trace.name ? "<b>%{fullData.name}</b><br>" : ""}${x}<br>${y}<extra></extra>`,
    };
  });
}

