#!/bin/sh
# Makes the Python in which compare.py runs GEARS (about 1.2 GB). Its releases of 2023 do not take today's SciPy and
# pandas, so they cannot share an environment with hyperperturb.
# Usage: benchmarks/peers/make_environment.sh [FOLDER] (default: .venv beside this script)
set -eu
folder=${1:-$(dirname "$0")/.venv}
python3.11 -m venv "$folder"
"$folder/bin/python" -m pip install --upgrade pip
"$folder/bin/python" -m pip install "torch==2.13.0" --extra-index-url https://download.pytorch.org/whl/cpu
"$folder/bin/python" -m pip install "cell-gears==0.1.2" torch_geometric "scipy==1.13.1" "numpy<2.3" "pandas<2.3" \
    "anndata<0.13"
