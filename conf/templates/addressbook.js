"use strict";
(() => {
  const marks = /[\u0300-\u036f]/g;
  const fold = (text) => text.normalize("NFC").toLowerCase().normalize("NFD").replace(marks, "").replace(/[\u0111\u00f0]/g, "d");
  const rows = Array.from(document.querySelectorAll("li"), (node) => ({ node, plain: node.dataset.k, marked: null }));
  const sections = Array.from(document.querySelectorAll("section"));
  const found = document.getElementById("found");
  const query = document.getElementById("query");
  const nav = document.querySelector("nav");
  const marked = (row) => (row.marked ??= row.node.textContent.normalize("NFC").toLowerCase());
  const matching = (words) => rows.filter((row) => words.every((word) => (word.isMarked ? marked(row).includes(word.text) : row.plain.includes(word.text))));
  const look = () => {
    const typed = query.value.normalize("NFC").toLowerCase().split(/\s+/).map((word) => word.replace(/(.)@.*/, "$1")).filter(Boolean);
    let hits = matching(typed.map((text) => ({ text, isMarked: fold(text) !== text })));
    if (!hits.length) hits = matching(typed.map((text) => ({ text: fold(text), isMarked: false })));
    const shown = new Set(hits);
    for (const row of rows) if (row.node.hidden === shown.has(row)) row.node.hidden = !shown.has(row);
    for (const section of sections) section.hidden = !section.querySelector("li:not([hidden])");
    nav.hidden = typed.length > 0;
    found.textContent = !typed.length ? "" : hits.length ? `Tìm thấy ${hits.length} địa chỉ` : "Không tìm thấy địa chỉ nào. Hãy thử ít chữ hơn.";
  };
  let waiting = 0;
  query.addEventListener("input", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(look); });
  const form = document.getElementById("search");
  form.hidden = false;
  form.addEventListener("submit", (event) => { event.preventDefault(); look(); });
  if (query.value) look();
})();
