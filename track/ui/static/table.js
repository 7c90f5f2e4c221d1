/** The view Trials: all trials of the store, or the results of a search. */

import { getJson, Latest, post } from "./api.js";
import { announce, h, icon, replace, throttle } from "./dom.js";
import { assign } from "./colors.js";
import { columnOf, defaultColumns, isRunning, withOwnLabels } from "./columns.js";
import { columnPicker } from "./picker.js";
import { count, plural } from "./format.js";
import { Grid } from "./grid.js";
import { groupMenu, GroupTable } from "./groups.js";
import { menuButton } from "./popover.js";
import { Rows } from "./rows.js";
import { Search } from "./search.js";
import { blank, emptyStore, failed, messageOf } from "./states.js";

const MOST_SELECTED = 200;
const CLOCK_MS = 10_000;
/** The kinds of events that may change the list of trials or its order. */
const CHANGES_LIST = /Trial(Created|Archived|Restored|Redacted|AddedTo)|Status|Started|Finished/;

/**
 * @param {HTMLElement} root
 * @param {import("./app.js").App} app
 * @returns {import("./app.js").View}
 */
export function mount(root, app) {
  const view = new TrialsView(root, app);
  return { update: (changed) => view.update(changed), live: (change) => view.live(change), unmount: () => view.close() };
}

/** Return the filters for the server from the URL.
 * @param {import("./state.js").State} state
 */
export function filters(state) {
  return { where: state.all("where"), project: state.get("project"), archived: state.get("archived") === "1" ? "1" : "", at: state.at };
}

class TrialsView {
  /** @param {HTMLElement} root @param {import("./app.js").App} app */
  constructor(root, app) {
    this.app = app;
    this.state = app.state;
    /** @type {import("./api.js").Columns | null} */
    this.known = null;
    /** @type {Latest<any>} */
    this.askingColumns = new Latest();
    this.rows = new Rows(() => this.arrived(), (error) => this.failed(error));
    this.search = new Search(
      (where) => this.state.set({ where }),
      () => ({ names: this.known, rows: this.rows.between(0, 300) }),
    );
    this.grid = new Grid({
      at: (index) => this.rows.at(index),
      need: (first, last) => this.rows.need(first, last),
      href: (row) => this.state.href("trial", row.uid),
      open: (row) => this.state.go("trial", row.uid),
      select: (uid, isOn, isMore) => this.select(uid, isOn, isMore),
      clear: () => this.state.set({ select: null }, { replace: true }),
      sort: (column) => this.sort(column),
    });
    this.groups = new GroupTable(app);
    this.summary = h("span", { class: "summary", role: "status" });
    this.actions = h("div", { class: "actions" });
    this.projects = h("select", { class: "select", "aria-label": "Project", hidden: true, onchange: () => this.state.set({ project: this.projects.value || null }) });
    this.content = h("div", { class: "grid-holder" });
    this.tools = h(
      "div",
      { class: "tools" },
      this.projects,
      (this.groupButton = menuButton([icon("group"), h("span", { class: "wide-only" }, "Group")], () => groupMenu(app, this.known, () => this.groupButton.close()), { "aria-label": "Group" })),
      (this.pickerButton = menuButton([icon("columns"), h("span", { class: "wide-only" }, "Columns")], () => columnPicker(app, this.known, this.columnIds()), { "aria-label": "Columns" })),
    );
    replace(root, h("h1", { class: "unseen" }, "Trials"), h("div", { class: "toolbar" }, this.search.root, this.tools), h("div", { class: "subbar" }, this.summary, this.actions), this.content);
    /** @type {string[]} */
    this.pending = [];
    this.hasRows = false;
    this.stopStore = app.onStore((store) => this.showProjects(store));
    this.clock = setInterval(() => this.tick(), CLOCK_MS);
    this.askColumnsSometimes = throttle(2000, () => this.askingColumns.renew(() => this.askColumns()));
    this.onTheme = () => this.grid.tick();
    addEventListener("track:theme", this.onTheme);
    this.update(new Set(["where", "columns", "select", "group"]));
  }

