"""What a screen reader says instead of each picture: what is plotted, and the names and numbers a glance would take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from app.ui.text import count, extremes, number, plural, signed

if TYPE_CHECKING:
    from hyperperturb.data.effects import Effects
    from hyperperturb.data.quality_report import Quality


def _correlation(x: pd.Series, y: pd.Series) -> float | None:
    """Of two lists of numbers; None where one of them is constant or they are too short to say."""
    return float(x.corr(y)) if len(x) > 2 and x.nunique() > 1 and y.nunique() > 1 else None


def volcano(table: pd.DataFrame) -> str:
    """Effect against certainty; `table` has ``gene``, ``effect`` and ``standard_error``."""
    certain = table[table["effect"].abs() > 2 * table["standard_error"]]
    up = int((certain["effect"] > 0).sum())
    return (
        f"Scatter plot of {plural(len(table), 'gene')}: predicted effect across, effect over its standard error "
        f"upwards. Beyond two standard errors {count(up)} are up and {count(len(certain) - up)} down; "
        f"{extremes(table['gene'], table['effect'])}."
    )


def ranked(table: pd.DataFrame, n: int) -> str:
    """The `n` largest effects as bars; `table` has ``gene`` and ``effect``."""
    top = table.reindex(table["effect"].abs().sort_values(ascending=False, kind="stable").index).head(n)
    bars = ", ".join(
        f"{gene} {signed(effect)}" for gene, effect in zip(top["gene"], top["effect"], strict=True)
    )
    return f"Bars of the {plural(len(top), 'largest predicted effect')}: {bars}."


def agreement(x: Iterable[float], y: Iterable[float], *, across: str, upwards: str) -> str:
    """Two values of every gene on equal scales."""
    pairs = pd.DataFrame({"x": list(x), "y": list(y)}, dtype=float).dropna()
    r = _correlation(pairs["x"], pairs["y"])
    return (
        f"Scatter plot of {plural(len(pairs), 'gene')} on equal scales: {across} across, {upwards} upwards; their "
        f"correlation is {number(r)}."
    )


def cells(counts: Mapping[str, int]) -> str:
    """Cells of each perturbation or label, as bars."""
    known = pd.Series(dict(counts), dtype=float)
    known = known[known > 0].sort_values(ascending=False)
    if known.empty:
        return "No bars: the numbers of cells are not known."
    return (
        f"Bars of the number of cells of {plural(len(known), 'perturbation')}: most {known.index[0]} "
        f"({count(known.iloc[0])}), median {count(known.median())}, fewest {known.index[-1]} "
        f"({count(known.iloc[-1])})."
    )


def cell_map(title: str, table: pd.DataFrame, shade: Any) -> str:
    """A map of cells; `table` has one row a cell, `shade` is what colours them."""
    said = f"Map of {plural(len(table), 'cell')}, {title.lower()}, coloured by {shade.title}"
    if shade.groups is None:
        return f"{said}."
    groups = pd.Series(shade.groups).value_counts()
    return f"{said}: {', '.join(f'{name} {count(int(n))}' for name, n in groups.items())}."


def escaped(table: pd.DataFrame) -> str:
    """Shares of cells like controls; `table` has ``perturbation``, ``share`` and ``error``."""
    rows = table.sort_values("share", ascending=False).head(5)
    said = ", ".join(
        f"{row.perturbation} {100 * row.share:.0f} % ± {196 * row.error:.0f}"
        for row in rows.itertuples(index=False)
    )
    return (
        f"Share of cells that look like controls with 95 % intervals, {plural(len(table), 'perturbation')}. "
        f"Largest: {said}."
    )


def effect_sizes(effects: Effects) -> str:
    """Size of each perturbation's effect beside its noise."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        size = pd.Series(
            np.sqrt(np.nanmean(np.square(effects.effect, dtype=float), axis=1)), effects.perturbations
        )
    size = size.sort_values(ascending=False)
    largest = ", ".join(f"{name} ({number(value)})" for name, value in size.head(3).items())
    return (
        f"Circles: root mean square effect of {plural(len(size), 'perturbation')} in order of size, dashes: the noise "
        f"expected of each. Largest: {largest}; median {number(float(size.median()))}."
    )


