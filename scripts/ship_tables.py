"""Make calibration/ anew: the tables of the default plan, and a manifest with the SHA-256 of each file."""

import sys

from spicekit import calibrate
from spicekit.files import shipped_folder
from spicekit.tables.characterise import default_plan
from spicekit.tables.inventory import write_manifest


def main() -> int:
    """Exit status 1 if a table could not be made."""
    store = shipped_folder("calibration")
    requests = default_plan()
    summary = calibrate(requests, store)
    names = {request.name for request in requests}
    for path in store.glob("*.h5"):
        if path.stem not in names:
            path.unlink()
    write_manifest(store)
    print(f"{store}: {len(summary.made)} made, {len(summary.kept)} kept")
    faults = {**summary.failed, **summary.incomplete}
    for name, fault in faults.items():
        print(f"  {name}: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
