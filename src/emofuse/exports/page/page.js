/* The exported page: its viewer takes the place of the still chart, which is left for print. */

(() => {
  const root = document.getElementById("viewer"), still = root.querySelector(".still");
  const { view, media, texts } = JSON.parse(document.getElementById("timeline-data").textContent);
  const part = (name) => root.querySelector(`[data-part=${name}]`), body = part("segments").querySelector("tbody");
  // rows that would be too many for a page without scripts lie in a template
  const rows = [...body.rows, ...part("more-rows").content.children];
  view.html = { segment_rows: rows.map((row) => row.outerHTML) };
  body.replaceChildren();
  for (const name of ["header", "people", "marks", "unused", "how", "segments"]) view.html[name] = part(name).innerHTML;
  globalThis.timelineViewer = emofuseViewer.mount(root, view, { texts, media });
  globalThis.timelineViewer.parts.chart.after(still);
})();
