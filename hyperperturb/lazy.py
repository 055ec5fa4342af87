"""Packages whose public names are imported on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazy(
    package: str, names: Mapping[str, str], *, modules: Iterable[str] = (), more: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package needs so that its names cost nothing until they are asked for (PEP 562).

    Parameters
    ----------
    package
        Its ``__name__``.
    names
        Module inside the package → the names to take from it, separated by spaces.
    modules
        Modules that are public themselves.
    more
        Names that the package defines itself.

    Returns
    -------
    tuple
        ``__getattr__``, ``__dir__`` and ``__all__`` of the package.

    Examples
    --------
    >>> find, _, everything = lazy("importlib", {"util": "find_spec"}, modules=["abc"])
    >>> find("find_spec").__name__, everything
    ('find_spec', ['abc', 'find_spec'])
    """
    home = {name: module for module, listed in names.items() for name in listed.split()}
    public = sorted({*home, *modules, *more})

    def find(name: str) -> Any:
        if name in home:
            return getattr(import_module(f"{package}.{home[name]}"), name)
        if name in public and name not in more:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find, lambda: public, public
