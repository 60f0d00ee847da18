#!/usr/bin/env bash
# Build the wheel and the sdist, install the wheel in a clean environment outside the repository, and use it there as a
# user without a home whose site-packages are read-only.
#   scripts/try_wheel.sh [PYTHON] [--without-torch]     SPICEKIT_TRY=whole runs the demo, too
set -euo pipefail
unset PYTHONPATH
python=${1:-python3}
repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
bin="$work/venv/bin"
"$bin/pip" install --quiet --disable-pip-version-check build
"$bin/python" -m build --outdir "$work/dist" "$repository" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
wheel=$(ls "$work"/dist/*.whl)
if [ "${2:-}" = --without-torch ]; then
    "$bin/pip" install --quiet --disable-pip-version-check --no-deps "$wheel"
    "$bin/pip" install --quiet --disable-pip-version-check -c <(grep -v '^torch' "$repository/constraints.txt") \
        $("$bin/python" -c 'import importlib.metadata as m
print(*[r.split(";")[0] for r in m.requires("spicekit-cim") if "extra" not in r and not r.startswith("torch")])')
else
    "$bin/pip" install --quiet --disable-pip-version-check -c "$repository/constraints.txt" "$wheel"
fi
du -sh "$work/venv" | awk '{print "environment: " $1}'
cat >"$work/use.sh" <<'USE'
set -euo pipefail
cd "$1"; bin="$1/venv/bin"
# As root, permissions bind nobody: mount what must not be written.
if [ "$(id -u)" = 0 ] && mount --bind "$1/venv" "$1/venv" 2>/dev/null; then mount -o remount,ro,bind "$1/venv"; else chmod -R a-w "$1/venv"; fi
run() { printf '%-10s' "$1"; shift; /usr/bin/env -i PATH="$bin:/usr/bin:/bin" HOME=/nonexistent "$@" >out.txt 2>err.txt && echo ok || { echo FAILED; cat out.txt err.txt; exit 1; }; }
run version spicekit --version
[ "$3" = none ] || run doctor spicekit doctor
run init spicekit init tile
"$bin/python" -c "import numpy as n; r = n.random.default_rng(0); n.save('w.npy', r.integers(0, 2, (64, 64), dtype=n.uint8)); n.save('a.npy', r.integers(0, 2, (2, 64), dtype=n.uint8))"
run netlist spicekit netlist tile --spec tile.toml --weights w.npy --inputs a.npy -o tile.cir --expect exact --read 0
run tile spicekit tile --spec tile.toml --weights w.npy --inputs a.npy --out tile.npz
[ "$3" = none ] || run report spicekit report tile.npz --out tile.html
run tables spicekit tables verify
[ "$3" = none ] || run evaluate spicekit evaluate --network vgg-small --spec tile.toml --images 8 --out result.json
[ "$3" = none ] || run page spicekit report result.json --out result.html
[ "$2" = quick ] || run demo spicekit demo --out demo
USE
torch=${2:+none}
if [ "$(id -u)" = 0 ]; then
    unshare -m bash "$work/use.sh" "$work" "${SPICEKIT_TRY:-quick}" "${torch:-torch}"
else
    bash "$work/use.sh" "$work" "${SPICEKIT_TRY:-quick}" "${torch:-torch}"
fi
