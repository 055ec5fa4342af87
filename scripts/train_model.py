#!/usr/bin/env python3
"""Preprocess a screen and train a model on it, in one go and with one set of flags.

The command `hyperperturb train` does the same from all cells and with more choices; this script keeps the flags of
the project's first version, and trains on what `load_and_preprocess_perturbation_data` makes of the screen.

Example: python scripts/train_model.py --rna_path screen.h5ad --network_path string.csv --epochs 10
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from pathlib import Path

from hyperperturb.errors import HyperPerturbError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_RNA = Path("data/raw/FrangiehIzar2021_RNA.h5ad")
DEFAULT_PROTEIN = Path("data/raw/FrangiehIzar2021_protein.h5ad")
DOWNLOAD_HINT = "Download the reference data with: bash scripts/download_string_and_test_data.sh"


def make_parser() -> argparse.ArgumentParser:
    """Describe the flags."""
    first, _, rest = str(__doc__).partition("\n\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rna_path", type=Path, help=f"the screen (default: {DEFAULT_RNA})")
    add(
        "--protein_path",
        type=Path,
        help="antibody counts of the same cells: what perturbations do to proteins is learned too",
    )
    add(
        "--network_path",
        type=Path,
        help="a gene network; without it, co-expression in the control cells is used",
    )
    add(
        "--output_dir",
        type=Path,
        default=Path("models/saved"),
        help="folder of the runs (default: %(default)s)",
    )
    add("--epochs", type=int, default=30, help="passes over the data (default: %(default)s)")
    add("--batch_size", type=int, default=16, help="cells in a step (default: %(default)s)")
    add(
        "--learning_rate",
        type=float,
        default=3e-4,
        help="step size of the cell heads (default: %(default)s, that of the Python API; the first version of "
        "this script had 1e-5)",
    )
    add(
        "--embedding_dim",
        type=int,
        default=16,
        help="dimensions of the hyperbolic space (default: %(default)s)",
    )
    add("--hidden_dim", type=int, default=32, help="width of the cell encoder (default: %(default)s)")
    add(
        "--curvature",
        type=float,
        default=1.0,
        help="curvature magnitude to start from (default: %(default)s)",
    )
    add(
        "--use_protein_data",
        action="store_true",
        help=f"the same with the file {DEFAULT_PROTEIN}, where --protein_path names no other",
    )
    add(
        "--trainer",
        choices=["simple", "advanced"],
        default="advanced",
        help="simple: genes to effects only; advanced: cells to perturbations too (default: %(default)s)",
    )
    add(
        "--max_cells",
        type=int,
        default=3000,
        help="most cells to keep, drawn at random (default: %(default)s)",
    )
    add("--val_split", type=float, default=0.2, help="share of cells held out (default: %(default)s)")
    add(
        "--strategy",
        choices=["auto", "default", "mirrored", "multiworker"],
        default="auto",
        help="devices that train: auto (all GPUs where there are several), default (one), mirrored (all of this "
        "machine), multiworker (the machines in TF_CONFIG) (default: %(default)s)",
    )
    add("--xla", action="store_true", help="compile the training steps with XLA")
    add(
        "--preprocessed_path",
        type=Path,
        help="processed screen: written, and read again instead of preprocessing where it was made from the same "
        "files and --max_cells, or where --rna_path is not there",
    )
    add("--debug", action="store_true", help="show warnings of other packages, and the traceback of an error")
    return parser


def check(args: argparse.Namespace) -> None:
    """Refuse combinations in which a flag would do nothing, and files that are not there.

    Raises
    ------
    HyperPerturbError
        What is wrong, and the way out.
    """
    args.use_protein_data = args.use_protein_data or args.protein_path is not None
    named = args.rna_path is not None
    args.rna_path = args.rna_path or DEFAULT_RNA
    processed = args.preprocessed_path is not None and args.preprocessed_path.is_file()
    if not args.rna_path.is_file() and (named or args.use_protein_data or not processed):
        raise HyperPerturbError(
            f"There is no file '{args.rna_path}' (screen).",
            hint="Check the path." if named else DOWNLOAD_HINT,
        )
    if args.use_protein_data:
        args.protein_path = args.protein_path or DEFAULT_PROTEIN
        if not args.protein_path.exists():
            raise HyperPerturbError(f"There is no file '{args.protein_path}' (protein).", hint=DOWNLOAD_HINT)
    if args.network_path is not None and not args.network_path.is_file():
        raise HyperPerturbError(f"There is no file '{args.network_path}' (network).", hint="Check the path.")


def train(args: argparse.Namespace) -> None:
    """Load, preprocess and train; prints the verdict and the run's path."""
    from hyperperturb.cli.console import EventPrinter
    from hyperperturb.data import load_and_preprocess_perturbation_data
    from hyperperturb.runs.directory import RunDirectory
    from hyperperturb.runs.process import stderr_into

    print("Loading and preprocessing …", flush=True)
    adata, adjacency = load_and_preprocess_perturbation_data(
        args.rna_path,
        args.protein_path if args.use_protein_data else None,
        args.network_path,
        preprocessed_path=args.preprocessed_path,
        max_cells=args.max_cells,
    )
    n_targets = adata.obsm["perturbation_target"].shape[1]
    print(
        f"{adata.n_obs:,} cells, {adata.n_vars:,} genes, {n_targets:,} labels; loading TensorFlow …",
        flush=True,
    )
    with stderr_into(os.devnull):
        from hyperperturb.models.train import train_model

    model, _ = train_model(
        adata,
        adj_matrix=adjacency,
        epochs=args.epochs,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        curvature=args.curvature,
        embedding_dim=args.embedding_dim,
        hidden_dim=args.hidden_dim,
        validation_split=args.val_split,
        cell_heads=args.trainer == "advanced",
        jit_compile=args.xla,
        strategy=args.strategy,
        model_dir=args.output_dir,
        on_event=EventPrinter(sys.stdout),
    )
    if not Path(model.run).is_dir():  # this was not the first of several workers: the first keeps the run
        print("The run lies with the first worker.")
        return
    run = RunDirectory.open(model.run)
    print(
        run.metrics().get("verdict", "There is no verdict: too few perturbations were left to hold some out.")
    )
    if run.metrics().get("proteins"):
        print(f"On proteins: {run.metrics()['proteins']['verdict']}")
    print(run.path)


def main(arguments: list[str] | None = None) -> int:
    """Run the script.

    Parameters
    ----------
    arguments
        The flags; ``sys.argv`` when None.

    Returns
    -------
    int
        Exit code, 0 only on success.
    """
    args = make_parser().parse_args(arguments)
    with warnings.catch_warnings():
        if not args.debug:
            warnings.simplefilter("ignore")
        try:
            check(args)
            train(args)
        except (HyperPerturbError, OSError, MemoryError) as error:
            if args.debug:
                traceback.print_exc()
            print(f"train_model.py: {str(error) or 'the memory was not enough'}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("train_model.py: interrupted", file=sys.stderr)
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
