"""Adopt brevitas' own TFC_1W1A and CNV_1W1A as they come, and compare ideal tiles with them on images not seen before.

brevitas asks for older releases of what it needs, so it goes into a folder of its own, without dependencies:

    pip install --no-deps --target DIR brevitas dependencies==2.0.1 unfoldNd
    python scripts/check_brevitas.py DIR
"""

import sys
from pathlib import Path

import torch

from spicekit import TileSpec, Wires
from spicekit.engines.fast.model import IdealCodes
from spicekit.evaluation.tiled import Tiles, on_tiles
from spicekit.networks.adopt import adopt_and_survey

SHAPES = {"tfc_1w1a": (1, 28, 28), "cnv_1w1a": (3, 32, 32)}


def main() -> int:
    """0 if all logits are equal, bit for bit."""
    sys.path.append(str(Path(sys.argv[1])))
    from brevitas_examples.bnn_pynq import models  # type: ignore[import-not-found]

    torch.manual_seed(0)
    wrong = 0
    for name, shape in SHAPES.items():
        network = getattr(models, name)(pretrained=False)
        with torch.no_grad():
            network.train()(torch.rand(8, *shape))  # norms that have seen images
        network.eval()
        adopted, survey = adopt_and_survey(network, torch.rand(2, *shape))
        tiled = on_tiles(adopted, Tiles(TileSpec(rows_active=16, wires=Wires(r_bl=1, r_sl=1)), IdealCodes()))
        unseen = torch.rand(4, *shape)
        with torch.no_grad():
            equal = torch.equal(tiled(unseen), network(unseen))
        wrong += not equal
        print(f"{name}: ideal tiles {'give its logits' if equal else 'DIFFER'}\n{survey}\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
