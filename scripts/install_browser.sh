#!/usr/bin/env bash
# A browser for the tests: one that is there, else Debian's chromium through apt as root, else Playwright's own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*" >&2; }
there() {
    local name
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        # Ubuntu's chromium can be an empty wrapper around a snap: only one that answers counts
        if command -v "$name" >/dev/null && "$name" --version >/dev/null 2>&1; then return 0; fi
    done
    return 1
}

there && exit 0
if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    say "Installing chromium through apt ..."
    apt-get update -qq >&2 || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-liberation >&2 || true
    there && exit 0
fi
say "Installing Playwright's chromium ..."
.venv/bin/python -m playwright install chromium >&2
