"""The guide library of a simulated screen: which genes are hit, alone and together, and which pairs interact.

*Epistasis.* Two genes interact when the loss of both does something else than the network makes of the two losses:

- **buffering**: both act through one pathway, and once the stronger gene is lost, the loss of the other adds little;
- **synergy**: each stands in for the other, and the loss of both does more than the two;
- **suppression**: the loss of one undoes the loss of the other, and the pair does less than the stronger single.

It is far more likely within a module than between modules, and pairs of the same two modules mostly interact in the
same way, as pairs of genes of one pathway or of two given pathways do (Costanzo et al. 2016; Norman et al. 2019).
Within a module it is buffering or synergy, between modules suppression or synergy.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from hyperperturb.data.regulation import REGULATORS, Regulation

CONTROL = "non-targeting"
Kind = Literal["buffering", "synergy", "suppression"]

# What is added to 1 in the influence of the two genes of a pair that has lost both activities wholly.
_CHANGE: dict[str, tuple[float, float]] = {
    "buffering": (-0.1, -0.9),
    "synergy": (1.0, 1.0),
    "suppression": (-0.95, -0.7),
}
_WITHIN = ("buffering", "synergy")
_BETWEEN = ("suppression", "synergy")
_ODDS_WITHIN = 6.0  # of an interaction within a module against one between two modules
_SPREAD_OF_ODDS = 1.5  # log-normal, from one pair of modules to the next
_SAME_KIND = 0.85  # probability that a pair interacts as other pairs of its modules do


@dataclass(frozen=True)
class Guide:
    """What the guide(s) of one cell do.

    Parameters
    ----------
    name, label
        Of the guide(s) and of the perturbation.
    efficiency
        Position of each target gene -> fraction of its activity that is lost.
    share
        Fraction of the perturbation's cells.
    """

    name: str
    label: str
    efficiency: dict[int, float]
    share: float


def make_guides(
    rng: np.random.Generator,
    extra: np.random.Generator,
    regulation: Regulation,
    *,
    n_single: int,
    n_double: int,
    n_triple: int,
) -> list[Guide]:
    """The guides of every perturbation; the first entry stands for the controls.

    Parameters
    ----------
    rng, extra
        Sources of randomness: of singles and doubles, and of triples.
    regulation
        The network.
    n_single, n_double, n_triple
        Perturbations of one gene (most of the regulators first, then signalling and target genes), of two and of
        three of these. A triple is a double with a third gene, where there are doubles.
    """
    role, genes = regulation.role, regulation.genes
    regulators = rng.permutation(np.flatnonzero(np.isin(role, REGULATORS)))
    signal = rng.permutation(np.flatnonzero(role == "signalling"))
    plain = rng.permutation(np.flatnonzero(role == "target"))
    n_reg = min(regulators.size, max(1, round(0.7 * n_single)))
    n_sig = min(signal.size, round(0.6 * (n_single - n_reg)))
    others = np.concatenate([plain, regulators[n_reg:], signal[n_sig:]])
    chosen = np.sort(np.concatenate([regulators[:n_reg], signal[:n_sig], others[: n_single - n_reg - n_sig]]))
    efficiency = {int(g): rng.beta(12.0, 2.0, size=int(rng.integers(2, 4))) for g in chosen}

    guides = [Guide(CONTROL, CONTROL, {}, 1.0)]
    for g, values in efficiency.items():
        shares = rng.dirichlet(np.full(values.size, 20.0))
        for k, (value, share) in enumerate(zip(values, shares, strict=True), start=1):
            guides.append(Guide(f"{genes[g]}-g{k}", genes[g], {g: float(value)}, float(share)))
    # combinations are tried mostly among genes that do something
    pool = chosen[np.isin(role[chosen], REGULATORS)]
    if pool.size * (pool.size - 1) // 2 < n_double:
        pool = chosen
    pairs = np.array([(a, b) for i, a in enumerate(pool) for b in pool[i + 1 :]]).reshape(-1, 2)
    doubles = pairs[np.sort(rng.choice(len(pairs), size=n_double, replace=False))]
    for pair in doubles:
        guides += _combined(rng, genes, efficiency, pair)
    if pool.size * (pool.size - 1) * (pool.size - 2) // 6 < n_triple:
        pool = chosen
    for triple in _triples(extra, pool, doubles, n_triple):
        guides += _combined(extra, genes, efficiency, triple)
    return guides


def _combined(
    rng: np.random.Generator, genes: tuple[str, ...], efficiency: dict[int, np.ndarray], targets: np.ndarray
) -> list[Guide]:
    """Two combinations of the targets' guides."""
    label = "_".join(genes[g] for g in targets)
    choices = np.indices([efficiency[int(g)].size for g in targets]).reshape(len(targets), -1).T
    picked = rng.choice(len(choices), size=2, replace=False)
    shares = rng.dirichlet(np.full(2, 20.0))
    return [
        Guide(
            "+".join(f"{genes[g]}-g{k + 1}" for g, k in zip(targets, choices[row], strict=True)),
            label,
            {int(g): float(efficiency[int(g)][k]) for g, k in zip(targets, choices[row], strict=True)},
            float(share),
        )
        for row, share in zip(picked, shares, strict=True)
    ]


