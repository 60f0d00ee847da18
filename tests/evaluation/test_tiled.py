"""A network on tiles is a module like any other."""

import copy
import dataclasses
import functools
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.engines.fast.model import read_model
from spicekit.errors import BadInput
from spicekit.evaluation.convert import convert
from spicekit.evaluation.design import Design
from spicekit.evaluation.reads import added, lay_out, tallies
from spicekit.evaluation.tiled import TiledConv2d, Tiles, on_tiles, tiled_layers
from spicekit.networks.adopt import adopt
from spicekit.networks.data import load_dataset, network_inputs
from spicekit.networks.layers import BinaryConv2d, BinaryLinear, signs_of
from spicekit.networks.models import Architecture, build

DESIGN = Design(tile=TileSpec(rows_active=16, wires=Wires(r_bl=3.2, r_sl=3.2)))
FLAWED = {"offset": 0.3, "inl": 0.2, "seed": 1}


@pytest.fixture(scope="module")
def network():
    return build(Architecture(name="vgg-small", width=0.0625)).eval()


@pytest.fixture(scope="module")
def images():
    return network_inputs(load_dataset("digits", "test").first(12))


@pytest.fixture(scope="module")
def tiled(network, sram_table):
    return convert(network, DESIGN, mitigation="both", table=sram_table)


@torch.inference_mode()
def logits(network, images):
    return network(images)


@pytest.mark.parametrize("converter", [{}, FLAWED, {"reference": "linear"}], ids=["unit", "flawed", "linear"])
@pytest.mark.parametrize("rows_active", [16, 64])
def test_what_was_pickled_or_copied_computes_the_same(network, images, sram_table, converter, rows_active):
    design = DESIGN.replace(
        tile={**DESIGN.tile.model_dump(), "rows_active": rows_active},
        converter=converter,
        variation={"stuck_at_0": 0.02},
    )
    calibration = load_dataset("digits", "train").first(16)
    tiled = convert(network, design, mitigation="both", table=sram_table, calibration=calibration)
    found = logits(tiled, images)
    assert not torch.equal(found, logits(network, images))
    assert torch.equal(logits(pickle.loads(pickle.dumps(tiled)), images), found)
    assert torch.equal(logits(copy.deepcopy(tiled), images), found)


def test_the_network_stays_as_it_was_and_conversions_stand_side_by_side(network, images, tiled, sram_table):
    own = logits(network, images)
    others = {kind: convert(network, DESIGN, mitigation=kind, table=sram_table) for kind in ("none", "both")}
    found = {kind: logits(other, images) for kind, other in others.items()}
    assert torch.equal(logits(network, images), own)
    assert not any(isinstance(layer, TiledConv2d) for layer in network.modules())
    assert torch.equal(found["both"], logits(tiled, images))
    assert not torch.equal(found["both"], found["none"])


def test_threads_may_share_it(tiled, images):
    whole = logits(tiled, images)
    loader = DataLoader(TensorDataset(images), batch_size=3)
    with ThreadPoolExecutor(4) as threads:
        parts = list(threads.map(lambda batch: logits(tiled, batch[0]), [*loader, *loader]))
    assert torch.equal(torch.cat(parts), torch.cat([whole, whole]))


def test_a_loader_with_processes_feeds_it(tiled, images):
    whole = logits(tiled, images)
    loader = DataLoader(TensorDataset(images), batch_size=5, num_workers=1)
    assert torch.equal(torch.cat([logits(tiled, batch) for (batch,) in loader]), whole)


def test_its_state_is_that_of_the_network(network, tiled, images, sram_table):
    """So one network's weights can be written into the cells of another."""
    assert tiled.state_dict().keys() == network.state_dict().keys()
    other = build(Architecture(name="vgg-small", width=0.0625), seed=1).eval()
    rewritten = convert(other, DESIGN, mitigation="both", table=sram_table)
    assert not torch.equal(logits(rewritten, images), logits(tiled, images))
    rewritten.load_state_dict(network.state_dict())
    assert torch.equal(logits(rewritten, images), logits(tiled, images))


def test_cells_are_written_anew_when_weights_change(tiled, images):
    changed = copy.deepcopy(tiled)
    before = logits(changed, images)
    with torch.no_grad():
        changed.conv4.weight.neg_()
    after = logits(changed, images)
    assert not torch.equal(after, before)
    changed.conv4.weight.data.neg_()  # as training loops of binary networks do
    assert torch.equal(logits(changed, images), before)


def test_it_says_what_it_is(tiled):
    assert "on 2 x 1 tiles of 64 x 64 8t-sram, 16 rows a read, BinSparX static and dynamic" in repr(tiled.conv2)
    assert list(tiled_layers(tiled)) == [f"conv{k}" for k in range(2, 7)]
    assert "TiledConv2d" in str(tiled)


