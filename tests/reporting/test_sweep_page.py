"""The page of a sweep: what it knows, and what a browser makes of it."""

import html
import itertools
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from s2sjax.reporting.measure import measure
from s2sjax.reporting.sweep import table as sweep_table
from s2sjax.reporting.sweep.findings import find
from s2sjax.reporting.sweep.groups import estimate, t_quantile
from s2sjax.reporting.sweep.page import page_data, script_json, write_page
from s2sjax.reporting.sweep.trial_files import read_all
from tests.reporting import fake_sweep
from tests.reporting.fake_sweep import HOSTILE, grid

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason=f"no browser is installed; one of: {', '.join(BROWSERS)}"
)


def page(path, overrides, statuses=(), metric="exact"):
    """Writes the page of a sweep; its path and what it knows."""
    table = sweep_table.read(str(fake_sweep.sweep(path, overrides, statuses)))
    found, files = find(table, metric), read_all(table)
    write_page(found, files, path / "index.html")
    return path / "index.html", page_data(found, files)


@pytest.mark.parametrize(
    "text", [HOSTILE, "<!--", "]]>", "\u2028\u0000\ud800漢", "{{x}}"]
)
def test_hostile_text_is_data(tmp_path, text):
    written = script_json({"text": text})
    assert json.loads(written) == {"text": text}
    assert written.isascii() and not set("<>&") & set(written)


def test_the_page_fetches_nothing(tmp_path):
    written, _ = page(tmp_path, *fake_sweep.EVERY_KIND["mixed"])
    text = written.read_text()
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:)", text)
    assert "http://www.w3.org/2000/svg" in text  # a name, the only address in it
    assert set(re.findall(r"https?://[^\"'\s]+", text)) == {
        "http://www.w3.org/2000/svg"
    }
    assert "default-src 'none'" in text


def test_the_page_of_a_thousand_trials_stays_small(tmp_path):
    overrides = grid(
        task__length=[*range(10)],
        task__cardinality=[*range(10)],
        model__layers=[1, 2],
        seed=[*range(5)],
    )
    rows, journals = [], {}
    for index, one in enumerate(overrides):
        exact = fake_sweep.exact_of(one)
        rows.append(fake_sweep.row(index, one, exact=exact, nll=1.0))
        journals[index] = fake_sweep.journal(exact, range(40, 2010, 40))
    table = sweep_table.read(str(fake_sweep.write(tmp_path, rows, journals)))
    files = read_all(table)
    write_page(find(table, "exact"), files, tmp_path / "index.html")
    assert (tmp_path / "index.html").stat().st_size < 4e6
    data = page_data(find(table, "exact"), files)
    assert (
        len(data["steps"]) == 1
        and data["steps"][0][-1] == 2000
        and len(data["steps"][0]) == 40
    )
    last = [trial["curve"]["values"]["valid_exact"][-1] for trial in data["trials"]]
    expected = [fake_sweep.exact_of(one) for one in overrides]
    np.testing.assert_allclose(last, expected, rtol=1e-3, atol=1e-6)


def test_the_page_knows_student(tmp_path):
    _, data = page(tmp_path, grid(seed=[0, 1]))
    np.testing.assert_allclose(data["t"][:3], [t_quantile(f) for f in (1, 2, 3)], 1e-4)


def in_browser(path, script):
    """What `script`, an expression of JavaScript, is worth on the loaded page."""
    first = (
        "<script>window.errors = []; window.onerror = (m) => errors.push(m);</script>"
    )
    last = (
        "<script>document.title = 'checked'; const kept = element('pre', {id: 'kept'});"
        f"kept.textContent = JSON.stringify({{errors, found: {script}}});"
        "document.body.append(kept);</script>"
    )
    text = path.read_text().replace('<script id="data"', f'{first}<script id="data"')
    checked = path.with_name("checked.html")
    checked.write_text(text + last)
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    profile = f"--user-data-dir={path.parent / 'browser'}"
    done = subprocess.run(
        [*command, profile, checked.as_uri()], capture_output=True, timeout=120
    )
    dom = done.stdout.decode()
    kept = re.search(r'<pre id="kept">(.*?)</pre>', dom, re.DOTALL)
    assert kept, f"the page did not finish: {done.stderr.decode()[-2000:]}"
    result = json.loads(html.unescape(kept[1]))
    assert result["errors"] == []
    return result["found"]


