"""What is chosen: dataset, run and genes, in the address and in the session.

The address wins where it names something, so that a shared or reloaded address opens the same view; what it does
not name comes from the session, and is written back into the address. Widgets change the selection only
through `select`, which writes both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from app.ui import address, cache
from app.ui.routes import ROUTES
from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.datasets import Dataset
from hyperperturb.runs.directory import RunDirectory
from hyperperturb.runs.workspace import Workspace

NAMES = (
    *("dataset", "run", "gene", "genes", "perturbation", "compare"),
    *("goal", "group", "area", "to", "shade"),  # of Cells
    *("view", "picture", "versus", "up", "down", "untested"),  # of Predict
    *("second", "colour", "size", "hubs", "set"),  # of the disk
)
LONGEST = 4000
"""Characters of a choice that are written into the address."""
_PREFIX = "chosen_"


def _get(name: str) -> str:
    return st.session_state.get(_PREFIX + name, "")


def sync(page_key: str) -> None:
    """Bring address and session into line at the start of a script run of the page `page_key`."""
    asked = address.read(page_key)
    if asked is not None:
        _take({name: asked[name] for name in NAMES if name in asked}, page_key)
    address.complete(_named(page_key))


def publish() -> None:
    """Write what is chosen into the address of the page that is shown."""
    address.complete(_named(st.session_state["page_key"]))


def _take(asked: dict[str, str], page_key: str) -> None:
    """What an address names is chosen now; what it leaves open stays, unless somebody came back to it."""
    if address.came_back():
        left = [name for name in ROUTES[page_key].carries if name not in asked and len(_get(name)) <= LONGEST]
        st.session_state.update({_PREFIX + name: "" for name in left})
    if asked.get("dataset", _get("dataset")) != _get("dataset") and "run" not in asked:
        st.session_state[_PREFIX + "run"] = ""  # the run of another dataset
    if asked.get("run", _get("run")) != _get("run") and "dataset" not in asked:
        st.session_state[_PREFIX + "dataset"] = ""  # the run names its own
    if asked.get("run", _get("run")) != _get("run") and "area" not in asked:
        st.session_state[_PREFIX + "area"] = ""  # a line around the cells of another run
    if asked.get("run", _get("run")) != _get("run") and "compare" not in asked:
        st.session_state[_PREFIX + "compare"] = ""  # a link to a run, whatever was compared before
    if asked.get("genes", _get("genes")) != _get("genes") and "view" not in asked:
        st.session_state[_PREFIX + "view"] = ""  # a link to a gene, whatever was looked at before
    if asked.get("gene", _get("gene")) != _get("gene") and "genes" not in asked:
        st.session_state[_PREFIX + "genes"] = asked["gene"]  # as `select` does for a click in the disk
    st.session_state.update({_PREFIX + name: value for name, value in asked.items()})


def _named(page_key: str) -> dict[str, str]:
    """What the address of a page is to name: what is chosen, and what is not ours."""
    others = {name: value for name, value in st.query_params.to_dict().items() if name not in NAMES}
    carried = {name: _get(name) for name in NAMES if name in ROUTES[page_key].carries}
    # longer ones are kept for the session: browsers and servers cut longer addresses
    return others | {name: value for name, value in carried.items() if 0 < len(value) <= LONGEST}


def select(
    *,
    dataset: str | None = None,
    run: str | None = None,
    gene: str | None = None,
    genes: Sequence[str] | None = None,
    goal: str | None = None,
    group: str | None = None,
    area: str | None = None,
    to: str | None = None,
    shade: str | None = None,
    perturbation: str | None = None,
    compare: Sequence[str] | None = None,
    view: str | None = None,
    picture: str | None = None,
    versus: Sequence[str] | None = None,
    up: Sequence[str] | None = None,
    down: Sequence[str] | None = None,
    untested: bool | None = None,
    second: str | None = None,
    colour: str | None = None,
    size: str | None = None,
    hubs: str | None = None,
    gene_set: Sequence[str] | None = None,
) -> None:
    """Choose a dataset, a run, a gene of the disk, the genes of the question, or a perturbation to judge.

    `compare` are the runs beside each other on Train. On Cells, `goal` is the question, `group` the label of the cells
    or `area` a line around them, `to` the state they should come to, `shade` what colours them. On Predict, `view` is
    the kind of question, `picture` what is drawn of the answer, `versus` what `genes` are compared with, `up` and
    `down` a wanted change, `untested` whether genes that were never perturbed may make it. `second`, `colour`, `size`
    and `hubs` say how the disk is drawn, `gene_set` which genes were gathered in it. An empty one takes the choice
    back.

    A new dataset takes the run back unless one is given with it. `gene` also becomes the question of Predict.
    """
    if dataset is not None and dataset != _get("dataset") and run is None:
        run = ""
    values = {"dataset": dataset, "run": run, "gene": gene, "perturbation": perturbation}
    values |= {"goal": goal, "group": group, "area": area, "to": to, "shade": shade}
    values |= {"view": view, "picture": picture}
    values |= {"second": second, "colour": colour, "size": size, "hubs": hubs}
    values["untested"] = None if untested is None else ("yes" if untested else "")
    lists = {"genes": genes, "versus": versus, "up": up, "down": down, "compare": compare, "set": gene_set}
    for name, several in lists.items():
        values[name] = None if several is None else ",".join(several)
    if gene and genes is None:
        values |= {"genes": gene, "view": view or ""}
    st.session_state.update({_PREFIX + name: value for name, value in values.items() if value is not None})
    address.change(_named(st.session_state.get("page_key", "home")))


def chosen_gene() -> str:
    """The gene selected in the disk, or an empty string."""
    return _get("gene")


def chosen_genes() -> list[str]:
    """The genes of the question on the Predict page."""
    return _listed("genes")


def chosen_gene_set() -> list[str]:
    """The genes that were gathered in the disk."""
    return _listed("set")


def _listed(name: str) -> list[str]:
    return [gene for gene in (part.strip() for part in _get(name).split(",")) if gene]


def chosen_view(views: Sequence[str]) -> str:
    """The kind of question on the Predict page; the first where none of them is chosen."""
    return _get("view") if _get("view") in views else views[0]


def chosen_picture(pictures: Sequence[str]) -> str:
    """What is drawn of the answer; the first where none of them is chosen."""
    return _get("picture") if _get("picture") in pictures else pictures[0]


def chosen_versus() -> list[str]:
    """The genes of the perturbation that the question's is compared with."""
    return _listed("versus")


