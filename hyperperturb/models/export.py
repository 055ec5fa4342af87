"""What a query needs, as arrays in one file: gene points, effect head, cell heads."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from scipy import sparse

from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import atomic_path
from hyperperturb.manifolds import poincare
from hyperperturb.models.cells import CellInputs
from hyperperturb.models.directions import Confidence, Directions, Discriminants
from hyperperturb.models.effect_head import EffectHead
from hyperperturb.models.error_scale import ErrorScale
from hyperperturb.models.gene_kernels import GeneKernels, KernelParameters
from hyperperturb.models.interactions import Interactions
from hyperperturb.models.links import Links
from hyperperturb.models.local_process import LocalProcess

_RULE = ("centroid", "precision", "log_prior")
_SPARSE = ("data", "indices", "indptr")
_CALIBRATION = ("of_cells", "of_lists", "of_measured", "unseen")
_CELL_ARRAYS = (
    "hidden_kernel",
    "hidden_bias",
    "tangent_kernel",
    "tangent_bias",
    "value_kernel",
    "value_bias",
    "offset",
    "evidence_kernel",
    "perturbation_points",
)

_PROTEINS = "protein_"  # what the arrays of the head for proteins begin with
_PAIR_ARRAYS = ("coefficients", "precision", "cross_precision")


@dataclass(frozen=True)
class CellHeadArrays:
    """The cell heads without Keras; shapes as in :class:`hyperperturb.models.model.CellHeads`.

    ``inputs`` turns cells into shifts; ``directions`` compares states; ``scale`` multiplies distances and holds
    sharpness, curvature and temperature; ``offset`` holds the evidence's bias.
    """

    genes: tuple[str, ...]
    scale: float
    inputs: CellInputs
    directions: Directions
    hidden_kernel: np.ndarray
    hidden_bias: np.ndarray
    tangent_kernel: np.ndarray
    tangent_bias: np.ndarray
    value_kernel: np.ndarray
    value_bias: np.ndarray
    offset: np.ndarray
    evidence_kernel: np.ndarray
    perturbation_points: np.ndarray

    def __call__(self, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, P) and strengths (n,) of shifts (n, H), which :attr:`inputs` makes."""
        logits, hidden, _ = self.encode(shift)
        return logits, np.logaddexp(0.0, (hidden @ self.value_kernel + self.value_bias)[:, 0])

    def encode(self, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits (n, P), hidden units (n, U) and points of the unit ball (n, d) of shifts (n, H)."""
        hidden = np.tanh(shift @ self.hidden_kernel + self.hidden_bias)
        point = poincare.expmap0(hidden @ self.tangent_kernel + self.tangent_bias, c=1.0)
        evidence = self.offset + shift @ self.evidence_kernel
        logits = evidence - self.scale * poincare.pairwise_dist(point, self.perturbation_points, c=1.0)
        return logits, hidden, point


def _about_head(head: EffectHead) -> dict[str, Any]:
    """What of an effect head is no array."""
    about: dict[str, Any] = {
        "target_genes": head.target_genes,
        "response_genes": head.response_genes,
        "parameters": asdict(head.parameters),
        "own_slope": head.own_slope,
        "own_error": head.own_error,
        "error": asdict(head.error),
        "link_strengths": head.link_strengths,
    }
    if head.interactions is not None:
        about["pairs"] = head.interactions.pairs
    if head.local is not None:
        about["local_genes"] = head.local.prior.genes
    return about


def _arrays_of_head(head: EffectHead) -> dict[str, np.ndarray]:
    """The arrays of an effect head, without its kernels."""
    arrays = {
        "coefficients": head.coefficients.astype(np.float32),
        "precision": head.precision,
        "scale": head.scale,
        "own_level": head.own_level,
    }
    if head.interactions is not None:
        arrays |= {f"pair_{name}": getattr(head.interactions, name) for name in _PAIR_ARRAYS}
    if head.local is not None:
        arrays |= {f"local_{name}": values for name, values in head.local.to_arrays().items()}
    return arrays


def _head_of(about: dict[str, Any], arrays: dict[str, np.ndarray], kernels: GeneKernels) -> EffectHead:
    """The effect head of :func:`_about_head` and :func:`_arrays_of_head`."""
    targets = tuple(about["target_genes"])
    local = None
    if "local_genes" in about:
        parts = {name.removeprefix("local_"): arrays[name] for name in arrays if name.startswith("local_")}
        local = LocalProcess.from_arrays(about["local_genes"], targets, parts)
    return EffectHead(
        parameters=KernelParameters(**about["parameters"]),
        kernels=kernels,
        target_genes=targets,
        response_genes=tuple(about["response_genes"]),
        coefficients=arrays["coefficients"].astype(np.float64),
        precision=arrays["precision"],
        scale=arrays["scale"],
        own_slope=float(about["own_slope"]),
        own_error=float(about["own_error"]),
        # Older runs have intervals that grow with the effect in proportion, or not at all.
        error=ErrorScale(**about.get("error", {"size": about.get("size", 0.0)})),
        own_level=arrays["own_level"],
        interactions=None
        if "pairs" not in about
        else Interactions(
            tuple((a, b) for a, b in about["pairs"]),
            **{name: arrays[f"pair_{name}"] for name in _PAIR_ARRAYS},
        ),
        link_strengths=tuple(about.get("link_strengths", ())),
        local=local,
    )


def save_arrays(
    path: Path,
    *,
    points: np.ndarray,
    curvature: float,
    head: EffectHead,
    cells: CellHeadArrays | None,
    proteins: EffectHead | None = None,
) -> None:
    """Write the file atomically.

    Parameters
    ----------
    points
        (N, d) unit-ball gene points in the order of ``head.kernels.genes``.
    proteins
        The head for proteins, whose target genes are among those of ``head``.
    """
    about = {"curvature": curvature, "genes": head.kernels.genes, **_about_head(head)}
    about["cells"] = (
        None
        if cells is None
        else {
            "genes": cells.genes,
            "scale": cells.scale,
            "presentation": cells.inputs.presentation,
            **{name: getattr(cells.directions, name) for name in _CALIBRATION},
        }
    )
    arrays = {
        "points": np.asarray(points, dtype=np.float32),
        "diffusion": head.kernels.diffusion.astype(np.float32),
        **_arrays_of_head(head),
    }
    if head.kernels.links is not None:
        kinds = head.kernels.links.of(head.kernels.genes, head.response_genes)
        about["links"] = len(kinds)
        arrays |= {f"link{i}_{part}": getattr(kind, part) for i, kind in enumerate(kinds) for part in _SPARSE}
    if proteins is not None:
        about["proteins"] = _about_head(proteins)
        arrays |= {f"{_PROTEINS}{name}": values for name, values in _arrays_of_head(proteins).items()}
    if cells is not None:
        arrays |= {f"cells_{name}": getattr(cells, name) for name in _CELL_ARRAYS}
        arrays |= {"cells_centre": cells.inputs.centre, "cells_spread": cells.inputs.spread}
        directions, rule = cells.directions, cells.directions.rule
        arrays |= {"cells_slope": directions.slope, "cells_control": directions.control}
        arrays |= {f"cells_{name}": getattr(rule, name).astype(np.float32) for name in _RULE}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, about=np.array(json.dumps(about)), **arrays)


def load_arrays(
    path: Path,
) -> tuple[np.ndarray, float, EffectHead, CellHeadArrays | None, EffectHead | None]:
    """Read what :func:`save_arrays` wrote: points, curvature, effect head, cell heads, the head for proteins.

    Raises
    ------
    HyperPerturbError
        When the file is missing or damaged.
    """
    try:
        # Opened here, because np.load leaves a damaged file open.
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays["about"]))
        points, curvature = arrays["points"], float(about["curvature"])
        genes, targets = tuple(about["genes"]), tuple(about["target_genes"])
        row = {g: i for i, g in enumerate(genes)}
        columns = () if "local_genes" in about else targets
        kernels = GeneKernels(
            genes,
            arrays["diffusion"],
            hyperbolic_similarity(points, curvature, slice(None), [row[g] for g in columns]),
            columns,
            _links(about, arrays),
        )
        head = _head_of(about, arrays, kernels)
        proteins = None
        if about.get("proteins") is not None:
            own = {
                name.removeprefix(_PROTEINS): arrays[name] for name in arrays if name.startswith(_PROTEINS)
            }
            proteins = _head_of(about["proteins"], own, kernels)
        cells = None
        if about["cells"] is not None:
            cells = CellHeadArrays(
                genes=tuple(about["cells"]["genes"]),
                scale=float(about["cells"]["scale"]),
                inputs=CellInputs(
                    about["cells"]["presentation"], arrays["cells_centre"], arrays["cells_spread"]
                ),
                directions=Directions(
                    slope=arrays["cells_slope"],
                    control=arrays["cells_control"],
                    rule=Discriminants(**{name: arrays[f"cells_{name}"] for name in _RULE}),
                    of_cells=Confidence(*about["cells"]["of_cells"]),
                    of_lists=Confidence(*about["cells"]["of_lists"]),
                    # Older runs were as cautious about measured perturbations as about predicted ones.
                    of_measured=Confidence(*about["cells"].get("of_measured", about["cells"]["of_cells"])),
                    unseen=tuple(about["cells"]["unseen"]),
                ),
                **{name: arrays[f"cells_{name}"] for name in _CELL_ARRAYS},
            )
    except (OSError, EOFError, KeyError, ValueError, TypeError, BadZipFile, zlib.error) as error:
        raise HyperPerturbError(
            f"The run's file '{path}' is missing or damaged ({error}).", hint="Train the run anew."
        ) from error
    return points, curvature, head, cells, proteins


def _links(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> Links | None:
    """Edges of genes with response genes; older runs have none."""
    if "links" not in about:
        return None
    genes, response_genes = tuple(about["genes"]), tuple(about["response_genes"])
    shape = len(genes), len(response_genes)
    parts = [tuple(arrays[f"link{i}_{part}"] for part in _SPARSE) for i in range(about["links"])]
    return Links(genes, response_genes, tuple(sparse.csr_array(part, shape=shape) for part in parts))


def hyperbolic_similarity(
    points: np.ndarray, curvature: float, rows: slice | Sequence[int], columns: Sequence[int]
) -> np.ndarray:
    """exp(−d) between the gene points of ``rows`` and those of ``columns``, (len(rows), len(columns)) float32.

    ``points`` (N, d) lie in the unit ball; d is their distance over √c.
    """
    points = np.asarray(points, dtype=np.float32)
    distance = poincare.pairwise_dist(points[rows], points[columns], c=1.0)
    return np.exp(-distance / np.float32(np.sqrt(curvature)))
