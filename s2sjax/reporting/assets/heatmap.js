// Heat maps: a table per panel, a button per cell.

const VIRIDIS = [
  [68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142],
  [31, 158, 137], [53, 183, 121], [109, 205, 89], [180, 222, 44], [253, 231, 37],
];
const LEAST_RANGE = 0.02; // of shares, from one end of the colours to the other
const MOST_PANELS = 24;
const NARROW = 14; // columns, from which cells are small

function colourAt(share) {
  const place = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(place), VIRIDIS.length - 2);
  return VIRIDIS[low].map((v, i) =>
    Math.round(v + (place - low) * (VIRIDIS[low + 1][i] - v)));
}

function scaleOf(metric, means) {
  const finite = means.filter(Number.isFinite);
  if (!finite.length) return [0, 1];
  const low = Math.min(...finite), high = Math.max(...finite);
  const least = metric.share ? LEAST_RANGE : 1e-9 * Math.max(Math.abs(low), 1);
  if (high - low >= least) return [low, high];
  // What hardly differs is no hill.
  const middle = (low + high) / 2, half = metric.share ? least / 2 : 0.5;
  const top = Math.min(middle + half, metric.share ? 1 : Infinity);
  return metric.share && top - 2 * half < 0 ? [0, 2 * half] : [top - 2 * half, top];
}

/** The panels of what is chosen: a title, and trials by "level down,level across". */
function panelsOf(choice) {
  const shown = trials.filter((trial) => Object.entries(choice.rest).every(
    ([factor, what]) => !/^\d+$/.test(what) || trial.codes[factor] === Number(what)));
  const apart = Object.keys(choice.rest).filter((f) => choice.rest[f] === "panels");
  const level = (trial, factor) => (factor < 0 ? 0 : trial.codes[factor]);
  const panels = grouped(shown, (trial) => apart.map((f) => trial.codes[f]).join());
  const order = (a, b) => a[0].localeCompare(b[0], "en", {numeric: true});
  return [...panels].sort(order).map(([, members]) => ({
    title: apart.map((f) => `${factors[f].name} = ${levelOf(members[0], f)}`).join(", "),
    members,
    cells: grouped(members, (trial) =>
      `${level(trial, choice.down)},${level(trial, choice.across)}`),
  }));
}

function drawLegend(metric, [low, high]) {
  const stops = VIRIDIS.map((rgb) => `rgb(${rgb})`).join(", ");
  const scale = element("span", {class: "scale", role: "img",
    "aria-label": `colours from ${written(low, metric)} to ${written(high, metric)}`});
  scale.style.background = `linear-gradient(to right, ${stops})`;
  at("legend").replaceChildren(
    element("span", {}, written(low, metric)), scale,
    element("span", {}, written(high, metric)),
    element("span", {class: "soft"},
      `mean ${metric.unit}${metric.lower ? "; lower is better" : ""}`));
}

/** What hovering a cell says: the mean, its interval, and every seed. */
function toldOf(title, members, metric) {
  const {n, mean, low, high, examples} = estimateOf(members, metric);
  const of = examples ? `, ${examples.toLocaleString("en")} examples in all` : "";
  const interval = Number.isFinite(low)
    ? `; ${metric.interval} of the mean: ${exactly(low, metric)} to ${exactly(high, metric)}`
    : "";
  const head = n
    ? `${metric.label} ${exactly(mean, metric)}, mean of n = ${n} ` +
      `${n === 1 ? "trial" : "trials"}${of}${interval}` : "none is done";
  const lines = members.slice(0, 8).map((trial) => {
    const value = valueOf(trial, metric);
    return `${trial.apart || `trial ${trial.index}`}: ` +
      (value === undefined ? trial.status : exactly(value, metric));
  });
  if (members.length > 8) lines.push(`and ${members.length - 8} more`);
  return [title, head, ...lines].filter(Boolean).join("\n");
}