def energy_distances(found: Quality) -> str:
    """Energy distance of each perturbation beside that of cells dealt out at random."""
    rows = [row for row in found.perturbations if row.energy is not None]
    far = sorted(rows, key=lambda row: -row.energy)[:3]
    said = ", ".join(f"{row.perturbation} ({number(row.energy)})" for row in far)
    return (
        f"Energy distance to the controls of {plural(len(rows), 'perturbation')}, each beside what chance gives. "
        f"Furthest: {said or 'none'}."
    )


def guide_agreements(found: Quality) -> str:
    """Measured against expected agreement of guides."""
    return (
        "Scatter plot, a circle a perturbation: correlation that noise would leave between its guides across, measured "
        f"correlation upwards. The median measured one is {number(found.guides_within)}."
    )


def batch_shares(found: Quality) -> str:
    """Shares of controls and perturbed cells in every batch."""
    controls = sum(batch.control_cells for batch in found.batches) or 1
    perturbed = sum(batch.perturbed_cells for batch in found.batches) or 1
    shares = "; ".join(
        f"{batch.batch}: {batch.control_cells / controls:.0%} and {batch.perturbed_cells / perturbed:.0%}"
        for batch in found.batches[:8]
    )
    return f"Bars of the share of the controls and of the perturbed cells in every batch. {shares}."


def methods(table: pd.DataFrame) -> str:
    """The methods side by side; `table` has ``label`` and metrics."""
    if "error" not in table:
        return f"Held-out scores of {plural(len(table), 'method')}, side by side."
    rows = table.assign(_value=pd.to_numeric(table["error"], errors="coerce")).dropna(subset="_value")
    said = ", ".join(
        f"{row['label']} {number(row['_value'])}" for _, row in rows.sort_values("_value").iterrows()
    )
    return (
        f"Held-out scores of {plural(len(table), 'method')} with their intervals, a panel a metric. Squared error over "
        f"that of no change, lower is better: {said}."
    )


def leads(rows: Iterable[Mapping[str, Any]]) -> str:
    """By how much the model is better than every other method; `rows` are those of a run's ``leads``."""
    said = ", ".join(
        f"{row['label']} {signed(row['lead'])} ({signed(row['low'])} to {signed(row['high'])})"
        for row in rows
        if row["metric"] == "error"
    )
    return f"Lead of the model in squared error over every other method, with intervals; above 0 it is better: {said}."


def errors(rows: pd.DataFrame, *, baseline: str) -> str:
    """The model's error of every held-out perturbation against that of a baseline."""
    known = rows[["error", "baseline_error"]].apply(pd.to_numeric, errors="coerce").dropna()
    better = int((known["error"] < known["baseline_error"]).sum())
    return (
        f"Scatter plot, a point a held-out perturbation: error of the {baseline} across, of the model upwards. The "
        f"model is better on {count(better)} of {count(len(known))}."
    )


def expected_errors(rows: pd.DataFrame) -> str:
    """Actual against expected error of every held-out perturbation."""
    known = rows[["predicted_error", "actual_error"]].apply(pd.to_numeric, errors="coerce").dropna()
    rho = _correlation(known["predicted_error"].rank(), known["actual_error"].rank())
    return (
        f"Scatter plot of {plural(len(known), 'held-out perturbation')}: error that the model expected across, actual "
        f"error upwards; their rank correlation is {number(rho)}."
    )


def coverage(rows: pd.DataFrame, level: float = 0.9) -> str:
    """How often the intervals hold."""
    covered = pd.to_numeric(rows["covered"], errors="coerce").dropna()
    return (
        f"Histogram over {plural(len(covered), 'held-out perturbation')}: share of the response genes inside their "
        f"{level:.0%} intervals; on average {covered.mean():.0%}."
    )


