// Puts the figures of the chosen budget into the page. All texts and places were made with the page; nothing is
// computed here but where a bar begins.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("points").textContent);
  const PARTS = ["network", "gate", "exit"];
  const pick = document.getElementById("pick");
  const all = (root, query) => [...root.querySelectorAll(query)];

  function fill(root, shown, attribute) {
    for (const [name, text] of Object.entries(shown)) {
      for (const place of all(root, `[${attribute}="${name}"]`)) place.textContent = text;
    }
  }

  function choose(explorer, index, aloud) {
    const found = data.packages[explorer.dataset.package][index];
    fill(explorer, found.shown, "data-shown");
    all(explorer, ".exits li").forEach((line, number) => {
      const [share, text] = found.exits[number];
      line.style.setProperty("--share", share);
      line.querySelector(".share").textContent = text;
    });
    for (const dot of all(explorer, ".chart [data-i]")) dot.toggleAttribute("data-now", dot.dataset.i === String(index));
    for (const slider of all(document, `[data-of="${explorer.dataset.package}"]`)) {
      slider.value = index;
      slider.setAttribute("aria-valuetext", found.shown.budget);
    }
    if (aloud) explorer.querySelector("[role=status]").textContent = found.said;
    if (explorer.dataset.package === data.shared) {
      fill(document, { budget: found.shown.budget }, "data-shared");
      all(document, ".cards > li").forEach((card, number) => show(card, data.examples[number][index]));
      time();
    }
  }

  function show(card, run) {
    fill(card, run.shown, "data-shown");
    card.classList.toggle("wrong", !run.right);
    all(card, ".strip g").forEach((block, number) => block.setAttribute("class", run.blocks[number]));
    all(card, ".strip .exit").forEach((dot, number) => dot.classList.toggle("taken", number === run.exit));
  }

  function time() {
    const explorer = document.querySelector(`[data-package="${data.shared}"]`);
    const run = data.examples[pick.selectedIndex][explorer.querySelector("input[type=range]").value];
    const lines = all(document, "#timeline tbody tr");
    const paths = lines.map(() => ({ network: "", gate: "", exit: "" }));
    const spent = lines.map(() => 0);
    let at = 0;
    for (const [row, part, cycles] of run.slices) {
      paths[row][PARTS[part]] += `M${at} 0h${cycles}v1h-${cycles}z`;
      spent[row] += cycles;
      at += cycles;
    }
    lines.forEach((line, row) => {
      for (const part of PARTS) line.querySelector(`path.${part}`).setAttribute("d", paths[row][part]);
      line.querySelector(".cycles").textContent = spent[row].toLocaleString("en");
      line.querySelector(".what").textContent = run.what[row];
    });
    document.querySelector("#timeline .all").textContent = at.toLocaleString("en");
  }

  const explorers = all(document, ".explorer");
  const radios = all(document, "[name=package]");
  function turn() {
    for (const one of explorers) one.hidden = !radios.find((radio) => radio.value === one.dataset.package).checked;
  }

  document.documentElement.classList.add("scripted");
  for (const details of all(document, ".explorer details")) details.open = false;
  for (const explorer of explorers) {
    const sliders = all(document, `[data-of="${explorer.dataset.package}"]`);
    for (const slider of sliders) slider.addEventListener("input", () => choose(explorer, Number(slider.value), true));
    choose(explorer, Number(sliders[0].value), false); // a browser may have kept where it was
  }
  for (const radio of radios) radio.addEventListener("change", turn);
  pick.addEventListener("change", time);
  turn();
})();
