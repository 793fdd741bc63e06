"""Who may import whom, read from the source, and what an import may do."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

from s2sjax import environment

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "s2sjax"

# The layers, low to high. A room imports its own layer's room alone, and every layer
# below; tasks, models and decoding are blind to one another.
LAYERS = (
    {
        *("types", "errors", "foreign", "user_code", "rng", "spec", "schema", "config"),
        *("experiment", "metrics", "outcomes", "forecasts", "environment"),
        *("json_objects", "places", "program_cache", "closing", "compressed"),
        "platforms",
    },
    {"runs"},
    {"tasks", "models", "decoding"},
    {"inference"},
    {"training"},
    {"sweeps", "benchmark"},
    {"reporting"},
    {"commands"},
    {"cli", "__main__", "__init__"},
)
# What must work before jax is imported, so that its flags can still be chosen.
WITHOUT_JAX = {
    *("errors", "foreign", "user_code", "spec", "schema", "config"),
    *("experiment", "environment", "cli", "__init__", "json_objects", "places"),
    *("program_cache", "closing", "compressed", "metrics", "outcomes", "types"),
    "forecasts",
}
# Files of the command line that a command imports once jax's flags are set.
LATE = {"inputs", "stream"}
# What a config file may import of s2sjax, with these files behind the last.
CONFIG_FILES = {"config", "errors", "spec", "sweeps"}
ALGEBRA = {"__init__", "algebra", "draws"}
HEAVY = {"jax", "jaxlib", "flax", "optax", "orbax"}


def sources(folder):
    return sorted(
        path for path in folder.rglob("*.py") if "__pycache__" not in path.parts
    )


def room(path):
    """The part of the package that a file belongs to, e.g. "tasks" or "config"."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def module(path):
    """A file's name as an import has it."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path, *, at_import_only=False):
    """Absolute names of the modules that a file imports.

    With `at_import_only`, what stands in a function, which runs later, or under
    `if TYPE_CHECKING`, which never runs, is left out.
    """
    return set(_imports(ast.parse(path.read_text(encoding="utf-8")), at_import_only))


def _imports(node, at_import_only):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif not (at_import_only and _runs_later(child)):
            yield from _imports(child, at_import_only)


def _runs_later(node):
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def ours(names):
    """The parts of s2sjax among imported names."""
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "s2sjax" and len(part) > 1}


def outside(names):
    return {name.split(".")[0] for name in names}


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def level(part):
    """The number of a room's layer."""
    found = [number for number, rooms in enumerate(LAYERS) if part in rooms]
    assert found, f"{part} has no layer yet: give it one in this test"
    return found[0]


def test_imports_point_down():
    wrong = [
        f"{path.relative_to(ROOT)} imports {other}"
        for path in sources(PACKAGE)
        for other in ours(imports(path)) - {room(path), "__version__"}
        if level(other) > level(room(path))
        or (level(other) == level(room(path)) > 0 and level(other) < len(LAYERS) - 1)
    ]
    assert not wrong


def test_no_two_files_import_one_another():
    """Nor do more of them in a circle, whenever the imports happen.

    The face is left out: it names what is below for type checkers, and below they ask
    it for the version.
    """
    files = {module(path): path for path in sources(PACKAGE)}
    del files["s2sjax"]
    left = {
        name: {
            imported if imported in files else imported.rpartition(".")[0]
            for imported in imports(path)
        }
        for name, path in files.items()
    }
    while free := [name for name in left if not left[name] & left.keys()]:
        left = {name: found for name, found in left.items() if name not in free}
    assert not left


def test_only_models_import_flax():
    found = {room(p) for p in sources(PACKAGE) if "flax" in outside(imports(p))}
    assert found == {"models"}


def test_what_runs_before_jax_does_not_import_it():
    early = [p for p in sources(PACKAGE) if room(p) in WITHOUT_JAX]
    at_once = {p: imports(p, at_import_only=True) for p in early if p.stem not in LATE}
    assert not [p for p, names in at_once.items() if outside(names) & HEAVY]
    allowed = WITHOUT_JAX | {"__version__"}
    assert not [p for p, names in at_once.items() if ours(names) - allowed]


def test_experiments_do_not_import_jax():
    names = {path: imports(path) for path in sources(ROOT / "experiments")}
    assert names
    assert not [p for p, found in names.items() if outside(found) & HEAVY]
    assert not [p for p, found in names.items() if ours(found) - CONFIG_FILES]


def test_the_algebra_of_sweeps_stands_on_errors_alone():
    for path in (PACKAGE / "sweeps").glob("*.py"):
        if path.stem in ALGEBRA:
            names = imports(path)
            assert not outside(names) & HEAVY
            assert ours(names) <= {"errors", "sweeps"}
            within = {name.split(".")[2] for name in names if ".sweeps." in name}
            assert within <= ALGEBRA


def test_the_walk_sees_imports():
    # Without this, a walk that finds nothing would make every test above pass.
    assert "jax" in outside(imports(PACKAGE / "rng.py"))
    assert "spec" in ours({"s2sjax.spec"}) and "config" in ours({"s2sjax.config.read"})
    assert "jax" in outside(imports(PACKAGE / "cli" / "probe.py"))
    assert "jax" not in outside(
        imports(PACKAGE / "cli" / "probe.py", at_import_only=True)
    )


