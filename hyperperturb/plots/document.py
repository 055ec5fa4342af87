"""The figures of a report, and several figures as one HTML document that opens anywhere."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from hyperperturb.evaluation.verdict import LABELS, MODEL
from hyperperturb.plots.evaluation import method_scores, paired_leads
from hyperperturb.plots.held_out import coverage_shares, error_calibration, perturbation_errors

_FIRST = ("error", "pearson_control", "pearson_mean", "cosine_discrimination")
_MORE = ("centroid_accuracy", "significant_overlap", "sign_agreement", "energy_distance")
CAPTIONS = {
    "methods": "Beside the baselines and the ceiling",
    "methods_more": "The same in further metrics",
    "leads": "Lead over every other method",
    "perturbations": "Every perturbation, against the best baseline",
    "expected_error": "Expected against actual error",
    "coverage": "How often the intervals hold",
}
"""Name of a figure of :func:`report_figures` → what it shows."""

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.6rem}h2{font-size:1.1rem;margin-top:2.5rem}"
)


def report_figures(metrics: Mapping[str, Any], *, chosen: str = "") -> dict[str, go.Figure]:
    """The pictures of a report, by the names of :data:`CAPTIONS`.

    Parameters
    ----------
    metrics : mapping
        As ``metrics.json`` (:class:`hyperperturb.evaluation.report.HeldOut`).
    chosen : str
        A perturbation that is ringed where all are drawn.
    """
    rows = metrics.get("per_perturbation")
    best = str(metrics.get("best_baseline") or "the best baseline")
    return {
        "methods": method_scores(metrics, model=MODEL, shown=_FIRST),
        "methods_more": method_scores(metrics, model=MODEL, shown=_MORE),
        "leads": paired_leads(metrics.get("leads")),
        "perturbations": perturbation_errors(rows, chosen=chosen, baseline=LABELS.get(best, best).lower()),
        "expected_error": error_calibration(rows, chosen=chosen),
        "coverage": coverage_shares(rows),
    }


def figures_page(title: str, lead: str, figures: Sequence[tuple[str, go.Figure]]) -> str:
    """Put figures on one page, with what draws them in it, so that it needs no connection.

    Parameters
    ----------
    title, lead : str
        Heading and the sentence under it.
    figures : sequence of (str, plotly.graph_objects.Figure)
        Caption and figure, in order.

    Returns
    -------
    str
        An HTML document; it follows the light or dark preference of its reader.

    Examples
    --------
    >>> figures_page("A < B", "Yes.", [])[:15]
    '<!doctype html>'
    """
    parts = []
    for number, (caption, figure) in enumerate(figures):
        drawn = figure.to_html(
            full_html=False, include_plotlyjs=number == 0, config={"displaylogo": False, "responsive": True}
        )
        parts.append(f"<h2>{html.escape(caption)}</h2>{drawn}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1><p>{html.escape(lead)}</p>"
        f"{''.join(parts)}</body></html>\n"
    )
