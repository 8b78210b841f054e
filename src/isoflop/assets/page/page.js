// Conveniences of a page that reads whole without them: contents that fold on a phone and mark the
// place, links to headings, folds that open when something links to them, tables that sort and filter,
// footnotes beside their signs.
"use strict";
(() => {
  const contents = document.querySelector("nav.places details");
  const narrow = matchMedia("(max-width: 60rem)");
  const fit = () => { if (contents) contents.open = !narrow.matches; };
  fit();
  narrow.addEventListener("change", fit);

  for (const heading of document.querySelectorAll("main section[id] > :is(h2, h3)")) {
    const link = document.createElement("a");
    link.className = "permalink";
    link.href = "#" + heading.parentElement.id;
    link.textContent = "#";
    link.setAttribute("aria-label", "Link to this section");
    heading.append(" ", link);
  }

  const places = new Map();
  for (const link of document.querySelectorAll("nav.places a[href^='#']")) {
    places.set(decodeURIComponent(link.hash.slice(1)), link);
  }
  if (places.size && "IntersectionObserver" in window) {
    const seen = new Set();
    const order = [...places.keys()];
    const watch = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) seen.add(entry.target.id); else seen.delete(entry.target.id);
      }
      const here = order.filter((id) => seen.has(id)).pop();
      for (const [id, link] of places) {
        if (id === here) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    }, { rootMargin: "-10% 0px -70% 0px" });
    for (const id of order) {
      const target = document.getElementById(id);
      if (target) watch.observe(target);
    }
  }

  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const fold = target && target.closest("details");
    if (fold) { fold.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", unfold);
  unfold();

  // a cell's number where it names one, else its words; what is absent stays last either way
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const marked = cell.querySelector("[data-number]");
    if (marked) return Number(marked.dataset.number);
    const text = cell.textContent.trim();
    return text === "\u2014" || text === "" ? null : text;
  };
  const compare = (a, b) => {
    if (a === null || b === null) return a === b ? 0 : a === null ? Infinity : -Infinity;
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  };
  for (const table of document.querySelectorAll(".sortable table")) {
    const body = table.tBodies[0], given = [...body.rows], heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const next = { none: "ascending", ascending: "descending", descending: "none" };
        const order = next[head.getAttribute("aria-sort") || "none"];
        for (const other of heads) other.removeAttribute("aria-sort");
        if (order === "none") { body.append(...given); return; }
        head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        body.append(...given.map((row) => [valueOf(row, column), row]).sort(([a], [b]) => {
          const way = compare(a, b);
          return Number.isFinite(way) ? sign * way : way > 0 ? 1 : -1;
        }).map(([, row]) => row));
      });
    });
    const label = document.createElement("label"), field = document.createElement("input");
    label.className = "filter";
    field.type = "search";
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of given) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
    });
    label.append("Show rows with ", field);
    table.closest(".scroller").before(label);
  }

  // a footnote shows beside its sign, under the pointer and for the keyboard; Escape puts it away, and
  // the pointer may rest on it
  const signs = document.querySelectorAll("a.footnote-ref");
  if (signs.length) {
    const tip = document.createElement("div");
    tip.id = "footnote-tip";
    tip.setAttribute("role", "tooltip");
    tip.hidden = true;
    document.querySelector("main").append(tip);
    let leaving = 0, last = null;
    const hide = () => {
      clearTimeout(leaving);
      tip.hidden = true;
      if (last) last.removeAttribute("aria-describedby");
      last = null;
    };
    const leave = () => { clearTimeout(leaving); leaving = setTimeout(hide, 250); };
    const show = (sign) => {
      const note = document.getElementById(decodeURIComponent(sign.hash.slice(1)));
      if (!note) return;
      hide();
      tip.replaceChildren(...note.cloneNode(true).childNodes);
      for (const back of tip.querySelectorAll(".footnote-back")) back.remove();
      for (const named of tip.querySelectorAll("[id]")) named.removeAttribute("id");
      tip.hidden = false;
      last = sign;
      sign.setAttribute("aria-describedby", tip.id);
      const at = sign.getBoundingClientRect(), size = tip.getBoundingClientRect();
      const width = document.documentElement.clientWidth;
      const below = at.bottom + 6 + size.height <= innerHeight;
      tip.style.left = Math.max(8, Math.min(at.left, width - size.width - 8)) + "px";
      tip.style.top = (below ? at.bottom + 6 : Math.max(8, at.top - size.height - 6)) + "px";
    };
    for (const sign of signs) {
      sign.addEventListener("pointerenter", () => show(sign));
      sign.addEventListener("pointerleave", leave);
      sign.addEventListener("focus", () => show(sign));
      sign.addEventListener("blur", hide);
    }
    tip.addEventListener("pointerenter", () => clearTimeout(leaving));
    tip.addEventListener("pointerleave", leave);
    addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
    addEventListener("scroll", hide, { passive: true, capture: true });
  }

  // a run under the pointer is named, and shown in every figure and in the table of runs
  const told = document.getElementById("run-names");
  if (told) {
    const { names, marks } = JSON.parse(told.textContent), shown = new Map();
    const add = (element, name) => {
      element.dataset.run = name;
      const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
      title.textContent = name;
      element.append(title);
      shown.set(name, [...(shown.get(name) || []), element]);
    };
    for (const [id, runs] of Object.entries(marks)) {
      const group = document.getElementById(id);
      if (!group) continue;
      const uses = [...group.querySelectorAll("use")];
      const drawn = uses.length ? uses : [...group.querySelectorAll(":not(defs) > path")];
      if (runs.length === 1) add(group, names[runs[0]]);
      else if (drawn.length === runs.length) drawn.forEach((use, i) => add(use, names[runs[i]]));
    }
    for (const row of document.querySelectorAll("#tbl-runs tbody tr")) {
      const name = row.cells[0].textContent.trim();
      if (shown.has(name)) { row.dataset.run = name; shown.get(name).push(row); }
    }
    let lit = [];
    const light = (event) => {
      const mark = event.target.closest && event.target.closest("[data-run]");
      for (const element of lit) element.classList.remove("lit");
      lit = mark ? shown.get(mark.dataset.run) : [];
      for (const element of lit) element.classList.add("lit");
    };
    document.querySelector("main").addEventListener("pointerover", light);
  }
})();
