/** The entry point of the page: one view at a time inside a frame, and the updates of both. */

import { getJson, Latest, oldest } from "./api.js";
import { h, replace, throttle } from "./dom.js";
import { setMoment } from "./format.js";
import { Frame } from "./frame.js";
import { Live } from "./live.js";
import { recorded } from "./recorded.js";
import { State } from "./state.js";
import { messageOf } from "./states.js";

/**
 * @typedef {import("./api.js").Store} Store
 * @typedef {import("./live.js").Change} Change
 * @typedef {{
 *   update?: (changed: Set<string>) => void,
 *   live?: (change: Change) => void,
 *   unmount?: () => void,
 * }} View the handlers for changes of the URL, changes of the store, and leaving the view
 * @typedef {{state: State, store: () => Store | null, onStore: (call: (store: Store) => void) => () => void,
 *   refresh: () => void}} App
 */

/** Views are loaded on first use; the first one immediately. */
const MODULES = {
  trials: () => import("./table.js"),
  charts: () => import("./charts.js"),
  trial: () => import("./trial.js"),
  compare: () => import("./compare.js"),
  history: () => import("./history.js"),
};

const REFRESH_MS = 500;

const state = new State();
/** @type {Store | null} */
let store = null;
/** @type {Set<(store: Store) => void>} */
const storeListeners = new Set();
/** @type {View | null} */
let view = null;
let shown = "";
/** @type {Latest<Store>} */
const asking = new Latest();
let hasFailed = false;

/** @type {App} */
const app = {
  state,
  store: () => store,
  onStore: (call) => {
    storeListeners.add(call);
    if (store) call(store);
    return () => storeListeners.delete(call);
  },
  refresh: () => asking.renew(refreshStore),
};

const frame = new Frame(app);
const live = new Live(onChange, (status) => frame.setStatus(status));

/** @type {Change | null} */
let waiting = null;
/** Tell the view about changes, at most twice a second: faster ones are merged. */
const deliver = throttle(REFRESH_MS, () => {
  if (!waiting) return;
  const change = waiting;
  waiting = null;
  frame.live(change);
  view?.live?.(change);
  app.refresh();
});

/** @param {Change} change */
function onChange(change) {
  waiting = waiting === null ? change : joined(waiting, change);
  deliver();
}

/** @param {Change} first @param {Change} then */
function joined(first, then) {
  const trials = first.trials && then.trials ? [...new Set([...first.trials, ...then.trials])] : null;
  const kinds = { ...first.kinds };
  for (const [kind, n] of Object.entries(then.kinds)) kinds[kind] = (kinds[kind] ?? 0) + n;
  return { ...then, from: first.from, trials, kinds };
}

async function refreshStore() {
  try {
    const answer = await asking.ask((signal) => getJson("store", { at: state.at }, signal));
    if (!answer) return;
    const isFirst = store === null;
    store = answer;
    setMoment(state.at === null ? null : answer.last_at);
    if (isFirst && recorded) frame.setSaved();
    else if (isFirst) live.start(answer.position);
    for (const call of storeListeners) call(answer);
    // The view did not wait for this answer, so it may lack what the stream begins after.
    if (isFirst && !recorded && (hasFailed || oldest < answer.position)) onChange({ from: -1, position: answer.position, trials: null, kinds: {} });
    frame.problem(null);
  } catch (error) {
    hasFailed = true;
    frame.problem(messageOf(error));
    if (store === null) setTimeout(refreshStore, 1500);
  }
}

async function showView() {
  const wanted = `${state.view}/${state.uid ?? ""}`;
  if (wanted === shown) return;
  shown = wanted;
  view?.unmount?.();
  view = null;
  const module = await MODULES[state.view]();
  if (wanted !== shown) return; // the user has moved on in the meantime
  const root = h("div", { class: `view view-${state.view}` });
  replace(frame.main, root);
  frame.main.scrollTop = 0;
  view = module.mount(root, app);
}

state.onChange((changed) => {
  frame.update(changed);
  if (changed.has("at")) refreshStore();
  if (changed.has("view") || changed.has("uid")) showView();
  else view?.update?.(changed);
});

document.body.prepend(frame.root);
refreshStore();
showView();
