// Sorts a table by the clicked column header; cells without a value stay last in both directions.
for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    header.querySelector("button")?.addEventListener("click", () => {
      const up = header.getAttribute("aria-sort") !== "ascending";
      const numeric = header.classList.contains("number");
      const value = (row) => row.cells[column].dataset.value ?? "";
      const order = (a, b) =>
        numeric ? Number(value(a)) - Number(value(b)) : value(a).localeCompare(value(b), "en", { numeric: true });
      const rows = [...table.tBodies[0].rows];
      const known = rows.filter((row) => value(row) !== "").sort((a, b) => (up ? order(a, b) : order(b, a)));
      const unknown = rows.filter((row) => value(row) === "");
      table.tBodies[0].append(...known, ...unknown);
      for (const other of headers) {
        if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      }
      header.setAttribute("aria-sort", up ? "ascending" : "descending");
    });
  });
}
