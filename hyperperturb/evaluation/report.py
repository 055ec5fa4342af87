"""Scores in words and tables: what a card and a report are put together from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hyperperturb.evaluation.metrics import METRICS


def score_table(methods: Sequence[Mapping[str, Any]]) -> list[str]:
    """The methods and their scores with intervals, as the lines of a Markdown table.

    Metrics that no method has a value of are left out.

    Examples
    --------
    >>> for line in score_table([{"label": "Mean", "error": 0.5, "error_low": 0.4, "error_high": 0.6}]):
    ...     print(line)
    | method | Squared error / no change |
    | --- | --- |
    | Mean | 0.500 (0.400 to 0.600) |
    """
    shown = [m for m in METRICS.values() if any(row.get(m.name) is not None for row in methods)]
    return [
        "| method | " + " | ".join(metric.label for metric in shown) + " |",
        "| --- |" + " --- |" * len(shown),
        *(
            f"| {row['label']} | " + " | ".join(_score(row, metric.name) for metric in shown) + " |"
            for row in methods
        ),
    ]


def _score(row: Mapping[str, Any], name: str) -> str:
    value, low, high = (row.get(key) for key in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return "–"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
