// ---- Tables ----------------------------------------------------------------------------------------------------

// Columns whose cells begin with a number sort by it, others as text ("layer 2" before "layer 10"); "-" and "none" come last.
function makeSortable(table) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, column) => {
    const text = (row) => row.cells[column].textContent.replaceAll(",", "");
    const filled = (row) => !["-", "none", ""].includes(text(row));
    head.replaceChildren(element("button", { type: "button", onclick: sort }, head.textContent));
    function sort() {
      const number = (row) => { // "12 of 400" is the share
        const [, count, all] = text(row).match(/^(-?[\d.]+) of (\d+)$/) ?? [];
        return count === undefined ? parseFloat(text(row)) : count / all;
      };
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      const rows = [...body.rows];
      const numeric = rows.filter(filled).every((row) => !Number.isNaN(number(row)));
      const order = (a, b) => numeric ? number(a) - number(b) : text(a).localeCompare(text(b), "en", { numeric: true });
      rows.sort((a, b) => filled(b) - filled(a) || (filled(a) ? sign * order(a, b) : 0));
      body.append(...rows);
      table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    }
  });
}

// The legend is of buttons, which wrap on a phone and can be reached by keyboard.
function legend(key, items, toggle) {
  const list = element("ul", { class: "legend" });
  items.forEach((item, k) => {
    const name = `${key}.${k}`;
    const shown = !hidden.has(name);
    const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    swatch.setAttribute("width", 34);
    swatch.setAttribute("height", 12);
    swatch.setAttribute("aria-hidden", "true");
    const dashes = { dash: "6 3", dot: "2 3", dashdot: "6 3 2 3" };
    const look = `stroke-width="${item.thick ? 9 : 2.5}" stroke-dasharray="${dashes[item.dash] ?? (item.dash?.includes("px") ? item.dash.replaceAll("px", "") : "")}" opacity="${item.opacity ?? 1}"`;
    swatch.innerHTML = item.dot ? '<path d="M17 6h0" stroke-width="8" stroke-linecap="round"/>' : `<path d="M0 6H34" ${look}/>`;
    swatch.firstChild.style.stroke = byNight[item.colour] ? `var(${byNight[item.colour]})` : item.colour;
    const button = element("button", { type: "button", "aria-pressed": String(shown), onclick: press }, swatch, element("span", {}, item.name));
    function press() {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", on);
      rememberHidden(name, on);
      toggle(item, on);
    }
    list.append(element("li", {}, button));
    if (!shown) toggle(item, false);
  });
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
