#!/usr/bin/env bash
# Build the sdist, and the wheel out of it; install one of them in a clean environment outside the repository and use it
# as another user whose site-packages are read-only, with a home, without one, and with one that cannot be written.
#   scripts/try_wheel.sh [PYTHON] [EXTRAS] [wheel|sdist]     EXTRAS: networks (default), all ..., or none for the core
# SPICEKIT_TRY=whole runs the demo, too. SPICEKIT_TORCH=system takes torch from the system's packages.
set -euo pipefail
unset PYTHONPATH
python=${1:-python3}
extras=${2:-networks}
kind=${3:-wheel}
nobody=()  # permissions bind root to nothing: another user tries it
[ "$(id -u)" != 0 ] || nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
python=$("$python" -c 'import sys; print(sys.executable)')
# By way of env: setpriv itself still finds its program with root's rights.
(cd / && "${nobody[@]}" /usr/bin/env "$python" -c '') || {
    echo "$python: another user cannot run it, so none could use what is installed with it;" >&2
    echo "pass a Python that all users may read and run, as /usr/bin/python3 or one below /opt" >&2
    exit 2
}
repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
system=()
cp "$repository/constraints.txt" "$work/constraints.txt"
if [ "${SPICEKIT_TORCH:-}" = system ]; then
    system=(--system-site-packages)
    sed -i '/^torch==/d' "$work/constraints.txt"
fi
"$python" -m venv "${system[@]}" "$work/venv"
bin="$work/venv/bin"
pip() { "$bin/pip" --disable-pip-version-check "$@" --quiet -c "$work/constraints.txt"; }
"$python" -m venv "$work/builder"
"$work/builder/bin/pip" install --quiet --disable-pip-version-check build
"$work/builder/bin/python" -m build --outdir "$work/dist" "$repository" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
rm -r "$work/builder"
[ "$kind" = sdist ] && file=$(ls "$work"/dist/*.tar.gz) || file=$(ls "$work"/dist/*.whl)
[ "$extras" = none ] && wanted=$file || wanted="$file[$extras]"
pip install "$wanted"
"$python" --version
du -h "$work"/dist/* | awk -F'[\t/]' '{print $1, $NF}'
du -sh "$work/venv" | awk '{print "environment: " $1}'
mkdir "$work/use"
chmod 777 "$work/use"
cat >"$work/use.sh" <<'USE'
set -euo pipefail
bin=$1; cd "$2"
mkdir home unwritable
chmod 500 unwritable
"$bin/python" -c "import numpy as n; r = n.random.default_rng(0); n.save('w.npy', r.integers(0, 2, (64, 64), dtype=n.uint8)); n.save('a.npy', r.integers(0, 2, (2, 64), dtype=n.uint8))"
run() {
    name=$1; shift
    printf '  %-10s' "$name"
    start=$SECONDS
    /usr/bin/env -i PATH="$bin:/usr/bin:/bin" "${home[@]}" spicekit "$@" >out.txt 2>err.txt || { echo FAILED; cat out.txt err.txt; exit 1; }
    echo "$((SECONDS - start)) s"
}
everywhere() {
    echo "$1:"
    run doctor doctor
    grep "^ok *compiled code" out.txt | cut -c1-120 || true
    run netlist netlist tile --spec tile.toml --weights w.npy --inputs a.npy -o tile.cir --expect exact --read 0
    run deck netlist run tile.cir
    run tile tile --spec tile.toml --weights w.npy --inputs a.npy --out tile.npz
    run report report tile.npz --out tile.html
    [ "$5" = none ] || run evaluate evaluate --network vgg-small --spec tile.toml --images 8 --out result.json
    [ "$5" = none ] || run page report result.json --out result.html
}
home=(HOME="$PWD/home")
run version --version
run init init tile
everywhere "a home" "$@"
run cell init cell
printf '[tile]\nrows = 16\ncolumns = 8\nrows_active = 16\n[wires]\nr_bl = 3.2\nr_sl = 3.2\n' >small.toml
run tables tables verify
run calibrate calibrate --spec small.toml --store tables
run signoff signoff --spec small.toml --vectors 1 --store tables --out evidence
[ "$3" = quick ] || [ "$4" = none ] || run demo demo --out demo
home=()
everywhere "no home" "$@"
home=(HOME="$PWD/unwritable")
everywhere "a home that cannot be written" "$@"
ls -A unwritable | grep . && { echo "FAILED: it was written"; exit 1; }
touch "$bin/written" 2>/dev/null && { echo "FAILED: site-packages can be written"; exit 1; } || true
USE
use=(bash "$work/use.sh" "$bin" "$work/use" "${SPICEKIT_TRY:-quick}" "$extras")
if [ "${#nobody[@]}" -gt 0 ]; then
    # What must not be written is mounted so.
    unshare -m bash -c 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"' "$work/venv" "${nobody[@]}" "${use[@]}"
else
    chmod -R a-w "$work/venv"
    "${use[@]}"
    chmod -R u+w "$work/venv"
fi
