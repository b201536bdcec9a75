/* The fragments of HTML that Python made, and the pages of a long table. */

const PAGE_ROWS = 200;

/* Put a fragment into its place, unless it is there; what is open and scrolled stays so. Whether it was put. */
function place(element, html) {
  if (element.fragment === html) return false;
  const open = [...element.querySelectorAll("details")].map((each) => each.open);
  const scrolled = [...element.querySelectorAll(".scroll")].map((each) => each.scrollTop);
  element.innerHTML = element.fragment = html;
  element.querySelectorAll("details").forEach((each, i) => { if (i < open.length) each.open = open[i]; });
  element.querySelectorAll(".scroll").forEach((each, i) => { each.scrollTop = scrolled[i] || 0; });
  return true;
}

/* The table of segments, a page of its rows at a time. */
class PagedRows {
  constructor(element, say, onShown) {
    this.element = element; this.say = say; this.onShown = onShown;
    this.rows = []; this.page = 0; this.starts = null;
  }
  get pages() { return Math.max(1, Math.ceil(this.rows.length / PAGE_ROWS)); }
  set(html, rows) {
    if (!place(this.element, html) && this.rows.length === rows.length && this.rows.every((row, i) => row === rows[i])) return;
    this.rows = rows; this.starts = null;
    this.show(Math.min(this.page, this.pages - 1));
  }
  show(page) {
    const body = this.element.querySelector("tbody");
    this.page = page;
    body.innerHTML = this.rows.slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS).join("");
    this.showPager();
    this.onShown(this.element);
  }
  showPager() {
    const old = this.element.querySelector(".pager");
    if (this.pages === 1) { if (old) old.remove(); return; }
    const pager = old || this.makePager(), [before, text, after] = pager.children, first = this.page * PAGE_ROWS;
    before.disabled = this.page === 0; after.disabled = this.page === this.pages - 1;
    text.textContent = this.say("rows", { first: first + 1, last: Math.min(first + PAGE_ROWS, this.rows.length), n: this.rows.length });
  }
  makePager() {
    const pager = make("div", { class: "pager" }, button("rows-before", this.say("rows_before")), make("span", { role: "status" }),
      button("rows-after", this.say("rows_after")), button("rows-cursor", this.say("rows_cursor")));
    this.element.querySelector(".scroll").after(pager);
    return pager;
  }
  turn(by) {
    this.show(Math.min(Math.max(this.page + by, 0), this.pages - 1));
    this.element.querySelector(".scroll").scrollTop = 0;
  }
  /* Show the row of the last segment that starts before a time. */
  showTime(time) {
    this.starts ||= Float64Array.from(this.rows, (row) => Number(/data-time="([^"]*)"/.exec(row)[1]));
    const index = Math.max(0, firstFrom(this.starts, time + 1e-3) - 1);
    this.show(Math.floor(index / PAGE_ROWS));
    const row = this.element.querySelectorAll("tbody tr")[index % PAGE_ROWS];
    if (!row) return;
    const scroll = this.element.querySelector(".scroll"), head = this.element.querySelector("thead");
    scroll.scrollTop = row.offsetTop - head.offsetHeight - 8;
    row.querySelector("button").focus({ preventScroll: true });
  }
}
