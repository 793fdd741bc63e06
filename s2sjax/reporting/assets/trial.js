// One trial beside those of its group: curve, numbers, predictions.

const SIZE = {width: 460, height: 240, left: 46, right: 20, top: 10, bottom: 36};
let opener = null;

// What a curve is over, and of what its values are.
const STEPS = {across: "step", of: "validation", points: curveOf};
const LENGTHS = {across: "symbols", of: "test", points: (trial) => trial.lengths};
const EXACT = {label: "exact match", of: "exact match, %", share: true};

/** Evaluations while training are on validation examples, whatever is compared. */
function curveOf(trial, metric) {
  const values = trial.curve && trial.curve.values[`valid_${metric.quantity}`];
  if (!values) return [];
  const points = data.steps[trial.curve.at].map((step, i) => [step, values[i]]);
  return points.filter(([, value]) => value != null);
}

/** About four round numbers from low to high. */
function ticks(low, high) {
  const rough = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) {
    found.push(i * step + 0); // no negative zero
  }
  return found;
}

function drawCurves(members, trial, metric, chart) {
  const lines = members.map((member) => [member, chart.points(member, metric)])
    .filter(([, points]) => points.length);
  if (!lines.length) {
    return element("p", {class: "soft"}, `No curve of ${metric.label} was logged.`);
  }
  const points = lines.flatMap(([, line]) => line);
  const ends = (which) => points.reduce(
    ([low, high], p) => [Math.min(low, p[which]), Math.max(high, p[which])],
    [Infinity, -Infinity]);
  const last = ends(0)[1];
  let [low, high] = metric.share ? [0, 1] : ends(1);
  if (!metric.share) low = Math.min(low, 0);
  if (high <= low) high = low + 1;
  const x = (step) => SIZE.left +
    (SIZE.width - SIZE.left - SIZE.right) * step / (last || 1);
  const y = (value) => SIZE.height - SIZE.bottom -
    (SIZE.height - SIZE.top - SIZE.bottom) * (value - low) / (high - low);
  const path = (line) => line.map(([s, v], i) =>
    `${i ? "L" : "M"}${x(s).toFixed(1)} ${y(v).toFixed(1)}`).join("");
  const figure = drawn("svg", {viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img",
    "aria-label": `${metric.label} by ${chart.across}, of this trial and its group`});
  for (const tick of ticks(low, high)) {
    figure.append(
      drawn("line", {class: "grid", x1: SIZE.left, x2: SIZE.width - SIZE.right,
        y1: y(tick), y2: y(tick)}),
      drawn("text", {x: SIZE.left - 6, y: y(tick) + 4, "text-anchor": "end"},
        metric.share ? String(Math.round(100 * tick)) : significant(tick, 3)));
  }
  for (const tick of ticks(0, last || 1)) {
    figure.append(drawn("text", {x: x(tick), y: SIZE.height - SIZE.bottom + 16,
      "text-anchor": "middle"}, tick.toLocaleString("en")));
  }
  const middle = (SIZE.height - SIZE.bottom + SIZE.top) / 2;
  figure.append(
    drawn("text", {x: (SIZE.left + SIZE.width) / 2, y: SIZE.height - 4,
      "text-anchor": "middle"}, chart.across),
    drawn("text", {x: 11, y: middle, "text-anchor": "middle",
      transform: `rotate(-90 11 ${middle})`}, `${chart.of} ${metric.of}`));
  if (lines.length > 1) figure.append(drawBand(lines, x, y));
  for (const [member, line] of lines) {
    if (member !== trial) figure.append(drawn("path", {class: "other", d: path(line)}));
  }
  const own = chart.points(trial, metric);
  if (own.length) {
    figure.append(drawn("path", {class: "this", d: path(own)}));
    if (own.length < 3) {
      figure.append(...own.map(([s, v]) =>
        drawn("circle", {cx: x(s), cy: y(v), r: 3, fill: "currentColor"})));
    }
    addCursor(figure, own, metric, x, chart);
  }
  return figure;
}

const bandOf = (members) => element("p", {class: "soft"}, members.length > 1
  ? `band: least to largest of n = ${members.length} trials` : "");

/** From the least to the largest value at the steps that all trials have. */
function drawBand(lines, x, y) {
  const [first, ...others] = lines.map(([, line]) => new Map(line));
  const shared = [...first.keys()].filter((s) => others.every((line) => line.has(s)));
  const at = (s) => [first, ...others].map((line) => line.get(s));
  const upper = shared.map((s) => `${x(s)} ${y(Math.max(...at(s)))}`);
  const lower = shared.map((s) => `${x(s)} ${y(Math.min(...at(s)))}`).reverse();
  const outline = [...upper, ...lower];
  return drawn("path", {class: "band", d: outline.length ? `M${outline.join("L")}Z` : ""});
}

