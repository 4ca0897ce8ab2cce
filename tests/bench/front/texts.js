// Every visible text of the page with the contrast of its colour to what is behind it, by WCAG 2.1.
(() => {
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const bright = ([red, green, blue]) => {
    const linear = [red, green, blue].map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const over = ([red, green, blue, share = 1], below) =>
    [red, green, blue].map((part, i) => part * share + below[i] * (1 - share));
  function ground(element) {
    const boxes = [];
    for (let at = element; at; at = at.parentElement) boxes.push(numbers(getComputedStyle(at).backgroundColor));
    return boxes.reverse().reduce((below, box) => over(box, below), [255, 255, 255]);
  }
  function behind(element) {
    const drawing = element.closest("svg");
    const box = drawing && element.tagName === "text" && drawing.classList.contains("engine") &&
      [...drawing.querySelectorAll("rect")].find((rect) => {
        const [a, b] = [rect.getBoundingClientRect(), element.getBoundingClientRect()];
        return a.left <= b.left && a.right >= b.left && a.top <= b.top && a.bottom >= b.top;
      });
    return box ? numbers(getComputedStyle(box).fill) : ground(element);
  }
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    const hidden = !text || ["SCRIPT", "STYLE"].includes(element.tagName) || element.closest(".silent, .skip");
    if (hidden || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const back = behind(element);
    const colour = over(numbers(element.closest("svg") ? style.fill : style.color), back);
    const [high, low] = [bright(colour), bright(back)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    found.push({ text: text.slice(0, 60), ratio: (high + 0.05) / (low + 0.05), large });
  }
  return found;
})()
