/** The view History: events, their details, and the changes between two moments. */

import { getJson, Latest } from "./api.js";
import { h, icon, replace } from "./dom.js";
import { count, fullTime, nameOf, text, time } from "./format.js";
import { EventList, kindText } from "./events.js";
import { changePanel, lanes } from "./lanes.js";
import { messageOf } from "./states.js";

/** Filters for kinds of events. */
const FILTERS = [
  ["", "Everything"],
  ["MetricsLogged", "Metrics"],
  ["TrialCreated,TrialStarted,TrialFinished,StatusChanged", "Starts and ends"],
  ["ArgumentsLogged,MetadataLogged,TagsAdded,GroupMetadataSet", "Parameters, metadata, tags"],
  ["ChronoStarted,ChronoFinished", "Chronos"],
  ["Heartbeat,ProcessDescribed", "Processes"],
  ["TrialArchived,TrialRestored,TrialRedacted,Redacted", "Archived, erased"],
];

const NOTHING = { attempts: /** @type {any[]} */ ([]), complete: true };

/**
 * @param {HTMLElement} root
 * @param {import("./app.js").App} app
 * @returns {import("./app.js").View}
 */
export function mount(root, app) {
  const { state } = app;
  const list = new EventList(app, (event) => state.set({ event: event.position }, { replace: true }));
  const detail = h("section", { class: "event-detail", "aria-label": "The chosen event" });
  const about = h("div", { class: "history-about" });
  const pause = h("button", { type: "button", class: "button small", onclick: () => list.toggle() });
  const kinds = h("select", { class: "select", "aria-label": "Kinds of events", onchange: () => state.set({ kind: kinds.value || null }) }, FILTERS.map(([value, label]) => h("option", { value }, label)));
  const bar = h("div", { class: "history-bar" }, kinds, about, pause);
  const extra = h("div", { class: "history-extra" });
  replace(root, h("h1", { class: "unseen" }, "History"), bar, h("div", { class: "history-body" }, list.root, h("div", { class: "history-side" }, detail, extra)));
  list.onPause = (isPaused, waiting) => {
    replace(pause, icon(isPaused ? "play" : "pause"), isPaused ? (waiting ? `Resume, ${count(waiting)} new` : "Resume") : "Pause");
    pause.hidden = state.at !== null;
  };
  list.onList = () => showDetail();
  /** @type {Latest<any>} */
  const asking = new Latest();

  async function showAbout() {
    const uid = state.get("trial");
    list.root.classList.toggle("is-of-one", uid !== "");
    if (!uid) {
      replace(about, h("span", { class: "soft" }, "of the whole store"));
      replace(extra);
      return;
    }
    replace(about, h("span", { class: "soft" }, "of"), h("span", { class: "chip" }, h("a", { class: "chip-text", href: state.href("trial", uid) }, uid.slice(0, 10)), h("button", { type: "button", class: "chip-remove", "aria-label": "Show events of all trials", onclick: () => state.set({ trial: null, event: null }) }, icon("close"))));
    try {
      const answer = await asking.ask(async (signal) => {
        const trial = await getJson(`trial/${encodeURIComponent(uid)}`, { at: state.at }, signal);
        if (signal.aborted || trial.attempts.length < 2) return { trial, overwritten: NOTHING };
        show(trial, NOTHING); // finding overwritten points takes longer
        return { trial, overwritten: await getJson("overwritten", { trial: uid, at: state.at }, signal) };
      });
      if (answer) show(answer.trial, answer.overwritten);
    } catch (error) {
      replace(extra, h("p", { class: "soft" }, messageOf(error)));
    }
  }

  /** @param {any} trial @param {typeof NOTHING} overwritten */
  function show(trial, overwritten) {
    /** @type {any} */ (about.querySelector(".chip-text")).textContent = nameOf(trial);
    replace(extra, lanes(trial, overwritten), changePanel(app, trial));
  }

  function showDetail() {
    const position = Number(state.get("event"));
    const event = list.find(position) ?? (position ? null : list.events[0]);
    list.mark(event?.position ?? null);
    if (event) replace(detail, eventDetail(app, event, list.nameOf(event)));
    else if (position) findEvent(position);
    else replace(detail, h("p", { class: "soft" }, "Choose an event to see its details."));
  }

  /** @param {number} position of an event that is not in the list */
  async function findEvent(position) {
    try {
      const { events } = await getJson("events", { before: position + 1, limit: 1, trial: state.get("trial") });
      if (Number(state.get("event")) !== position) return;
      if (events[0]) replace(detail, eventDetail(app, events[0], list.nameOf(events[0])));
    } catch (error) {
      replace(detail, h("p", { class: "soft" }, messageOf(error)));
    }
  }

  kinds.value = state.get("kind");
  showAbout();
  list.load();
  return {
    update(changed) {
      kinds.value = state.get("kind");
      if (changed.has("trial") || changed.has("at")) showAbout();
      if (["trial", "kind", "at"].some((name) => changed.has(name))) list.load();
      else if (changed.has("event")) showDetail();
      if (changed.has("from")) showAbout();
    },
    live(change) {
      if (state.at === null) list.live(change);
    },
    unmount() {
      list.close();
      asking.cancel();
    },
  };
}

/**
 * @param {import("./app.js").App} app
 * @param {import("./api.js").StoreEvent} event
 * @param {string} name of its subject
 */
function eventDetail(app, event, name) {
  const { state } = app;
  const isTrial = event.subject?.kind === "trial";
  return [
    h("div", { class: "event-title" }, h("h2", null, kindText(event.kind)), h("span", { class: "soft mono" }, event.kind)),
    h("dl", { class: "facts" }, [
      ["Position", count(event.position)],
      ["Time", h("span", { title: fullTime(event.time) }, time(event.time))],
      ["Subject", isTrial ? h("a", { href: state.href("trial", event.subject.uid) }, name) : `${text(event.subject?.kind)} ${text(name, 80)}`],
      ["Producer", h("span", { class: "mono" }, text(event.producer))],
    ].map(([label, value]) => [h("dt", null, label), h("dd", null, value)])),
    h("div", { class: "event-actions" }, [
      h("button", { type: "button", class: "button small", onclick: () => state.set({ at: event.position }) }, icon("clock"), "Show this moment"),
      isTrial && state.get("trial") !== event.subject.uid ? h("button", { type: "button", class: "button small", onclick: () => state.set({ trial: event.subject.uid }) }, icon("filter"), "Only this trial") : null,
      isTrial ? h("button", { type: "button", class: "button small", onclick: () => state.set({ trial: event.subject.uid, from: event.position }) }, "What changed since") : null,
    ]),
    h("pre", { class: "code payload", tabindex: "0", "aria-label": "Payload" }, payloadText(event.payload)),
  ];
}

/** @param {unknown} payload */
function payloadText(payload) {
  const written = JSON.stringify(payload, null, 2) ?? "";
  const limit = 100_000;
  const shown = written.length > limit ? `${written.slice(0, limit)}\n… ${count(written.length - limit)} more characters` : written;
  return shown.split("\n").map((line) => text(line, 5000)).join("\n");
}
