"""What a training tells its run directory at each epoch's end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from hyperperturb.runs.directory import RunDirectory


class EpochReport(keras.callbacks.Callback):
    """Reports every epoch to the run, each once even when the training is interrupted and taken up again.

    Parameters
    ----------
    run
        Where to report.
    stage
        What the stage is called.
    span
        Where the stage begins and ends, as fractions of the whole run.
    values
        Called with the model for what is reported beside the logs and the learning rate.
    """

    def __init__(
        self,
        run: RunDirectory,
        stage: str,
        span: tuple[float, float],
        values: Callable[[keras.Model], dict[str, float]],
    ) -> None:
        super().__init__()
        self.run, self.stage, self.span, self.values = run, stage, span, values
        self.rows: list[dict[str, Any]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Report the epoch."""
        row = {
            "stage": self.stage,
            "epoch": epoch + 1,
            "epochs": int(self.params["epochs"]),
            **{k: float(v) for k, v in (logs or {}).items()},
            "learning_rate": float(self.model.optimizer.learning_rate),
            **{k: float(v) for k, v in self.values(self.model).items()},
        }
        self.rows.append(row)
        self._report(row)

    def _report(self, row: dict[str, Any]) -> None:
        start, end = self.span
        self.run.epoch(row, fraction=start + (end - start) * row["epoch"] / row["epochs"])

    def get_state(self) -> dict[str, np.ndarray]:
        """Every row reported so far."""
        return {"rows": np.array(json.dumps(self.rows))}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Take up an interrupted training; rows that did not reach the disk then are reported now."""
        self.rows = json.loads(str(state["rows"]))
        said = {(e.get("stage"), e.get("epoch")) for e in self.run.events()[0] if e.get("kind") == "epoch"}
        for row in self.rows:
            if (self.stage, row["epoch"]) not in said:
                self._report(row)
