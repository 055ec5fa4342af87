"""Judging a finished run thoroughly, in a process of its own: ``python -m hyperperturb.runs.evaluations FOLDER``.

The work has a folder inside the run, which is written and read as a run directory is: status, progress, log, process.
What it finds goes into the run's ``metrics.json`` and ``card.md`` only when it is whole.
"""

from __future__ import annotations

import sys

from hyperperturb.errors import HyperPerturbError
from hyperperturb.progress import scaled
from hyperperturb.runs import worker
from hyperperturb.runs.directory import EVALUATION, RunDirectory
from hyperperturb.runs.launcher import LocalLauncher
from hyperperturb.runs.process import stderr_into
from hyperperturb.runs.workspace import remove_folder

SEEDS = 3
"""How often the folds are dealt: an interval over seeds takes three."""

_STARTED = 0.02
LAUNCHER = LocalLauncher(command=(sys.executable, "-m", "hyperperturb.runs.evaluations"))
"""Starts and cancels the work."""


def evaluation_of(run: RunDirectory) -> RunDirectory | None:
    """The latest thorough evaluation of a run, running or ended; None where there was none."""
    try:
        return RunDirectory.open(run.file(EVALUATION))
    except HyperPerturbError:
        return None


def evaluating(run: RunDirectory) -> bool:
    """Whether a run is being judged now."""
    job = evaluation_of(run)
    return job is not None and not job.status.done


def start_evaluation(run: RunDirectory) -> RunDirectory:
    """Begin to judge a run with all baselines and variants when it is its turn; returns at once.

    Parameters
    ----------
    run
        A finished run.

    Returns
    -------
    RunDirectory
        Where the work reports; :meth:`LocalLauncher.cancel` stops it.

    Raises
    ------
    HyperPerturbError
        The run is not finished, or is being judged already.
    """
    if not run.usable:
        raise HyperPerturbError(
            f"The run '{run.name}' is not finished, so there is nothing to judge.", hint="Wait for it."
        )
    if evaluating(run):
        raise HyperPerturbError(
            f"The run '{run.name}' is being judged already.", hint="Wait for it or stop it."
        )
    remove_folder(run.file(EVALUATION))
    job = RunDirectory.create(run.path, run.config, name=EVALUATION)
    LAUNCHER.submit(job)
    return job


def _judge(job: RunDirectory) -> None:
    job.stage("judging", "loading what judges", 0.0)
    with stderr_into(job.file("log.txt")):
        from hyperperturb.evaluation.verdict import VARIANTS
        from hyperperturb.models.judging import Question, evaluate_run

    run = RunDirectory.open(job.path.parent)
    settings = run.config.settings
    evaluate_run(
        run,
        Question(
            folds=settings.folds,
            seeds=tuple(range(settings.seed, settings.seed + SEEDS)),
            variants=VARIANTS,
        ),
        progress=scaled(lambda done, message: job.stage("judging", message, done), _STARTED, 1.0),
    )


def main(arguments: list[str] | None = None) -> int:
    """Do the work of the folder that is given; exit code 0 only when it is finished."""
    return worker.main(arguments, train=_judge, usage="hyperperturb.runs.evaluations FOLDER")


if __name__ == "__main__":
    sys.exit(main())