LIST = """(() => {
  const rows = () => document.querySelectorAll("#trials tbody tr").length;
  const more = () => document.querySelector("#trials p button");
  const seen = [rows()];
  const wanted = more().textContent;
  while (more()) { more().click(); seen.push(rows()); }
  document.querySelector("#trials th button").click();  // the other way round
  const first = document.querySelector("#trials tbody td").textContent;
  return {seen, wanted, first, again: rows()};
})()"""


@needs_browser
def test_rows_are_made_as_they_are_asked_for(tmp_path):
    written, _ = page(tmp_path, grid(seed=[*range(250)]))
    found = in_browser(written, LIST)
    assert found["seen"] == [100, 200, 250] and found["again"] == 100
    assert found["wanted"] == "show more, of 150 that are left"
    assert found["first"] == "249"


# Tries every choice of metric and axes, opens what can be opened, and says what it saw.
EVERYTHING = """(() => {
  const seen = [];
  const boxes = () => [...document.querySelectorAll("#controls select")];
  const choose = (place, value) => {
    const box = boxes()[place];
    box.value = value;
    box.dispatchEvent(new Event("change"));
  };
  const options = (place) => [...(boxes()[place]?.options || [])].map((o) => o.value);
  for (const metric of options(0)) {
    choose(0, metric);
    for (const across of options(1)) {
      choose(1, across);
      for (const down of options(2)) {
        choose(1, across);  // choosing the same factor twice changed the two over
        choose(2, down);
        const cells = [...document.querySelectorAll("#maps td button")];
        cells.slice(0, 3).forEach((cell) => cell.click());
        seen.push([metric, choice.across, choice.down, cells.length]);
      }
    }
  }
  document.querySelectorAll("#trials th button").forEach((_, i) =>
    document.querySelectorAll("#trials th button")[i].click());
  document.querySelectorAll("#trials td button").forEach((b) => b.click());
  document.querySelector("#best button")?.click();
  return {
    seen,
    hostile: window.hostile === 1 || document.querySelectorAll("img").length,
    fetched: performance.getEntriesByType("resource").length,
    strange: /undefined|NaN|\\[object/.test(document.body.innerText),
    rows: document.querySelectorAll("#trials tbody tr").length,
  };
})()"""


@needs_browser
@pytest.mark.parametrize("kind", fake_sweep.EVERY_KIND)
def test_every_choice_works_on_every_kind_of_sweep(tmp_path, kind):
    overrides, statuses = fake_sweep.EVERY_KIND[kind]
    written, data = page(tmp_path, overrides, statuses)
    found = in_browser(written, EVERYTHING)
    assert found["hostile"] == found["fetched"] == 0
    assert not found["strange"]
    assert found["rows"] == len(overrides)
    if data["factors"]:
        metrics = {metric["name"] for metric in data["metrics"]}
        assert {metric for metric, *_ in found["seen"]} == metrics
        places = range(-1, len(data["factors"]))
        pairs = {(across, down) for _, across, down, _ in found["seen"]}
        apart = {(a, d) for a, d in itertools.product(places, places) if a != d}
        assert pairs >= apart
        assert all(cells > 0 for *_, cells in found["seen"])


