#!/usr/bin/env bash
# Install what is missing, then check style and types and run the tests; arguments go to pytest.
source "$(dirname "$0")/setup.sh"
.venv/bin/ruff check .
.venv/bin/ruff format --check --quiet .
.venv/bin/mypy
exec .venv/bin/python -m pytest "$@"
