#!/usr/bin/env bash
# Install what is missing, then run the demo; arguments go to `spicekit demo`.
source "$(dirname "$0")/setup.sh"
exec .venv/bin/spicekit demo "$@"
