// ---- What can be taken away: figures, tables, texts, and the address of this state

function save(name, content, kind) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type: kind }));
  element("a", { download: name, href: url }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
const button = (name, does, attributes = {}) => element("button", { type: "button", onclick: does, ...attributes }, name);

function figureFiles(figure) { // as on paper: light, whatever the theme
  const [image, key] = [figure.querySelector(".paper"), figure.dataset.key];
  const svg = () => save(`${key}.svg`, bytes(image.src.split(",")[1]), "image/svg+xml");
  async function png() {
    const copy = new Image();
    copy.src = image.src;
    await copy.decode();
    const canvas = element("canvas", { width: 2 * copy.naturalWidth, height: 2 * copy.naturalHeight });
    const brush = canvas.getContext("2d");
    brush.fillStyle = "#fff";
    brush.fillRect(0, 0, canvas.width, canvas.height);
    brush.drawImage(copy, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => save(`${key}.png`, blob));
  }
  const title = image.alt.split(".")[0];
  figure.append(element("div", { class: "tools" }, "This figure: ", button("SVG", svg, { "aria-label": `SVG of ${title}` }), button("PNG", png, { "aria-label": `PNG of ${title}` })));
}

function tableFile(region) {
  const table = region.querySelector("table");
  const quoted = (cell) => `"${cell.textContent.trim().replaceAll('"', '""')}"`;
  const csv = () => save(`${table.dataset.name.replace(/\W+/g, "_")}.csv`, [...table.rows].map((row) => [...row.cells].map(quoted).join(",")).join("\n") + "\n", "text/csv");
  region.after(element("div", { class: "tools" }, button("CSV of this table", csv, { "aria-label": `CSV of ${table.dataset.name}` })));
}

async function copy(text, from, told) {
  try {
    await navigator.clipboard.writeText(text);
    told("Copied");
  } catch { // not allowed here: what is to be copied is selected
    if (from) getSelection().selectAllChildren(from);
    told(from ? "Selected: press Ctrl+C" : "Copy it from the address bar");
  }
}
function copyButton(box) {
  const source = box.querySelector("pre");
  const made = button("Copy", () => copy(source.textContent, source, (words) => (made.textContent = words)), { "aria-label": `Copy: ${source.getAttribute("aria-label")}` });
  box.append(made);
}
function startFiles() {
  document.querySelectorAll("figure[data-key]").forEach(figureFiles);
  document.querySelectorAll(".scroll:has(> .sortable)").forEach(tableFile);
  document.querySelectorAll(".copied").forEach(copyButton);
  const link = document.getElementById("link");
  link.addEventListener("click", () => {
    const address = location.href.split("#")[0] + (String(chosen) && `#${chosen}`);
    copy(address, null, (words) => (link.textContent = words));
  });
}