  /** @param {Set<string>} changed */
  update(changed) {
    const { state } = this;
    const has = (/** @type {string[]} */ ...names) => names.some((name) => changed.has(name));
    if (has("where")) this.search.set(state.all("where"));
    if (has("where", "project", "archived", "at", "sort", "descending")) this.ask(has("where", "project", "archived", "at"));
    if (has("columns", "sort", "descending")) this.showColumns();
    if (has("select", "archived", "where")) this.showSelection();
    if (has("group")) {
      replace(this.content, state.get("group") ? this.groups.root : this.grid.root);
      if (!state.get("group")) this.grid.render();
    }
    if (state.get("group") && has("group", "where", "project", "archived", "at", "columns")) this.groups.show(this.columnIds());
    this.groupButton.button.classList.toggle("is-on", state.get("group") !== "");
  }

  /** @param {boolean} isOtherSet whether the set of trials may change, not just their order */
  ask(isOtherSet) {
    const { state } = this;
    const query = { ...filters(state), sort: state.get("sort"), descending: state.get("descending") };
    this.rows.ask(query);
    this.rows.need(this.grid.first ?? 0, this.grid.last ?? 0);
    if (isOtherSet) this.askColumns();
  }

  async askColumns() {
    try {
      const known = await this.askingColumns.ask((signal) => getJson("columns", filters(this.state), signal));
      if (!known) return;
      if (known.total > 0) this.known = known;
    } catch {
      // The request for the rows fails too and shows the error; columns stay.
    }
    // If the search is invalid or finds nothing, the names of all trials help to correct it.
    this.known ??= await getJson("columns", { at: this.state.at }).catch(() => null);
    this.search.renew();
    this.showColumns();
    if (this.state.get("group")) this.groups.show(this.columnIds());
  }

  columnIds() {
    const chosen = this.state.all("columns");
    return chosen.length ? chosen : defaultColumns(this.known, this.rows.between(0, 60));
  }

  showColumns() {
    if (this.known === null && this.state.all("columns").length === 0) return; // they are about to arrive
    const columns = withOwnLabels(this.columnIds().map(columnOf).filter((column) => column !== null));
    this.grid.setColumns(columns, this.state.get("sort"), this.state.get("descending") === "1");
    this.grid.render();
  }

  arrived() {
    this.search.fail(null);
    this.grid.setTotal(this.rows.total);
    const isGrouped = this.state.get("group") !== "";
    if (this.rows.total > 0) {
      if (!isGrouped && !this.grid.root.isConnected) replace(this.content, this.grid.root);
      if (this.grid.columns.length === 0 || !this.hasRows) this.showColumns(); // numeric columns are recognised from the rows
      this.hasRows = true;
      if (this.grid.columns.length) this.grid.refresh();
    } else replace(this.content, this.nothing());
    this.showSummary();
  }

  nothing() {
    const { state } = this;
    if (state.all("where").length || state.get("project")) {
      return blank("No trial matches", "All conditions must be met.", h("button", { type: "button", class: "button", onclick: () => state.set({ where: null, project: null }) }, "Clear the search"));
    }
    if (state.get("archived") === "1") return blank("Nothing is archived", "Archived trials stay in the store and can be restored here.", h("button", { type: "button", class: "button", onclick: () => state.set({ archived: null }) }, "Back to the trials"));
    if (state.at !== null) return blank("No trial existed yet", "At this moment, the store had no trials.", h("button", { type: "button", class: "button", onclick: () => state.set({ at: null }) }, "Back to now"));
    return emptyStore(this.app.store()?.uri ?? "");
  }

  showSummary() {
    const { state } = this;
    const store = this.app.store();
    const all = store?.counts?.trials ?? this.rows.total;
    const isAll = state.all("where").length === 0 && !state.get("project");
    const archived = state.get("archived") === "1";
    const shown = archived ? `${plural(this.rows.total, "archived trial")}` : isAll ? plural(this.rows.total, "trial") : `${count(this.rows.total)} of ${plural(all, "trial")}`;
    if (this.summary.textContent !== shown) this.summary.textContent = shown;
  }

  /** @param {unknown} error */
  failed(error) {
    const status = /** @type {any} */ (error).status;
    if (status === 400) this.search.fail(messageOf(error));
    else if (!this.rows.isKnown) replace(this.content, failed(error, () => this.ask(true)));
  }

  /** @param {import("./columns.js").Column} column */
  sort(column) {
    const { state } = this;
    const isSame = state.get("sort") === column.path;
    const isDescending = state.get("descending") === "1";
    if (isSame && isDescending) state.set({ sort: null, descending: null }, { replace: true });
    else state.set({ sort: column.path, descending: isSame ? "1" : null }, { replace: true });
  }