def _triples(
    rng: np.random.Generator, pool: np.ndarray, doubles: np.ndarray, n_triple: int
) -> list[np.ndarray]:
    found: set[tuple[int, ...]] = set()
    while len(found) < n_triple:
        # Some draws are free, so that the doubles' neighbourhood can be exhausted.
        if len(doubles) and rng.random() < 0.9:
            start = doubles[rng.integers(len(doubles))]
        else:
            start = rng.choice(pool, size=2, replace=False)
        triple = {int(g) for g in (*start, rng.choice(pool))}
        if len(triple) == 3:
            found.add(tuple(sorted(triple)))
    return [np.array(triple) for triple in sorted(found)]


def draw_epistasis(
    rng: np.random.Generator, regulation: Regulation, guides: list[Guide], fraction: float
) -> dict[tuple[int, int], Kind]:
    """Which pairs of genes interact, among those that some combination hits together.

    Parameters
    ----------
    rng
        Source of randomness.
    regulation
        The network; only genes that act on others can interact.
    guides
        The library.
    fraction
        Of the doubles, and of the pairs that only triples contain, that interact.

    Returns
    -------
    dict
        Pair of positions -> kind; the first is the stronger gene of a buffering pair, the suppressed one of a
        suppression.
    """
    strength = np.abs(regulation.weight).sum(axis=1)
    hit = {tuple(sorted(guide.efficiency)) for guide in guides}
    doubles = sorted(t for t in hit if len(t) == 2)
    inside = {pair for t in hit if len(t) > 2 for pair in combinations(t, 2)}
    n_modules = int(regulation.module.max()) + 1
    odds = np.exp(rng.normal(0.0, _SPREAD_OF_ODDS, (n_modules, n_modules)))
    odds[np.diag_indices(n_modules)] *= _ODDS_WITHIN
    usual = rng.integers(2, size=(n_modules, n_modules))
    found: dict[tuple[int, int], Kind] = {}
    for pairs in (doubles, sorted(inside - set(doubles))):
        able = [pair for pair in pairs if strength[list(pair)].all()]
        wanted = min(round(fraction * len(pairs)), len(able))
        if not wanted:
            continue
        modules = np.sort(regulation.module[np.array(able)], axis=1)
        likely = odds[modules[:, 0], modules[:, 1]]
        for row in rng.choice(len(able), size=wanted, replace=False, p=likely / likely.sum()):
            one, two = modules[row]
            kinds = _WITHIN if one == two else _BETWEEN
            kind = kinds[int(usual[one, two]) ^ int(rng.random() > _SAME_KIND)]
            a, b = able[row] if rng.random() < 0.5 else able[row][::-1]
            if kind == "buffering" and strength[a] < strength[b]:
                a, b = b, a
            found[a, b] = kind
    return found


def activity_left(guides: list[Guide], n_genes: int) -> np.ndarray:
    """Fraction of each gene's activity that each guide leaves, (guides, genes), in (0, 1]."""
    left = np.ones((len(guides), n_genes))
    for row, guide in enumerate(guides):
        for g, lost in guide.efficiency.items():
            left[row, g] = max(1.0 - lost, 0.01)
    return left


def influence(guides: list[Guide], n_genes: int, epistasis: dict[tuple[int, int], Kind]) -> np.ndarray:
    """Factor on what each gene's activity does to others, (guides, genes); 1 where nothing interacts.

    A pair's change grows with the product of the two losses, so that a weak guide shows little of it.
    """
    out = np.ones((len(guides), n_genes))
    for row, guide in enumerate(guides):
        for (a, b), kind in epistasis.items():
            if a in guide.efficiency and b in guide.efficiency:
                both = guide.efficiency[a] * guide.efficiency[b]
                out[row, [a, b]] *= 1.0 + both * np.array(_CHANGE[kind])
    return out
