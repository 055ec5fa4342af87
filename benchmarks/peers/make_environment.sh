#!/bin/sh
# Makes the Python in which compare.py runs GEARS (about 2 GB with PyTorch for CPUs). Its releases do not take today's
# SciPy, pandas and anndata, so they cannot share an environment with hyperperturb. Where PyTorch comes from is pip's
# own setting (PIP_EXTRA_INDEX_URL); the build for CPUs is enough and much the smallest.
# Usage: benchmarks/peers/make_environment.sh [FOLDER] (default: .venv beside this script; PYTHON names the interpreter)
set -eu
folder=${1:-$(dirname "$0")/.venv}
"${PYTHON:-python3.11}" -m venv "$folder"
"$folder/bin/python" -m pip install --upgrade pip
"$folder/bin/python" -m pip install "cell-gears==0.1.2" "torch==2.13.0" "torch_geometric==2.8.1" "scipy==1.13.1" \
    "numpy<2.3" "pandas<2.3" "anndata<0.13"
"$folder/bin/python" -c "import gears"
