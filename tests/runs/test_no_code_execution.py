"""Loading data never executes it: the package holds none of the ways to do so."""

import ast
from pathlib import Path

import pytest

import s2sjax

PACKAGE = Path(s2sjax.__file__).parent
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
CALLS = {"eval", "exec", "compile", "__import__"}
METHODS = {"exec_module", "load_module", "run_path", "run_module"}
YAML = {"load", "load_all", "unsafe_load", "full_load"}
# These execute a file that the user names on the command line, and nothing else does.
EXECUTES_USER_CODE = {"user_code.py"}


def forbidden(tree):
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found = {name.name.split(".")[0] for name in names} & MODULES
            case ast.ImportFrom(module=str(module)):
                found = {module.split(".")[0]} & MODULES
            case ast.Call(func=ast.Name(id=name)):
                found = {name} & CALLS
            case ast.Call(func=ast.Attribute(attr=name)):
                found = {name} & METHODS
            case ast.Attribute(value=ast.Name(id="yaml"), attr=name):
                found = {name} & YAML
            case ast.keyword(arg="allow_pickle", value=value):
                off = isinstance(value, ast.Constant) and value.value is False
                found = set() if off else {"allow_pickle"}
            case _:
                continue
        for what in found:
            yield getattr(node, "lineno", node), what


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.memory",
        "eval('1')",
        "exec(x)",
        "f = yaml.load",
        "np.load(f, allow_pickle=True)",
        "spec.loader.exec_module(m)",
        "__import__('os')",
    ],
)
def test_the_check_sees_each_way(text):
    assert list(forbidden(ast.parse(text)))


def test_the_package_has_none_of_them():
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 10
    for file in files:
        found = list(forbidden(ast.parse(file.read_text(encoding="utf-8"))))
        if file.relative_to(PACKAGE).as_posix() in EXECUTES_USER_CODE:
            assert found, f"{file} needs no exception any more"
        else:
            assert not found, f"{file}: {found}"