IMPORT = (
    "import os, sys; before = dict(os.environ); import s2sjax;"
    "from s2sjax import cli, config, environment, spec;"
    f"found = sorted({HEAVY!r} & set(sys.modules)); assert not found, found;"
    "now = dict(os.environ); flags = now.pop('XLA_FLAGS', '');"
    "assert now == {k: v for k, v in before.items() if k != 'XLA_FLAGS'};"
    "added = flags.removeprefix(before.get('XLA_FLAGS', '')).strip();"
)


def test_importing_the_package_imports_no_jax():
    """And edits the environment where the installed jaxlib needs a guard alone."""
    done = python(
        IMPORT + "wanted = environment.GUARD * environment.needs_guard();"
        "assert added == wanted or wanted in before.get('XLA_FLAGS', ''), added"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version", environment.FAULTY_JAXLIB)
def test_the_import_guards_a_jaxlib_that_needs_it(version):
    """Before jax begins; after, a warning says that it is too late."""
    faked = (
        "import importlib.metadata as m; version = m.version;"
        f"m.version = lambda n: {version!r} if n == 'jaxlib' else version(n);"
        "import os; os.environ.pop('XLA_FLAGS', None);"
    )
    done = python(faked + IMPORT + "assert added == environment.GUARD, added")
    assert (done.returncode, done.stderr) == (0, "")
    begun = "import jax; jax.devices(); import s2sjax"
    done = python(faked + "os.environ['JAX_PLATFORMS'] = 'cpu';" + begun)
    assert done.returncode == 0 and done.stderr.count("Warning") == 1
    assert "jax has computed before s2sjax was imported" in done.stderr


def test_help_works_without_jax():
    done = python(
        "import sys; sys.modules['jax'] = None; sys.modules['flax'] = None;"
        "from s2sjax.cli import main; raise SystemExit(main(['--help']))"
    )
    assert (done.returncode, done.stderr) == (0, "")
    for command in ("train", "eval", "decode", "export", "tasks", "config", "doctor"):
        assert command in done.stdout


# Files that write down commands for a person, or read those that a record holds; and
# those whose flags are XLA's, git's or Slurm's.
WRITE_COMMANDS = {
    *("runs/run_files.py", "commands/sweep.py", "commands/sweep_plan.py"),
    "sweeps/directory.py",
    *("reporting/sweep/console.py", "reporting/sweep/trial_files.py"),
    *("experiment.py", "environment.py", "runs/provenance.py"),
    *("sweeps/pools/slurm.py", "sweeps/pools/slurm_files.py"),
    "sweeps/pools/slurm_programs.py",
}


def flags_named(tree):
    """Lines of texts that name a flag, docstrings left out."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and ast.get_docstring(node) is not None
    }
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        is_said = is_text and id(node) not in docs
        if is_said and re.search(r"(?<![\w-])--[a-z]", node.value):
            yield node.lineno


def test_the_library_names_arguments_and_no_flags():
    """The command line puts its flags in their place; see `Command.in_flags`."""
    wrong = {}
    for path in sources(PACKAGE):
        name = path.relative_to(PACKAGE).as_posix()
        found = list(flags_named(ast.parse(path.read_text(encoding="utf-8"))))
        if found and room(path) != "cli" and name not in WRITE_COMMANDS:
            wrong[name] = found
    assert not wrong
    assert list(flags_named(ast.parse("f'--out={a}'"))) == [1]


def test_every_part_has_a_docstring():
    for path in sources(PACKAGE):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_no_file_is_called_utils():
    assert not [path for path in sources(PACKAGE) if "util" in path.stem]


# All that a person sees goes through these, which make control characters codes.
PRINTS = {"cli/printing.py", "reporting/screen.py"}
# Run as programs of their own, whose JSON another process reads.
PRINTS_JSON = {"cli/probe.py", "inference/programs.py"}


def prints(tree):
    """Lines that write to a terminal: `print`, a console of rich's, or the streams."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="print" | "input")):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr="print")):
                yield node.lineno
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Attribute(attr="stdout" | "stderr"), attr="write"
                )
            ):
                yield node.lineno
            case ast.Import(names=names):
                yield from (node.lineno for n in names if n.name == "rich.console")
            case ast.ImportFrom(module="rich.console" | "rich", names=names):
                found = {n.name for n in names} & {"Console", "print", "get_console"}
                yield from (node.lineno for _ in found)


@pytest.mark.parametrize(
    "text",
    [
        "print(1)",
        "input()",
        "console.print(1)",
        "from rich import print",
        "from rich.console import Console",
        "import rich.console",
        "sys.stderr.write('a')",
    ],
)
def test_the_walk_sees_each_way_to_print(text):
    assert list(prints(ast.parse(text)))


def test_all_printing_goes_through_one_place():
    wrong = {}
    for path in sources(PACKAGE):
        name = path.relative_to(PACKAGE).as_posix()
        found = list(prints(ast.parse(path.read_text(encoding="utf-8"))))
        if found and name not in PRINTS | PRINTS_JSON:
            wrong[name] = found
    assert not wrong
