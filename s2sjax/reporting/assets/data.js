"use strict";
// What the page is about, and the arithmetic on it. The data is text that others wrote:
// it reaches the document by textContent alone.

const data = JSON.parse(document.getElementById("data").textContent);
const {trials, factors, metrics} = data;

function put(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child != null));
  return node;
}

const element = (tag, attributes = {}, ...children) =>
  put(document.createElement(tag), attributes, children);

const drawn = (tag, attributes = {}, ...children) =>
  put(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

const at = (id) => document.getElementById(id);

const metricOf = (name) => metrics.find((metric) => metric.name === name);

const significant = (value, digits) =>
  value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e6)
    ? value.toExponential(digits - 1)
    : String(Number(value.toPrecision(digits)));

/** A value in few characters; of a share only 1 is 100 and only 0 is 0. */
function written(value, metric) {
  if (value == null || !Number.isFinite(value)) return "–";
  if (!metric.share) return significant(value, 3);
  if (value >= 0.995 && value < 1) return ">99";
  if (value > 0 && value < 0.005) return "<1";
  return String(Math.floor(100 * value + 0.5));
}

function exactly(value, metric) {
  if (value == null || !Number.isFinite(value)) return "–";
  return metric.share ? `${(100 * value).toFixed(2)} %` : significant(value, 4);
}

/** Mean and ends of the 95 % interval of values from 0 to `most`, or of any (null): the
 * same as in groups.py, where it is explained. */
function estimate(values, most, examples) {
  const n = values.length;
  if (n === 0) return {n, mean: NaN, low: NaN, high: NaN};
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  if (n === 1 && !examples) return {n, mean, low: NaN, high: NaN};
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const t = data.t[Math.min(Math.max(n - 1, 1), data.t.length) - 1];
  const square = n > 1 ? t ** 2 * squares / (n - 1) / n : 0;
  if (most === null || mean < 0 || mean > most) {
    return {n, mean, low: mean - Math.sqrt(square), high: mean + Math.sqrt(square)};
  }
  const room = mean * (1 - mean / most);
  const scatter = room > 0 ? square / room : 0;
  const rho = examples ? Math.max(scatter, data.z ** 2 / examples) : scatter;
  const half = Math.sqrt(rho * room + rho ** 2 / 4);
  const end = (sign) => (mean + rho / 2 + sign * half) / (1 + rho / most);
  return {n, mean, low: Math.min(Math.max(end(-1), 0), mean),
    high: Math.max(Math.min(end(1), most), mean)};
}

const valueOf = (trial, metric) =>
  trial.status === "done" ? trial.metrics[metric.name] : undefined;

function estimateOf(members, metric) {
  const done = members.filter((trial) => valueOf(trial, metric) !== undefined);
  const values = done.map((trial) => valueOf(trial, metric));
  const count = (trial) => trial.examples[metric.split] ?? 0;
  const known = metric.share && done.every(count);
  const examples = known ? done.reduce((sum, trial) => sum + count(trial), 0) : 0;
  const most = metric.limited ? metric.most ?? Infinity : null;
  return {...estimate(values, most, examples), examples};
}

/** Groups of trials by a text for each, in the order of first appearance. */
function grouped(members, key) {
  const groups = new Map();
  for (const trial of members) {
    const name = key(trial);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(trial);
  }
  return groups;
}

const levelOf = (trial, factor) => factors[factor].levels[trial.codes[factor]];

function counted(members) {
  const groups = [...grouped(members, (trial) => trial.status)];
  return groups.map(([status, some]) => `${some.length} ${status}`).join(", ");
}

/** The same metric of a split: "valid" or "test". */
const ofSplit = (metric, split) => metricOf(`${split}_${metric.quantity}`);

/** Of the trials that are done, the first that is best on validation examples, where
 * the least nll decides between equal ones: the same as in findings.py. */
function bestTrial(metric) {
  const ranking = ofSplit(metric, "valid"), sign = metric.lower ? 1 : -1;
  if (!ranking) return undefined;
  const rank = (trial) => [sign * valueOf(trial, ranking),
    trial.metrics.valid_nll ?? Infinity];
  let best;
  for (const trial of trials) {
    if (valueOf(trial, ranking) === undefined) continue;
    const [one, other] = [rank(trial), best && rank(best)];
    if (!best || one[0] < other[0] || (one[0] === other[0] && one[1] < other[1])) {
      best = trial;
    }
  }
  return best;
}
