/** The view of one trial with everything known about it. */

import { address, getJson, Latest, post } from "./api.js";
import { announce, h, icon, replace } from "./dom.js";
import { assign } from "./colors.js";
import { ChartPanel, DRAWN } from "./chartpanel.js";
import { showControls } from "./chartcontrols.js";
import { runtimeOf, statusBadge } from "./columns.js";
import { bytes, count, duration, fullTime, nameOf, nameText, number, plural, text, time } from "./format.js";
import { swatch } from "./grid.js";
import { MachinePanel } from "./machine.js";
import { MediaPanel } from "./media.js";
import { OutputPanel } from "./output.js";
import { openOrigins } from "./point.js";
import { blank, failed, messageOf, skeleton } from "./states.js";
import { flat, valueTable } from "./values.js";

const MOST_METRICS = 200;
/** The most rows in the table of results. */

/**
 * @param {HTMLElement} root
 * @param {import("./app.js").App} app
 * @returns {import("./app.js").View}
 */
export function mount(root, app) {
  const { state } = app;
  const uid = /** @type {string} */ (state.uid);
  assign([uid]);
  const panel = new ChartPanel(app, {});
  const output = new OutputPanel(app, uid);
  const media = new MediaPanel(app, uid);
  const machine = new MachinePanel(app, uid);
  const beside = [media, machine, output];
  const head = h("div", { class: "trial-head" }, skeleton(2));
  const facts = h("div", { class: "trial-facts" }, skeleton(10));
  const bar = h("div", { class: "chart-bar" });
  showControls(app, bar);
  /** @type {string[]} */
  let metrics = [];
  const content = h("div", { class: "trial-body" }, facts, h("section", { class: "trial-charts", "aria-label": "Charts" }, bar, panel.root, beside.map((one) => one.root)));
  replace(root, head, content);
  /** @type {Latest<any>} */
  const asking = new Latest();
  let drawn = "";

  /** @param {boolean} [isOther] whether curves that are there are others now */
  async function load(isOther = true) {
    try {
      const trial = await asking.ask((signal) => getJson(`trial/${encodeURIComponent(uid)}`, { at: state.at }, signal));
      if (!trial) return;
      if (!content.isConnected) replace(root, head, content);
      const written = JSON.stringify(trial);
      if (written === drawn) return;
      drawn = written;
      replace(head, heading(app, trial, () => load()));
      drawFacts(trial);
      // Values without steps are in the table of results: a chart of one point would show less.
      const names = Object.keys(trial.metrics);
      const curves = names.filter((name) => trial.metrics[name].count > 1);
      metrics = curves.length ? curves : names;
      showControls(app, bar, { metrics });
      panel.show([trial], metrics, isOther);
    } catch (error) {
      const status = /** @type {any} */ (error).status;
      drawn = "";
      if (status === 404) replace(root, missing(app, messageOf(error)));
      else if (!drawn && facts.querySelector(".skeleton")) replace(root, failed(error, () => load()));
    }
  }

  function loadBeside() {
    for (const one of beside) one.load();
  }

  /** Draw the facts; sections that the user closed stay closed. */
  function drawFacts(/** @type {any} */ trial) {
    const closed = new Set([...facts.querySelectorAll("details:not([open])")].map((one) => /** @type {HTMLElement} */ (one).dataset.name));
    const top = facts.scrollTop;
    replace(facts, sectionsOf(app, trial));
    for (const one of /** @type {NodeListOf<HTMLDetailsElement>} */ (facts.querySelectorAll("details"))) if (closed.has(one.dataset.name)) one.open = false;
    facts.scrollTop = top;
  }

  load();
  loadBeside();
  return {
    update(changed) {
      if (changed.has("at")) {
        load();
        loadBeside();
      }
      if (DRAWN.some((name) => changed.has(name))) {
        panel.changed(changed);
        showControls(app, bar, { metrics });
      }
    },
    live(change) {
      if (state.at === null) {
        if (change.kinds.MediaLogged) media.news.renew(media.load);
        if (change.kinds.SystemSampled) machine.asking.renew(machine.load);
        if (change.kinds.OutputCaptured) output.news.renew(output.load);
      }
      if (state.at !== null || (change.trials !== null && !change.trials.includes(uid))) return;
      panel.live(change);
      asking.renew(() => load(false));
    },
    unmount() {
      asking.cancel();
      panel.close();
      for (const one of beside) one.close();
    },
  };
}

/** @param {import("./app.js").App} app @param {string} message */
function missing({ state }, message) {
  const back = h("a", { class: "button", href: state.href("trials") }, "All trials");
  return state.at === null
    ? blank("No such trial", message, back)
    : blank("This trial did not exist at this moment", message, h("button", { type: "button", class: "button", onclick: () => state.set({ at: null }) }, "Back to now"), back);
}

