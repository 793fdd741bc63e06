#!/usr/bin/env bash
# Builds the documentation into build/docs, or the folder that is given; needs what the
# extra `docs` installs, in the Python in $PYTHON (or `python`). A warning is an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${PYTHON:-python}"
out="${1:-build/docs}"

"$python" -m sphinx --builder html --fail-on-warning --keep-going --quiet \
  --doctree-dir "$out/.doctrees" docs "$out"
echo "the documentation is in $out/index.html"
