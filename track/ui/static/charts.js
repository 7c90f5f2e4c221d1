/** The view Charts: one chart per metric, with a line for each selected trial. */

import { Latest } from "./api.js";
import { GROUPING } from "./channels.js";
import { showControls } from "./chartcontrols.js";
import { ChartPanel, DRAWN } from "./chartpanel.js";
import { trialsOf } from "./chosen.js";
import { assign } from "./colors.js";
import { h, replace } from "./dom.js";
import { differing } from "./labels.js";
import { Legend } from "./legend.js";
import { blank, emptyStore, failed } from "./states.js";

/** @typedef {import("./api.js").Row} Row */

/**
 * @param {HTMLElement} root
 * @param {import("./app.js").App} app
 * @returns {import("./app.js").View}
 */
export function mount(root, app) {
  const { state } = app;
  const legend = new Legend(app, (uid) => panel.focus(uid));
  const panel = new ChartPanel(app, {
    onHover: (values) => legend.showValues(values),
    onFocus: (uid) => legend.focus(uid),
  });
  const bar = h("div", { class: "chart-bar" });
  const side = h("aside", { class: "legend-side", "aria-label": "Trials in the charts" }, legend.root);
  replace(root, h("h1", { class: "unseen" }, "Charts"), side, h("div", { class: "charts-main" }, bar, panel.root));
  /** @type {Latest<{rows: Row[], metrics: string[], position: number}>} */
  const asking = new Latest();
  /** @type {{metrics: string[], parameters: string[]}} */
  const names = { metrics: [], parameters: [] };

  /** @param {boolean} [isOther] whether existing curves have to be replaced */
  async function load(isOther = true) {
    const chosen = state.selected;
    try {
      const answer = await asking.ask((signal) => trialsOf(app, chosen, signal));
      if (!answer) return;
      const { rows, metrics, position } = answer;
      assign(rows.map((row) => row.uid));
      if (rows.length === 0) {
        const isEmpty = position === 0 || (app.store()?.counts?.trials ?? 0) === 0;
        replace(panel.root, isEmpty && state.at === null ? emptyStore(app.store()?.uri ?? "") : blank("No trial to draw", "Choose trials in the table or change the search."));
      }
      panel.show(rows, metrics, isOther);
      legend.show(rows, chosen.length > 0, panel);
      Object.assign(names, { metrics, parameters: differing(rows) });
      showControls(app, bar, names);
    } catch (error) {
      replace(panel.root, failed(error, () => load()));
    }
  }

  showControls(app, bar, names);
  load();
  return {
    update(changed) {
      const has = (/** @type {string[]} */ ...names) => names.some((name) => changed.has(name));
      if (has("select", "where", "project", "archived", "at")) load();
      if (has(...DRAWN, ...GROUPING, "hide")) panel.changed(changed);
      if (has(...GROUPING)) legend.show(legend.rows, legend.isChosen, panel);
      if (has("hide", "select")) legend.update();
      if (has("find")) legend.finder.load();
      if (has(...DRAWN, ...GROUPING)) showControls(app, bar, names);
    },
    live(change) {
      if (state.at !== null) return;
      const isList = change.trials === null || Object.keys(change.kinds).some((kind) => /Trial|Status/.test(kind));
      panel.live(change);
      if (isList && state.selected.length === 0) asking.renew(() => load(false));
      else if (isList) legend.finder.asking.renew(() => legend.finder.load());
    },
    unmount() {
      asking.cancel();
      legend.close();
      panel.close();
    },
  };
}
