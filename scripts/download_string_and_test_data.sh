#!/usr/bin/env bash
# Download the STRING network (human, v12.0) and the screen of Frangieh et al. 2021 (Perturb-CITE-seq) into data/raw.
# Usage: scripts/download_string_and_test_data.sh [FOLDER]
#
# An interrupted download goes on where it stopped when the script is run again; what is complete is left alone.
# A file gets its name only when it is whole: until then it is called NAME.part.
#
#   HYPERPERTURB_STRING_URL    where STRING's files are   (default: https://stringdb-downloads.org/download)
#   HYPERPERTURB_FIGSHARE_URL  where the screen's files are (default: https://plus.figshare.com/ndownloader/files)
#   HYPERPERTURB_RETRY_DELAY   seconds before another try (default: 3)
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${1:-${HYPERPERTURB_HOME:-$root}/data/raw}
string=${HYPERPERTURB_STRING_URL:-https://stringdb-downloads.org/download}
figshare=${HYPERPERTURB_FIGSHARE_URL:-https://plus.figshare.com/ndownloader/files}
delay=${HYPERPERTURB_RETRY_DELAY:-3}
tries=5   # without a byte of progress between them

say() { printf '%s\n' "$*"; }
complain() { printf '%s\n' "$*" >&2; }
size() { if [[ -e $1 ]]; then wc -c <"$1"; else echo 0; fi; }

if command -v curl >/dev/null; then
    tool=curl
elif command -v wget >/dev/null; then
    tool=wget
else
    complain "Neither curl nor wget is installed. Install one of them (Debian: apt-get install curl)."
    exit 1
fi

# One try: appends to the file what is missing. Prints the HTTP status (000 if there was no answer).
transfer_curl() {
    local url=$1 part=$2 progress=(--silent)
    [[ -t 2 ]] && progress=(--progress-bar)
    curl --fail --location --connect-timeout 30 --speed-limit 1 --speed-time 60 "${progress[@]}" \
        --continue-at - --output "$part" --write-out '%{http_code}' "$url"
}

transfer_wget() {
    local url=$1 part=$2 log status
    log=$(wget --continue --tries=1 --timeout=60 --server-response --output-document="$part" "$url" 2>&1)
    status=$?
    log=$(grep -oE 'HTTP/[0-9.]+ [0-9]{3}' <<<"$log" | tail -n 1)
    printf '%s' "${log##* }"
    return $status
}

# What a server sends instead of the file (a page, an error text) must not pass for it.
whole() {
    local part=$1 name=$2
    case $name in
        *.gz) gzip --test "$part" 2>/dev/null ;;
        *.h5ad) [[ $(head -c 4 "$part" | tail -c 3) == HDF ]] ;;
    esac
}

fetch() {
    local url=$1 name=$2 part=$folder/$2.part attempt=0 before status http
    if [[ -s $folder/$name ]]; then
        say "$name: already there"
        return 0
    fi
    if [[ -s $part ]]; then
        say "$name: going on after $(size "$part") bytes"
    else
        say "$name: downloading from $url"
    fi
    while true; do
        before=$(size "$part")
        http=$(transfer_$tool "$url" "$part")
        status=$?
        if [[ $status -eq 0 ]]; then
            break
        fi
        case $http in
            416)  # nothing is left to send: the part is whole, or it belongs to another file
                if whole "$part" "$name"; then break; fi
                rm -f "$part"
                ;;
            400 | 401 | 403 | 404 | 410)
                [[ -s $part ]] || rm -f "$part"
                complain "$name: the server has no such file (HTTP $http): $url"
                return 1
                ;;
        esac
        if [[ $tool == curl && $status -eq 33 ]]; then
            rm -f "$part"   # the server cannot go on in the middle of a file
        fi
        if [[ $tool == curl && $status -eq 23 || $tool == wget && $status -eq 3 ]]; then
            complain "$name: cannot write to $folder (disk full or not permitted)"
            return 1
        fi
        if (($(size "$part") > before)); then attempt=0; else attempt=$((attempt + 1)); fi
        if ((attempt >= tries)); then
            complain "$name: no answer after $tries tries (HTTP ${http:-000}, $tool $status): $url"
            complain "  Run the script again later; what was received is kept."
            return 1
        fi
        sleep "$delay"
    done
    if ! whole "$part" "$name"; then
        rm -f "$part"
        complain "$name: what the server sent is not the file that was asked for: $url"
        return 1
    fi
    mv "$part" "$folder/$name"
    say "$name: done, $(size "$folder/$name") bytes"
}

if ! mkdir -p "$folder"; then
    exit 1
fi
failed=0
fetch "$string/protein.links.v12.0/9606.protein.links.v12.0.txt.gz" 9606.protein.links.v12.0.txt.gz || failed=1
fetch "$string/protein.info.v12.0/9606.protein.info.v12.0.txt.gz" 9606.protein.info.v12.0.txt.gz || failed=1
fetch "$figshare/42428325" FrangiehIzar2021_protein.h5ad || failed=1
fetch "$figshare/42428808" FrangiehIzar2021_RNA.h5ad || failed=1
if ((failed)); then
    complain "Not everything could be downloaded."
    exit 1
fi
say "Everything is in $folder."
