"""Make calibration/ anew: the tables of the default plan, and a manifest with the SHA-256 of each file."""

import json
import sys

from spicekit.files import write_atomically
from spicekit.provenance import content_hash
from spicekit.resources import shipped_folder
from spicekit.tables.calibrate import calibrate
from spicekit.tables.plan import default_plan


def main() -> int:
    """Exit status 1 if a table could not be made."""
    store = shipped_folder("calibration")
    requests = default_plan()
    summary = calibrate(requests, store)
    names = {request.name for request in requests}
    for path in store.glob("*.h5"):
        if path.stem not in names:
            path.unlink()
    sums = {path.name: content_hash(path.read_bytes()) for path in sorted(store.glob("*.h5"))}
    write_atomically(store / "manifest.json", json.dumps({"sha256": sums}, indent=2) + "\n")
    print(f"{store}: {len(summary.made)} made, {len(summary.kept)} kept, {dict(summary.failed)} failed")
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