@needs_browser
@pytest.mark.parametrize("metric", ["exact", "nll"])
def test_cells_show_the_means_that_python_computes(tmp_path, metric):
    overrides, statuses = fake_sweep.EVERY_KIND["mixed"]
    written, _ = page(tmp_path, overrides, statuses, metric)
    cells = """[...document.querySelectorAll("#maps tbody tr")].map((row) =>
      [row.cells[0].textContent, ...[...row.querySelectorAll("button")].map((b) =>
        [b.firstChild.textContent, b.querySelector("small")?.textContent ?? ""])])"""
    shown = in_browser(written, cells)
    expected = []
    for cardinality in (50, 10):  # from the top down
        row = [str(cardinality)]
        for length in (5, 10, 20):
            members = [
                i
                for i, one in enumerate(overrides)
                if one["task.length"] == length
                and one["task.cardinality"] == cardinality
            ]
            exact = [
                fake_sweep.exact_of(overrides[i]) for i in members if i not in statuses
            ]
            values = exact if metric == "exact" else [3.0 - e for e in exact]
            of = f"{len(exact)} of 3" if len(exact) < 3 else ""
            mean = measure(metric).text(np.mean(values)) if exact else ""
            row.append([mean, of] if exact else ["failed", ""])
        expected.append(row)
    assert shown == expected


@needs_browser
def test_a_cell_tells_its_seeds_and_opens_curve_and_samples(tmp_path):
    overrides = fake_sweep.LENGTHS_AND_CARDINALITIES
    written, _ = page(tmp_path, overrides, {1: "failed"})
    script = """(() => {
      const cell = [...document.querySelectorAll("#maps tbody tr")].at(-1)
        .querySelector("button");
      cell.onpointermove({clientX: 5, clientY: 5});
      const tip = document.getElementById("tip");
      const hovered = tip.hidden ? "" : tip.textContent;
      cell.click();
      const detail = document.getElementById("detail");
      const line = detail.querySelector("path.this").getAttribute("d");
      const others = detail.querySelectorAll("path.other").length;
      const samples = [...detail.querySelectorAll("td.sample")]
        .map((cell) => cell.textContent);
      const choices = [...detail.querySelectorAll(".choice button")];
      choices[1].click();
      const failed = detail.textContent;
      document.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape"}));
      return {hovered, line, others, samples, failed, closed: detail.hidden,
        back: document.activeElement === cell};
    })()"""
    found = in_browser(written, script)
    values = [fake_sweep.exact_of(overrides[i]) for i in (0, 2)]
    lines = found["hovered"].split("\n")
    assert lines[0] == "length = 5, cardinality = 10"
    mean, low, high, _ = (100 * number for number in estimate(values, 1.0))
    ends = f"score interval at 95 % of the mean: {low:.2f} % to {high:.2f} %"
    exact = f"validation exact match {mean:.2f} %, mean of n = 2 trials"
    assert lines[1] == f"{exact}; {ends}"
    seeds = [f"seed {s}: {100 * v:.2f} %" for s, v in zip((0, 2), values, strict=True)]
    assert lines[2:] == [seeds[0], "seed 1: failed", seeds[1]]
    assert found["line"].count("L") == 2 and found["others"] == 2
    assert found["samples"] == ["1 2 3", "3 2 1", "", HOSTILE, "x & y", "<b>"]
    assert f"failed: diverged {HOSTILE}" in found["failed"]
    assert found["closed"] and found["back"]


@needs_browser
def test_arrow_keys_move_among_cells_and_text_filters_trials(tmp_path):
    overrides = fake_sweep.LENGTHS_AND_CARDINALITIES
    written, _ = page(tmp_path, overrides, {0: "failed"})
    script = """(() => {
      const cells = [...document.querySelectorAll("#maps td button")];
      const press = (key) => document.activeElement.dispatchEvent(
        new KeyboardEvent("keydown", {key, bubbles: true}));
      const place = () => cells.indexOf(document.activeElement);
      cells[0].focus();
      const path = ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowUp"]
        .map((key) => (press(key), place()));
      const stops = cells.filter((cell) => cell.tabIndex === 0).length;
      const find = document.getElementById("find");
      find.value = "diverged";
      find.dispatchEvent(new Event("input"));
      return {path, stops, found: document.getElementById("found").textContent};
    })()"""
    found = in_browser(written, script)
    assert found == {"path": [1, 4, 3, 3, 0], "stops": 1, "found": "1 of 18"}
