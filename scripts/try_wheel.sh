#!/usr/bin/env bash
# Build the wheel and the sdist, install the wheel in a clean environment outside the repository, and use it there as a
# user without a home whose site-packages are read-only.
#   scripts/try_wheel.sh [PYTHON] [EXTRAS]     extras: networks by default; none for the core. SPICEKIT_TRY=whole runs the demo, too
set -euo pipefail
unset PYTHONPATH
python=${1:-python3}
extras=${2:-networks}
repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
bin="$work/venv/bin"
"$bin/pip" install --quiet --disable-pip-version-check build
"$bin/python" -m build --outdir "$work/dist" "$repository" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
wheel=$(ls "$work"/dist/*.whl)
[ "$extras" = none ] && wanted=$wheel || wanted="$wheel[$extras]"
"$bin/pip" install --quiet --disable-pip-version-check -c "$repository/constraints.txt" "$wanted"
du -sh "$work/venv" | awk '{print "environment: " $1}'
cat >"$work/use.sh" <<'USE'
set -euo pipefail
cd "$1"; bin="$1/venv/bin"
# As root, permissions bind nobody: mount what must not be written.
if [ "$(id -u)" = 0 ] && mount --bind "$1/venv" "$1/venv" 2>/dev/null; then mount -o remount,ro,bind "$1/venv"; else chmod -R a-w "$1/venv"; fi
run() { printf '%-10s' "$1"; shift; /usr/bin/env -i PATH="$bin:/usr/bin:/bin" HOME=/nonexistent "$@" >out.txt 2>err.txt && echo ok || { echo FAILED; cat out.txt err.txt; exit 1; }; }
run version spicekit --version
run doctor spicekit doctor
run init spicekit init tile
"$bin/python" -c "import numpy as n; r = n.random.default_rng(0); n.save('w.npy', r.integers(0, 2, (64, 64), dtype=n.uint8)); n.save('a.npy', r.integers(0, 2, (2, 64), dtype=n.uint8))"
run netlist spicekit netlist tile --spec tile.toml --weights w.npy --inputs a.npy -o tile.cir --expect exact --read 0
run tile spicekit tile --spec tile.toml --weights w.npy --inputs a.npy --out tile.npz
run report spicekit report tile.npz --out tile.html
run tables spicekit tables verify
printf '[tile]\nrows = 16\ncolumns = 8\nrows_active = 16\n[wires]\nr_bl = 3.2\nr_sl = 3.2\n' >small.toml
run calibrate spicekit calibrate --spec small.toml --store tables
run signoff spicekit signoff --spec small.toml --vectors 1 --store tables --out evidence
run cell spicekit init cell
[ "$3" = none ] || run evaluate spicekit evaluate --network vgg-small --spec tile.toml --images 8 --out result.json
[ "$3" = none ] || run page spicekit report result.json --out result.html
[ "$2" = quick ] || [ "$3" = none ] || run demo spicekit demo --out demo
USE
use=(bash "$work/use.sh" "$work" "${SPICEKIT_TRY:-quick}" "$extras")
if [ "$(id -u)" = 0 ]; then unshare -m "${use[@]}"; else "${use[@]}"; fi
