"""Train: what to learn from and how; watch it; the runs so far."""

from __future__ import annotations

import streamlit as st

from app.ui import announce, cache, compare, estimate, networks, report, settings, watch
from app.ui.frame import empty_state, guard, question
from app.ui.state import Current, current, select
from app.ui.text import GLOSSARY, plain, plural, when
from hyperperturb.runs import cost
from hyperperturb.runs.config import RunConfig
from hyperperturb.runs.cost import Workload
from hyperperturb.runs.datasets import Dataset
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.launcher import LocalLauncher

LISTED = 8  # runs of the list that are not folded away


def start(now: Current, dataset: Dataset) -> None:
    """The few settings, the estimate, the button."""
    effects = cache.effects(now.workspace, dataset)
    st.markdown(f"**{plain(dataset.title)}**  \n:gray[{plural(len(effects.perturbations), 'perturbation')}]")
    chosen = networks.choose(now, dataset)
    wanted = settings.choose()
    key = f"exclude_{dataset.name}"
    st.session_state[key] = [p for p in st.session_state.get(key, []) if p in effects.perturbations]
    with st.expander("Leave perturbations out"):
        exclude = st.multiselect(
            "Taken out before training",
            effects.perturbations,
            key=key,
            wrap=True,
            placeholder="None",
            help="Their cells are not seen by the model, so their measured effects can judge its predictions.",
        )
    if chosen.ready:
        known = [cache.network(path) for path in chosen.paths]
        work = Workload.of(wanted, effects, known, cells=dataset.kind == "screen")
        device = settings.device(wanted.strategy)
        found = cost.estimate(work, cost.costs(now.runs), device=device)
        estimate.show(found, work, device=device, before=len(now.active))
    if st.button("Start training", key="start", type="primary", disabled=not chosen.ready, width="stretch"):
        config = RunConfig.for_dataset(
            dataset,
            settings=wanted,
            networks=chosen.paths,
            coexpression=chosen.coexpression,
            exclude=exclude,
        ).checked()
        run = next((other for other in now.active if other.config.asks_the_same(config)), None)
        if run is None:  # two clicks, or two pages, are one training
            run = RunDirectory.create(now.workspace.runs_dir, config)
            LocalLauncher().submit(run)
        select(dataset=dataset.name, run=run.name, compare=())
        st.rerun()
    if not chosen.paths and not chosen.coexpression:
        st.caption("Choose at least one network: it says where the genes belong.")


def result(run: RunDirectory) -> None:
    """The chosen run: live, finished, or ended otherwise."""
    status = run.status
    config = run.config
    announce.read(run)
    st.subheader(plain(config.title or run.name), anchor=False)
    details = [plain(run.name), when(config.created), watch.STATES[status.state]]
    if config.exclude:
        details.append(f"without {plain(', '.join(config.exclude))}")
    st.markdown(f":small[:gray[{' · '.join(details)}]]")
    if status.state in ("queued", "running"):
        watch.live(run)
    elif run.usable:
        report.show(run)
    elif status.state == "finished":
        st.error(f"Files of this run are missing: {plain(', '.join(run.missing_files()))}. Train again.")
        watch.remove(run)
    else:
        watch.ended_badly(run)


def run_list(now: Current, shown: RunDirectory | None) -> None:
    """Every run of the dataset, newest first, each a link."""
    runs = now.runs_of_dataset
    if not runs:
        return
    st.markdown("**Runs**", help=GLOSSARY["run"])
    with st.container(key="run_list"):
        for run in runs[:LISTED]:
            run_button(run, marked=shown is not None and run.name == shown.name)
        if len(runs) > LISTED:
            with st.expander(plural(len(runs) - LISTED, "older run")):
                for run in runs[LISTED:]:
                    run_button(run, marked=shown is not None and run.name == shown.name)


def run_button(run: RunDirectory, *, marked: bool) -> None:
    """A run of the list: when it was started and how it stands."""
    known = cache.run_facts(run)
    note = watch.STATES[run.status.state]
    if run.usable:
        note = "ahead of the baselines" if known.ahead else "not ahead of the baselines"
    st.button(
        f"{when(run.config.created)} · {note}",
        key=f"run_{run.name}",
        type="secondary" if marked else "tertiary",
        icon=":material/check:" if marked else None,
        help=known.verdict or run.name,
        width="stretch",
        on_click=select,
        kwargs={"run": run.name, "compare": ()},
    )


with guard():
    now = current()
    question("How should the model learn?")
    if now.dataset is None and now.run is None:
        empty_state(
            "No data yet",
            "A model learns from a screen whose controls are confirmed. Load the demo or bring your own first.",
            to="data",
            label="Choose data",
            key="train",
        )
    else:
        shown = now.shown_run
        left, right = st.columns([1, 1.9], gap="large")
        beside = []
        with left, guard():
            if now.dataset is not None and now.dataset.confirmed:
                start(now, now.dataset)
            elif now.dataset is not None:
                empty_state(
                    "Controls first",
                    f"The controls of {plain(now.dataset.title)} are not confirmed yet, so there is nothing to learn.",
                    to="controls",
                    label="Confirm controls",
                    key="train",
                )
            run_list(now, shown)
            beside = compare.choose(now)
        with right, guard():
            if beside:
                compare.show(now, beside)
            elif shown is None:
                st.markdown(
                    ":gray[The training appears here from its first second: what is happening, the loss curves, the "
                    "time left. It runs in a process of its own, so this page can be closed meanwhile.]"
                )
            else:
                result(shown)
