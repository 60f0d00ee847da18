"""Write what the engines give today beside the tests that hold them to it: python tests/golden/record.py [shipped]

To be run only where results are meant to move; CHANGELOG.md then says which, by how much and why.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from cases import current_cases, fingerprint, product_cases, shipped_accuracies

FOLDER = Path(__file__).parent


def main() -> None:
    """Write products.json, currents.json and shipped.json; with `shipped`, the last alone."""
    (FOLDER / "shipped.json").write_text(json.dumps(shipped_accuracies(), indent=1) + "\n")
    if sys.argv[1:] == ["shipped"]:
        return
    products = {name: fingerprint(run()) for name, run in product_cases()}
    currents = {name: np.round(1e6 * run()[0], 12).tolist() for name, run in current_cases()}
    (FOLDER / "products.json").write_text(json.dumps(products, indent=1) + "\n")
    (FOLDER / "currents.json").write_text(json.dumps({"unit": "uA", **currents}, indent=1) + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:  # nothing of another version of the code
        import os

        os.environ["SPICEKIT_CACHE"] = cache
        main()