function drawCell(members, title, metric, [low, high]) {
  const {n, mean} = estimateOf(members, metric);
  const button = element("button", {type: "button", tabindex: -1});
  const told = toldOf(title, members, metric);
  button.setAttribute("aria-label", told.replaceAll("\n", "; "));
  button.onclick = () => openTrials(members, members[0], button);
  button.onpointermove = (event) => showTip(told, event.clientX, event.clientY);
  button.onpointerleave = hideTip;
  button.onblur = hideTip;
  button.onfocus = () => {
    const box = button.getBoundingClientRect();
    if (button.matches(":focus-visible")) showTip(told, box.right, box.bottom);
  };
  if (!n) {
    button.className = "none";
    button.append(members[0].status);
    return button;
  }
  const rgb = colourAt((mean - low) / (high - low));
  button.style.background = `rgb(${rgb})`;
  const light = (0.3 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2]) / 255 > 0.5;
  button.style.color = light ? "#1a1a1a" : "#ffffff";
  button.append(written(mean, metric));
  if (n < members.length) button.append(element("small", {}, `${n} of ${members.length}`));
  return button;
}

function drawPanel(panel, choice, metric, scale) {
  const labels = (factor) => (factor < 0 ? [""] : factors[factor].levels);
  const name = (factor) => (factor < 0 ? "" : factors[factor].name);
  const columns = labels(choice.across), rows = labels(choice.down);
  const dense = columns.length > NARROW;
  const turned = columns.length > 6 && columns.some((label) => label.length > 5);
  const table = element("table", {},
    element("caption", {}, panel.title || metric.label));
  const body = rows.map((row, r) => element("tr", {},
    element("th", {scope: "row", title: row}, row),
    columns.map((column, c) => {
      const members = panel.cells.get(`${r},${c}`);
      if (!members) return element("td");
      const where = [panel.title,
        choice.across < 0 ? "" : `${name(choice.across)} = ${column}`,
        choice.down < 0 ? "" : `${name(choice.down)} = ${row}`];
      const title = where.filter(Boolean).join(", ");
      return element("td", {}, drawCell(members, title, metric, scale));
    })));
  // The smallest level is at the bottom, as on an axis.
  const foot = element("tr", {}, element("td"),
    columns.map((label) => element("th",
      {scope: "col", title: label, class: turned ? "turned" : null}, label)));
  const axis = element("tr", {},
    element("th", {class: "axis"}, name(choice.down) && `↑ ${name(choice.down)}`),
    element("th", {class: "axis", colspan: columns.length},
      name(choice.across) && `${name(choice.across)} →`));
  table.append(element("tbody", {}, body.reverse()), element("tfoot", {}, foot, axis));
  const buttons = [...table.querySelectorAll("td button")];
  if (buttons.length) buttons[0].tabIndex = 0;
  table.onkeydown = moveInGrid;
  return element("div", {class: dense ? "panel dense" : "panel"}, table);
}

/** Arrow keys move among the cells; Tab goes to the next panel. */
function moveInGrid(event) {
  const steps = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0],
    ArrowDown: [1, 0]}[event.key];
  const cell = event.target.closest("td");
  if (!steps || !cell) return;
  event.preventDefault();
  const rows = [...event.currentTarget.tBodies[0].rows];
  let row = rows.indexOf(cell.parentElement), column = cell.cellIndex, button;
  do { // over places without trials
    row += steps[0];
    column += steps[1];
    const next = rows[row]?.cells[column];
    if (!next || next.tagName !== "TD") return;
    button = next.querySelector("button");
  } while (!button);
  event.target.tabIndex = -1;
  button.tabIndex = 0;
  button.focus();
}

function drawMaps(choice) {
  const metric = metricOf(choice.metric);
  const panels = panelsOf(choice);
  const means = panels.flatMap((panel) =>
    [...panel.cells.values()].map((members) => estimateOf(members, metric).mean));
  const scale = scaleOf(metric, means);
  drawLegend(metric, scale);
  const draw = (panel) => drawPanel(panel, choice, metric, scale);
  const maps = at("maps");
  maps.replaceChildren(...panels.slice(0, MOST_PANELS).map(draw));
  const left = panels.slice(MOST_PANELS);
  if (!left.length) return;
  const more = element("button", {type: "button", class: "text"},
    `show ${left.length} more panels`);
  more.onclick = () => more.replaceWith(...left.map(draw));
  maps.append(more);
}

function showTip(text, x, y) {
  const tip = at("tip");
  tip.textContent = text;
  tip.hidden = false;
  const {width, height} = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 8))}px`;
  tip.style.top = `${y + height + 24 > innerHeight ? Math.max(4, y - height - 14) : y + 14}px`;
}

function hideTip() {
  at("tip").hidden = true;
}
