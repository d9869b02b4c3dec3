// ---- Start

async function loadPlotly() {
  const packed = new Blob([bytes(document.getElementById("plotly").textContent)]).stream();
  const script = element("script");
  script.textContent = await new Response(packed.pipeThrough(new DecompressionStream("gzip"))).text();
  document.head.append(script);
  await new Promise((done) => setTimeout(done)); // what was pressed meanwhile is heard before the first chart is drawn
}
const waiting = new Map(); // figure -> what draws its charts
function placeCharts() {
  for (const figure of document.querySelectorAll("figure")) {
    const specs = data.charts[figure.dataset.key];
    if (specs) waiting.set(figure, specs.map((spec, k) => addChart(figure, spec, k, specs.length > 1)));
  }
}
async function drawCharts(figure) {
  try {
    for (const draw of waiting.get(figure)) await draw();
  } catch (error) { // the figure stays as on paper
    figure.classList.remove("live");
    console.error(error);
  }
}
async function startCharts() {
  await loadPlotly();
  const [first, ...others] = [...waiting.keys()];
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((e) => e.isIntersecting)) {
      seen.unobserve(entry.target);
      drawCharts(entry.target);
    }
  }, { rootMargin: "600px" });
  if (first) await drawCharts(first);
  others.forEach((figure) => seen.observe(figure));
  performance.mark("charts");
}

// A link within the page opens what is folded, and the address keeps window and selection.
function goTo(id, smooth) {
  const target = document.getElementById(id);
  if (!target) return;
  target.closest("details")?.setAttribute("open", "");
  target.querySelector(":scope > details.fold")?.setAttribute("open", "");
  target.scrollIntoView({ behavior: smooth && !matchMedia("(prefers-reduced-motion: reduce)").matches ? "smooth" : "instant" });
}
function startLinks() {
  for (const anchor of document.querySelectorAll('a[href^="#"]')) {
    anchor.addEventListener("click", (event) => {
      event.preventDefault();
      const id = anchor.getAttribute("href").slice(1);
      remember("at", id);
      goTo(id, true);
    });
  }
  const at = chosen.get("at") ?? (location.hash.includes("=") ? null : location.hash.slice(1));
  if (at) goTo(at, false);
}
addEventListener("keydown", (event) => event.key === "Escape" && document.activeElement?.matches(".term") && document.activeElement.blur());

document.querySelectorAll("table.sortable").forEach(makeSortable);
if (data.windows) startWindow();
if ("DecompressionStream" in window) placeCharts(); // without it the figures stay as they are
else document.querySelectorAll("figure.live").forEach((figure) => data.charts[figure.dataset.key] && figure.classList.remove("live"));
document.querySelectorAll("figure").forEach((figure) => {
  const spec = data.rasters[figure.dataset.key];
  if (spec) addRaster(figure, spec);
});
const strip = document.getElementById("strip");
if (strip && circuits.length) addStrip(strip, data.rasters[strip.dataset.of]);
startFiles();
startLinks();
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open]):not(.data)")];
  closed.forEach((details) => (details.open = true));
});
addEventListener("afterprint", () => closed.forEach((details) => (details.open = false)));
dark.addEventListener("change", () => drawn.forEach((draw) => draw()));
performance.mark("interactive");
document.addEventListener("DOMContentLoaded", () => { if (waiting.size) startCharts(); });
