"""FINN's CNV with 1-bit weights and activations, as Xilinx trained it: adopted as it comes, whole on tiles.

Needs what does not ship: SPICEKIT_FINN names the folder with cnv_w1a1.npz, SPICEKIT_CIFAR10 that of CIFAR-10.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.evaluation.tiled import Tiles, on_tiles, tiled_layers
from spicekit.mapping.binsparx import BinSparX
from spicekit.networks.adopt import adopt
from spicekit.networks.data import load_dataset
from spicekit.networks.inference import accuracy, predict_logits

FINN, CIFAR = (os.environ.get(name) for name in ("SPICEKIT_FINN", "SPICEKIT_CIFAR10"))
pytestmark = pytest.mark.skipif(not (FINN and CIFAR), reason="SPICEKIT_FINN and SPICEKIT_CIFAR10 are not set")


class Cnv(nn.Module):
    """Six convolutions without padding and three linear layers; batch norms are folded into thresholds."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for place in range(9):
            shape = tuple(arrays[f"layer{place}_shape"])
            bits = np.unpackbits(arrays[f"layer{place}_bits"], count=int(np.prod(shape))).reshape(shape)
            layer = nn.Conv2d(shape[1], shape[0], 3, bias=False) if len(shape) == 4 else nn.Linear(*shape[::-1], False)
            layer.weight.data = torch.from_numpy(2.0 * bits - 1).float()
            self.layers.append(layer)
            if place < 8:
                self.register_buffer(f"threshold{place}", torch.from_numpy(arrays[f"layer{place}_threshold"]))

    def forward(self, pixels: Tensor) -> Tensor:
        x = torch.clamp(torch.floor(256 * pixels - 128), -128, 127) / 128
        for place, layer in enumerate(self.layers):
            x = layer(x.flatten(1) if place == 6 else x)
            if place < 8:
                threshold = getattr(self, f"threshold{place}")
                x = torch.where(x > (threshold[:, None, None] if place < 6 else threshold), 1.0, -1.0)
            if place in (1, 3):
                x = functional.max_pool2d(x, 2)
        return x[:, :10]  # by its README: the last layer has 64 outputs, the first ten are the classes


@pytest.fixture(scope="module")
def cnv() -> nn.Module:
    with np.load(Path(str(FINN)) / "cnv_w1a1.npz") as arrays:
        return Cnv(dict(arrays)).eval()


def test_finns_cnv_has_its_accuracy_and_the_same_on_ideal_tiles(cnv):
    images = load_dataset("cifar10", "test", folder=CIFAR).first(500)
    assert accuracy(predict_logits(cnv, images), images) == 0.812  # by its README
    few = images.first(64)
    adopted = adopt(cnv, torch.rand(2, 3, 32, 32))
    spec = TileSpec(rows=64, rows_active=16, wires=Wires(r_bl=1, r_sl=1))
    for binsparx in (BinSparX(), BinSparX(static=True, dynamic=True)):
        tiled = on_tiles(adopted, Tiles(spec, IdealCodes(), binsparx))
        assert len(tiled_layers(tiled)) == 8
        assert torch.equal(predict_logits(tiled, few), predict_logits(cnv, few))
