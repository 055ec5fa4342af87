"""One reader for each format a screen is published in, behind one face.

A reader gives an :class:`Opened`: the table of cells and, for each place that holds values, a function that opens its
matrix and its table of genes. What is in a file is judged by its contents; names only tell a folder of text files and
an archive from the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hyperperturb.data.frames import Frame
from hyperperturb.data.h5ad import open_h5, reading
from hyperperturb.data.matrix import Matrix
from hyperperturb.errors import HyperPerturbError

SCREEN_SUFFIXES = (".h5ad", ".zarr.zip", ".zarr", ".h5", ".hdf5", ".loom", ".mtx.gz", ".mtx")
"""What the names of screens end in; a folder of 10x text files may be called anything."""

Place = Callable[[], tuple[Matrix, Frame]]


@dataclass
class Opened:
    """A file opened by one of the readers.

    Attributes
    ----------
    path
        The file or folder; None for an object in memory.
    format
        The format in words.
    obs
        The table of cells.
    places
        Place of values (``"X"``, ``"raw"``, a layer) → what opens its matrix and the table of its genes.
    close
        Closes the file.
    processed
        Whether the file says that HyperPerturb's own preprocessing made ``X``.
    tables
        Tables that were found beside the file and belong to it.
    guide_genes
        Guide → target gene, where the file itself says so.
    """

    path: Path | None
    format: str
    obs: Frame
    places: dict[str, Place]
    close: Callable[[], None]
    processed: bool = False
    tables: tuple[Path, ...] = ()
    guide_genes: dict[str, str] = field(default_factory=dict)


def open_file(path: Path) -> Opened:
    """Open a screen of any format.

    Parameters
    ----------
    path
        An ``.h5ad``, ``.loom`` or 10x ``.h5`` file, a ``.zarr`` folder or its ``.zip``, a folder of 10x text files
        or the ``matrix.mtx`` in it.

    Returns
    -------
    Opened
        The caller closes it. Only a ``matrix.mtx`` is read whole.

    Raises
    ------
    HyperPerturbError
        Nothing is there, or it is none of these, cut short, or damaged.
    """
    from hyperperturb.data.formats import anndata_layout, loom, tenx_h5, tenx_text

    name = path.name.lower()
    if path.is_dir():
        if anndata_layout.is_zarr(path):
            return anndata_layout.open_zarr(path)
        return tenx_text.open_folder(path)
    if name.endswith((".mtx", ".mtx.gz")) and path.exists():
        return tenx_text.open_folder(path)
    if name.endswith(".zip") and path.exists():
        return anndata_layout.open_zarr(path)
    file = open_h5(path)
    try:
        with reading(path):
            for reader in (anndata_layout, loom, tenx_h5):
                if reader.fits(file):
                    return reader.open_hdf5(path, file)
            found = ", ".join(f"'{key}'" for key in list(file)[:8]) or "nothing"
    except BaseException:
        file.close()
        raise
    file.close()
    raise HyperPerturbError(
        f"'{path}' is an HDF5 file but not a screen: it has no 'obs' table (AnnData), no 'matrix' of 10x or loom; "
        f"it holds {found}.",
        hint="Write the screen with anndata's write_h5ad, with the perturbation of each cell as a column of obs.",
    )
