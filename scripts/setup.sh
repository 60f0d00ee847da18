#!/usr/bin/env bash
# Sourced by the other scripts: a virtual environment with spicekit in it, and ngspice. Quick when all is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ $(ldconfig -p) != *libngspice.so* ]] || ! command -v ngspice >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing ngspice"
        apt-get update -q >/dev/null
        apt-get install -y -q ngspice libngspice0 >/dev/null
    else
        echo "ngspice is missing; install it, then run this again:" >&2
        echo "    sudo apt-get install ngspice libngspice0" >&2
        exit 2
    fi
fi

if [ ! -x .venv/bin/python ]; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        { echo "spicekit needs Python 3.11 or later; this is $(python3 --version)." >&2; exit 2; }
    echo "making the virtual environment .venv"
    python3 -m venv .venv
fi
# Installed again only when what is asked for has changed.
wanted=$(cat pyproject.toml constraints.txt | sha256sum)
if [ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ]; then
    echo "installing spicekit (torch and others: some minutes the first time)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
    printf '%s\n' "$wanted" > .venv/installed
fi
