"""The command line: ``hyperperturb COMMAND …`` or ``python -m hyperperturb COMMAND …``.

Heavy packages are imported inside the commands, so that ``--help`` and mistakes answer at once.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from hyperperturb.cli import (
    cells,
    data,
    download,
    evaluate,
    predict,
    quality,
    query,
    runs,
    serve,
    terms,
    train,
)
from hyperperturb.cli.console import STATE
from hyperperturb.errors import HyperPerturbError

_INTERRUPTED = 130
# the base of every mistake in the arguments; typer carries its own copy of click or uses click, by its version
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="hyperperturb",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for module in (data, quality, download, train, runs, evaluate, predict, query, cells, terms, serve):
    module.add_commands(app)


def _show_version(value: bool) -> None:
    if value:
        from hyperperturb import __version__

        print(f"hyperperturb {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """What does perturbing a gene do? Learn it from a single-cell CRISPR screen and gene networks.

    The way through: simulate or inspect a screen, train, evaluate, predict the effects of genes, query cells for
    perturbations; or do all of it in the browser with app.
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments
        The words after the program's name; ``sys.argv`` when None.

    Returns
    -------
    int
        Exit code: 0 on success, 1 when something could not be done, 2 when the command was not understood,
        130 when it was interrupted, 141 when nobody reads the output any more. Messages go to stderr in one
        line; ``--debug`` shows where they come from.

    Examples
    --------
    >>> main(["--version"])  # doctest: +ELLIPSIS
    hyperperturb ...
    0
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    STATE.reset(debug="--debug" in arguments)
    with warnings.catch_warnings():
        if not STATE.debug:
            warnings.simplefilter("ignore")  # other packages' warnings are not for the person at the terminal
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    try:
        try:
            code = app(arguments, prog_name="hyperperturb", standalone_mode=False)
        except typer.Exit as exit_:
            code = exit_.exit_code
        if code == _INTERRUPTED:  # what typer makes of Ctrl-C, without a word
            raise KeyboardInterrupt
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted", _INTERRUPTED)
    except HyperPerturbError as error:
        return _complain(str(error), 1)
    except _UsageError as error:
        return _complain(f"{error.format_message()} See: hyperperturb --help", 2)
    except BrokenPipeError:  # as in: hyperperturb runs | head -1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except MemoryError:
        return _complain("The memory was not enough. Choose fewer genes or fewer cells.", 1)
    except OSError as error:
        where = f" '{error.filename}'" if error.filename else ""
        return _complain(f"{error.strerror or error}{where}.", 1)
    except Exception as error:  # noqa: BLE001  a person at a terminal gets a sentence, not a traceback
        kind = type(error).__name__
        return _complain(f"Unexpected error ({kind}: {error}). Add --debug to see where it comes from.", 1)
    return code if isinstance(code, int) else 0


def _complain(message: str, code: int) -> int:
    if STATE.debug:
        traceback.print_exc()
    line = " ".join(message.split())
    print(f"hyperperturb: {line}", file=sys.stderr)
    return code
