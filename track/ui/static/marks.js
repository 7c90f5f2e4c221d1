/** Marks of values in a chart that no line can show. */

import { lookOf } from "./colors.js";

/**
 * Draw crosses at NaN values and arrows at infinite ones.
 * @param {any} plot
 * @param {import("./lines.js").Line[]} lines
 */
export function drawMarks(plot, lines) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  ctx.save();
  ctx.lineWidth = 1.5 * ratio;
  for (const line of lines) {
    ctx.strokeStyle = lookOf(line.uid).color;
    ctx.fillStyle = ctx.strokeStyle;
    for (const mark of line.marks) {
      const x = plot.valToPos(mark.x, "x", true);
      if (!(x >= bbox.left && x <= bbox.left + bbox.width)) continue;
      const size = 3.5 * ratio;
      const y = mark.kind === "up" ? bbox.top + size : bbox.top + bbox.height - size - 1;
      ctx.beginPath();
      if (mark.kind === "nan") {
        ctx.moveTo(x - size, y - size);
        ctx.lineTo(x + size, y + size);
        ctx.moveTo(x - size, y + size);
        ctx.lineTo(x + size, y - size);
        ctx.stroke();
      } else {
        const tip = mark.kind === "up" ? -size : size;
        ctx.moveTo(x, y + tip);
        ctx.lineTo(x - size, y - tip);
        ctx.lineTo(x + size, y - tip);
        ctx.fill();
      }
    }
  }
  ctx.restore();
}
