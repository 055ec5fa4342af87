"""Everything a training on cells needs from files, in one call: screen, proteins, network, with a cache."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from hyperperturb.data.genes import short_list
from hyperperturb.data.h5ad import open_h5, reading
from hyperperturb.data.opening import is_anndata
from hyperperturb.data.preprocess import prepare_perturbation_data, preprocess_data, write_h5ad
from hyperperturb.errors import HyperPerturbError

if TYPE_CHECKING:
    from anndata import AnnData

log = logging.getLogger(__name__)


def load_and_preprocess_perturbation_data(
    rna_path: str | Path | AnnData,
    protein_path: str | Path | None = None,
    network_path: str | Path | None = None,
    preprocessed_path: str | Path | None = None,
    **options: Any,
) -> tuple[AnnData, sp.csr_matrix | None]:
    """Read a screen, preprocess it, add shifts, proteins and a network.

    Parameters
    ----------
    rna_path
        The screen, as in :func:`preprocess_data`.
    protein_path
        Proteins of the same cells, as in :func:`preprocess_data`.
    network_path
        A gene network, as in :func:`~hyperperturb.data.network.read_network`.
    preprocessed_path
        A cache: read when it was made from the same file with the same options (or by other means), else written.
    **options
        For :func:`preprocess_data`.

    Returns
    -------
    tuple
        The AnnData of :func:`prepare_perturbation_data`, and the network's adjacency over ``adata.var_names`` (CSR,
        float32) or None.

    Raises
    ------
    HyperPerturbError
        What the steps raise; no common cells; no gene of the screen in the network.
    """
    progress = options.pop("progress", None)
    made_from = _fingerprint(rna_path, protein_path, options)
    adata = _cached(preprocessed_path, rna_path, made_from)
    if adata is None:
        adata = prepare_perturbation_data(
            preprocess_data(rna_path, protein_path=protein_path, progress=progress, **options),
            **_choice(options),
        )
        adata.uns["hyperperturb"]["made_from"] = made_from
        if preprocessed_path is not None:
            write_h5ad(adata, preprocessed_path)
    if network_path is None:
        return adata, None
    return adata, _adjacency(adata, network_path)


def _choice(options: dict[str, Any]) -> dict[str, str]:
    names = {"ctrl_key": options.get("column"), "ctrl_value": options.get("control")}
    return {name: value for name, value in names.items() if value is not None}


def _fingerprint(rna_path: Any, protein_path: Any, options: dict[str, Any]) -> str:
    """What a cache was made from, in one line."""
    parts = []
    for path in (rna_path, protein_path):
        if path is None or is_anndata(path):
            parts.append("memory" if path is not None else "none")
            continue
        stat = Path(path).stat() if Path(path).is_file() else None
        parts.append(
            f"{Path(path).name}:{stat.st_size}:{int(stat.st_mtime)}" if stat else f"{Path(path).name}:missing"
        )
    parts += [f"{name}={options[name]!r}" for name in sorted(options) if name != "output_path"]
    return " ".join(parts)


def _cached(path: str | Path | None, rna_path: Any, made_from: str) -> AnnData | None:
    if path is None or not Path(path).exists():
        return None
    import anndata

    open_h5(path).close()  # says what is wrong with a file that cannot be read
    with reading(path):
        adata = anndata.read_h5ad(path)
    earlier = adata.uns.get("hyperperturb", {}).get("made_from")
    known_source = not is_anndata(rna_path) and Path(rna_path).is_file()
    if earlier is not None and known_source and earlier != made_from:
        log.info("%s was made from another file or with other options: made again", path)
        return None
    if "log_fold_change" not in adata.obsm:
        return prepare_perturbation_data(adata)
    return adata


def _adjacency(adata: AnnData, path: str | Path) -> sp.csr_matrix:
    from hyperperturb.data.network import read_network

    network = read_network(path)
    place = {gene: i for i, gene in enumerate(network.genes)}
    rows = np.array([place.get(gene, -1) for gene in adata.var_names])
    inside = np.flatnonzero(rows >= 0)
    part = sp.coo_array(sp.csr_array(network.adjacency)[rows[inside]][:, rows[inside]])
    if part.nnz == 0:
        raise HyperPerturbError(
            f"The network '{path}' connects none of the {adata.n_vars:,} genes of the screen "
            f"({len(inside):,} of them are in it; its genes are called like {short_list(network.genes, 3)}).",
            hint="Give a network that names genes as the screen does.",
        )
    shape = (adata.n_vars, adata.n_vars)
    return sp.csr_matrix((part.data.astype(np.float32), (inside[part.row], inside[part.col])), shape=shape)
