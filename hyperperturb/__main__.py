"""``python -m hyperperturb``: the same as the command ``hyperperturb``."""

from __future__ import annotations

import sys

from hyperperturb.cli import main

if __name__ == "__main__":
    sys.exit(main())