/** @param {import("./app.js").App} app @param {any} trial @param {() => void} reload */
function heading(app, trial, reload) {
  const { state } = app;
  const isChosen = state.selected.includes(trial.uid);
  const failure = failureText(trial);
  const facts = [
    ["Started", time(trial.start), fullTime(trial.start)],
    ["Runtime", duration(runtimeOf(trial)), ""],
    ["Last event", time(trial.changed), fullTime(trial.changed)],
    ["Project", text(trial.project), ""],
    ["Group", text(trial.group), ""],
    ["Attempts", trial.attempts?.length ? count(trial.attempts.length) : "", ""],
  ].filter(([, value]) => value);
  const choose = h("button", { type: "button", class: "button small", "aria-pressed": String(isChosen), onclick: () => {
    state.set({ select: isChosen ? state.selected.filter((uid) => uid !== trial.uid) : [...state.selected, trial.uid] }, { replace: true });
    replace(choose.parentElement?.parentElement?.parentElement ?? choose, heading(app, trial, reload));
  } }, isChosen ? "Chosen" : "Choose for charts");
  const archive = app.store()?.writable
    ? h("button", { type: "button", class: "button small", onclick: async () => {
        try {
          await post(`trial/${encodeURIComponent(trial.uid)}/${trial.archived ? "restore" : "archive"}`);
          announce(trial.archived ? "Restored." : "Archived.");
        } catch (error) {
          announce(messageOf(error));
        }
        reload();
      } }, icon("archive"), trial.archived ? "Restore" : "Archive")
    : null;
  return [
    h("nav", { class: "crumbs", "aria-label": "Path" }, h("a", { href: state.href("trials") }, "‹ Trials")),
    h(
      "div",
      { class: "trial-title" },
      swatch(trial.uid),
      h("h1", { class: "clip", dir: "auto", title: text(trial.name ?? trial.uid, 2000) }, nameOf(trial)),
      statusBadge(trial.status),
      trial.archived ? h("span", { class: "tag" }, "archived") : null,
      trial.part ? h("span", { class: "tag", title: "The event of its creation is unreadable" }, "partial") : null,
      h("span", { class: "trial-actions" }, choose, h("a", { class: "button small", href: state.href("history", null, { trial: trial.uid }) }, icon("clock"), "Events"), archive),
    ),
    trial.description ? h("p", { class: "soft wrap" }, text(trial.description, 2000)) : null,
    h("dl", { class: "headline" }, facts.map(([name, value, more]) => h("div", null, h("dt", null, name), h("dd", { title: more || null }, value)))),
    failure ? h("details", { class: "failure", open: failure.split("\n").length < 4 }, h("summary", null, failure.trim().split("\n").at(-1)), h("pre", { tabindex: "0", "aria-label": "Traceback" }, failure)) : null,
  ];
}

/** @param {any} trial */
function failureText(trial) {
  const failure = trial.failure;
  if (!failure) return "";
  const said = typeof failure === "string" ? failure : (failure.traceback ?? failure.message ?? JSON.stringify(failure));
  return String(said).split("\n").map((line) => text(line, 2000)).join("\n");
}

/** @param {import("./app.js").App} app @param {any} trial */
function sectionsOf(app, trial) {
  const who = (/** @type {string} */ section) => (/** @type {Element} */ anchor, /** @type {string} */ path) => openOrigins(app, anchor, trial.uid, path ? `${section}${path}` : section);
  const chronos = Object.entries(trial.chronos ?? {});
  return [
    section("Alerts", trial.alerts?.length ? h("ul", { class: "errors" }, trial.alerts.map(alertItem)) : null),
    section("Results", metricTable(app, trial)),
    section("Parameters", valueTable(flat(trial.document ?? trial.parameters), who("parameters"))),
    section("Tags", valueTable(flat(trial.tags), who("tags"))),
    section("Metadata", valueTable(flat(trial.metadata), who("metadata"))),
    section("Chronos", chronos.length ? chronoTable(chronos) : null),
    section("Attempts", trial.attempts?.length ? h("ol", { class: "attempts" }, trial.attempts.map(attemptItem)) : null),
    section("Files", trial.files?.length ? fileList(app, trial) : null),
    section("Artifacts", trial.artifacts?.length ? h("ul", { class: "files" }, trial.artifacts.map(artifactItem)) : null),
    section("Errors", trial.errors?.length ? h("ul", { class: "errors" }, trial.errors.map((/** @type {any} */ one) => h("li", { class: "wrap" }, text(one, 2000)))) : null),
    section("Identity", valueTable([["uid", trial.uid], ["version", trial.version], ["revision", trial.revision]].map(([name, value]) => ({ path: "", name: String(name), value })), null)),
  ];
}

/** @param {string} name @param {import("./dom.js").Child} content */
function section(name, content) {
  return content ? h("details", { class: "fact-section", open: true, "data-name": name }, h("summary", null, h("h2", null, name)), content) : null;
}

