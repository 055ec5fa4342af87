#!/usr/bin/env bash
# Download the STRING network (human, v12.0) and the screen of Frangieh & Izar 2021 (Perturb-CITE-seq) into data/raw,
# and register them in the workspace (HYPERPERTURB_HOME, by default this folder).
# Usage: scripts/download_string_and_test_data.sh [FOLDER]
#
# This is: hyperperturb download string-human frangieh-2021-protein frangieh-2021
# An interrupted download goes on where it stopped; what is there is checked and left alone. What else there is:
# hyperperturb download --list
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export HYPERPERTURB_HOME=${HYPERPERTURB_HOME:-$root}
folder=${1:-$HYPERPERTURB_HOME/data/raw}

python=${PYTHON:-$root/.venv/bin/python}
command -v "$python" >/dev/null || python=python3
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}

exec "$python" -m hyperperturb download string-human frangieh-2021-protein frangieh-2021 --to "$folder"
