"""`python scripts/faults KIND`."""

import sys
from pathlib import Path

# Started as a folder, Python looks for modules in it, not for the package that it is.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from faults.campaign import main  # noqa: E402 (after its folder is known)

raise SystemExit(main())
