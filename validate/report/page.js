"use strict";
(() => {
  const form = document.querySelector(".filter");
  const search = form.querySelector("input");
  const button = form.querySelector("button");
  const count = form.querySelector("output");
  const rows = [...document.querySelectorAll("tbody tr")];
  const groups = [...document.querySelectorAll("details")];
  let before = null;
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      row.style.display = row.hidden ? "none" : "";
      shown += !row.hidden;
    }
    if (words.length && !before) before = groups.map((group) => group.open);
    groups.forEach((group, index) => {
      const found = !words.length || group.querySelector("tbody tr:not([hidden])");
      group.style.display = found ? "" : "none";
      if (words.length) group.open = true;
      else if (before) group.open = before[index];
    });
    if (!words.length) before = null;
    count.textContent = words.length ? `${shown} of ${rows.length}` : "";
  };
  const openAll = (open) => groups.forEach((group) => { group.open = open; });
  button.addEventListener("click", () => {
    const open = groups.some((group) => !group.open);
    openAll(open);
    button.textContent = open ? "close all" : "open all";
  });
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  let printed = null;
  addEventListener("beforeprint", () => {
    printed = groups.map((group) => group.open);
    openAll(true);
  });
  addEventListener("afterprint", () => {
    if (printed) groups.forEach((group, index) => { group.open = printed[index]; });
  });
  form.hidden = false;
})();
