// What can be chosen, the sensitivity, and the list of trials.

const MOST_ROWS = 100; // of the list, made at a time
const choice = {
  metric: data.metric,
  across: data.across,
  down: data.down,
  rest: {}, // by factor: "panels", "mean", or the number of a level
};
const list = {by: "index", rising: true, end: null}; // the end is watched

// What tells a trial from the others of its group; mostly the seed.
const groupFactors = factors.map((_, i) => i).filter((i) => !factors[i].averaged);
for (const trial of trials) {
  trial.apart = factors.map((factor, i) => (factor.averaged
    ? `${factor.name} ${levelOf(trial, i)}` : "")).filter(Boolean).join(", ");
}

const siblings = (trial) => trials.filter((other) =>
  groupFactors.every((factor) => other.codes[factor] === trial.codes[factor]));

function select(label, options, chosen, change) {
  const box = element("select", {}, options.map(([value, text]) =>
    element("option", {value, selected: value === String(chosen)}, text)));
  box.onchange = () => change(box.value);
  return element("label", {}, label, box);
}

function restOf() {
  const rest = {};
  factors.forEach((factor, i) => {
    if (i === choice.across || i === choice.down) return;
    rest[i] = choice.rest[i] ?? (factor.averaged ? "mean" : "panels");
  });
  return rest;
}

function drawControls() {
  const axes = factors.map((factor, i) => [String(i), factor.field]);
  const axis = (name, other) => (value) => {
    const before = choice[name];
    choice[name] = Number(value);
    // Choosing the factor of the other axis changes the two over.
    if (choice[name] >= 0 && choice[name] === choice[other]) choice[other] = before;
    redraw();
  };
  const nothing = ["-1", "(nothing)"];
  at("controls").replaceChildren(
    select("metric", metrics.map((m) => [m.name, m.label]), choice.metric, (value) => {
      choice.metric = value;
      redraw();
    }));
  if (!factors.length) return;
  at("controls").append(
    select("across", [...axes, nothing], choice.across, axis("across", "down")),
    select("down", [...axes, nothing], choice.down, axis("down", "across")));
  for (const i of Object.keys(choice.rest)) {
    const levels = factors[i].levels.slice(0, MOST_ROWS)
      .map((label, code) => [String(code), `= ${label}`]);
    const ways = [["panels", "a panel for each"], ["mean", "mean over it"], ...levels];
    at("controls").append(select(factors[i].field, ways, choice.rest[i], (value) => {
      choice.rest[i] = value;
      redraw();
    }));
  }
}

function drawEffects() {
  const metric = metricOf(choice.metric);
  const rows = (data.effects[metric.name] || []).map((effect) => {
    const bar = element("div", {class: "bar", role: "img",
      "aria-label": `${(100 * (effect.share ?? 0)).toFixed(1)} %`});
    if (effect.share != null) {
      const fill = element("i"), chance = element("b");
      fill.style.width = `${100 * effect.share}%`;
      chance.style.left = `${100 * effect.by_chance}%`;
      bar.append(fill, chance);
    }
    return element("tr", {}, element("th", {scope: "row"}, effect.field),
      element("td", {}, bar),
      element("td", {class: "number"},
        effect.share == null ? "–" : `${(100 * effect.share).toFixed(1)} %`),
      element("td", {class: "number"}, exactly(effect.range, metric)),
      element("td", {}, effect.lowest), element("td", {}, effect.highest));
  });
  const names = ["factor", "variance explained", "", "range of means",
    "lowest at", "highest at"];
  at("effects").replaceChildren(rows.length
    ? element("div", {class: "wide"}, element("table", {}, element("thead", {},
      element("tr", {}, names.map((name) => element("th", {scope: "col"}, name)))),
      element("tbody", {}, rows)))
    : element("p", {class: "soft"}, "Nothing is varied, or too few trials are done."),
  element("p", {class: "soft"}, rows.length
    ? `${data.formula}; a line marks chance; n = ${data.effects[metric.name][0].n} trials`
    : ""));
}

/** The columns of the list: a header, a text and what it is sorted by. */
function columnsOf(metric) {
  const soFarOf = (trial, metric) => {
    const line = metric.split === "valid" ? curveOf(trial, metric) : [];
    const value = line.length && trial.status !== "pending" ? line.at(-1)[1] : null;
    return value == null ? "" : `(${written(value, metric)} so far)`;
  };
  const measured = ["valid", "test"].map((split) => ofSplit(metric, split)).filter(Boolean);
  const numbers = measured.map((one) => {
    const value = (trial) => valueOf(trial, one);
    const soFar = (trial) => soFarOf(trial, one);
    return {name: one.label, number: true, key: (t) => value(t) ?? -Infinity,
      text: (t) => (value(t) === undefined ? soFar(t) : exactly(value(t), one))};
  });
  return [
    {name: "index", text: (t) => String(t.index), key: (t) => t.index, opens: true},
    {name: "status", text: (t) => t.status, key: (t) => t.status},
    ...factors.map((factor, i) => ({name: factor.name,
      text: (t) => t.values[i], key: (t) => t.codes[i]})),
    ...numbers,
    {name: "seconds", number: true, key: (t) => t.seconds ?? -Infinity,
      text: (t) => (t.seconds == null ? "" : significant(t.seconds, 4))},
    {name: "error", text: (t) => t.error, key: (t) => t.error, error: true},
  ].filter((column) => !column.error || trials.some((trial) => trial.error));
}

