"use strict";
// Headings become buttons that sort; without scripts the page has the same tables, unsorted.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];

  const compare = (place, sign) => (one, other) => {
    const [a, b] = [one, other].map((row) => row.cells[place]);
    const [x, y] = [a, b].map((cell) => cell.dataset.value);
    if (x !== undefined && y !== undefined) return sign * (Number(x) - Number(y));
    // What is unknown comes last, whichever way.
    const unknown = [a, b].map((cell) => ["-", ""].includes(cell.textContent));
    if (unknown[0] !== unknown[1]) return unknown[0] ? 1 : -1;
    return sign * a.textContent.localeCompare(b.textContent, "en", { numeric: true });
  };

  headings.forEach((heading, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const order = heading.ariaSort === "ascending" ? "descending" : "ascending";
      for (const each of headings) each.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", order);
      body.append(...[...body.rows].sort(compare(place, order === "ascending" ? 1 : -1)));
      document.getElementById("sorted").textContent =
        `${table.caption.textContent}: sorted by ${button.textContent}, ${order}`;
    });
  });
}
