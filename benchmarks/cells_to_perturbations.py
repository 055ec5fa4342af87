#!/usr/bin/env python3
"""From cells to perturbations: naming cells, and finding what explains, reverts or leads to a state that cells share.

Four tables for each screen, in Markdown:

- naming single cells, three folds by cell, beside other classifiers (LightGBM where it is installed);
- naming single cells of perturbations whose cells were never seen, five folds by gene;
- states (means of cells; lists of genes) of measured perturbations, three folds by cell;
- states of held-out perturbations, five folds by gene.

States are looked for among all perturbations and their opposites, beside a look-up by plain cosine. To revert a state
is to explain its negative, so that both goals have the same scores, with right and wrong signs changing places. Nothing
is fitted, tuned or calibrated on the cells, or in folds by gene the perturbations, that are asked for.

Run: python benchmarks/cells_to_perturbations.py [--papalexi SCREEN.h5ad STRING.csv] [--screens demo,papalexi] [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from _cell_rivals import rivals
from _report import header
from scipy.special import log_softmax

from hyperperturb.data import compute_effects, read_network, simulate_screen
from hyperperturb.data.effects import Effects
from hyperperturb.evaluation.resampling import Resampling
from hyperperturb.evaluation.splits import gene_folds
from hyperperturb.models.baselines import NetworkKernelRidge
from hyperperturb.models.cell_evidence import candidate_inputs, choose_discriminants, naming_scores
from hyperperturb.models.cell_training import fit_cell_heads, perturbation_points
from hyperperturb.models.cells import CellInputs, Cells, control_spread, read_cells
from hyperperturb.models.direction_training import (
    effects_from_cells,
    fit_directions,
    held_out_effects,
    strongest,
)
from hyperperturb.models.directions import Confidence, Directions
from hyperperturb.models.gene_space import place_genes
from hyperperturb.models.predictor import fit_head, target_kernels
from hyperperturb.models.record import cell_arrays
from hyperperturb.models.settings import TrainingSettings
from hyperperturb.models.universe import build_universe
from hyperperturb.models.variants import proximity

CONTROL = "non-targeting"
SIZES = (1, 10, 30, 100)
DRAWS = 3


class Screen:
    """A screen with its cells, gene points and kernels, and effects of any part of its cells."""

    def __init__(self, name: str, papalexi: Sequence[Path], settings: TrainingSettings) -> None:
        if name == "demo":
            made = simulate_screen(seed=0)
            adata, network = made.adata, made.network
        else:
            adata = ad.read_h5ad(papalexi[0])
            sure = (adata.obs["guide_top_fraction"] > 0.8) | (adata.obs["perturbation"] == CONTROL)
            adata, network = adata[sure.to_numpy()].copy(), read_network(papalexi[1])
        self.name, self.adata, self.settings = name, adata, settings
        self.effects = compute_effects(adata, column="perturbation", control=CONTROL)
        self.cells = read_cells(adata, self.effects, column="perturbation", max_cells=adata.n_obs, seed=0)
        self.is_control = (adata.obs["perturbation"] == CONTROL).to_numpy()
        targets = sorted({g for t in self.effects.targets for g in t})
        universe = build_universe(
            [network], targets=targets, response_genes=self.effects.genes, max_genes=settings.max_genes
        )
        space = place_genes(universe, settings)
        self.curvature = float(space.curvature)
        positions = space.all_positions()
        near = partial(proximity, positions, space.manifold, self.curvature)
        self.kernels = target_kernels(universe, near, targets)
        row = {g: i for i, g in enumerate(universe.genes)}
        self.points = perturbation_points(positions, [[row[g] for g in t] for t in self.effects.targets])

    def part(self, rows: np.ndarray, perturbations: np.ndarray | None = None) -> tuple[Effects, Cells]:
        """Effects and cells of some perturbed cells (and all controls), over some perturbations."""
        keep = self.is_control.copy()
        keep[np.flatnonzero(~self.is_control)[rows]] = True
        effects = compute_effects(self.adata[keep], column="perturbation", control=CONTROL)
        kept = np.arange(len(self.effects.perturbations)) if perturbations is None else perturbations
        effects = effects.select([self.effects.perturbations[i] for i in kept])
        number = np.full(len(self.effects.perturbations), -1)
        number[kept] = np.arange(len(kept))
        return effects, Cells(
            self.cells.genes, self.cells.values[rows], number[self.cells.perturbation[rows]]
        )


def states(
    screen: Screen,
    shift_of: CellInputs,
    directions: Directions,
    rows: np.ndarray,
    known: np.ndarray,
    looked_up: np.ndarray,
    effects: Effects,
    rng: np.random.Generator,
    *,
    measured: bool,
) -> tuple[list[dict], dict[str, list]]:
    """Ask for the perturbations of ``rows`` by means of their cells, and by lists of their strongest genes.

    ``known`` (P, H) are the effects as the model has them, ``looked_up`` those of the look-up; ``effects`` say what
    the controls look like; ``measured`` says that training had cells of all of them.
    """
    label, values = screen.cells.perturbation[rows], screen.cells.values[rows]
    control, spread = control_spread(effects, screen.cells.genes)
    inputs = shift_of(values)
    of_cells = directions.of_measured if measured else directions.of_cells
    table, sure = [], {}
    for p in np.unique(label):
        mine = np.flatnonzero(label == p)
        asked = [
            (f"{size} cells" if size > 1 else "1 cell", rng.choice(mine, size, replace=False))
            for size in SIZES
            if size <= len(mine)
            for _ in range(DRAWS)
        ]
        asked.append(("all its cells", mine))
        for kind, chosen in asked:
            wanted = (inputs[chosen].mean(axis=0) - directions.control)[None]
            plain = (values[chosen].mean(axis=0) - control)[None]
            _answer(table, sure, kind, p, directions, of_cells, wanted, plain, known, looked_up, len(chosen))
        up, down = strongest((values[mine].mean(axis=0) - control) / spread)
        plain = np.zeros((1, len(spread)))
        plain[0, up], plain[0, down] = 1.0, -1.0
        wanted = directions.list_shift(up, down, spread)
        kind, of_lists = "10 genes up, 10 down", directions.of_lists
        _answer(table, sure, kind, p, directions, of_lists, wanted, plain, known, looked_up, np.inf)
    return table, sure


def _answer(
    table: list[dict],
    sure: dict[str, list],
    kind: str,
    p: int,
    directions: Directions,
    confidence: Confidence,
    wanted: np.ndarray,
    plain: np.ndarray,
    known: np.ndarray,
    looked_up: np.ndarray,
    n_cells: float,
) -> None:
    cosines = directions.cosines(wanted, known)
    odds = confidence.log_odds(cosines, directions.lengths(wanted), n_cells)
    sure.setdefault(kind, []).append((np.hstack(confidence.probabilities(odds))[0], p))
    other = plain @ looked_up.T / np.maximum(np.linalg.norm(looked_up, axis=1), 1e-12)
    for method, score in (("HyperPerturb", cosines[0]), ("look-up by cosine", other[0])):
        both = np.concatenate([score, -score])
        better, same = np.sum(both > both[p]), np.sum(both == both[p])
        rank = 1 + better + (same - 1) / 2
        table.append(
            {
                "kind": kind,
                "method": method,
                "p": p,
                "rank": rank,
                "top1": float(rank <= 1),
                "top5": float(rank <= 5),
                "sign": float(score[p] > 0),
            }
        )


def by_cell(screen: Screen, folds: int, wanted: int) -> tuple[dict, np.ndarray, list, dict]:
    """Folds by cell: log-probabilities of every method for every cell, and states of measured perturbations."""
    n, names = len(screen.cells.perturbation), screen.effects.perturbations
    fold = np.random.default_rng(0).permutation(n) % folds
    scores: dict[str, np.ndarray] = {}
    tables, sure = [], {}
    for f in range(wanted):
        train, test = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        effects, cells = screen.part(train)
        s = screen.settings
        held = held_out_effects(effects, screen.kernels, cells.genes, folds=s.folds, seed=0)
        fitted = fit_cell_heads(
            cells,
            effects,
            screen.points,
            held,
            partial(effects_from_cells, effects, screen.kernels, cells),
            curvature=screen.curvature,
            hidden_dim=s.hidden_dim,
            epochs=s.epochs,
            batch_size=s.batch_size,
            learning_rate=s.learning_rate,
            validation_split=s.validation_split,
            seed=0,
        )
        heads = cell_arrays(fitted)
        shift = heads.inputs(screen.cells.values[test])
        ours = {"HyperPerturb": heads(shift)[0]}
        ours["HyperPerturb without the distance"] = (
            shift @ heads.evidence_kernel + fitted.heads.evidence_bias.numpy()
        )
        mean, spread = control_spread(effects, cells.genes)
        standard = (screen.cells.values - mean) / spread
        roots = candidate_inputs(cells.values, mean, spread)[1](screen.cells.values)
        for name, rival in rivals().items():
            seen = roots if "roots" in name else standard
            ours[name] = rival(seen[train], cells.perturbation, seen[test], len(names))
        for name, value in ours.items():
            scores.setdefault(name, np.full((n, len(names)), np.nan))[test] = value
        head = fit_head(effects, screen.kernels, 0)
        column = [effects.genes.index(g) for g in cells.genes]
        known = head.predict(effects.targets, standard_error=False)[0][:, column]
        measured = effects.effect[:, column].astype(np.float64)
        rng = np.random.default_rng(f)
        table, more = states(
            screen, heads.inputs, heads.directions, test, known, measured, effects, rng, measured=True
        )
        tables += table
        for kind, each in more.items():
            sure.setdefault(kind, []).extend(each)
    done = np.flatnonzero(fold < wanted)
    return {k: v[done] for k, v in scores.items()}, screen.cells.perturbation[done], tables, sure


def by_gene(screen: Screen, folds: int) -> tuple[list, dict, list]:
    """Folds by gene: states and cells of perturbations that nothing was learned from."""
    label, tables, sure, named = screen.cells.perturbation, [], {}, []
    for number, split in enumerate(gene_folds(screen.effects.targets, folds=folds, seed=0)):
        rng = np.random.default_rng(number)
        seen = rng.permutation(np.flatnonzero(np.isin(label, split.train)))
        tenth = len(seen) // 10
        kept = np.sort(seen[tenth:])  # a tenth of the seen cells is asked about too
        effects, cells = screen.part(kept, split.train)
        order = rng.permutation(len(kept))
        tune, train = np.sort(order[:tenth]), np.sort(order[tenth:])
        mean, spread = control_spread(effects, cells.genes)
        candidates = candidate_inputs(cells.values[train], mean, spread)
        P = len(split.train)
        inputs, _, rule = choose_discriminants(candidates, cells.values, cells.perturbation, train, tune, P)
        held = held_out_effects(effects, screen.kernels, cells.genes, folds=folds, seed=0)
        column = [effects.genes.index(g) for g in cells.genes]
        measured = effects.effect[:, column].astype(np.float64)
        again = effects_from_cells(effects, screen.kernels, cells, train)
        directions = fit_directions(
            inputs, rule, cells.values, cells.perturbation, train, tune, measured, spread, held, again, seed=0
        )
        targets = [screen.effects.targets[i] for i in split.test]
        head = fit_head(effects, screen.kernels, 0)
        known = np.zeros((len(screen.effects.perturbations), len(column)))
        known[split.train] = head.predict(effects.targets, standard_error=False)[0][:, column]
        known[split.test] = head.predict(targets, standard_error=False)[0][:, column]
        looked_up = np.zeros_like(known)
        looked_up[split.train] = measured
        looked_up[split.test] = NetworkKernelRidge(screen.kernels)(effects, targets)[:, column]
        test = np.flatnonzero(np.isin(label, split.test))
        table, more = states(screen, inputs, directions, test, known, looked_up, effects, rng, measured=False)
        tables += table
        for kind, each in more.items():
            sure.setdefault(kind, []).extend(each)
        asked = np.concatenate([seen[:tenth], test])
        scores = directions.naming(inputs(screen.cells.values[asked]), known[split.test])
        place = np.empty(len(known), dtype=int)
        place[np.concatenate([split.train, split.test])] = np.arange(len(known))
        named.append((scores, place[label[asked]], np.isin(label[asked], split.test), label[asked]))
    return tables, sure, named


def naming_table(screen: Screen, scores: dict[str, np.ndarray], label: np.ndarray) -> None:
    """Print the table of naming cells."""
    n = len(label)
    right = {name: s.argmax(axis=1) == label for name, s in scores.items()}
    print(f"\n**{screen.name}: naming {n:,} cells** ({scores['HyperPerturb'].shape[1]} perturbations)\n")
    print("| | top 1 | HyperPerturb ahead by | top 5 | calibration error | surprise, nats |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, s in scores.items():
        found = naming_scores(s, label)
        gap = right["HyperPerturb"].astype(float) - right[name]
        half = 1.96 * gap.std() / np.sqrt(n)
        ahead = (
            ""
            if name == "HyperPerturb"
            else f"{gap.mean():.3f} ({gap.mean() - half:.3f} to {gap.mean() + half:.3f})"
        )
        print(
            f"| {name} | {found['top1']:.3f} | {ahead} | {found['top5']:.3f} | {found['ece']:.3f} | "
            f"{found['surprise']:.2f} |"
        )


def states_table(screen: Screen, title: str, rows: list[dict], sure: dict[str, list]) -> None:
    """Print the table of states."""
    table, targets = pd.DataFrame(rows), screen.effects.targets
    P = len(targets)
    print(f"\n**{screen.name}: {title}** ({table['p'].nunique()} perturbations, {2 * P} answers)\n")
    print("| asked by | method | top 1 | top 5 | mean rank | sign right | sure of the first |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    order = ["1 cell", *(f"{size} cells" for size in SIZES[1:]), "all its cells", "10 genes up, 10 down"]
    for kind in [k for k in order if k in set(table["kind"])]:
        for method in ("HyperPerturb", "look-up by cosine"):
            part = table[(table["kind"] == kind) & (table["method"] == method)]
            total = part.groupby("p")[["top1", "top5", "rank", "sign"]].sum()
            count = part.groupby("p").size().to_numpy(dtype=float)
            resampling = Resampling([targets[p] for p in total.index])
            values, low, high = resampling.ratio(total.to_numpy(), np.repeat(count[:, None], 4, axis=1))
            surety = ""
            if method == "HyperPerturb":
                surety = f"{np.mean([each.max() for each, _ in sure[kind]]):.2f}"
            shown = [f"{v:.2f} ({a:.2f}–{b:.2f})" for v, a, b in zip(values, low, high, strict=True)]
            shown[2] = f"{values[2]:.1f} ({low[2]:.1f}–{high[2]:.1f})"
            print(f"| {kind} | {method} | {' | '.join(shown)} | {surety} |")
    together = [pair for kind in order[:-1] for pair in sure.get(kind, [])]
    log = np.log(np.stack([each for each, _ in together]) + 1e-300)
    ece = naming_scores(log, np.array([p for _, p in together]))["ece"]
    print(f"\nCalibration error over the {len(together):,} states of cells: {ece:.3f}.")


def unseen_table(screen: Screen, named: list) -> None:
    """Print the table of naming cells when some perturbations are known by prediction alone."""
    P = len(screen.effects.perturbations)
    print(
        f"\n**{screen.name}: naming cells where a fifth of the genes was never seen** ({P} perturbations)\n"
    )
    print("| cells | n | top 1 | top 5 | mean rank | calibration error |")
    print("| --- | --- | --- | --- | --- | --- |")
    parts = {"of unseen perturbations": True, "of seen ones": False, "both": None}
    for name, which in parts.items():
        chosen = [np.ones(len(u), bool) if which is None else u == which for _, _, u, _ in named]
        # Folds differ in the order of their columns, which the scores do not feel.
        scores = [s[c] for (s, _, _, _), c in zip(named, chosen, strict=True)]
        right = [r[c] for (_, r, _, _), c in zip(named, chosen, strict=True)]
        ranks = np.concatenate(
            [
                1 + np.sum(s > s[np.arange(len(r)), r][:, None], axis=1)
                for s, r in zip(scores, right, strict=True)
            ]
        )
        ece = naming_scores(np.concatenate([log_softmax(s, axis=1) for s in scores]), np.concatenate(right))[
            "ece"
        ]
        cells = np.concatenate([lab[c] for (_, _, _, lab), c in zip(named, chosen, strict=True)])
        grouped = (
            pd.DataFrame({"p": cells, "a": ranks <= 1, "b": ranks <= 5, "c": ranks, "n": 1.0})
            .groupby("p")
            .sum()
        )
        resampling = Resampling([screen.effects.targets[p] for p in grouped.index])
        value, low, high = resampling.ratio(
            grouped[["a", "b", "c"]].to_numpy(float), np.repeat(grouped[["n"]].to_numpy(float), 3, axis=1)
        )
        shown = [f"{v:.3f} ({a:.3f}–{b:.3f})" for v, a, b in zip(value[:2], low[:2], high[:2], strict=True)]
        print(f"| {name} | {len(ranks):,} | {' | '.join(shown)} | {value[2]:.1f} | {ece:.3f} |")


def main() -> None:
    """Run the folds and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--papalexi", nargs=2, type=Path, metavar=("SCREEN", "NETWORK"))
    parser.add_argument("--screens", default="demo,papalexi")
    parser.add_argument("--quick", action="store_true", help="one fold by cell, three epochs: does it run?")
    args = parser.parse_args()
    settings = TrainingSettings(epochs=3, max_genes=1000) if args.quick else TrainingSettings(max_genes=2000)
    names = [n for n in args.screens.split(",") if n != "papalexi" or args.papalexi]
    print(header("scikit-learn", "keras"))
    for name in names:
        started = time.monotonic()
        screen = Screen(name, args.papalexi or (), settings)
        scores, label, rows, sure = by_cell(screen, 3, 1 if args.quick else 3)
        naming_table(screen, scores, label)
        held_rows, held_sure, named = by_gene(screen, 5)
        unseen_table(screen, named)
        states_table(screen, "states of measured perturbations", rows, sure)
        states_table(screen, "states of held-out perturbations", held_rows, held_sure)
        print(f"\n{name}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
