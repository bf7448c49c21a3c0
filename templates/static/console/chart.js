// A balance over time as SVG: a line in steps, for a balance stays as it is until the next entry.
// `points` are { at: milliseconds, balance: number }, oldest first.

import { formatMoney } from "../money.js";
import { formatClock, formatDay, formatTime } from "../times.js";
import { make } from "../dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 720;
const HOUR = 3_600_000;

export function sparkline(points, currency) {
  const height = 48;
  const { svg, scale } = canvas(points, currency, height, { top: 3, bottom: 0 });
  svg.classList.add("sparkline");
  drawLine(svg, points, scale);
  return svg;
}

export function balanceChart(points, currency) {
  const height = 240;
  const { svg, scale } = canvas(points, currency, height, { top: 2, bottom: 0 });
  const figure = make("figure", { class: "chart" });
  const readout = make("p", { class: "readout money", "aria-hidden": "true" });
  drawGrid(svg, scale);
  drawLine(svg, points, scale);
  const cursor = drawCursor(svg, scale);
  svg.addEventListener("pointermove", (event) => {
    const point = nearest(points, scale, event, svg);
    cursor.moveTo(point);
    readout.textContent = `${formatMoney(point.balance, currency)} on ${formatTime(point.at)}`;
  });
  svg.addEventListener("pointerleave", () => { cursor.hide(); rest(); });
  const rest = () => { readout.textContent = `Lowest ${formatMoney(scale.low, currency)}, highest ${formatMoney(scale.high, currency)}`; };
  rest();
  figure.append(readout, plotOf(svg, scale, currency, points));
  return figure;
}

// The numbers stand beside the drawing and not in it: it is stretched to its place, and they would be, too.
function plotOf(svg, { top, floor }, currency, points) {
  const label = (value) => make("span", { class: "money", "aria-hidden": "true" }, formatMoney(value, currency));
  return make("div", { class: "plot" }, svg, make("p", { class: "scale" }, label(top), label((top + floor) / 2), label(floor)), endsOf(points));
}

function endsOf(points) {
  const [first, last] = [points[0].at, points.at(-1).at];
  const format = formatDay(first) === formatDay(last) ? formatClock : formatDay;
  return make("p", { class: "ends", "aria-hidden": "true" }, make("span", {}, format(first)), make("span", {}, format(last)));
}

function canvas(points, currency, height, margin) {
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": inWords(points, currency), preserveAspectRatio: "none" });
  return { svg, scale: scaleOf(points, height, margin) };
}

function scaleOf(points, height, margin) {
  const balances = points.map(({ balance }) => balance);
  const [first, last] = [points[0].at, points.at(-1).at];
  // In an account as young as that, time would show one jump and a long wait: there each entry gets as much room.
  const young = last - first < HOUR;
  const step = WIDTH / (points.length - 1 || 1);
  const [low, high] = [Math.min(...balances), Math.max(...balances)];
  const floor = 0 - roundUp(-low); // a mere minus would make a zero negative
  const top = roundUp(high) || floor + 1;
  return {
    low, high, floor, top, height, margin,
    x: (point) => (young ? step * points.indexOf(point) : WIDTH * ((point.at - first) / (last - first))),
    y: (balance) => height - margin.bottom - (height - margin.top - margin.bottom) * ((balance - floor) / (top - floor)),
  };
}

// To a fifth of its power of ten: 1,036 to 1,200.
function roundUp(value) {
  if (value <= 0) return 0;
  const unit = 10 ** Math.floor(Math.log10(value)) / 5;
  return Math.ceil(value / unit) * unit;
}

function drawGrid(svg, { height, margin }) {
  for (const part of [0, 0.5, 1]) {
    const y = margin.top + (height - margin.top - margin.bottom) * part;
    svg.append(shape("line", { class: "grid", x1: 0, x2: WIDTH, y1: y, y2: y }));
  }
}

function drawLine(svg, points, { x, y, height }) {
  const steps = points.slice(1).map((point) => `H${x(point).toFixed(1)}V${y(point.balance).toFixed(1)}`).join("");
  const begin = `${x(points[0]).toFixed(1)} ${y(points[0].balance).toFixed(1)}`;
  const line = `M${begin}${steps}`;
  svg.append(
    shape("path", { class: "area", d: `${line}V${height}H${x(points[0]).toFixed(1)}Z` }),
    shape("path", { class: "line", d: line }),
  );
}

function drawCursor(svg, { x, height }) {
  const line = shape("line", { class: "cursor", y1: 0, y2: height, visibility: "hidden" });
  svg.append(line);
  return {
    moveTo(point) {
      line.setAttribute("x1", x(point));
      line.setAttribute("x2", x(point));
      line.setAttribute("visibility", "visible");
    },
    hide: () => line.setAttribute("visibility", "hidden"),
  };
}

function nearest(points, { x }, event, svg) {
  const box = svg.getBoundingClientRect();
  const here = ((event.clientX - box.left) / box.width) * WIDTH;
  return points.reduce((best, point) => (Math.abs(x(point) - here) <= Math.abs(x(best) - here) ? point : best));
}

function inWords(points, currency) {
  const [first, last] = [points[0], points.at(-1)];
  return `Balance from ${formatMoney(first.balance, currency)} on ${formatDay(first.at)} `
    + `to ${formatMoney(last.balance, currency)} on ${formatDay(last.at)}`;
}

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  return element;
}
