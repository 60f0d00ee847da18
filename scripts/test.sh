#!/usr/bin/env bash
# Install what is missing, then check style and types and run the tests, one more at once than there are cores, as they
# wait for processes and disks; arguments go to pytest, which then runs them one after the other.
source "$(dirname "$0")/setup.sh"
# Pages are tested in a browser; without one those tests are left out, but for CI.
if ! command -v chromium >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing chromium"
    apt-get update -q >/dev/null
    apt-get install -y -q chromium >/dev/null
fi
.venv/bin/ruff check .
.venv/bin/ruff format --check --quiet .
# Types are checked beside the tests, and said at the end: mypy takes one core for the better part of a minute.
found=$(mktemp)
.venv/bin/mypy >"$found" 2>&1 & types=$!
trap 'kill $types 2>/dev/null || true; rm -f "$found"' EXIT
[ $# -gt 0 ] || set -- -n $(($(nproc) + 1)) --dist loadfile --no-loadscope-reorder
status=0
.venv/bin/python -m pytest "$@" || status=$?
wait $types || status=1
cat "$found"
exit $status
