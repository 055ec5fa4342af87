"""The process that trains: ``python -m hyperperturb.runs.worker RUN``."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.process import stderr_into
from hyperperturb.runs.queue import begin_in_turn

Train = Callable[[RunDirectory], Any]


class Cancelled(BaseException):
    """Raised where the training is when it is told to stop; not an Exception, so that nothing swallows it."""


def _train(run: RunDirectory) -> None:
    # said before the import: TensorFlow takes 13-21 s, and a page must show why nothing moves
    run.log("loading TensorFlow …")
    with stderr_into(run.file("log.txt")):
        from hyperperturb.models.train import train_run

    train_run(run)


def execute(run: RunDirectory, *, train: Train = _train) -> str:
    """Train a run in this process when it is its turn, and leave its status final, whatever happens.

    Parameters
    ----------
    run
        A queued run.
    train
        What trains it.

    Returns
    -------
    str
        The final state: ``finished``, ``failed`` or ``cancelled``.

    Raises
    ------
    HyperPerturbError
        When the run is not queued (any more).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    run.require_queued()
    previous, began = signal.signal(signal.SIGTERM, _raise_cancelled), False
    try:
        try:
            begin_in_turn(run)
            began = True
            if run.file("cancel").exists():
                raise Cancelled
            train(run)
            if run.status.state != "finished":
                run.finish()
        except (Cancelled, KeyboardInterrupt):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the goodbye must be written
            run.cancelled()
        except HyperPerturbError as error:
            if not began:
                raise  # the run is not ours
            _keep_traceback(run)
            run.fail(str(error))
        except MemoryError:
            _keep_traceback(run)
            run.fail("The memory was not enough. Choose fewer genes or fewer cells in the settings.")
        except Exception as error:  # noqa: BLE001  the last place where the person who waits can be told
            _keep_traceback(run)
            run.fail(
                f"The work stopped with an unexpected error ({type(error).__name__}: {_one_line(error)})."
                f" Details are in {run.file('log.txt')}."
            )
    finally:
        signal.signal(signal.SIGTERM, previous)
    return run.status.state


def _raise_cancelled(signum: int, frame: object) -> None:
    raise Cancelled


def _keep_traceback(run: RunDirectory) -> None:
    with run.file("log.txt").open("a", encoding="utf-8") as log:
        log.write(traceback.format_exc())


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else "no message"


def main(
    arguments: list[str] | None = None, *, train: Train = _train, usage: str = "hyperperturb.runs.worker RUN"
) -> int:
    """Do the work of the folder whose path is given.

    Parameters
    ----------
    arguments
        The command line without the program's name; ``sys.argv`` when None.
    train
        What does the work.
    usage
        The module, and what it is given, for who gives something else.

    Returns
    -------
    int
        Exit code: 0 only when the run is finished.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print(f"Usage: python -m {usage}", file=sys.stderr)
        return 2
    try:
        state = execute(RunDirectory.open(arguments[0]), train=train)
    except HyperPerturbError as error:
        print(error, file=sys.stderr)
        return 1
    return {"finished": 0, "cancelled": 143}.get(state, 1)


if __name__ == "__main__":
    sys.exit(main())
