"use strict";
// Sorts and filters tables, marks the section that is being read, and opens what is folded before printing.
(() => {
  const NUMBER = /^-?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;

  const keyOf = (cell) => cell.dataset.sort ?? cell.textContent.trim();

  const compare = (a, b) => {
    if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1;
    if (NUMBER.test(a) && NUMBER.test(b)) return Number(a) - Number(b);
    return a.localeCompare(b, undefined, { numeric: true });
  };

  const sort = (table, head) => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [keyOf(row.cells[head.cellIndex]), row]);
    rows.sort(([a], [b]) => (descending && a !== "" && b !== "" ? compare(b, a) : compare(a, b)));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    body.append(...rows.map(([, row]) => row));
  };

  const makeSortable = (table) => {
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, head));
      head.append(button);
    }
  };

  const makeSearchable = (table) => {
    const label = document.createElement("label");
    const field = document.createElement("input");
    const count = document.createElement("output");
    const name = table.caption.textContent;
    field.type = "search";
    field.setAttribute("aria-label", `Filter: ${name}`);
    field.placeholder = "Filter rows";
    label.className = "filter";
    label.append(field, count);
    const rows = [...table.tBodies[0].rows].map((row) => [row.textContent.toLowerCase(), row]);
    field.addEventListener("input", () => {
      const wanted = field.value.trim().toLowerCase();
      let shown = 0;
      for (const [words, row] of rows) {
        row.hidden = !words.includes(wanted);
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = wanted ? `${shown} of ${rows.length}` : "";
    });
    table.parentElement.before(label);
  };

  // The figures of the chosen threshold: its row has the counts and the rates, the square the four counts.
  const makeSlider = (group) => {
    const [square, table] = group.querySelectorAll("table");
    const head = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    const rows = [...table.tBodies[0].rows];
    const count = (row, column) => Number(row.cells[column].dataset.sort);
    const label = document.createElement("label");
    const slider = document.createElement("input");
    const said = document.createElement("output");
    Object.assign(slider, { type: "range", min: 0, max: rows.length - 1, value: group.dataset.at });
    const show = () => {
      const row = rows[slider.value];
      const rates = [5, 6, 7].map((column) => `${head[column]} ${row.cells[column].textContent}`);
      said.textContent = `${row.cells[0].textContent}: ${rates.join(", ")}`;
      slider.setAttribute("aria-valuetext", said.textContent);
      square.caption.textContent = square.caption.textContent.replace(/[^ ]+$/, row.cells[0].textContent);
      const counts = [1, 4, 2, 3].map((column) => count(row, column));
      const total = counts.reduce((sum, each) => sum + each, 0) || 1;
      const cells = [...square.tBodies[0].rows].flatMap((each) => [...each.cells].slice(1));
      cells.forEach((cell, index) => {
        const share = ((100 * counts[index]) / total).toFixed(1);
        cell.textContent = `${counts[index].toLocaleString("en")} · ${share} %`;
      });
    };
    slider.addEventListener("input", show);
    label.className = "filter";
    label.append("Threshold", slider, said);
    group.prepend(label);
    show();
  };

  document.querySelectorAll("[data-thresholds]").forEach(makeSlider);
  document.querySelectorAll("table[data-sortable]").forEach(makeSortable);
  document.querySelectorAll("table[data-searchable]").forEach(makeSearchable);

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open], td details)")];
    for (const each of folded) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of folded) each.open = false;
  });

  const links = new Map([...document.querySelectorAll('nav a[href^="#"]')].map((link) => [link.hash.slice(1), link]));
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id)?.setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-10% 0px -80% 0px" },
  );
  document.querySelectorAll("main > section").forEach((section) => watcher.observe(section));
})();
