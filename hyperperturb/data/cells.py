"""Drawing cells fairly, and finding the neighbours of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from hyperperturb.data.frames import Labels

if TYPE_CHECKING:
    from anndata import AnnData


def draw_cells(labels: Labels | None, n_cells: int, max_cells: int | None, seed: int) -> np.ndarray:
    """Draw cells at random within each label, so that every label keeps its share and none disappears.

    Parameters
    ----------
    labels
        The label of each cell; None draws from all alike.
    n_cells
        Cells there are.
    max_cells
        Cells to draw; None or more than there are takes all. Raised to the number of labels where it is lower.
    seed
        Of the drawing.

    Returns
    -------
    np.ndarray
        Positions of the cells, rising.
    """
    if max_cells is None or n_cells <= max_cells:
        return np.arange(n_cells)
    rng = np.random.default_rng(seed)
    codes = np.zeros(n_cells, dtype=np.int64) if labels is None else labels.codes.astype(np.int64) + 1
    n = np.bincount(codes)
    share = n * max_cells / n_cells
    floor = np.minimum(n, 1 if len(n) * 5 > max_cells else 5)  # a handful of each label, when there is room
    quota = np.maximum(np.floor(share).astype(np.int64), floor)
    while quota.sum() > max(max_cells, np.count_nonzero(n)):
        quota[np.argmax(quota - floor)] -= 1
    rest = np.argsort(-(share - quota), kind="stable")
    for label in rest[: max(max_cells - int(quota.sum()), 0)]:
        quota[label] = min(quota[label] + 1, n[label])
    order = rng.permutation(n_cells)  # then the first of each label in this order
    by_label = order[np.argsort(codes[order], kind="stable")]
    starts = np.cumsum(n) - n
    chosen = [by_label[start : start + k] for start, k in zip(starts, quota, strict=True)]
    return np.sort(np.concatenate(chosen))


def find_neighbours(adata: AnnData, k: int, seed: int) -> None:
    """Find the neighbours of each cell in PCA space and lay them out as scanpy does.

    Parameters
    ----------
    adata
        With ``obsm["X_pca"]``; ``obsp["distances"]``, ``obsp["connectivities"]`` and ``uns["neighbors"]`` are added.
    k
        Neighbours of each cell.
    seed
        Written down, as scanpy does; the search is exact.

    Notes
    -----
    Weights are exp(-d² / (s_i s_j)) with s the distance to the farthest neighbour (Zelnik-Manor & Perona 2004, eq. 3),
    the larger of both directions. Not scanpy's own: its umap kernel imports TensorFlow through umap, its Gaussian
    kernel divides by zero where cells coincide.
    """
    from sklearn.neighbors import NearestNeighbors

    distances = (
        NearestNeighbors(n_neighbors=k).fit(adata.obsm["X_pca"]).kneighbors_graph(mode="distance").tocsr()
    )
    distance = distances.data.reshape(adata.n_obs, k)
    scale = np.maximum(distance.max(axis=1), np.finfo(np.float32).tiny)
    weight = np.exp(-(distance**2) / (scale[:, None] * scale[distances.indices.reshape(adata.n_obs, k)]))
    one_way = sp.csr_matrix((weight.ravel(), distances.indices, distances.indptr), shape=distances.shape)
    adata.obsp["distances"] = distances
    adata.obsp["connectivities"] = sp.csr_matrix(one_way.maximum(one_way.T), dtype=np.float32)
    adata.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "distances_key": "distances",
        "params": {
            "n_neighbors": k,
            "method": "gauss",
            "metric": "euclidean",
            "use_rep": "X_pca",
            "random_state": seed,
        },
    }
