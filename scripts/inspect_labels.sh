#!/usr/bin/env bash
# Which columns of a screen hold labels, which labels with how many cells, and which control is proposed.
# Usage: scripts/inspect_labels.sh [FILE.h5ad]        (default: data/raw/FrangiehIzar2021_RNA.h5ad)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
file=${1:-data/raw/FrangiehIzar2021_RNA.h5ad}
if [[ $# -eq 0 && ! -e $file ]]; then
    file=${HYPERPERTURB_HOME:-$root}/$file
fi

if [[ ! -e $file ]]; then
    echo "There is no file '$file'. Give the path of an .h5ad file, or run scripts/download_string_and_test_data.sh first." >&2
    exit 1
fi

python=${PYTHON:-$root/.venv/bin/python}
command -v "$python" >/dev/null || python=python3
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}

"$python" - "$file" <<'PYTHON'
import sys

from hyperperturb.data.screen import inspect_screen
from hyperperturb.errors import HyperPerturbError

try:
    report = inspect_screen(sys.argv[1])
except HyperPerturbError as error:
    sys.exit(str(error))
print("obs columns:", ", ".join(report.obs_columns) or "none")
for column in ("perturbation", "perturbation_type", "perturbation_2"):
    labels = report.label_columns.get(column)
    if labels is None:
        print(f"\n{column}: " + ("holds no labels" if column in report.obs_columns else "no such column"))
        continue
    print(f"\n{column}: {len(labels):,} labels")
    for label, cells in list(labels.items())[:30]:
        print(f"  {cells:>9,}  {label}")
    if len(labels) > 30:
        print(f"  … and {len(labels) - 30:,} more")
print()
PYTHON

exec "$python" -m hyperperturb inspect "$file"
