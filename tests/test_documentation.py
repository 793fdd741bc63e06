"""What the pages name is there: links, files, tests, and names in the code."""

import ast
import pathlib
import re

import docs_pages
import draw_layers
import pytest
import yaml

import s2sjax
from s2sjax.cli import COMMANDS
from s2sjax.decoding.strategies import decoding
from s2sjax.schema import fields

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))]


def prose(page):
    """The page without fenced blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(page):
    """What a page's headings are called in links, as GitHub and the site have it."""
    titles = re.findall(r"^#+ +(.*?) *$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in plain}


def relative(page):
    return page.relative_to(ROOT).as_posix()


def test_links_lead_somewhere():
    broken = []
    for page in PAGES:
        text = prose(page)
        links = re.findall(r"\]\(([^)\s]+)\)", text)
        links += re.findall(r'<img src="([^"]+)"', text)
        for link in links:
            if link.startswith(("https://", "mailto:")):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            there = target.exists() and target.is_relative_to(ROOT)
            if not there or (anchor and anchor not in anchors(target)):
                broken.append(f"{relative(page)}: {link}")
    assert not broken


def is_there(path):
    """Whether a path exists; a module may be a file or a folder."""
    return any(ROOT.glob(path)) or (ROOT / f"{path}.py").is_file()


def test_files_that_are_named_are_there():
    missing = []
    folders = r"(?:s2sjax|tests|docs|scripts|experiments|\.ci)"
    for page in PAGES:
        for path in re.findall(rf"`({folders}/[^`\s:]+)[^`\s]*`", prose(page)):
            if not is_there(path.rstrip("/")):
                missing.append(f"{relative(page)}: {path}")
    assert not missing


def test_experiments_that_are_named_are_there():
    names = {path.name for path in (ROOT / "experiments").glob("*.py")}
    named = set()
    for page in PAGES:
        named |= set(re.findall(r"experiments/(\w+\.py)", page.read_text("utf-8")))
    assert named - names == set() and named & names


def commands(text):
    """The commands of a page, each with the words after it, folded lines joined."""
    names = "|".join(sorted((c.name for c in COMMANDS), key=len, reverse=True))
    joined = text.replace("\\\n", " ")
    return re.findall(rf"s2sjax +({names})\b([^`\n|]*)", joined)


def test_flags_fields_and_specs_that_are_named_are_there():
    flags = {
        command.name: {flag.name for flag in command.flags} for command in COMMANDS
    }
    wrong, count = [], 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name, words in commands(text):
            named = set(re.findall(r"--([a-z]\w*)(?![\w.])", words)) - {"config"}
            wrong += [f"{name} --{each}" for each in named - flags[name]]
            count += len(named)
        groups = {path.partition(".")[0] for path in fields() if "." in path}
        named = re.findall(rf"(?:`|--config\.)((?:{'|'.join(groups)})\.\w+)", text)
        wrong += [f"{page.name}: {each}" for each in named if each not in fields()]
        count += len(named)
        for spec in re.findall(r"--(?:decode|strategy)=([\w:=.,]+\w)", text):
            if ".py" not in spec:
                decoding(spec)
            count += 1
    assert not wrong and count > 150


def test_tests_that_are_named_are_there():
    """Each promise of `docs/reliability.md` names the tests that hold it."""
    missing, count = [], 0
    for row in (DOCS / "reliability.md").read_text("utf-8").splitlines():
        text = ""  # of the file that the row named last
        for file, name in re.findall(r"`(?:([\w/]+\.py)::)?(test_\w+)`", row):
            path = ROOT / "tests" / file
            text = path.read_text("utf-8") if file and path.is_file() else text
            count += 1
            if f"def {name}(" not in text:
                missing.append(f"{file}::{name}")
    assert not missing and count > 40


def names_of(path):
    """The functions, classes and tables at the top of a file."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name, body=body):
                methods = [each for each in body if isinstance(each, ast.FunctionDef)]
                found |= {name, *(f"{name}.{method.name}" for method in methods)}
            case ast.Assign(targets=[ast.Name(id=name)]):
                found.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.ImportFrom(names=names):
                found |= {each.asname or each.name for each in names}
    return found


def rows(page, columns):
    """The cells of the tables of a page that have so many columns."""
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == columns and set(cells[0]) - {"-"}:
            yield cells


def test_the_way_through_the_code_is_the_codes():
    count = 0
    for _, files, names in rows(DOCS / "architecture.md", 3):
        paths = re.findall(r"`([^`]+\.py)`", files)
        there = {name for path in paths for name in names_of(ROOT / path)}
        named = re.findall(r"`([\w.]+)`", names)
        assert set(named) <= there, files
        count += len(named)
    assert count > 30


def test_the_tables_of_kinds_are_there():
    code = "\n".join(
        path.read_text("utf-8") for path in sorted((ROOT / "s2sjax").rglob("*.py"))
    )
    tables = [table for _, _, table, *_ in rows(ROOT / "CONTRIBUTING.md", 5)]
    named = re.findall(r"`([A-Z]+)`", " ".join(tables))
    assert len(named) > 6
    assert not [name for name in named if not re.search(rf"^{name}\b", code, re.M)]


def test_the_picture_has_the_layers_that_the_test_of_imports_holds():
    picture = (DOCS / "images" / "layers.svg").read_text(encoding="utf-8")
    again = "python scripts/draw_layers.py > docs/images/layers.svg"
    assert picture == draw_layers.svg(), again


def test_every_page_is_in_the_contents():
    tree = ast.parse((DOCS / "conf.py").read_text(encoding="utf-8"))
    code = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign)]
    (contents,) = [line for line in code if line.startswith("CONTENTS")]
    listed = {
        page
        for part in ast.literal_eval(contents.partition("= ")[2]).values()
        for page in part
    }
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    pages |= {f"examples/{path.stem}" for path in (DOCS / "examples").glob("*.ipynb")}
    assert pages <= listed
    own = {page for page in listed if not page.startswith("generated/")}
    assert own <= pages


def test_the_front_page_leads_to_every_guide():
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    guides = {path.name for path in DOCS.glob("*.md")} - {"index.md"}
    assert guides <= set(re.findall(r"\]\(([\w.]+)\)", text))


def test_the_observer_of_the_page_works(tmp_path):
    text = (DOCS / "trackers.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "mine.py"
    path.write_text(block)
    from s2sjax.config import Config
    from s2sjax.reporting import trackers

    run = trackers.TrackedRun(tmp_path, Config())
    (losses,) = trackers.create(f"{path}:Losses", run)
    losses.say = pytest.fail
    losses.logged(100, {"loss": 0.5})
    losses.ended(100, "done")
    assert (tmp_path / "losses.txt").read_text() == "100 0.5"


def test_those_who_cite_and_build_it_find_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == s2sjax.__version__
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    steps = yaml.safe_load(workflow)["jobs"]["gate"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    versions = {"3.11", "3.13"}
    (python,) = [step["with"] for step in steps if "with" in step]
    assert set(python["python-version"].split()) == versions


def test_pages_are_made_of_each_experiment_command_and_field():
    notes = docs_pages.experiments()
    pages = docs_pages.gallery()
    assert {f"gallery/{name}" for name in notes} < set(pages)
    for name, note in notes.items():
        assert docs_pages.measured(note) or "sweep" in note, name
        commands = re.findall(r"^    (s2sjax .*)$", note, re.MULTILINE)
        assert commands and all(c[:30] in pages[f"gallery/{name}"] for c in commands)
    assert "```sh" in pages["gallery/reversed"]
    assert "## s2sjax train" in docs_pages.commands()
    assert "`train.feeding`" in docs_pages.fields()
    assert set(docs_pages.PICTURES) <= set(notes)
    pictures = {name for names in docs_pages.PICTURES.values() for name in names}
    assert all((DOCS / "images" / name).is_file() for name in pictures)