function drawTrials() {
  const columns = columnsOf(metricOf(choice.metric));
  const by = columns.find((column) => column.name === list.by) || columns[0];
  const wanted = at("find").value.trim().toLowerCase();
  const matching = trials.filter((trial) => !wanted ||
    [trial.name, ...columns.map((c) => c.text(trial))].join(" ").toLowerCase()
      .includes(wanted));
  const sign = list.rising ? 1 : -1;
  matching.sort((a, b) => {
    const [one, other] = [by.key(a), by.key(b)];
    return one === other ? a.index - b.index : sign * (one < other ? -1 : 1);
  });
  at("found").textContent = wanted ? `${matching.length} of ${trials.length}` : "";
  const header = columns.map((column) => {
    const sorted = column === by ? (list.rising ? "ascending" : "descending") : "none";
    const mark = column === by ? (list.rising ? " ↑" : " ↓") : "";
    const button = element("button", {type: "button", class: "text"}, column.name + mark);
    button.onclick = () => {
      list.rising = column === by ? !list.rising : !column.number;
      list.by = column.name;
      drawTrials();
    };
    return element("th", {scope: "col", "aria-sort": sorted,
      class: column.number ? "number" : null}, button);
  });
  const rowOf = (trial) => element("tr", {}, columns.map((column) => {
    const bad = trial.status === "failed" && column.name === "status";
    const kind = column.error ? "error" : column.number ? "number" : bad ? "bad" : null;
    if (!column.opens) return element("td", {class: kind}, column.text(trial));
    const button = element("button", {type: "button", class: "text", title: trial.name},
      column.text(trial));
    button.onclick = () => openTrials(siblings(trial), trial, button);
    return element("td", {}, button);
  }));
  // Rows are made as they are scrolled to: thousands at once take seconds.
  const body = element("tbody"), more = element("button", {type: "button", class: "text"});
  const extend = () => {
    const shown = body.rows.length;
    body.append(...matching.slice(shown, shown + MOST_ROWS).map(rowOf));
    const left = matching.length - body.rows.length;
    more.textContent = `show more, of ${left} that are left`;
    if (!left) more.remove();
  };
  more.onclick = extend;
  at("trials").replaceChildren(element("table", {},
    element("thead", {}, element("tr", {}, header)), body), element("p", {}, more));
  extend();
  list.end?.disconnect();
  list.end = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) extend();
  }, {rootMargin: "500px"});
  list.end.observe(more);
}

function drawHeader() {
  const metric = metricOf(choice.metric);
  const best = bestTrial(metric);
  const noun = trials.length === 1 ? "trial" : "trials";
  const wanted = data.asked > trials.length ? ` of ${data.asked} that were asked for` : "";
  at("counts").textContent = `${trials.length} ${noun}${wanted}: ${counted(trials)}`;
  at("maps-title").textContent = metric.label[0].toUpperCase() + metric.label.slice(1);
  if (!best) {
    const some = trials.some((trial) => valueOf(trial, metric) !== undefined);
    at("best").textContent = some
      ? `No trial is the best: none has validation ${metric.quantity}.`
      : `No trial with ${metric.label} is done yet.`;
    return;
  }
  const told = [["valid", "validation"], ["test", "test"]].flatMap(([split, name]) => {
    const value = best.metrics[`${split}_${metric.quantity}`];
    return value === undefined ? [] : [`${name} ${exactly(value, metric)}`];
  });
  const button = element("button", {type: "button", class: "text"}, best.name);
  button.onclick = () => openTrials(siblings(best), best, button);
  at("best").replaceChildren(
    `Best by ${ofSplit(metric, "valid").label}: ${told.join(", ")}, `, button);
}

function redraw() {
  choice.rest = restOf();
  const focused = [...document.querySelectorAll("select")].indexOf(document.activeElement);
  closeTrials();
  drawHeader();
  drawControls();
  drawMaps(choice);
  drawEffects();
  drawTrials();
  document.querySelectorAll("select")[focused]?.focus();
}

at("controls").onsubmit = (event) => event.preventDefault();
at("find").oninput = drawTrials;
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  hideTip();
  if (!at("detail").hidden) closeTrials();
});
redraw();