def hubs(genes: pd.DataFrame, rho: float | None) -> str:
    """Distance from the middle against degree."""
    return (
        f"Scatter plot of {plural(len(genes), 'gene')}: degree across, distance from the middle of the disk upwards; "
        f"their rank correlation is {signed(rho)}."
    )


def losses(history: pd.DataFrame) -> str:
    """Loss curves; one row an epoch with ``loss`` and, where known, ``val_loss`` and ``stage``."""
    from hyperperturb.plots.training import STAGES, by_stage

    said = []
    for stage, rows in by_stage(history):
        ends = []
        for name, word in (("loss", "training loss"), ("val_loss", "validation loss")):
            values = pd.to_numeric(rows[name], errors="coerce").dropna() if name in rows else ()
            if len(values):
                ends.append(
                    f"{word} from {number(float(values.iloc[0]))} to {number(float(values.iloc[-1]))}"
                )
        words = f", {STAGES.get(stage, stage)}" if stage else ""
        said.append(f"{plural(len(rows), 'epoch')}{words}: {' and '.join(ends) or 'no losses yet'}")
    return f"Loss curves. {'; '.join(said) or 'No epoch yet'}."


def loss_parts(history: pd.DataFrame) -> str:
    """The parts of the loss, a small panel each."""
    return f"Small panels with every part of the loss over {plural(len(history), 'epoch')}."


def effect_map(values: pd.DataFrame) -> str:
    """A heat map of effects; `values` has perturbations as its index and genes as its columns."""
    strength = (values**2).sum(axis=1).sort_values(ascending=False, kind="stable")
    rows = [
        f"{name}: {extremes(values.columns, values.loc[name].to_numpy(dtype=float), 2)}"
        for name in strength.index[:3]
    ]
    return (
        f"Heat map of the predicted effects of {plural(len(values), 'perturbation')} on "
        f"{plural(values.shape[1], 'gene')}. Strongest: {'. '.join(rows)}."
    )


def differences(table: pd.DataFrame, names: tuple[str, str]) -> str:
    """Where two perturbations differ most; `table` has ``gene``, ``difference`` and ``clear``."""
    clear = table[table["clear"]]
    return (
        f"Bars: effect of {names[1]} minus that of {names[0]}, with intervals. {plural(len(clear), 'gene')} of "
        f"{count(len(table))} differ clearly; {extremes(table['gene'], table['difference'])}."
    )


def network(nodes: pd.DataFrame, links: pd.DataFrame) -> str:
    """The network around a perturbation; `nodes` has ``gene``, ``role`` and ``effect``."""
    targets = ", ".join(nodes.loc[nodes["role"] == "target", "gene"]) or "none of the targets"
    others = nodes[nodes["role"] != "target"]
    return (
        f"Network of {targets} and {plural(len(others), 'gene')} around, {plural(len(links), 'link')}, coloured by "
        f"predicted effect: {extremes(others['gene'], others['effect'])}."
    )


def interventions(ranking: pd.DataFrame, n: int = 5) -> str:
    """The best interventions for a wanted change, with their probability."""
    said = ", ".join(
        f"{row.intervention} of {row.targets} ({100 * row.probability:.0f} %)"
        for row in ranking.head(n).itertuples(index=False)
    )
    return f"Bars of how well interventions fit the wanted change, best first: {said}."


def terms(table: pd.DataFrame) -> str:
    """The terms a gene set is rich in; `table` has ``term``, ``in_set``, ``fold`` and ``q_value``."""
    if table.empty:
        return "No dots: no term has two genes of the set."
    first = ", ".join(
        f"{row.term} ({plural(int(row.in_set), 'gene')}, {number(row.fold)} times chance)"
        for row in table.head(3).itertuples()
    )
    return (
        f"A dot a term, times as many as by chance across: {first}. "
        f"{plural(int((table['q_value'] < 0.05).sum()), 'term')} below a false discovery rate of 5 %."
    )
