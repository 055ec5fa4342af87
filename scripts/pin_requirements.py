#!/usr/bin/env python3
"""Pin what is installed: requirements.txt (to run) and requirements-dev.txt (to test).

Follows the dependencies that pyproject.toml names through the environment this runs in, so that packages which
merely happen to be installed are left out. Versions only: no addresses, no hashes, no paths.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "hyperperturb"
# every environment brings its own, and an old pin of these breaks a newer Python
UNPINNED = {"pip", "setuptools", PROJECT}


def closure(roots: Iterable[Requirement]) -> dict[str, str]:
    """Follow requirements through what is installed.

    Parameters
    ----------
    roots
        Where to start.

    Returns
    -------
    dict
        Canonical name to version.

    Raises
    ------
    SystemExit
        When something required is not installed.
    """
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    todo = [(r.name, extra) for r in roots for extra in ("", *r.extras)]
    while todo:
        name, extra = todo.pop()
        name = canonicalize_name(name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            dist = distribution(name)
        except PackageNotFoundError:
            sys.exit(f"'{name}' is required but not installed; run: make dev")
        found[name] = dist.version
        for requirement in map(Requirement, dist.requires or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                todo += [(requirement.name, e) for e in ("", *requirement.extras)]
    return {name: version for name, version in found.items() if name not in UNPINNED}


def lines(pins: dict[str, str]) -> str:
    """Write pins as the lines of a requirements file."""
    return "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))


def main() -> None:
    """Write both files."""
    run = closure([Requirement(PROJECT)])
    test = closure([Requirement(f"{PROJECT}[dev]")])
    where = f"Python {sys.version_info[0]}.{sys.version_info[1]}, {platform.system()} {platform.machine()}"
    head = f"# The set that was tested ({where}); made by `make requirements` from pyproject.toml.\n"
    (ROOT / "requirements.txt").write_text(head + lines(run), encoding="utf-8")
    only_test = {name: version for name, version in test.items() if name not in run}
    (ROOT / "requirements-dev.txt").write_text(
        head + "-r requirements.txt\n" + lines(only_test), encoding="utf-8"
    )
    print(f"{len(run)} packages to run, {len(only_test)} more to test")


if __name__ == "__main__":
    main()
