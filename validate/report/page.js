"use strict";
(() => {
  const form = document.querySelector(".filter");
  const rows = [...document.querySelectorAll("tbody tr")];
  const search = form.querySelector('input[type="search"]');
  const boxes = [...form.querySelectorAll('input[type="checkbox"]')];
  const count = form.querySelector("output");
  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const visible = wanted.has(row.dataset.verdict) && words.every((word) => text.includes(word));
      row.style.display = visible ? "" : "none";
      shown += visible;
    }
    count.textContent = `${shown} of ${rows.length}`;
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
})();
