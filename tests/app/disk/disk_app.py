"""The disk by itself, with as many simulated genes as the address says, and what a page does with it.

The tests beside this file drive it, benchmarks/disk_speed.py measures it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app.components.poincare_disk import poincare_disk

st.set_page_config(layout="wide")


@st.cache_data
def table(n):
    rng = np.random.default_rng(1)
    degree = np.sort(np.floor(2 * rng.pareto(1.3, n) + 2))[::-1]
    rho = np.clip(0.4 + 1.05 * np.log1p(np.arange(n) / 4) + rng.normal(0, 0.18, n), 0.1, 9)
    phi = rng.uniform(0, 2 * np.pi, n)
    return pd.DataFrame(
        {
            "gene": [f"G{i}" for i in range(n)],
            "x": np.tanh(rho / 2) * np.cos(phi),
            "y": np.tanh(rho / 2) * np.sin(phi),
            "degree": degree,
            "effect": rng.normal(0, 0.2, n),
            "community": [f"c{i % 9}" for i in range(n)],
        }
    )


genes = table(int(st.query_params.get("n", 400)))


def neighbours(gene):
    return pd.DataFrame({"gene": ["G1", "G2", "G3", "unknown"], "weight": [1.0, 0.5, 0.1, 1.0]})


wanted = st.text_input("gene", key="wanted") or None
hubs = st.radio("hubs", ["links", "effects"], horizontal=True, key="hubs")
colour = st.radio("colour", ["degree", "effect", "community"], horizontal=True)
if "log" not in st.session_state:
    st.session_state.log = []
    st.session_state.second = None
    st.session_state.taken = []


def measure(gene):
    st.session_state.second = gene


def take(genes):
    st.session_state.taken = genes


picked = poincare_disk(
    genes,
    color=colour,
    size="degree",
    hubs="degree" if hubs == "links" else "effect",
    second=st.session_state.second,
    second_distance=1.25 if st.session_state.second else None,
    gene_set=st.session_state.taken,
    diverging=colour == "effect",
    selected=wanted,
    neighbours=neighbours,
    key="disk",
    labels={"effect": "effect (natural log)"},
    on_select=lambda gene: st.session_state.log.append(gene),
    on_second=measure,
    on_lasso=take,
)
st.session_state.runs = st.session_state.get("runs", 0) + 1
st.button("rerun")
st.markdown(f"selected: {picked}; told: {st.session_state.log}; run {st.session_state.runs}.")
st.markdown(f"second: {st.session_state.second}; taken: {len(st.session_state.taken)}.")