def test_it_moves_to_another_type_and_back(tiled, images):
    found = logits(tiled, images)
    moved = copy.deepcopy(tiled).to("cpu").double()
    assert logits(moved, images.double()).dtype == torch.float64
    assert torch.equal(logits(moved.float(), images), found)


def test_a_single_layer_is_a_network(sram_table):
    layer = BinaryConv2d(3, 5).eval()
    tiled = convert(layer, DESIGN, table=sram_table)
    assert isinstance(tiled, TiledConv2d)
    assert logits(tiled, torch.randn(2, 3, 8, 8)).shape == (2, 5, 8, 8)


@pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")  # torch's own
def test_it_compiles_with_the_same_logits(sram_table):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), BinaryConv2d(4, 4), nn.Flatten()).eval()
    images = torch.randn(2, 3, 6, 6)
    tiled = convert(network, DESIGN, table=sram_table)
    found = logits(tiled, images)
    assert torch.equal(logits(torch.compile(tiled, backend="aot_eager"), images), found)
    assert torch.equal(logits(convert(torch.compile(network), DESIGN, table=sram_table), images), found)
    adopted = adopt(nn.Sequential(nn.Conv2d(3, 4, 3), Written(4, 4, 3), nn.Flatten()), images)
    tiled = on_tiles(adopted, Tiles(DESIGN.tile, IdealCodes()))
    assert torch.equal(logits(torch.compile(tiled, backend="aot_eager"), images), logits(adopted, images))
    assert tiled_layers(tiled)["1.binary"].images_seen == 2


def test_a_kind_of_layer_that_tiles_do_not_know_is_refused(sram_table):
    class Own(BinaryConv2d):
        pass

    with pytest.raises(BadInput, match="layer '0' is a Own; tiles compute BinaryConv, BinaryConv2d"):
        convert(torch.nn.Sequential(Own(3, 5)), DESIGN, table=sram_table)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"converter": {"reference": "linear"}}, "reference = 'linear' is fitted: pass calibration images"),
        ({"mapping": {"recalibrate": 8}}, "only 0 images are there"),
    ],
)
def test_missing_calibration_images_are_asked_for(network, sram_table, changes, words):
    with pytest.raises(BadInput, match=words):
        convert(network, DESIGN.replace(**changes), table=sram_table)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_of_another_precision_is_on_ideal_tiles_what_it_is(kind):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), BinaryConv2d(64, 32), nn.BatchNorm2d(32), nn.Flatten()
    )
    network.train()(torch.rand(8, 3, 8, 8))
    network.eval()
    spec = TileSpec(rows_active=16, wires=Wires(r_bl=1, r_sl=1))
    tiled, images = on_tiles(network, Tiles(spec, IdealCodes())), torch.rand(4, 3, 8, 8)
    with torch.no_grad():
        if kind != torch.float64:
            with torch.autocast("cpu", kind):
                assert torch.equal(tiled(images), network(images))
        assert torch.equal(tiled.to(kind)(images.to(kind)), network.to(kind)(images.to(kind)))


class Written(nn.Conv2d):
    """A binary layer of a user's own."""

    def forward(self, x):
        return nn.functional.conv2d(signs_of(x), signs_of(self.weight), padding=1)


class Listed(nn.Module):
    """Calls its layers from a plain list."""

    def __init__(self, *layers):
        super().__init__()
        self.first, self.second = layers
        self.order = list(layers)

    def forward(self, x):
        for layer in self.order:
            x = layer(x)
        return x


def layer_of(kind):
    return BinaryConv2d(4, 4) if kind == "native" else Written(4, 4, 3)