/** @param {import("./app.js").App} app @param {any} trial */
function metricTable(app, trial) {
  const metrics = Object.entries(trial.metrics ?? {});
  if (metrics.length === 0) return null;
  const cell = (/** @type {any} */ value) => h("td", { class: "end", title: text(value) }, number(value && typeof value === "object" ? value.mean : value, 4, true));
  const table = h(
    "table",
    { class: "table compact" },
    h("thead", null, h("tr", null, ["Metric", "Last", "Min", "Max", "Points"].map((label, i) => h("th", { scope: "col", class: i ? "end" : null }, label)))),
    h("tbody", null, metrics.slice(0, MOST_METRICS).map(([name, one]) => h("tr", null, h("th", { scope: "row" }, h("span", { class: "clip", title: text(name, 1000), dir: "auto" }, nameText(name))), cell(one.last), cell(one.min), cell(one.max), h("td", { class: "end" }, count(one.count))))),
  );
  const more = metrics.length - MOST_METRICS;
  return [table, more > 0 ? h("p", { class: "hint" }, `${count(more)} more: find them among the charts by a part of their name.`) : null];
}

/** @param {any} one */
function artifactItem(one) {
  const role = [one.made ? "made" : "", one.used ? "used" : ""].filter(Boolean).join(" and ");
  return h("li", null, h("div", { class: "file" }, h("span", { class: "clip", title: `SHA-256 ${one.sha256}` }, `${text(one.name, 200)}:${text(one.version)}`), h("span", { class: "soft" }, `${role}, ${plural(one.files, "file")}, ${bytes(one.size)}`)));
}

/** @param {any} one */
function alertItem(one) {
  const kind = one.level === "info" ? "soft" : "bad";
  return h("li", { class: "wrap" }, h("b", { class: kind }, text(one.level)), " ", h("span", { class: "soft", title: fullTime(one.at) }, time(one.at)), ` ${text(one.title, 300)}`, one.text ? h("div", { class: "soft" }, text(one.text, 2000)) : null);
}

/** @param {[string, any][]} chronos */
function chronoTable(chronos) {
  return h(
    "table",
    { class: "table compact" },
    h("thead", null, h("tr", null, ["Chrono", "Mean", "Min", "Max", "Times"].map((label, i) => h("th", { scope: "col", class: i ? "end" : null }, label)))),
    h("tbody", null, chronos.map(([name, value]) => {
      const isPlain = typeof value === "number";
      const parts = isPlain ? [value, null, null, 1] : [value?.mean ?? value?.avg, value?.min, value?.max, value?.count];
      return h("tr", null, h("th", { scope: "row" }, text(name, 80)), parts.slice(0, 3).map((part) => h("td", { class: "end" }, typeof part === "number" ? duration(part) : "")), h("td", { class: "end" }, typeof parts[3] === "number" ? count(parts[3]) : ""));
    })),
  );
}

/** @param {any} one */
function attemptItem(one) {
  const command = Array.isArray(one.command) ? one.command.join(" ") : one.command;
  const commit = one.commit ? `${String(one.commit).slice(0, 12)}${one.modified ? " and changes" : ""}` : "";
  const facts = [["Host", one.host ? `${text(one.host)}${one.pid ? `, process ${one.pid}` : ""}` : ""], ["Command", text(command, 600)], ["Folder", text(one.directory)], ["Commit", text(commit)], ["Python", text(one.python)], ["System", text(one.platform)]].filter(([, value]) => value);
  const failure = one.failure?.message ? text(String(one.failure.message).split("\n")[0], 300) : "";
  return h(
    "li",
    { class: "attempt" },
    h("div", { class: "attempt-head" }, h("b", null, String(one.number)), statusBadge(one.status), h("span", { title: fullTime(one.start) }, time(one.start)), h("span", { class: "soft" }, duration(one.runtime))),
    h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", null, name), h("dd", { class: name === "Command" || name === "Commit" ? "mono" : null }, value)])),
    failure ? h("p", { class: "bad wrap" }, failure) : null,
  );
}

/** @param {import("./app.js").App} app @param {any} trial */
function fileList({ state }, trial) {
  const link = (/** @type {any} */ file) => address("api/file", { trial: trial.uid, name: file.name, at: state.at });
  const isImage = (/** @type {any} */ file) => /\.(png|jpe?g|gif|webp|svg|avif)$/i.test(file.name) && file.size < 2e7;
  return h(
    "ul",
    { class: "files" },
    trial.files.slice(0, 500).map((/** @type {any} */ file) =>
      h(
        "li",
        null,
        h("div", { class: "file" }, h("a", { class: "clip", href: link(file), target: "_blank", rel: "noreferrer", title: `SHA-256 ${file.sha256}` }, text(file.name, 200)), h("span", { class: "soft" }, bytes(file.size))),
        isImage(file) ? h("img", { class: "preview", src: link(file), alt: `Picture ${text(file.name, 100)}`, loading: "lazy" }) : null,
      ),
    ),
  );
}
