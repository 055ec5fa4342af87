"""Choosing what the genes are placed by: co-expression, the dataset's own networks, files that a person adds."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from app.ui import cache, jobs
from app.ui.frame import sentence
from app.ui.state import Current
from app.ui.text import GLOSSARY, count, listing, plain
from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.config import RunConfig, existing_file
from hyperperturb.runs.datasets import Dataset, add_network, list_networks

COEXPRESSION = "co-expression"


@dataclass(frozen=True)
class Choice:
    """The networks to train with, and whether a training can start with them."""

    paths: tuple[Path, ...]
    coexpression: bool
    ready: bool


def _registered(dataset: Dataset) -> list[str]:
    """Server paths that were added to this dataset in this session."""
    return st.session_state.setdefault(f"paths_{dataset.name}", [])


def _label(option: str, dataset: Dataset) -> str:
    if option == COEXPRESSION:
        return "Co-expression in the control cells"
    path = Path(option)
    if path in dataset.networks:
        return "Network that came with the data"
    return path.name


def choose(now: Current, dataset: Dataset) -> Choice:
    """The networks, what they cover, and two ways to add one."""
    key = f"networks_{dataset.name}"
    kept = f"kept_{key}"  # a widget's own state is lost when its page is left
    if key not in st.session_state and kept not in st.session_state:
        last = next((run.config for run in now.runs_of_dataset if _there(run.config)), None)
        if last is not None:  # a new session goes on with what was chosen for the dataset last
            take(last)
    _receive(key, dataset)
    options = [str(path) for path in (*dataset.networks, *list_networks(now.workspace))]
    options = list(dict.fromkeys([*options, *_registered(dataset)]))
    if dataset.kind == "screen":
        options.append(COEXPRESSION)
    if key not in st.session_state:
        start = st.session_state.get(kept, [str(p) for p in dataset.networks] or options[-1:])
        st.session_state[key] = [option for option in start if option in options]
    picked = st.multiselect(
        "Networks",
        options,
        key=key,
        format_func=lambda option: _label(option, dataset),
        placeholder="Choose at least one",
        wrap=True,
        help=GLOSSARY["network"] + " Several are combined.",
    )
    st.session_state[kept] = picked
    paths = tuple(Path(option) for option in picked if option != COEXPRESSION)
    good = _cover(now, dataset, paths)
    with st.popover("Add a network", type="tertiary", icon=":material/add:"):
        _add(now, dataset, key)
    jobs.watch(f"network:{dataset.name}", stoppable=False)
    return Choice(paths, COEXPRESSION in picked, bool(picked) and good)


def _there(config: RunConfig) -> bool:
    """Whether anything of what placed the genes of a run can be chosen still."""
    return config.coexpression or any(source.path.is_file() for source in config.networks)


def take(config: RunConfig) -> None:
    """Choose the networks of a run, as far as their files are still there (before the box is drawn)."""
    registered = st.session_state.setdefault(f"paths_{config.dataset}", [])
    paths = [str(source.path) for source in config.networks if source.path.is_file()]
    registered += [path for path in paths if path not in registered]
    st.session_state[f"networks_{config.dataset}"] = [
        *paths,
        *([COEXPRESSION] if config.coexpression else []),
    ]


def _cover(now: Current, dataset: Dataset, paths: tuple[Path, ...]) -> bool:
    """Say how much of the data each network knows; false when one knows nothing or cannot be read."""
    good = True
    for path in paths:
        try:
            found = cache.coverage(path, now.workspace, dataset)
        except Exception as error:  # noqa: BLE001 - one bad file must not take the settings away
            st.error(f"**{plain(path.name)}**: {sentence(error)}")
            good = False
            continue
        what = f"{plain(_label(str(path), dataset))}: {count(found.n_edges)} links of {count(found.n_genes)} genes"
        if found.n_targets_in_network + found.n_response_genes_in_network == 0:
            st.error(
                f"{what}, none of them among this screen's genes. Use a network of the same species with the same "
                "kind of gene names (symbols or Ensembl ids)."
            )
            good = False
            continue
        covered = f"{count(found.n_targets_in_network)} of {count(found.n_targets)} perturbed genes are in it"
        missing = f"; not in it: {listing(found.missing_targets, limit=4)}" if found.missing_targets else ""
        st.caption(f"{what}; {covered}{plain(missing)}.")
    return good


def _add(now: Current, dataset: Dataset, key: str) -> None:
    st.markdown("An edge list (`.csv`, `.tsv`, two or three columns), STRING, regulons, gene sets (`.gmt`).")
    uploaded = st.file_uploader("Upload a network", key=f"upload_{key}", max_upload_size=500)
    if uploaded is not None and st.session_state.get(f"handled_{key}") != uploaded.file_id:
        st.session_state[f"handled_{key}"] = uploaded.file_id
        content, name = uploaded.getvalue(), uploaded.name
        jobs.start(
            f"network:{dataset.name}",
            f"Reading {plain(name)}",
            lambda _: add_network(now.workspace, io.BytesIO(content), name),
        )
        st.rerun()
    with st.form(f"path_{key}", border=False):
        path = st.text_input(
            "Or a path on the server", placeholder="/data/networks/string.csv", key=f"where_{key}"
        )
        if st.form_submit_button("Use this file") and path.strip():
            jobs.start(f"network:{dataset.name}", f"Reading {plain(path)}", lambda _: _checked(path.strip()))
            st.rerun()


def _checked(path: str) -> Path:
    """The absolute path of a network file on the server, once it has been read without complaint."""
    full = existing_file(path, what="network")
    found = cache.network(full)
    if not found.genes:
        raise HyperPerturbError(f"The network '{path}' has no genes.", hint="Check the file.")
    return full


def _receive(key: str, dataset: Dataset) -> None:
    """Put a network that has just been added among the chosen ones."""

    def choose(added: Path) -> None:
        if str(added) not in _registered(dataset):
            _registered(dataset).append(str(added))
        chosen = st.session_state.get(key, st.session_state.get(f"kept_{key}", []))
        if str(added) not in chosen:
            st.session_state[key] = [*chosen, str(added)]

    jobs.collect(f"network:{dataset.name}", choose)
