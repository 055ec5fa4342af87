"""What the effect head loses beyond two thousand targets: landmarks and neighbourhoods against the exact process.

On STRING (10,335 genes), or on a scale-free network of 10,000 genes without any communities, which is the worst case
for neighbourhoods, with gene points trained on it, and effects drawn on it: 60 hidden programmes that are carried
along the edges, a part of each gene's own, a common part, noise. The heads share their parameters, chosen on
perturbations that are neighbours, so that they differ by the approximation alone; the last row of each size is the
exact head with parameters chosen on a random sample. The error is that of 1,000 genes that were held out,
against their noise-free effects, relative to predicting no change; the share lost is the part of the exact head's
gain over the training mean that is gone. Intervals: 95 %, over the seeds (Student's t).

With ``--edges`` the response genes are genes of the network, drawn by degree, a fifth of the effects' variance follows
the edges from the perturbed gene, and either head is fitted with and without them; what lies inside 90 % intervals are
measurements of the held-out genes.

Run: ``python benchmarks/very_many_targets.py [--sizes 1000 2000 4000] [--seeds 3] [--without-communities] [--edges]``
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
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
from hyperperturb.models.links import Links
from hyperperturb.models.neighbourhoods import BLOCK, LANDMARKS, Proximity, find_neighbourhoods
from hyperperturb.models.similarity import Similarity, network_similarity

RESPONSES, PROGRAMMES, HELD_OUT = 300, 60, 1000
OF_EDGES = 0.2
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


@dataclass(frozen=True)
class World:
    """A network, its genes' similarity and points."""

    genes: tuple[str, ...]
    adjacency: sparse.csr_array
    similarity: Similarity
    proximity: Proximity

    @classmethod
    def make(cls, *, communities: bool) -> World:
        """STRING, or a scale-free network without communities."""
        if communities:
            graph = string_network()
            genes, adjacency = graph.nodes, graph.adjacency
        else:
            adjacency = scale_free(10_000, 0, within=0.0)
            genes = tuple(f"G{i}" for i in range(10_000))
        similarity = network_similarity([adjacency])
        points, curvature = points_of(similarity, adjacency)
        return cls(genes, adjacency, similarity, partial(hyperbolic_similarity, points, curvature))

    def kernels(self, sizes: tuple, names: Sequence[str], links: Links | None = None):
        """What an exact head or one with so many landmarks and so large blocks knows about its targets."""
        if sizes in (EXACT, RANDOM):
            row = {g: i for i, g in enumerate(self.genes)}
            columns, everything = np.array([row[g] for g in names]), np.arange(len(self.genes))
            return GeneKernels(
                self.genes,
                self.similarity.block(everything, columns),
                self.proximity(everything, columns),
                tuple(names),
                links,
            )
        return find_neighbourhoods(
            self.genes,
            self.adjacency,
            self.similarity,
            self.proximity,
            names,
            links=links,
            landmarks=sizes[0],
            block=sizes[1],
        )


@dataclass(frozen=True)
class Screen:
    """Measured effects of genes, and the noise-free effects of others that are held out."""

    names: list[str]
    responses: list[str]
    measured: np.ndarray
    noise: np.ndarray
    asked: list[tuple[str]]
    truth: np.ndarray

    @classmethod
    def make(cls, world: World, size: int, rng: np.random.Generator, links: Links | None = None) -> Screen:
        """Draw one; with ``links`` those make ``OF_EDGES`` of the effects' variance."""
        truth = draw(world.adjacency, rng)
        responses = [f"R{i}" for i in range(RESPONSES)]
        if links is not None:
            along = links.kinds[0].toarray()
            truth += along * np.sqrt(OF_EDGES / (1.0 - OF_EDGES) * np.mean(truth**2) / np.mean(along**2))
            responses = list(links.response_genes)
        order = rng.permutation(len(world.genes))
        train, test = np.sort(order[:size]), np.sort(order[-HELD_OUT:])
        noise = 0.5 * rng.uniform(0.5, 1.5, size=(size, 1)) * np.ones((1, RESPONSES))
        measured = truth[train] + noise * rng.standard_normal(noise.shape)
        names, asked = [world.genes[i] for i in train], [(world.genes[i],) for i in test]
        return cls(names, responses, measured, noise, asked, truth[test])

    def fit(self, kernels, parameters: KernelParameters | None) -> EffectHead:
        """Fit a head, with a search of its own where no parameters are given."""
        return EffectHead.fit(
            [(g,) for g in self.names],
            self.responses,
            self.measured,
            kernels=kernels,
            standard_error=self.noise,
            parameters=parameters,
        )

    def error(self, predicted: np.ndarray) -> float:
        """Squared error over that of no change."""
        return float(np.sum((predicted - self.truth) ** 2) / np.sum(self.truth**2))

    @property
    def mean_error(self) -> float:
        """That of the training mean."""
        return self.error(np.repeat(self.measured.mean(axis=0)[None], HELD_OUT, axis=0))


