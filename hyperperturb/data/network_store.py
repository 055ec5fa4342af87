"""Networks on disk: one ``.npz`` file, without pickles."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
from scipy import sparse

from hyperperturb.data.network import Network, Provenance
from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import atomic_path

_FORMAT = 1


def save_network(network: Network, path: Path | str) -> Path:
    """Write a network to an ``.npz`` file, atomically and without pickles.

    Parameters
    ----------
    network
        The network.
    path
        File to write; its folder must exist.

    Returns
    -------
    Path
        The file.
    """
    path = Path(path)
    about = {
        "format": _FORMAT,
        "name": network.name,
        "provenance": [entry.model_dump(mode="json") for entry in network.provenance],
    }
    arrays = {
        "about": np.array(json.dumps(about)),
        "genes": np.array(network.genes, dtype=np.str_),
        "data": network.adjacency.data,
        "indices": network.adjacency.indices,
        "indptr": network.adjacency.indptr,
    }
    if network.signs is not None:
        arrays |= {f"sign_{key}": getattr(network.signs, key) for key in ("data", "indices", "indptr")}
    with atomic_path(path) as temporary, Path(temporary).open("wb") as file:
        np.savez_compressed(file, **arrays)
    return path


def load_network(path: Path | str) -> Network:
    """Read a network that :func:`save_network` wrote.

    Parameters
    ----------
    path
        The ``.npz`` file.

    Raises
    ------
    HyperPerturbError
        If the file is missing or was not written by :func:`save_network`.
    """
    path = Path(path)
    if not path.is_file():
        raise HyperPerturbError(f"There is no network file '{path}'.", hint="Check the path.")
    try:
        # opened here, because np.load leaves a damaged file open
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            genes = tuple(arrays["genes"].tolist())
            shape = (len(genes), len(genes))
            parts = [tuple(arrays[key] for key in ("data", "indices", "indptr"))]
            if "sign_data" in arrays:
                parts.append(tuple(arrays[f"sign_{key}"] for key in ("data", "indices", "indptr")))
        matrices = [sparse.csr_array(part, shape=shape) for part in parts]
        provenance = tuple(Provenance.model_validate(entry) for entry in about["provenance"])
        name = about["name"]
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise HyperPerturbError(
            f"'{path.name}' is not a network saved by HyperPerturb.",
            hint="To use an edge list, read it with read_network.",
        ) from error
    return Network(genes, matrices[0], name, provenance, matrices[1] if len(matrices) > 1 else None)
