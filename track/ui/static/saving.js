/** Export of a chart as a table, a CSV file or an image. */

import { h } from "./dom.js";
import { lookOf, variable } from "./colors.js";
import { plural, text } from "./format.js";
import { openDialog } from "./popover.js";

/** @typedef {import("./chart.js").Chart} Chart */

const MOST_ROWS = 1000;
const LINE = 20;

/**
 * Return the visible points: one row per step, one column per trial.
 * @param {Chart} chart
 */
function tableOf(chart) {
  /** @type {Map<number | string, (number | string | undefined)[]>} */
  const rows = new Map();
  chart.series.forEach((series, place) => {
    series.steps.forEach((step, i) => {
      const key = series.labels?.[i] ?? step;
      const row = rows.get(key) ?? [];
      row[place] = series.texts?.[i] ?? series.values[i];
      rows.set(key, row);
    });
  });
  const sorted = [...rows].sort(([a], [b]) => (typeof a === "number" && typeof b === "number" ? a - b : 0));
  return { names: chart.series.map((series) => chart.host.nameOf(series.trial)), rows: sorted };
}

/** @param {Chart} chart */
export function showTable(chart) {
  const { names, rows } = tableOf(chart);
  const more = rows.length - MOST_ROWS;
  openDialog(
    text(chart.metric, 100),
    [
      h(
        "table",
        { class: "table" },
        h("caption", { class: "unseen" }, `Points of ${text(chart.metric, 100)}`),
        h("thead", null, h("tr", null, h("th", { scope: "col", class: "end" }, "Step"), names.map((name) => h("th", { scope: "col", class: "end" }, name)))),
        h("tbody", null, rows.slice(0, MOST_ROWS).map(([step, values]) => h("tr", null, h("th", { scope: "row", class: "end" }, text(step)), names.map((_, i) => h("td", { class: "end" }, values[i] === undefined ? "" : String(values[i])))))),
      ),
      more > 0 ? h("p", { class: "hint" }, `The CSV file has ${plural(more, "more row")}. Zoom in to get more points of a range.`) : null,
    ],
    { wide: true },
  );
}

/** @param {Chart} chart */
export function saveTable(chart) {
  const { names, rows } = tableOf(chart);
  const lines = [["step", ...names], ...rows.map(([step, values]) => [step, ...names.map((_, i) => values[i] ?? "")])];
  save(new Blob([lines.map((line) => line.map(field).join(",")).join("\r\n"), "\r\n"], { type: "text/csv" }), `${fileName(chart)}.csv`);
}

/** Format a field of a CSV file; text that a spreadsheet would evaluate stays text.
 * @param {unknown} value
 */
function field(value) {
  const written = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(written) ? `"${written.replaceAll('"', '""')}"` : written;
}

/** Save the image with its title and a legend.
 * @param {Chart} chart
 */
export function saveImage(chart) {
  const source = /** @type {HTMLCanvasElement | null} */ (chart.area.querySelector("canvas"));
  if (!source) return;
  const ratio = devicePixelRatio || 1;
  const canvas = document.createElement("canvas");
  const legend = (chart.data?.lines ?? []).slice(0, 20);
  canvas.width = source.width;
  canvas.height = source.height + (36 + LINE * legend.length + 8) * ratio;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.fillStyle = variable("--ground");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 36 * ratio);
  context.scale(ratio, ratio);
  const font = getComputedStyle(document.body).fontFamily;
  context.fillStyle = variable("--text");
  context.font = `600 14px ${font}`;
  context.fillText(text(chart.metric, 80), 12, 24);
  context.font = `12px ${font}`;
  legend.forEach(({ uid }, i) => {
    const y = 36 + source.height / ratio + LINE * i + 12;
    const { color, dash } = lookOf(uid);
    context.strokeStyle = color;
    context.lineWidth = 2;
    context.setLineDash(dash);
    context.beginPath();
    context.moveTo(12, y - 4);
    context.lineTo(44, y - 4);
    context.stroke();
    context.fillStyle = variable("--text");
    context.fillText(chart.host.nameOf(uid).slice(0, 100), 54, y);
  });
  canvas.toBlob((blob) => blob && save(blob, `${fileName(chart)}.png`));
}

/** @param {Chart} chart */
function fileName(chart) {
  return chart.metric.replace(/[^\w.-]+/g, "_").slice(0, 60) || "metric";
}

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

