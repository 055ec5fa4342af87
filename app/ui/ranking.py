"""Columns that every ranking of perturbations has."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st


def ranking_columns(ranking: pd.DataFrame, *, calibrated_on: str) -> dict[str, Any]:
    """How a table shows the probability, the score and the evidence of a ranking.

    Parameters
    ----------
    ranking
        Of :meth:`hyperperturb.HyperPerturbInference.rank_perturbations`.
    calibrated_on
        What the probabilities were calibrated on: cells or perturbations.
    """
    return {
        "probability": st.column_config.ProgressColumn(
            "probability",
            format="%.3f",
            min_value=0.0,
            max_value=float(max(ranking["probability"].max(), 1e-9)),
            help=f"Calibrated on held-out {calibrated_on}; over all perturbations and their opposites it is 1.",
        ),
        "score": st.column_config.NumberColumn(
            "score", format="%.2f", help="Cosine with the effect as the model knows it."
        ),
        "evidence": st.column_config.NumberColumn(
            "measured", format="%.2f", help="Cosine with the effect as it was measured."
        ),
    }
