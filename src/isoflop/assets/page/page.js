// Conveniences of a page that reads whole without them: contents that fold on a phone and mark the
// place, links to headings, folds that open when something links to them.
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
})();
