"use strict";
(() => {
  const marks = /[\u0300-\u036f]/g;
  const fold = (text) => text.normalize("NFC").toLowerCase().normalize("NFD").replace(marks, "").replace(/[\u0111\u00f0]/g, "d");
  const most = 100;
  const form = document.getElementById("search");
  const query = document.getElementById("query");
  const found = document.getElementById("found");
  const results = document.getElementById("results");
  const list = results.querySelector("ul");
  const others = Array.from(document.querySelectorAll("main > section:not(#results)"));
  const small = (row) => (row[4] ??= row.slice(0, 3).join(" ").normalize("NFC").toLowerCase());
  const matching = (words) => window.danhba.filter((row) => words.every((word) => (word.isMarked ? small(row).includes(word.text) : row[3].includes(word.text))));
  const line = ([name, below, address]) => {
    const item = document.createElement("li");
    for (const [tag, text] of [["b", name], ["i", below], ["a", address]]) {
      if (!text) continue;
      const part = document.createElement(tag);
      part.textContent = text;
      if (tag === "a") part.href = "mailto:" + address;
      item.append(part);
    }
    return item;
  };
  const look = () => {
    const typed = query.value.normalize("NFC").toLowerCase().split(/\s+/).map((word) => word.replace(/(.)@.*/, "$1")).filter(Boolean);
    results.hidden = !typed.length;
    for (const section of others) section.hidden = typed.length > 0;
    if (!typed.length) { found.textContent = ""; return; }
    if (!window.danhba) { found.textContent = "Đang tải danh bạ…"; return; }
    let hits = matching(typed.map((text) => ({ text, isMarked: fold(text) !== text })));
    if (!hits.length) hits = matching(typed.map((text) => ({ text: fold(text), isMarked: false })));
    list.replaceChildren(...hits.slice(0, most).map(line));
    found.textContent = !hits.length ? "Không tìm thấy địa chỉ nào. Hãy thử ít chữ hơn." : hits.length > most ? `Tìm thấy ${hits.length} địa chỉ, dưới đây là ${most} địa chỉ đầu` : `Tìm thấy ${hits.length} địa chỉ`;
  };
  let asked = false;
  const load = () => {
    if (asked) return;
    asked = true;
    const data = document.createElement("script");
    data.src = "search-data.js";
    data.onload = look;
    document.head.append(data);
  };
  let waiting = 0;
  query.addEventListener("focus", load);
  query.addEventListener("input", () => { load(); cancelAnimationFrame(waiting); waiting = requestAnimationFrame(look); });
  form.hidden = false;
  form.addEventListener("submit", (event) => { event.preventDefault(); load(); look(); });
  if (query.value) { load(); look(); }
})();
