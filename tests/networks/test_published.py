"""What the world has published runs unmodified: ideal tiles give the integer sums of a double-precision reference."""

import copy

import published as nets
import published_later as later
import pytest
import torch

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.evaluation.tiled import Tiles, on_tiles
from spicekit.mapping.binsparx import BinSparX
from spicekit.networks.adopt import adopt
from spicekit.networks.as_written import AsWritten, child_name
from spicekit.networks.layers import binary_layers

SPEC = TileSpec(rows=64, rows_active=16, wires=Wires(r_bl=1, r_sl=1))

CASES = {
    "IR-Net ResNet-20": (nets.ir_resnet20, (3, 32, 32), 18),
    "IR-Net ResNet-20, 28 pixels, grey": (lambda: nets.ir_resnet20(channels=1), (1, 28, 28), 18),
    "IR-Net ResNet-20, 64 pixels": (nets.ir_resnet20, (3, 64, 64), 18),
    "IR-Net VGG-small": (lambda: nets.vgg_small(nets.IrConv2d), (3, 32, 32), 5),
    "ReCU VGG-small": (lambda: nets.vgg_small(nets.RecuConv2d), (3, 32, 32), 5),
    "ReCU VGG-small, 64 pixels": (lambda: nets.vgg_small(nets.RecuConv2d, side=64), (3, 64, 64), 5),
    "Bi-Real-18, 224 pixels": (nets.bireal, (3, 224, 224), 16),
    "ReActNet-A, 224 pixels": (nets.reactnet_a, (3, 224, 224), 31),
    "XNOR-Net NIN": (nets.xnor_nin, (3, 32, 32), 7),
    "Bi-Real-34, 64 pixels": (lambda: nets.bireal((6, 8, 12, 6)), (3, 64, 64), 32),
    "BinaryDenseNet": (later.binary_densenet, (3, 32, 32), 9),
    "BinaryDenseNet, 64 pixels": (later.binary_densenet, (3, 64, 64), 9),
    "MeliusNet": (later.meliusnet, (3, 32, 32), 8),
    "MeliusNet, 56 pixels": (later.meliusnet, (3, 56, 56), 8),
    "XNOR-Net++": (later.xnor_plus, (3, 32, 32), 4),
    "XNOR-Net++, 64 pixels": (lambda: later.xnor_plus(side=64), (3, 64, 64), 4),
    "QuickNet": (later.quicknet, (3, 32, 32), 4),
    "QuickNet, 112 pixels": (later.quicknet, (3, 112, 112), 4),
    "RBNN": (later.rbnn_resnet, (3, 32, 32), 3),
    "RBNN, 28 pixels": (later.rbnn_resnet, (3, 28, 28), 3),
    "BATS": (later.bats, (3, 32, 32), 6),
    "BATS, 48 pixels": (later.bats, (3, 48, 48), 6),
    "FINN CNV": (nets.finn_cnv, (3, 32, 32), 8),
    "FINN LFC": (nets.finn_lfc, (1, 28, 28), 4),
}


@pytest.mark.parametrize("name", CASES)
def test_ideal_tiles_give_the_integer_sums_of_a_published_network(name):
    torch.manual_seed(0)
    build, shape, count = CASES[name]
    network = nets.settled(build(), torch.randn(4 if shape[1] > 100 else 16, *shape))
    before = copy.deepcopy(network.state_dict())
    adopted = adopt(network, torch.randn(2, *shape))
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in before.items() if "1" not in key[-2:])
    unseen = torch.randn(2, *shape)
    with torch.no_grad():
        wanted = network(unseen)
        sums = {}
        for binsparx in (BinSparX(), BinSparX(static=True, dynamic=True)):
            tiled = on_tiles(adopted, Tiles(SPEC, IdealCodes(), binsparx))
            sums = _sums_against_reference(tiled, unseen)
            logits = tiled(unseen)
            assert torch.equal(logits, adopted(unseen)), "tiles give what the adopted network gives, bit for bit"
    assert set(sums) == {name.rpartition(".binary")[0] for name in binary_layers(adopted)}
    assert len(sums) == count
    assert all(sums.values())
    # Rounding alone, of a product by s * sign(w), may carry an activation over a threshold.
    close = (logits - wanted).abs() <= 1e-5 * wanted.abs().max()
    assert close.all(), f"{int((logits.argmax(1) != wanted.argmax(1)).sum())} of {len(wanted)} decisions differ"


def _sums_against_reference(tiled, images):
    """Whether each binary layer's integers are those of its authors' layer, of the inputs that it gets."""
    equal, handles = {}, []

    def watch(name, around):
        integers = []

        def keep(_layer, _inputs, output):
            integers.append(output)

        def compare(around, inputs, _output):
            found = torch.cat(integers, dim=1).double()
            integers.clear()
            equal[name] = torch.equal(found, around.written.integers(inputs[0]))

        for place in around.bits:
            layers = around.get_submodule(child_name(place))
            for layer in layers if isinstance(layers, torch.nn.ModuleList) else [layers]:  # one for each group
                handles.append(layer.register_forward_hook(keep))
        handles.append(around.register_forward_hook(compare))

    for name, module in tiled.named_modules():
        if isinstance(module, AsWritten):
            watch(name, module)
    tiled(images)
    for handle in handles:
        handle.remove()
    return equal
