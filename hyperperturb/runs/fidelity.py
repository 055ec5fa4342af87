"""How true the disk of a run is, beside UMAP: ``python -m hyperperturb.runs.fidelity FOLDER`` measures it once.

UMAP takes seconds to import and to compile, so it works in a process of its own; what comes of it stays in the run.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from hyperperturb.errors import HyperPerturbError
from hyperperturb.evaluation.fidelity import NEIGHBOURS, Fidelity, fidelity
from hyperperturb.files import write_json
from hyperperturb.runs.directory import RunDirectory

FILE = "fidelity.json"
MOST_GENES = 4000
"""More are represented by a sample: all distances of these fit in memory, and the figures change little."""


class DiskFidelity(BaseModel):
    """What was measured about the picture of a run.

    Attributes
    ----------
    n_genes
        Genes that were compared.
    neighbours
        Neighbours of a gene that were looked at.
    disk, umap
        How true the disk is, and UMAP's picture of the same points; ``umap`` is None where umap-learn is not installed.
    """

    model_config = ConfigDict(frozen=True)

    n_genes: int
    neighbours: int
    disk: Fidelity
    umap: Fidelity | None = None


def load_fidelity(run: RunDirectory) -> DiskFidelity | None:
    """What was measured about the disk of a run; None while nothing was, or for another version's file."""
    try:
        return DiskFidelity.model_validate_json(run.file(FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def measure_fidelity(run: RunDirectory) -> DiskFidelity:
    """Measure in a process of its own and wait for it.

    Raises
    ------
    HyperPerturbError
        When the process could not do it; its last line says why.
    """
    command = [sys.executable, "-m", "hyperperturb.runs.fidelity", str(run.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = load_fidelity(run)
    if done.returncode or found is None:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise HyperPerturbError(f"How true the disk is could not be measured: {last}")
    return found


def compare(run: RunDirectory, *, seed: int = 0) -> DiskFidelity:
    """Compare the disk of a run, and UMAP's picture of the same points, with the distances in the model's space."""
    from hyperperturb.manifolds import poincare
    from hyperperturb.models.inference import HyperPerturbInference

    inference = HyperPerturbInference(run.path)
    points = inference.points
    picture = inference.genes[["x", "y"]].to_numpy(np.float64)
    if len(points) > MOST_GENES:
        chosen = np.sort(np.random.default_rng(seed).choice(len(points), MOST_GENES, replace=False))
        points, picture = points[chosen], picture[chosen]
    k = min(NEIGHBOURS, (len(points) - 1) // 2)
    true = poincare.pairwise_dist(points, c=1.0)
    np.fill_diagonal(true, 0.0)
    disk = fidelity(true, poincare.pairwise_dist(picture, c=1.0), k=k, seed=seed)
    flat = umap_distances(true, k=k, seed=seed)
    rival = None if flat is None else fidelity(true, flat, k=k, seed=seed)
    return DiskFidelity(n_genes=len(points), neighbours=k, disk=disk, umap=rival)


def umap_distances(true: np.ndarray, *, k: int, seed: int) -> np.ndarray | None:
    """Distances in UMAP's two-dimensional picture of points with these distances; None without umap-learn.

    UMAP gets the hyperbolic distances themselves, and as many neighbours as are looked at afterwards.
    """
    import warnings

    from scipy.spatial.distance import cdist

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about TensorFlow, and about a seed making it slower
        try:
            import umap
        except ImportError:
            return None
        fitted = umap.UMAP(n_neighbors=max(k, 2), metric="precomputed", random_state=seed)
        flat = fitted.fit_transform(true.astype(np.float32))
    return cdist(flat, flat)


def main(arguments: list[str] | None = None) -> int:
    """Measure the run that is given and write the file into it; exit code 0 only when it is there."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("Usage: python -m hyperperturb.runs.fidelity FOLDER", file=sys.stderr)
        return 2
    sys.modules.setdefault("tensorflow", None)  # type: ignore[arg-type]  # UMAP would import it for nothing
    try:
        run = RunDirectory.open(arguments[0])
        write_json(run.file(FILE), compare(run))
    except HyperPerturbError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
