"""Views on cells: filtered, normalised, with variable genes, principal components and neighbours.

The statistics of a whole screen are in :mod:`hyperperturb.data.effects`; this is for what needs single cells. Names,
arguments and defaults are those of the first HyperPerturb.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from hyperperturb.data.cells import draw_cells, find_neighbours
from hyperperturb.data.controls import propose_control
from hyperperturb.data.frames import Labels, PandasFrame
from hyperperturb.data.genes import short_list
from hyperperturb.data.h5ad import reading
from hyperperturb.data.labels import control_codes, parse_targets
from hyperperturb.data.matrix import memory_matrix
from hyperperturb.data.normalise import log_normalise
from hyperperturb.data.opening import PROCESSED, Screen, is_anndata, open_screen
from hyperperturb.data.protein_names import Rename
from hyperperturb.data.values import look
from hyperperturb.errors import HyperPerturbError
from hyperperturb.files import atomic_path
from hyperperturb.progress import Progress, no_progress

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

log = logging.getLogger(__name__)

_MIN_GENES = 200
_DENSE_LIMIT = 4 << 30  # bytes: obsm["log_fold_change"] is dense


def preprocess_data(
    input_path: str | Path | AnnData,
    output_path: str | Path | None = None,
    n_neighbors: int = 15,
    n_pcs: int = 20,
    max_cells: int | None = 3000,
    *,
    n_top_genes: int = 1000,
    min_genes: int | None = None,
    min_cells: int = 3,
    column: str | None = None,
    control: str | None = None,
    layer: str | None = None,
    tables: Sequence[str | Path] = (),
    protein_path: str | Path | None = None,
    protein_names: Rename = "",
    seed: int = 0,
    progress: Progress | None = None,
) -> AnnData:
    """Make a view on cells: draw, filter, normalise, choose variable genes, PCA, neighbours.

    Parameters
    ----------
    input_path
        A file of any format (only the cells that are drawn are kept in memory) or an AnnData, which is not changed.
    output_path
        Where to write the result, atomically; None writes nothing.
    n_neighbors
        Neighbours of each cell.
    n_pcs
        Principal components (fewer where there are fewer genes or cells).
    max_cells
        Cells to keep, drawn at random within each label: no label disappears, the control included. None keeps all.
    n_top_genes
        Variable genes to keep; perturbed genes that are measured are kept beside them.
    min_genes
        Cells with fewer genes are left out; None is 200, or a twentieth of the genes where fewer than 4,000 were
        measured.
    min_cells
        Genes seen in fewer cells are left out, perturbed genes excepted.
    column, control
        Labels and control label; None proposes them.
    layer, tables
        As in :func:`~hyperperturb.data.screen.open_screen`.
    protein_path, protein_names
        Proteins of the same cells, as in :func:`~hyperperturb.data.protein_files.open_proteins`, and how names of cells
        are mended to match (``suffix``, ``prefix``, ``both``); cells without proteins are left out.
    seed
        Of the drawing and of PCA.
    progress
        Told what is being done.

    Returns
    -------
    AnnData
        ``X`` is log1p(CP10k), CSR float32, normalised over all genes and never scaled; ``layers["counts"]`` the counts
        (absent for log-normalised input); ``var["highly_variable"]``, ``var["perturbed"]``; ``obsm["X_pca"]`` of
        scaled values; ``obsp["connectivities"]`` (Gaussian kernel of local width), ``obsp["distances"]``;
        ``uns["hyperperturb"]`` says what was done. With proteins, ``obsm["protein"]`` holds their levels: centred
        log-ratios of each cell (:func:`~hyperperturb.data.proteins.clr`), natural-log units, or what the file holds
        where that is no counts; ``obsm["protein_counts"]`` the counts, ``uns["hyperperturb"]["protein_names"]`` the
        antibodies and ``…["protein_report"]`` how many cells matched.

    Raises
    ------
    HyperPerturbError
        What :func:`~hyperperturb.data.screen.open_screen` and :func:`~hyperperturb.data.proteins.join_proteins` refuse;
        no cell or gene passes the filters; an argument makes no sense; the result cannot be written.
    """
    _check_numbers(n_neighbors=n_neighbors, n_pcs=n_pcs, n_top_genes=n_top_genes)
    if max_cells is not None:
        _check_numbers(max_cells=max_cells)
    report = progress or no_progress
    report(0.0, "Opening the screen")
    with open_screen(input_path, layer=layer, tables=tables) as screen:
        labels, column, control = _choose_labels(screen, column, control)
        cells = draw_cells(labels, screen.n_cells, max_cells, seed)
        proteins = None
        if protein_path is not None:
            report(0.03, "Joining the proteins")
            cells, proteins = _join_proteins(screen, cells, protein_path, protein_names)
        report(0.05, f"Reading {len(cells):,} of {screen.n_cells:,} cells")
        counts = screen.matrix.take(cells)
        obs = _obs(input_path, screen, cells)
        genes, n_before, is_log, factor = screen.genes, screen.n_cells, screen.is_log, screen.log_factor
    done: dict[str, Any] = {"x": PROCESSED, "values": "log-normalised" if is_log else "counts", "seed": seed}
    done.update({"column": column or "", "control": control or "", "n_cells_before": n_before})

    report(0.3, "Loading scanpy")
    import anndata
    import pandas as pd
    import scanpy as sc

    targets = _measured_targets(labels, control, genes)
    keep_cells, keep_genes, done["min_genes"] = _filter(counts, genes, targets, min_genes, min_cells)
    log.info("%d of %d cells have at least %d genes", keep_cells.sum(), len(cells), done["min_genes"])
    var = pd.DataFrame(index=pd.Index(np.array(genes, dtype=object)[keep_genes], name=None))
    var["perturbed"] = [gene in targets for gene in var.index]
    kept = counts[keep_cells][:, keep_genes].astype(np.float32)
    adata = anndata.AnnData(X=kept, obs=obs.iloc[np.flatnonzero(keep_cells)].copy(), var=var)
    if proteins is not None:
        for name, values in proteins.arrays.items():
            adata.obsm[name] = values[keep_cells]
        done |= {"protein_names": np.array(proteins.names, dtype=object), "protein_report": proteins.sentence}

    report(0.5, "Normalising and choosing variable genes")
    if is_log:
        adata.X = (adata.X * np.float32(factor)).tocsr()
    else:
        total = np.asarray(counts[keep_cells].sum(axis=1)).ravel()  # over all genes, those left out too
        adata.obs["total_counts"] = total
        adata.layers["counts"] = kept.copy()
        adata.X = log_normalise(kept, total)
    adata.uns["log1p"] = {}  # natural logarithm, as scanpy marks it
    adata.var["highly_variable"] = _variable(sc, adata, n_top_genes)
    adata = adata[:, (adata.var["highly_variable"] | adata.var["perturbed"]).to_numpy()].copy()

    report(0.6, "Principal components and neighbours")
    _components(sc, adata, n_pcs, n_neighbors, seed)
    adata.uns["hyperperturb"] = done
    if output_path is not None:
        report(0.95, f"Writing {output_path}")
        write_h5ad(adata, output_path)
    report(1.0, "Cells are ready")
    return adata


class _Proteins(NamedTuple):
    """Proteins of some cells: arrays of ``obsm`` by name, the antibodies, how well they matched."""

    arrays: dict[str, np.ndarray]
    names: tuple[str, ...]
    sentence: str


def _join_proteins(
    screen: Screen, cells: np.ndarray, path: str | Path, rename: Rename
) -> tuple[np.ndarray, _Proteins]:
    """Those of the cells that have proteins, and these."""
    from hyperperturb.data.proteins import join_proteins, open_proteins, protein_levels

    with open_proteins(path) as file:
        rows, file, found = join_proteins(screen, file, rename)
        cells = cells[rows[cells] >= 0]
        if not len(cells):
            raise HyperPerturbError(
                f"None of the cells that were drawn has proteins in '{path}'.",
                hint="Give a higher max_cells.",
            )
        levels, values = protein_levels(file, rows[cells])
    log.info(found.sentence)
    arrays = {"protein": levels} | ({"protein_counts": values} if file.is_counts else {})
    return cells, _Proteins(arrays, file.names, found.sentence)


def _check_numbers(**numbers: int) -> None:
    for name, value in numbers.items():
        if isinstance(value, bool) or int(value) != value or value < 1:
            raise HyperPerturbError(f"{name} must be a whole number of at least 1, not {value!r}.")


def _choose_labels(
    screen: Screen, column: str | None, control: str | None
) -> tuple[Labels | None, str | None, str | None]:
    """Labels of the cells; none where the screen has no controls (a view needs no labels)."""
    from hyperperturb.data.screen import count_labels

    if column is None:
        counts, flags = count_labels(screen)
        proposal = propose_control(counts, flags, first=screen.table_columns)
        if proposal is None:
            return None, None, None
        column, control = proposal.column, control or proposal.label
    labels = screen.label_codes(column)
    if control is None:
        proposal = propose_control({column: labels.counts()})
        control = proposal.label if proposal is not None else None
    elif not control_codes(labels.categories, control).any():
        raise HyperPerturbError(
            f"No cell of {screen.name} has the control label '{control}' in column '{column}'.",
            hint=f"The labels there are: {short_list(list(labels.counts()), 6)}.",
        )
    return labels, column, control


def _obs(source: Any, screen: Screen, cells: np.ndarray) -> pd.DataFrame:
    """The obs rows of the drawn cells."""
    if is_anndata(source):
        return source.obs.iloc[cells].copy()
    with reading(screen.path, "obs"):
        return screen.obs.take(cells)


def _measured_targets(labels: Labels | None, control: str | None, genes: tuple[str, ...]) -> frozenset[str]:
    if labels is None:
        return frozenset()
    known = frozenset(genes)
    named = (parse_targets(label, control=control or "", known_genes=known) for label in labels.categories)
    return known.intersection(gene for targets in named for gene in targets)


def _filter(
    counts: sp.csr_matrix,
    genes: tuple[str, ...],
    targets: frozenset[str],
    min_genes: int | None,
    min_cells: int,
) -> tuple[np.ndarray, np.ndarray, int]:
    if min_genes is None:
        min_genes = min(
            _MIN_GENES, max(len(genes) // 20, 1)
        )  # 200 of 20,000 genes is much; 200 of 299 is not
    seen = sp.csr_matrix((counts.data > 0, counts.indices, counts.indptr), shape=counts.shape)
    per_cell = np.asarray(seen.sum(axis=1)).ravel()
    keep_cells = per_cell >= min_genes
    if not keep_cells.any():
        raise HyperPerturbError(
            f"No cell has {min_genes} genes (the median cell has {np.median(per_cell):.0f} of {len(genes):,}).",
            hint="Give a lower min_genes.",
        )
    per_gene = np.asarray(seen[keep_cells].sum(axis=0)).ravel()
    keep_genes = (per_gene >= min_cells) | np.fromiter((gene in targets for gene in genes), dtype=bool)
    if not keep_genes.any():
        raise HyperPerturbError(
            f"No gene is seen in {min_cells} of {int(keep_cells.sum()):,} cells.",
            hint="Give a lower min_cells.",
        )
    return keep_cells, keep_genes, int(min_genes)


def _variable(sc: Any, adata: AnnData, n_top_genes: int) -> np.ndarray:
    if adata.n_vars <= n_top_genes or adata.n_obs < 3:
        return np.ones(adata.n_vars, dtype=bool)
    table = sc.pp.highly_variable_genes(adata, n_top_genes=n_top_genes, inplace=False)
    return table["highly_variable"].to_numpy()


def _components(sc: Any, adata: AnnData, n_pcs: int, n_neighbors: int, seed: int) -> None:
    """PCA of scaled values and neighbours; ``X`` itself is not scaled."""
    n_pcs = min(n_pcs, adata.n_obs - 1, adata.n_vars - 1)
    if n_pcs < 1:
        return
    scaled = sc.pp.scale(np.asarray(adata.X.todense()), max_value=10)
    values = sc.pp.pca(scaled, n_comps=n_pcs, svd_solver="arpack", random_state=seed)
    adata.obsm["X_pca"] = np.ascontiguousarray(values, dtype=np.float32)
    if adata.n_obs > 2:
        find_neighbours(adata, min(n_neighbors, adata.n_obs - 1), seed)


def write_h5ad(adata: AnnData, path: str | Path) -> Path:
    """Write an AnnData atomically.

    Parameters
    ----------
    adata
        What to write.
    path
        Where; ends in ``.h5ad``.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    HyperPerturbError
        It cannot be written.
    """
    path = Path(path)
    with atomic_path(path, room=sys.getsizeof(adata)) as temporary:
        adata.write_h5ad(temporary, compression="lzf")
    return path


def prepare_perturbation_data(
    adata: AnnData, ctrl_key: str = "perturbation", ctrl_value: str = "non-targeting"
) -> AnnData:
    """Add each cell's shift from the controls and its perturbation.

    Parameters
    ----------
    adata
        Cells, best from :func:`preprocess_data`; counts are normalised first (in a copy), scaled values are refused.
        Changed in place.
    ctrl_key
        The column of labels; where it does not exist the usual columns are searched.
    ctrl_value
        The control label; where it does not occur, ``non-targeting``, ``control`` and the known spellings are tried.

    Returns
    -------
    AnnData
        The same object with ``obsm["log_fold_change"]`` (cells x genes, float32: log1p(CP10k) minus the mean of the
        control cells, natural-log units), ``obsm["perturbation_target"]`` (one-hot, cells x labels) and
        ``uns["hyperperturb"]`` with ``column``, ``control`` and ``perturbation_names`` (the labels of the one-hot
        columns, the control first).

    Raises
    ------
    HyperPerturbError
        No labels, no control cells, scaled values without counts.
    """
    frame = PandasFrame(adata.obs)
    column, control = _find_control(frame, ctrl_key, ctrl_value)
    labels = frame.labels(column)
    chosen = np.append(control_codes(labels.categories, control), False)[labels.codes]
    values = _log_values(adata)
    if values.shape[0] * values.shape[1] * 4 > _DENSE_LIMIT:
        raise HyperPerturbError(
            f"The shifts of {values.shape[0]:,} cells x {values.shape[1]:,} genes need "
            f"{values.shape[0] * values.shape[1] * 4 / 1e9:.0f} GB.",
            hint="Draw cells and choose genes first: preprocess_data(adata, max_cells=3000).",
        )
    control_mean = np.asarray(values[np.flatnonzero(chosen)].mean(axis=0, dtype=np.float64)).ravel()
    shift = np.asarray(values.toarray() if sp.issparse(values) else values, dtype=np.float32)
    adata.obsm["log_fold_change"] = shift - control_mean.astype(np.float32)
    is_control = control_codes(labels.categories, control)
    counts = labels.counts()
    names = [control, *sorted(name for name, c in zip(labels.categories, is_control, strict=True) if not c)]
    names = [names[0], *(name for name in names[1:] if name in counts)]
    position = {name: i for i, name in enumerate(names)}
    lookup = [
        0 if c else position.get(name, -1) for name, c in zip(labels.categories, is_control, strict=True)
    ]
    codes = np.array([*lookup, -1])[labels.codes]
    one_hot = np.zeros((adata.n_obs, len(names)), dtype=np.float32)
    labelled = np.flatnonzero(codes >= 0)
    one_hot[labelled, codes[labelled]] = 1.0
    adata.obsm["perturbation_target"] = one_hot
    about = dict(adata.uns.get("hyperperturb", {}))
    about.update({"column": column, "control": control, "perturbation_names": np.array(names, dtype=object)})
    adata.uns["hyperperturb"] = about
    log.info("%d of %d cells are controls ('%s' in column '%s')", chosen.sum(), adata.n_obs, control, column)
    return adata


def _find_control(frame: PandasFrame, ctrl_key: str, ctrl_value: str) -> tuple[str, str]:
    if ctrl_key in frame.columns:
        labels = frame.labels(ctrl_key)
        if control_codes(labels.categories, ctrl_value).any():
            return ctrl_key, ctrl_value
        proposal = propose_control({ctrl_key: labels.counts()})
        if proposal is None:
            raise HyperPerturbError(
                f"No cell has the control label '{ctrl_value}' in column '{ctrl_key}'.",
                hint=f"Give ctrl_value; the labels are: {short_list(list(labels.counts()), 8)}.",
            )
        return proposal.column, proposal.label
    usable = [name for name in frame.columns if frame.kind(name) not in ("float", "other")]
    proposal = propose_control({name: frame.labels(name).counts() for name in usable})
    if proposal is None:
        raise HyperPerturbError(
            f"There is no column '{ctrl_key}' in obs, and no other column names controls.",
            hint=f"Give ctrl_key and ctrl_value; the columns are: {short_list(list(frame.columns), 10)}.",
        )
    return proposal.column, proposal.label


def _log_values(adata: AnnData) -> Any:
    """log1p(CP10k) of an AnnData: X if it holds logarithms already, else normalised from counts."""
    processed = adata.uns.get("hyperperturb", {}).get("x") == PROCESSED
    if processed or look(memory_matrix(adata.X, where="X")).kind == "log-normalised":
        return adata.X
    with open_screen(adata) as screen:
        values = screen.matrix.take(np.arange(screen.n_cells))
        if screen.n_genes != adata.n_vars:
            raise HyperPerturbError(
                f"X is scaled and its counts are in raw with {screen.n_genes:,} genes instead of {adata.n_vars:,}.",
                hint="Start again from the counts: preprocess_data(adata.raw.to_adata()).",
            )
        if screen.is_log:
            return values * np.float32(screen.log_factor)
    return log_normalise(values)