  /** @param {string} uid @param {boolean} isOn @param {boolean} isMore whether more calls follow */
  select(uid, isOn, isMore) {
    this.pending = this.pending.length ? this.pending : this.state.selected;
    this.pending = isOn ? [...this.pending.filter((one) => one !== uid), uid] : this.pending.filter((one) => one !== uid);
    if (isMore) return;
    const chosen = this.pending.slice(0, MOST_SELECTED);
    if (chosen.length < this.pending.length) announce(`At most ${MOST_SELECTED} trials can be chosen.`);
    this.pending = [];
    assign(chosen);
    this.state.set({ select: chosen }, { replace: true });
  }

  showSelection() {
    const { state } = this;
    const chosen = state.selected;
    assign(chosen);
    this.grid.selected = new Set(chosen);
    this.grid.render();
    const store = this.app.store();
    const isArchived = state.get("archived") === "1";
    replace(
      this.actions,
      chosen.length
        ? [
            h("span", { class: "chosen" }, `${count(chosen.length)} chosen`),
            h("a", { class: "button small primary", href: state.href("charts") }, "Charts"),
            chosen.length > 1 ? h("a", { class: "button small", href: state.href("compare") }, "Compare") : null,
            store?.writable ? h("button", { type: "button", class: "button small", onclick: () => this.archive(chosen, isArchived) }, icon("archive"), isArchived ? "Restore" : "Archive") : null,
            h("button", { type: "button", class: "button small quiet", onclick: () => state.set({ select: null }, { replace: true }) }, "Clear"),
          ]
        : h("button", { type: "button", class: "button small quiet", "aria-pressed": String(isArchived), onclick: () => state.set({ archived: isArchived ? null : "1" }) }, isArchived ? "Back to the trials" : "Archived"),
    );
  }

  /** @param {string[]} uids @param {boolean} isArchived */
  async archive(uids, isArchived) {
    try {
      for (const uid of uids) await post(`trial/${encodeURIComponent(uid)}/${isArchived ? "restore" : "archive"}`);
      this.state.set({ select: null }, { replace: true });
      announce(`${plural(uids.length, "trial")} ${isArchived ? "restored" : "archived"}.`);
    } catch (error) {
      this.search.fail(messageOf(error));
    }
    this.ask(true);
  }

  /** @param {import("./api.js").Store} store */
  showProjects(store) {
    const projects = store.projects ?? [];
    this.projects.hidden = projects.length < 2;
    if (this.projects.children.length !== projects.length + 1) {
      replace(this.projects, h("option", { value: "" }, "All projects"), projects.map((project) => h("option", { value: project.uid }, (project.name ?? project.uid).slice(0, 60))));
    }
    this.projects.value = this.state.get("project");
    if (this.state.at !== null) this.grid.tick();
    this.showSummary();
    this.showSelection();
  }

  /** @param {import("./live.js").Change} change */
  live(change) {
    if (this.state.at !== null) return;
    const isList = change.trials === null || Object.keys(change.kinds).some((kind) => CHANGES_LIST.test(kind));
    const touched = new Set(change.trials ?? []);
    const isSeen = [...this.rows.between(this.grid.first ?? 0, this.grid.last ?? 0)].some((row) => touched.has(row.uid));
    this.rows.invalidate();
    if (!(isList || isSeen || this.state.get("sort"))) return;
    this.rows.need(this.grid.first ?? 0, this.grid.last ?? 0);
    if (this.state.all("columns").length === 0 || isList) this.askColumnsSometimes();
  }

  /** Refresh by the clock: ages grow, and the death of a process sends no event. */
  tick() {
    this.grid.tick();
    const [first, last] = [this.grid.first ?? 0, this.grid.last ?? 0];
    if (this.state.at !== null || ![...this.rows.between(first, last)].some((row) => isRunning(row.status))) return;
    this.rows.invalidate();
    this.rows.need(first, last);
    this.app.refresh();
  }

  close() {
    this.rows.close();
    this.askingColumns.cancel();
    this.grid.close();
    this.stopStore();
    clearInterval(this.clock);
    removeEventListener("track:theme", this.onTheme);
  }
}