def chosen_wanted() -> tuple[list[str], list[str], bool]:
    """Genes that should rise, that should fall, and whether genes that were never perturbed may do it."""
    return _listed("up"), _listed("down"), _get("untested") == "yes"


def chosen_look(name: str, allowed: Sequence[str]) -> str:
    """How the disk is drawn: the chosen second, colour, size or hubs, or an empty string where it is not `allowed`."""
    return _get(name) if _get(name) in allowed else ""


def chosen_comparison() -> list[str]:
    """The names of the runs that are compared on the Train page."""
    return _listed("compare")


def chosen_of_cells() -> tuple[str, str, str, str, str]:
    """On Cells: goal, label, area, wanted state and colour; each may be an empty string."""
    return _get("goal"), _get("group"), _get("area"), _get("to"), _get("shade")


def chosen_perturbation() -> str:
    """The perturbation that is judged on the Evaluate page, or an empty string."""
    return _get("perturbation")


@dataclass(frozen=True)
class Current:
    """What the pages work on now.

    `run` is the usable run that Explore and Ask work with; `shown_run` the one that Train shows, which may be
    running or failed.
    """

    workspace: Workspace
    datasets: tuple[Dataset, ...]
    dataset: Dataset | None
    runs: tuple[RunDirectory, ...]
    run: RunDirectory | None
    shown_run: RunDirectory | None

    @property
    def runs_of_dataset(self) -> tuple[RunDirectory, ...]:
        """The runs that were trained on the chosen dataset, newest first."""
        if self.dataset is None:
            return self.runs
        return tuple(run for run in self.runs if cache.run_facts(run).dataset == self.dataset.name)

    @property
    def active(self) -> tuple[RunDirectory, ...]:
        """The runs that are waiting or training now."""
        return tuple(run for run in self.runs if run.status.state in ("queued", "running"))


def _complain(sentence: str) -> None:
    told = st.session_state.setdefault("complaints", {})
    told.setdefault(sentence, "")


def complaints(page_key: str) -> list[str]:
    """What a person must be told on the page `page_key`: what is new, and what stands there already.

    It may be found where nothing can be written, by a part of the page that renews itself; so it is kept until a page
    has shown it and is left.
    """
    told = st.session_state.get("complaints", {})
    kept = {sentence: page_key for sentence, shown_on in told.items() if shown_on in ("", page_key)}
    st.session_state["complaints"] = kept
    return list(kept)


def untold() -> bool:
    """Whether there is something to tell that no page has shown yet."""
    return "" in st.session_state.get("complaints", {}).values()


def current() -> Current:
    """Look up the selection; a name that no longer exists is dropped and told on the page (`complaints`)."""
    workspace = Workspace()
    datasets = tuple(cache.datasets(workspace))
    runs = tuple(cache.runs(workspace))
    by_name = {entry.name: entry for entry in datasets}

    run = None
    wanted_run = _get("run")
    if wanted_run:
        run = next((entry for entry in runs if entry.name == wanted_run), None)
        if run is None:
            _complain(f"There is no run called “{wanted_run}” here; it may have been deleted.")
            select(run="")

    wanted = _get("dataset")
    if wanted and wanted not in by_name:
        _complain(f"There is no dataset called “{wanted}” here; it may have been deleted.")
        select(dataset="", run=run.name if run else "")
        wanted = ""
    if not wanted and run is not None:
        wanted = cache.run_facts(run).dataset or ""
    dataset = by_name.get(wanted)
    if dataset is None and run is None and datasets:
        # Nothing is chosen: go on where a model is, else with the newest data.
        trained = (by_name.get(cache.run_facts(entry).dataset or "") for entry in runs if entry.usable)
        dataset = next(filter(None, trained), datasets[0])

    candidates = [r for r in runs if dataset is None or cache.run_facts(r).dataset == dataset.name]
    shown = run or next((entry for entry in candidates if entry.status.state in ("queued", "running")), None)
    if not usable(run):
        run = next((entry for entry in candidates if entry.usable), None)
    newest = candidates[0] if candidates else None
    return Current(workspace, datasets, dataset, runs, run, shown or newest)


def usable(run: RunDirectory | None) -> bool:
    """Whether `run` is there and finished."""
    try:
        return run is not None and run.usable
    except (HyperPerturbError, OSError):
        return False
