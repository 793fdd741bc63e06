#!/usr/bin/env bash
# The one gate: format, lint, types, tests. Runs from any directory, with the tools of
# the Python in $PYTHON (or `python`); arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${PYTHON:-python}"
# What the tools keep lies outside the checkout, as what the tests keep does.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/s2sjax/tests"
export RUFF_CACHE_DIR="$cache/ruff" MYPY_CACHE_DIR="$cache/mypy"

echo "== format"
"$python" -m ruff format --check .
echo "== lint"
"$python" -m ruff check .
echo "== types"
"$python" -m mypy
echo "== tests"
"$python" -m pytest "$@"