def what_is_lost(world: World, size: int, seed: int) -> dict[tuple, tuple[float, float, float]]:
    """Error, share of the exact head's gain that is lost, and seconds, of every approximation."""
    rng = np.random.default_rng((seed, size))
    screen = Screen.make(world, size, rng)
    parameters, results = None, {}
    for sizes in dict.fromkeys((DEFAULT, *(s for s in SIZES if s[0] < size), EXACT, RANDOM)):
        knowledge = world.kernels(sizes, screen.names)
        started = time.monotonic()
        targets = [(g,) for g in screen.names]
        head = screen.fit(
            knowledge,
            on_random_sample(targets, screen.measured, screen.noise, knowledge, rng)
            if sizes == RANDOM
            else parameters,
        )
        results[sizes] = (
            screen.error(head.predict(screen.asked, standard_error=False)[0]),
            time.monotonic() - started,
        )
        parameters = parameters or head.parameters
    best = results[EXACT][0]
    return {
        sizes: (results[sizes][0], (results[sizes][0] - best) / (screen.mean_error - best), results[sizes][1])
        for sizes in (EXACT, *(s for s in SIZES if s in results), RANDOM)
    }


def what_edges_say(world: World, size: int, seed: int) -> dict[str, tuple[float, ...]]:
    """Of either head: error without and with edges, their difference, share inside 90 % intervals, seconds."""
    rng = np.random.default_rng((seed, size, 1))
    degree = np.diff(world.adjacency.indptr)
    some = np.sort(rng.choice(len(degree), RESPONSES, replace=False, p=degree / degree.sum()))
    joined = sparse.csr_array((world.adjacency[:, some] > 0).astype(np.float64))
    links = Links(world.genes, tuple(world.genes[i] for i in some), (joined,))
    screen = Screen.make(world, size, rng, links)
    noise = 0.5 * rng.uniform(0.5, 1.5, size=(HELD_OUT, 1))
    measured = screen.truth + noise * rng.standard_normal(screen.truth.shape)
    parameters, out = None, {}
    for name, sizes in (("landmarks", DEFAULT), ("exact", EXACT)):
        errors = []
        for known in (None, links):
            kernels = world.kernels(sizes, screen.names, known)
            started = time.monotonic()
            head = screen.fit(kernels, parameters)
            mean, error = head.predict(screen.asked)
            seconds = time.monotonic() - started
            parameters = parameters or head.parameters
            errors.append(screen.error(mean))
        inside = np.mean(np.abs(mean - measured) < 1.645 * np.sqrt(error**2 + noise**2))
        out[name] = *errors, errors[1] - errors[0], float(inside), seconds
    return out


def over_seeds(values: Sequence[tuple[float, ...]]) -> list[str]:
    """Means with their 95 % intervals."""
    one = np.array(values)
    spread = student.ppf(0.975, len(one) - 1) * one.std(axis=0, ddof=1) / np.sqrt(len(one))
    return [f"{m:.4f} ± {s:.4f}" for m, s in zip(one.mean(axis=0), spread, strict=True)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 2000, 4000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--without-communities", action="store_true")
    parser.add_argument("--edges", action="store_true")
    arguments = parser.parse_args()
    print(header("numpy", "scipy"))
    world = World.make(communities=not arguments.without_communities)
    heads = "| perturbations | landmarks | most in a block | error | share of the gain lost | fit and predict, s |"
    if arguments.edges:
        heads = (
            "| perturbations | head | without edges | with | difference | inside 90 % | fit and predict, s |"
        )
    print(f"{heads}\n" + "|---" * (heads.count("|") - 1) + "|")
    for size in arguments.sizes:
        found: dict = {}
        for seed in range(arguments.seeds):
            for key, values in (what_edges_say if arguments.edges else what_is_lost)(
                world, size, seed
            ).items():
                found.setdefault(key, []).append(values)
        for key, values in found.items():
            numbers = over_seeds(values)
            seconds = f"{np.mean([one[-1] for one in values]):.1f}"
            if arguments.edges:
                cells = [key, *numbers[:-1], seconds]
            else:
                cells = [*map(str, key), numbers[0], "" if key == EXACT else numbers[1], seconds]
            print(f"| {size:,} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
