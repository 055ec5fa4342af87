#!/usr/bin/env bash
# Make .venv when there is none and install a requirements file and this checkout into it.
# Usage: scripts/make_environment.sh requirements.txt        (PYTHON=python3.12 chooses the interpreter)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

requirements=$1
venv=.venv
tested="3.11 Linux x86_64"   # what requirements.txt was pinned on

say() { printf '%s\n' "$*" >&2; }
fail() { say "$@"; exit 1; }
recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local name
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        if command -v "$name" >/dev/null && recent "$name"; then
            command -v "$name"
            return
        fi
    done
    fail "HyperPerturb needs Python 3.11 or newer; found: $(python3 --version 2>&1 || echo none)." \
        "Install one (Debian: apt-get install python3 python3-venv) or name one: make PYTHON=/path/to/python3.11"
}

# Debian keeps what a virtual environment needs in a package of its own
ensure_venv_module() {
    local python=$1
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
    local package
    package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        say "Installing $package (Debian keeps Python's venv module apart) ..."
        apt-get update -qq >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >&2
    fi
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
        fail "Python cannot make virtual environments here. Install its venv module as root: apt-get install $package"
}

if ! recent "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    ensure_venv_module "$python"
    say "Making the environment $venv with $("$python" --version) ..."
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi

pip=("$venv/bin/python" -m pip --quiet)
say "Installing $requirements (some minutes the first time) ..."
if ! "${pip[@]}" install -r "$requirements"; then
    here=$("$venv/bin/python" -c 'import platform, sys; print("%d.%d" % sys.version_info[:2], platform.system(), platform.machine())')
    [[ $here != "$tested" ]] || fail "Installing $requirements failed; the lines above say why."
    say "The pinned versions were tested on Python $tested; on $here the newest fitting ones are tried instead ..."
    "${pip[@]}" install ".[dev]"
fi
"${pip[@]}" install --no-deps -e .
