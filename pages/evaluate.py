"""Evaluate: how good the predictions are, on perturbations that the model never saw."""

from __future__ import annotations

import streamlit as st

from app.ui import cache, evaluating, evaluation
from app.ui.frame import empty_state, guard, no_model, question
from app.ui.state import current, select
from app.ui.text import plain

with guard():
    now = current()
    question("How good are the predictions?")
    if now.run is None:
        no_model(now, "A model is judged on genes that were held out while it was trained.", key="evaluate")
    else:
        run = now.run
        select(run=run.name)
        found = cache.metrics(run)
        if found is None:
            empty_state(
                "This run has no scores",
                "It was written without held-out scores, or by a version that wrote them otherwise. Train it anew: a "
                "training scores itself.",
                to="train",
                label="Train a model",
                key="scores",
            )
        else:
            st.markdown(f":small[:gray[{plain(cache.run_facts(run).title)} · {plain(run.name)}]]")
            evaluation.verdict(found)
            evaluating.show(run)
            evaluation.show(run, found)