function addCursor(figure, line, metric, x, chart) {
  const mark = drawn("line", {class: "cursor", y1: SIZE.top,
    y2: SIZE.height - SIZE.bottom, visibility: "hidden"});
  figure.append(mark);
  figure.onpointermove = (event) => {
    const box = figure.getBoundingClientRect();
    const place = (event.clientX - box.left) * SIZE.width / box.width;
    const near = line.reduce((a, b) =>
      Math.abs(x(b[0]) - place) < Math.abs(x(a[0]) - place) ? b : a);
    put(mark, {x1: x(near[0]), x2: x(near[0]), visibility: "visible"}, []);
    const where = `${chart.across} ${near[0].toLocaleString("en")}`;
    const of = near[2] ? ` of ${near[2].toLocaleString("en")} examples` : "";
    showTip(`${where}: ${exactly(near[1], metric)}${of}`, event.clientX, event.clientY);
  };
  figure.onpointerleave = () => {
    mark.setAttribute("visibility", "hidden");
    hideTip();
  };
}

function drawSamples(samples) {
  if (!samples.length) return element("p", {class: "soft"}, "None were kept.");
  const row = ([source, output, target]) => {
    const right = output === target;
    return element("tr", {}, element("td", {class: right ? "" : "bad",
      "aria-label": right ? "right" : "wrong"}, right ? "✓" : "✗"),
      element("td", {class: "sample"}, source), element("td", {class: "sample"}, output),
      element("td", {class: "sample"}, right ? "" : target));
  };
  const names = ["", "source", "output", "target"];
  return element("table", {}, element("thead", {},
    element("tr", {}, names.map((name) => element("th", {scope: "col"}, name)))),
    element("tbody", {}, samples.map(row)));
}

function facts(trial) {
  const rows = [...trial.overrides,
    ...metrics.filter((m) => m.name in trial.metrics)
      .map((m) => [m.label, exactly(trial.metrics[m.name], m)])];
  if (trial.best_step != null) rows.push(["best step", String(trial.best_step)]);
  if (trial.seconds != null) rows.push(["seconds", significant(trial.seconds, 4)]);
  if (trial.device) rows.push(["device", trial.device]);
  return element("table", {}, element("tbody", {}, rows.map(([name, value]) =>
    element("tr", {}, element("th", {scope: "row"}, name), element("td", {}, value)))));
}

/** Opens the detail of `trial`, one of `members`; `from` gets the focus back. */
function openTrials(members, trial, from) {
  if (from) {
    if (opener) opener.removeAttribute("aria-pressed");
    opener = from;
    opener.setAttribute("aria-pressed", "true");
  }
  hideTip();
  const metric = metricOf(choice.metric);
  const detail = at("detail");
  const close = element("button", {type: "button", class: "text"}, "close");
  close.onclick = closeTrials;
  const title = element("h2", {tabindex: -1}, `Trial ${trial.index}`);
  const choices = members.slice(0, 40).map((member) => {
    const button = element("button", {type: "button",
      "aria-pressed": String(member === trial)},
      `${member.apart || member.index}: ${member.status === "done"
        ? written(valueOf(member, metric), metric) : member.status}`);
    button.onclick = () => openTrials(members, member, null);
    return button;
  });
  detail.replaceChildren(
    element("header", {}, title, close),
    element("p", {class: "soft"}, trial.name),
    element("p", {class: trial.status === "failed" ? "bad" : ""},
      trial.status + (trial.error ? `: ${trial.error}` : "")));
  if (members.length > 1) {
    const group = toldOf("", members, metric).split("\n")[0];
    detail.append(element("p", {}, `Its group: ${group}`),
      element("div", {class: "choice", role: "group", "aria-label": "trials of the group"},
        choices));
  }
  detail.append(drawCurves(members, trial, metric, STEPS), bandOf(members));
  if (trial.lengths.length > 1) {
    detail.append(element("h3", {}, "By length"),
      drawCurves(members, trial, EXACT, LENGTHS), bandOf(members));
  }
  detail.append(
    element("h3", {}, "Predictions"), drawSamples(trial.samples),
    element("h3", {}, "Numbers"), facts(trial),
    element("h3", {}, "Command"), element("code", {}, trial.command));
  detail.hidden = false;
  at("columns").className = "open";
  title.focus({preventScroll: innerWidth > 1120});
}

function closeTrials() {
  at("detail").hidden = true;
  at("columns").className = "";
  if (!opener) return;
  opener.removeAttribute("aria-pressed");
  if (opener.isConnected) opener.focus();
  opener = null;
}
