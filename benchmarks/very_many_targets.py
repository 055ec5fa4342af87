"""What the effect head loses beyond two thousand targets: landmarks and neighbourhoods against the exact process.

On STRING (10,335 genes), or on a scale-free network of 10,000 genes without any communities, which is the worst case
for neighbourhoods, with gene points trained on it, and effects drawn on it: 60 hidden programmes that are carried
along the edges, a part of each gene's own, a common part, noise. The heads share their parameters, chosen on
perturbations that are neighbours, so that they differ by the approximation alone; the last row of each size is the
exact head with parameters chosen on a random sample. The error is that of 1,000 genes that were held out,
against their noise-free effects, relative to predicting no change; the share lost is the part of the exact head's
gain over the training mean that is gone. Intervals: 95 %, over the seeds (Student's t).

Run: ``python benchmarks/very_many_targets.py [--sizes 1000 2000 4000] [--seeds 3] [--without-communities]``
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.stats import rankdata
from scipy.stats import t as student

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._report import header
from benchmarks.genome_scale import scale_free
from benchmarks.graph_common import string_network
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.export import hyperbolic_similarity
from hyperperturb.models.gene_kernels import GeneKernels, KernelParameters
from hyperperturb.models.kernel_search import search_parameters
from hyperperturb.models.neighbourhoods import BLOCK, LANDMARKS, find_neighbourhoods
from hyperperturb.models.similarity import network_similarity

RESPONSES, PROGRAMMES, HELD_OUT = 300, 60, 1000
DEFAULT = (LANDMARKS, BLOCK)
SIZES = ((100, BLOCK), (LANDMARKS, 10), (LANDMARKS, 100), DEFAULT, (2 * LANDMARKS, BLOCK))
EXACT, RANDOM = ("exact", ""), ("exact, random sample", "")


def draw(adjacency: sparse.csr_array, rng: np.random.Generator) -> np.ndarray:
    """Return noise-free effects of all genes, (N, RESPONSES), of mean square about 1.6."""
    n = adjacency.shape[0]
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    step = sparse.diags_array(1.0 / np.maximum(degree, 1)) @ adjacency
    programme = rng.normal(size=(n, PROGRAMMES))
    for _ in range(2):
        programme = 0.5 * programme + 0.5 * (step @ programme)
    programme /= programme.std()
    loading = rng.normal(size=(PROGRAMMES, RESPONSES)) / np.sqrt(PROGRAMMES)
    own = 0.4 * rng.normal(size=(n, RESPONSES))
    return programme @ loading + own + 0.3 * rng.normal(size=RESPONSES)


def points_of(similarity, adjacency: sparse.csr_array) -> tuple[np.ndarray, float]:
    """Return gene points trained as a training does, and their curvature."""
    from hyperperturb.models.gene_space import fit_gene_space
    from hyperperturb.models.settings import TrainingSettings

    degree = np.diff(adjacency.indptr)
    settings = TrainingSettings()
    space = fit_gene_space(
        similarity,
        (rankdata(degree) - 1.0) / (len(degree) - 1.0),
        dim=settings.embedding_dim,
        epochs=10,
        learning_rate=settings.point_learning_rate,
        curvature=settings.curvature,
        validation_split=settings.validation_split,
        seed=0,
    )
    return space.points.embeddings.numpy(), float(space.curvature)


def on_random_sample(targets, measured, noise, kernels, rng) -> KernelParameters:
    """Return the parameters that 300 perturbations choose which were drawn at random."""
    keep = rng.choice(len(targets), 300, replace=False)
    some = [targets[i] for i in keep]
    genes = tuple(sorted(g for (g,) in some))
    size = np.mean(measured**2)
    relative = np.mean(noise[keep] ** 2, axis=1) / size
    return search_parameters(some, genes, measured[keep], relative, kernels, 0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 2000, 4000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--without-communities", action="store_true")
    arguments = parser.parse_args()
    print(header("numpy", "scipy"))
    if arguments.without_communities:
        adjacency = scale_free(10_000, 0, within=0.0)
        genes = tuple(f"G{i}" for i in range(10_000))
    else:
        graph = string_network()
        genes, adjacency = graph.nodes, graph.adjacency
    similarity = network_similarity([adjacency])
    points, curvature = points_of(similarity, adjacency)
    proximity = partial(hyperbolic_similarity, points, curvature)
    row = {g: i for i, g in enumerate(genes)}
    print(
        "| perturbations | landmarks | most in a block | error | share of the gain lost | fit and predict, s |\n"
        + "|---" * 6
        + "|"
    )
    for size in arguments.sizes:
        found: dict[tuple, list[tuple[float, float, float]]] = {}
        for seed in range(arguments.seeds):
            rng = np.random.default_rng((seed, size))
            truth = draw(adjacency, rng)
            order = rng.permutation(len(genes))
            train, test = np.sort(order[:size]), np.sort(order[-HELD_OUT:])
            targets, asked = ([(genes[i],) for i in part] for part in (train, test))
            noise = 0.5 * rng.uniform(0.5, 1.5, size=(size, 1)) * np.ones((1, RESPONSES))
            measured = truth[train] + noise * rng.standard_normal(noise.shape)

            def error(predicted: np.ndarray, truth: np.ndarray = truth, test: np.ndarray = test) -> float:
                return float(np.sum((predicted - truth[test]) ** 2) / np.sum(truth[test] ** 2))

            mean = error(np.repeat(measured.mean(axis=0)[None], HELD_OUT, axis=0))
            names = [genes[i] for i in train]
            columns, everything = np.array([row[g] for g in names]), np.arange(len(genes))

            def kernels(sizes: tuple, names=names, columns=columns, everything=everything):
                if sizes in (EXACT, RANDOM):
                    return GeneKernels(
                        genes,
                        similarity.block(everything, columns),
                        proximity(everything, columns),
                        tuple(names),
                    )
                return find_neighbourhoods(
                    genes, adjacency, similarity, proximity, names, landmarks=sizes[0], block=sizes[1]
                )

            parameters, results = None, {}
            order_of_work = dict.fromkeys((DEFAULT, *(s for s in SIZES if s[0] < size), EXACT, RANDOM))
            for sizes in order_of_work:
                knowledge = kernels(sizes)
                started = time.monotonic()
                head = EffectHead.fit(
                    targets,
                    [f"R{i}" for i in range(RESPONSES)],
                    measured,
                    kernels=knowledge,
                    standard_error=noise,
                    parameters=on_random_sample(targets, measured, noise, knowledge, rng)
                    if sizes == RANDOM
                    else parameters,
                )
                predicted = head.predict(asked)[0]
                results[sizes] = error(predicted), time.monotonic() - started
                parameters = parameters or head.parameters
            best = results[EXACT][0]
            for sizes in (EXACT, *(s for s in SIZES if s in results), RANDOM):
                value, seconds = results[sizes]
                found.setdefault(sizes, []).append((value, (value - best) / (mean - best), seconds))
        for sizes, values in found.items():
            one = np.array(values)
            spread = student.ppf(0.975, len(one) - 1) * one.std(axis=0, ddof=1) / np.sqrt(len(one))
            name = f"{sizes[0]} | {sizes[1]}"
            lost = "" if sizes == EXACT else f"{one[:, 1].mean():.3f} ± {spread[1]:.3f}"
            print(
                f"| {size:,} | {name} | {one[:, 0].mean():.4f} ± {spread[0]:.4f} | {lost} | {one[:, 2].mean():.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
