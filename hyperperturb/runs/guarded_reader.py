"""The helper process of :mod:`hyperperturb.runs.guarded`: a JSON request a line on stdin, JSON answers on stdout."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from hyperperturb.data.screen import inspect_screen
from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import Progress


def inspect(progress: Progress, path: str, layer: str | None = None, tables: list[str] | None = None) -> Any:
    """Look at a screen; gives its report."""
    return inspect_screen(path, layer=layer, tables=tables or ()).model_dump(mode="json")


def effects(progress: Progress, path: str, target: str, **choice: Any) -> Any:
    """Compute the effects of a screen and save them; gives their numbers."""
    from hyperperturb.data.effects import compute_effects

    found = compute_effects(path, progress=progress, **choice)
    found.save(target)
    return {"perturbations": len(found.perturbations), "genes": len(found.genes)}


def batches(progress: Progress, path: str, column: str, control: str, tables: list[str]) -> Any:
    """Find the columns that may name batches; gives what is known about each."""
    from hyperperturb.data.batches import find_batch_columns

    found = find_batch_columns(path, column=column, control=control, tables=tables)
    return [entry.model_dump(mode="json") for entry in found]


def quality(progress: Progress, path: str, target: str, **choice: Any) -> Any:
    """Judge a screen and save what was found; gives the number of warnings."""
    from hyperperturb.data.quality import assess_quality

    found = assess_quality(path, progress=progress, **choice)
    Path(target).write_text(found.model_dump_json(), encoding="utf-8")
    return {"warnings": len(found.warnings)}


def mend(progress: Progress, path: str, target: str, code: str, **choice: Any) -> Any:
    """Write a copy of a screen with an entry of its repair list mended."""
    from hyperperturb.data.mending import mend_screen

    mend_screen(path, code, target, progress=progress, **choice)
    return {}


def table(progress: Progress, path: str, target: str, mode: str) -> Any:
    """Read a table of effects and save it in the project's own form; gives the control's name."""
    from hyperperturb.data.effects import read_effects

    found = read_effects(path, mode=mode)
    found.save(target)
    return {"control": found.control}


def proteins(progress: Progress, path: str, proteins: str, tables: list[str], rename: str) -> Any:
    """Say how a file of proteins and a screen fit together."""
    from hyperperturb.data.proteins import look_at_proteins

    found = look_at_proteins(path, proteins, tables=tables, rename=rename)  # type: ignore[arg-type] # checked by name
    return found.model_dump(mode="json")


def cells(progress: Progress, path: str, target: str, most: int) -> Any:
    """Take cells of a screen, evenly spaced, into an ``.h5ad`` of their own; gives how many there were."""
    import numpy as np

    from hyperperturb.data.opening import open_screen

    with open_screen(path) as screen:
        rows = np.unique(np.linspace(0, screen.n_cells - 1, min(most, screen.n_cells)).astype(int))
        progress(0.2, "collecting the cells")
        found = screen.take(rows)
        found.obs = found.obs[[]]
        found.write_h5ad(target)
        return {"n_cells": screen.n_cells}


TASKS: dict[str, Callable[..., Any]] = {
    "inspect": inspect,
    "effects": effects,
    "batches": batches,
    "mend": mend,
    "quality": quality,
    "table": table,
    "cells": cells,
    "proteins": proteins,
}


def serve(requests: Iterator[str], answers: TextIO) -> None:
    """Do what is asked, line by line, until nobody asks any more.

    Parameters
    ----------
    requests
        JSON: ``task``, ``arguments``, ``memory`` (bytes beyond what is held now, or null).
    answers
        Gets JSON: ``progress``, then ``result``, or ``error`` with ``hint`` (and ``spent`` where memory ran out, so
        that this process had better not go on).
    """

    def say(**answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    for line in requests:
        request = json.loads(line)
        say(started=True)
        try:
            with _memory_limit(request["memory"]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = TASKS[request["task"]](
                    lambda fraction, message: say(progress=[fraction, message]), **request["arguments"]
                )
        except HyperPerturbError as error:
            say(error=error.message, hint=error.hint)
        except MemoryError:
            say(
                error=f"'{request['arguments'].get('path')}' needs more memory than it may have.",
                hint="If the file should not be that large, it is damaged: copy or download it again.",
                spent=True,
            )
        except Exception as error:  # noqa: BLE001 - a person reads it as a sentence; the traceback goes to stderr
            traceback.print_exc()
            reason = (str(error).splitlines() or [""])[0][:200]
            say(
                error=f"'{request['arguments'].get('path')}' cannot be read ({type(error).__name__}: {reason}).",
                hint="Write the file anew with anndata's write_h5ad.",
                unexpected=True,
            )
        else:
            say(result=found)


@contextlib.contextmanager
def _memory_limit(more: int | None) -> Iterator[None]:
    """Let the process take so many bytes beyond what it has; no limit where the system knows none."""
    try:
        import resource

        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        more = None
    if more is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def main() -> None:
    """Serve stdin; whatever libraries print goes to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(iter(sys.stdin.readline, ""), answers)


if __name__ == "__main__":
    main()
