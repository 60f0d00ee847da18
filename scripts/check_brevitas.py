"""Adopt brevitas' own TFC_1W1A and CNV_1W1A, as they come and from the QONNX files that brevitas makes of them.

Ideal tiles are compared with brevitas' network on images not seen before, and each file is evaluated on real ones.
brevitas asks for older releases of what it needs, so it goes into a folder of its own, without dependencies:

    pip install --no-deps --target DIR brevitas==0.13.4 dependencies==2.0.1 unfoldNd \
        onnxoptimizer onnxscript onnx-ir ml_dtypes
    python scripts/check_brevitas.py DIR
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

import spicekit as sk
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.evaluation.tiled import Tiles, on_tiles
from spicekit.networks.adopt import Survey, adopt_and_survey
from spicekit.networks.checkpoints import read_and_survey

SHAPES = {"tfc_1w1a": (1, 28, 28), "cnv_1w1a": (3, 32, 32)}
IDEAL = Tiles(sk.TileSpec(rows_active=16, wires=sk.Wires(r_bl=1, r_sl=1)), IdealCodes())
DESIGN = sk.design(layer="M2", pitch_nm=108, r_driver=100, r_sink=100, rows_active=16)


def main() -> int:
    """0 if all logits are equal: bit for bit as the networks come, within 1e-5 as files."""
    sys.path.append(str(Path(sys.argv[1])))
    from brevitas.export import export_qonnx  # type: ignore[import-not-found]
    from brevitas_examples.bnn_pynq import models  # type: ignore[import-not-found]

    torch.manual_seed(0)
    equal = []
    for name, shape in SHAPES.items():
        network = getattr(models, name)(pretrained=False)
        with torch.no_grad():
            network.train()(torch.rand(8, *shape))  # norms that have seen images
        network.eval()
        unseen = torch.rand(16, *shape)
        with torch.no_grad():
            logits = network(unseen)
        adopted, survey = adopt_and_survey(network, torch.rand(2, *shape))
        equal.append(_same(f"{name} as it comes", adopted, survey, unseen, logits))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{name}.onnx"
            export_qonnx(network, args=torch.rand(1, *shape), export_path=str(file))
            for beside in Path(folder).glob("*.data"):  # left behind; the file holds all weights
                beside.unlink()
            read, survey = read_and_survey(file)
        equal.append(_same(f"{name} as a QONNX file", read, survey, unseen, logits))
        images = unseen.numpy(), np.argmax(logits.numpy(), axis=1)
        print(f"{sk.evaluate(read, images, DESIGN)}; right is what brevitas says\n")
    return int(not all(equal))


def _same(what: str, network: nn.Module, survey: Survey, images: torch.Tensor, logits: torch.Tensor) -> bool:
    """Whether ideal tiles give the logits, but for the order in which a file adds floats; says so."""
    with torch.no_grad():
        found = on_tiles(network, IDEAL)(images)
    off = ((found - logits).abs().max() / logits.abs().max()).item()
    decisions = int((found.argmax(1) != logits.argmax(1)).sum())
    says = "give its logits bit for bit" if not off else f"are off by {off:.1e} of the largest logit"
    print(f"{what}: ideal tiles {says}, {decisions} of {len(images)} decisions differ\n{survey}\n")
    return off <= (1e-5 if "file" in what else 0) and not decisions


if __name__ == "__main__":
    sys.exit(main())