def calls_on_tiles(network):
    """How often each layer's tiles were read in one pass."""
    images = torch.randn(2, 4, 5, 5)
    network = adopt(network, images) if any(isinstance(each, Written) for each in network.modules()) else network
    tiled = on_tiles(network, Tiles(DESIGN.tile, IdealCodes()))
    assert torch.equal(logits(tiled, images), logits(network, images))
    return [layer.images_seen // len(images) for layer in tiled_layers(tiled).values()]


@pytest.mark.parametrize("kind", ["native", "adopted"])
def test_a_layer_that_is_held_by_two_names_is_on_tiles_by_both(kind):
    layer = layer_of(kind)
    assert calls_on_tiles(nn.Sequential(layer, nn.ReLU(), layer)) == [2]


@pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")  # torch's own
@pytest.mark.filterwarnings("ignore:.*autograd.function.Function.* should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("kind", ["native", "adopted"])
def test_a_wrapped_layer_is_on_tiles(kind):
    compiled = torch.compile(layer_of(kind), backend="eager")
    assert calls_on_tiles(nn.Sequential(compiled, nn.DataParallel(layer_of(kind)))) == [1, 1]
    assert calls_on_tiles(nn.Sequential(nn.DataParallel(compiled))) == [1]


def test_a_layer_in_a_plain_list_is_on_tiles_or_refused():
    assert calls_on_tiles(Listed(layer_of("native"), layer_of("native"))) == [1, 1]
    with pytest.raises(BadInput, match=r"layer first computes a binary product .*references that PyTorch knows"):
        calls_on_tiles(Listed(layer_of("adopted"), layer_of("adopted")))


def test_a_stored_method_of_a_layer_goes_to_its_tiles():
    class Stored(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = layer_of("native")
            self.stored, self.listed = self.conv.forward, [functools.partial(self.conv.forward)]

        def forward(self, x):
            return self.listed[0](self.stored(x))

    assert calls_on_tiles(Stored()) == [2]


def test_layers_that_share_their_weights_go_on_sharing_them():
    network = nn.Sequential(layer_of("native"), nn.ReLU(), layer_of("native"))
    network[2].weight = network[0].weight
    tiled = on_tiles(network, Tiles(DESIGN.tile, IdealCodes()))
    for copied in (tiled, copy.deepcopy(tiled), pickle.loads(pickle.dumps(tiled))):
        assert copied[0].weight is copied[2].weight
        assert copied[0].weight is not network[0].weight
        with torch.no_grad():
            copied[0].weight.neg_()
        images = torch.randn(2, 4, 5, 5)
        network.load_state_dict(copied.state_dict())
        assert torch.equal(logits(copied, images), logits(network, images))


def test_a_forward_set_on_a_layer_is_refused():
    layer = layer_of("native")
    layer.forward = layer.forward
    with pytest.raises(BadInput, match="layer '0' has a `forward` set on the object"):
        calls_on_tiles(nn.Sequential(layer))


def test_a_layer_that_images_never_reach_is_named(sram_table):
    class Around(nn.Sequential):
        def forward(self, x):
            return self[1](x).mean((2, 3))

    network, images = (
        Around(BinaryConv2d(3, 10), BinaryConv2d(3, 10)),
        load_dataset("digits", "test").first(1),
    )
    layers = lay_out(network, DESIGN, mitigation="none")
    with pytest.raises(BadInput, match="layer '0' is not called"):
        tallies(network, images, layers, read_model(DESIGN.tile, sram_table))


@pytest.mark.parametrize("layer", [BinaryConv2d(3, 10), BinaryLinear(32, 10)], ids=["convolution", "linear"])
def test_a_layer_whose_forward_a_network_calls_itself_reads_what_a_called_one_does(sram_table, layer):
    class Directly(nn.Sequential):
        def forward(self, x):
            return self[0].forward(x).mean((2, 3)).repeat(1, 4)

    class Called(nn.Sequential):
        def forward(self, x):
            return self[0](x).mean((2, 3)).repeat(1, 4)

    images = load_dataset("digits", "test").first(1)
    found = []
    for kind in (Directly, Called):
        layers = lay_out(kind(layer), DESIGN, mitigation="both")
        read = tallies(kind(layer), images, layers, read_model(DESIGN.tile, sram_table))
        found.append(added(read.values()))
    assert found[0].reads.sum() > 0
    for field in dataclasses.fields(found[0]):
        assert np.array_equal(getattr(found[0], field.name), getattr(found[1], field.name)), field.name
    on_tiles = [convert(kind(layer), DESIGN, table=sram_table) for kind in (Directly, Called)]
    assert torch.equal(*(network(network_inputs(images)) for network in on_tiles))


def test_a_binary_product_beside_the_projects_layers_is_not_counted_as_if_it_were_not_there(sram_table):
    network = nn.Sequential(BinaryConv2d(3, 4), Written(4, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images = load_dataset("digits", "test").first(2)
    with pytest.raises(BadInput, match=r"layer 1 computes a binary product .*give adopt\(\) the network"):
        tallies(network, images, lay_out(network, DESIGN, mitigation="none"), read_model(DESIGN.tile, sram_table))
    tiled = convert(network, DESIGN, table=sram_table)
    with pytest.raises(BadInput, match=r"layer 1 computes a binary product"):
        tiled(network_inputs(images))
    adopted = adopt(network, network_inputs(images))
    layers = lay_out(adopted, DESIGN, mitigation="none")
    assert list(tallies(adopted, images, layers, read_model(DESIGN.tile, sram_table))) == ["0", "1.binary"]
    left = adopt(network, network_inputs(images), binary=[])
    assert list(lay_out(left, DESIGN, mitigation="none")) == ["0"]
