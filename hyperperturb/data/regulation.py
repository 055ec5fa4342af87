"""The simulated regulatory network and its steady state: what lies behind the simulated screen.

*Network.* Genes belong to modules of unequal size. A few top regulators drive the mid-level regulators of several
modules, those drive the low-level regulators of their module, and all three regulate target genes. Which regulator
a target gets follows preferential attachment with fitness inside the module (Barabási & Albert 1999; Bianconi &
Barabási 2001), so that degree is heavy-tailed and neighbours share targets. Signalling genes act on regulators from
above, as receptors and kinases do. One stress regulator is set free by the loss of many others and gives different
perturbations a common part. Feedback edges run upwards. Regulators mostly activate; some repress.

*Steady state.* With :math:`y_g` the natural logarithm of the expression of gene g relative to the unperturbed state,
:math:`a_r = (1 - e_r) \\exp(y_r)` the activity of regulator r, of which a guide removes the fraction :math:`e_r`,
and the Hill function :math:`H(a) = a^h / (1 + a^h)`,

.. math:: y_g = M \\tanh\\Big(\\tfrac{1}{M} \\sum_r w_{rg} \\, (2 H(a_r) - 1)\\Big)

so that y = 0 without a perturbation. It is solved by fixed-point iteration for all conditions at once. Where genes
interact, their terms of the sum get a factor of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hyperperturb.data.network import Network
from hyperperturb.data.network_build import network_from_codes
from hyperperturb.errors import HyperPerturbError

REGULATORS = ("top", "mid", "low", "stress")
_HILL = 2.0
_SATURATION = 2.5

# typical strengths of the kinds of edges, log-normal around these
_TOP_ON_MID, _MID_ON_LOW, _SIGNAL, _ON_TARGET = 0.7, 0.9, 1.0, 0.5
_MID_ON_TOP, _LOW_ON_MID = 0.25, 0.7
_ON_STRESS, _STRESS_ON_TARGET = 0.3, 0.6
_SPREAD = 0.35


@dataclass(frozen=True)
class Regulation:
    """A directed, signed regulatory network.

    Parameters
    ----------
    genes
        N names: REG… regulators, SIG… signalling genes, GEN… the others.
    role
        ``(N,)`` str: ``top``, ``mid``, ``low``, ``stress``, ``signalling`` or ``target``.
    module
        ``(N,)`` int.
    weight
        ``(N, N)`` float64: ``weight[r, g]`` is what r does to the logarithm of the expression of g.
    """

    genes: tuple[str, ...]
    role: np.ndarray
    module: np.ndarray
    weight: np.ndarray

    def network(self) -> Network:
        """The undirected network of its edges, with the directed signs."""
        source, target = np.nonzero(self.weight)
        value = self.weight[source, target]
        return network_from_codes(
            source,
            target,
            np.abs(value),
            self.genes,
            name="simulated regulation",
            sign=np.sign(value).astype(np.int64),
            kind="simulated",
            keep_all=True,
        )


def make_regulation(rng: np.random.Generator, *, n_genes: int, n_regulators: int) -> Regulation:
    """Draw a hierarchical, scale-free, signed regulatory network.

    Parameters
    ----------
    rng
        Source of randomness.
    n_genes, n_regulators
        All genes, and the regulators among them (at least 6).

    Returns
    -------
    Regulation
        Every gene has at least one edge.
    """
    role, module, n_modules = _roles(rng, n_genes, n_regulators)
    top, mid, low = (np.flatnonzero(role == name) for name in ("top", "mid", "low"))
    stress = int(np.flatnonzero(role == "stress")[0])
    signal, target = np.flatnonzero(role == "signalling"), np.flatnonzero(role == "target")
    boss = top[np.arange(n_modules) % top.size]  # each module hangs under one top regulator
    activates = rng.random(n_genes) < 0.96
    activates[np.concatenate([top, signal])] = True
    weight = np.zeros((n_genes, n_genes))

    def connect(r: int, g: int, typical: float) -> None:
        sign = 1.0 if activates[r] else -1.0
        if rng.random() < 0.03:
            sign = -sign
        weight[r, g] = sign * typical * np.exp(rng.normal(0.0, _SPREAD))

    feedback: list[tuple[int, int]] = []
    for r in mid:
        connect(boss[module[r]], r, _TOP_ON_MID)
        if rng.random() < 0.6:
            feedback.append((r, boss[module[r]]))
    for r in low:
        parents = mid[module[mid] == module[r]]
        connect(rng.choice(parents), r, _MID_ON_LOW)
        if rng.random() < 0.8:
            feedback.append((r, rng.choice(parents)))
    for r, g in feedback:
        connect(r, g, _MID_ON_TOP if role[r] == "mid" else _LOW_ON_MID)
    for r in np.concatenate([mid, low]):
        if rng.random() < 0.5:
            weight[r, stress] = -_ON_STRESS * np.exp(rng.normal(0.0, _SPREAD))
    for g in rng.choice(target, size=target.size // 5, replace=False):
        sign = 1.0 if rng.random() < 0.7 else -1.0
        weight[stress, g] = sign * _STRESS_ON_TARGET * np.exp(rng.normal(0.0, _SPREAD))
    for s in signal:
        own = np.concatenate([mid, low])
        own = own[module[own] == module[s]]
        for r in rng.choice(own, size=min(own.size, 1 + int(rng.random() < 0.5)), replace=False):
            connect(s, r, _SIGNAL)
    _calm(weight, n_regulators, feedback)

    # the more targets a regulator has, the more likely it gets the next
    regulators = np.concatenate([top, mid, low])
    is_top = role[regulators] == "top"
    fitness = np.exp(rng.normal(0.0, 0.5, regulators.size))
    taken = np.where(is_top, 10.0, np.where(role[regulators] == "mid", 4.0, 1.0))
    for g in rng.permutation(target):
        below = np.where(module[regulators] == module[g], 1.0, 0.005)
        above = np.where(regulators == boss[module[g]], 0.6, 0.02)
        liking = fitness * taken * np.where(is_top, above, below)
        count = min(1 + rng.poisson(3.0), 7, regulators.size)
        for k in rng.choice(regulators.size, size=count, replace=False, p=liking / liking.sum()):
            connect(regulators[k], g, _ON_TARGET)
            taken[k] += 1.0
    return Regulation(genes=_names(role), role=role, module=module, weight=weight)


def _roles(rng: np.random.Generator, n_genes: int, n_regulators: int) -> tuple[np.ndarray, np.ndarray, int]:
    n_top = max(1, round(0.07 * n_regulators))
    n_mid = max(2, round(0.25 * n_regulators))
    n_signal = max(1, round(0.06 * n_genes))
    role = np.full(n_genes, "target", dtype="<U10")
    role[:n_top], role[n_top : n_top + n_mid], role[n_top + n_mid : n_regulators] = "top", "mid", "low"
    role[n_regulators - 1] = "stress"
    role[n_regulators : n_regulators + n_signal] = "signalling"
    n_modules = max(2, min(n_mid, round(n_regulators / 6)))
    size = 1.0 / np.sqrt(np.arange(1, n_modules + 1))
    size /= size.sum()
    module = rng.choice(n_modules, size=n_genes, p=size)
    module[:n_top] = np.arange(n_top) % n_modules
    # every module has a mid-level regulator, and its share of the low-level ones
    more = rng.choice(n_modules, n_mid - n_modules, p=size)
    module[n_top : n_top + n_mid] = np.concatenate([np.arange(n_modules), more])
    return role, module, n_modules


def _calm(weight: np.ndarray, n_regulators: int, feedback: list[tuple[int, int]]) -> None:
    """Weaken feedback until the steady state is unique and the iteration converges from anywhere.

    The slope of 2 H(a) − 1 in ln a is at most h/2 and that of tanh at most 1, so a spectral radius of |W| below 2/h
    makes the iteration a contraction. Only loops raise the radius, and only regulators form loops.
    """
    upward = tuple(np.array(feedback, dtype=np.int64).reshape(-1, 2).T)
    block = weight[:n_regulators, :n_regulators]
    while np.abs(np.linalg.eigvals(np.abs(block))).max() > 0.9 * 2.0 / _HILL:
        weight[upward] *= 0.8


def _names(role: np.ndarray) -> tuple[str, ...]:
    prefixes = np.where(role == "target", "GEN", np.where(role == "signalling", "SIG", "REG"))
    names, seen = [], dict.fromkeys(("REG", "SIG", "GEN"), 0)
    for prefix in prefixes.tolist():
        seen[prefix] += 1
        names.append(f"{prefix}{seen[prefix]:03d}")
    return tuple(names)


def steady_states(
    regulation: Regulation,
    left: np.ndarray,
    *,
    influence: np.ndarray | None = None,
    tolerance: float = 1e-9,
) -> np.ndarray:
    """Expression of every gene in the steady state of each condition.

    Parameters
    ----------
    regulation
        The network.
    left
        ``(conditions, N)``: fraction of each gene's own activity that the perturbation leaves, in (0, 1].
    influence
        ``(conditions, N)``: factor on what each gene's change of activity does to others; 1 (as with None) but for
        genes that interact.
    tolerance
        Largest change of a log expression at which the iteration ends.

    Returns
    -------
    numpy.ndarray
        ``(conditions, N)`` natural logarithm of expression relative to the unperturbed state, with the loss of the
        perturbed gene's own transcripts.

    Examples
    --------
    >>> import numpy as np
    >>> regulation = make_regulation(np.random.default_rng(0), n_genes=60, n_regulators=10)
    >>> bool(np.abs(steady_states(regulation, np.ones((1, 60)))).max() == 0)
    True
    """
    acting = np.flatnonzero(np.abs(regulation.weight).sum(axis=1) > 0)
    weight = regulation.weight[acting]
    factor = 1.0 if influence is None else influence[:, acting]
    y = np.zeros_like(left)
    for _ in range(2000):
        activity = (left[:, acting] * np.exp(y[:, acting])) ** _HILL
        drive = (factor * ((activity - 1.0) / (activity + 1.0))) @ weight  # 2 H(a) − 1
        new = _SATURATION * np.tanh(drive / _SATURATION)
        change = np.abs(new - y).max()
        y = new
        if change < tolerance:
            return y + np.log(left)
    raise HyperPerturbError(
        "The simulated network does not settle into a steady state.", hint="Choose another seed."
    )
