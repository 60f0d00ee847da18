"""The engine in torch against the compiled one: the same codes, on the processor and, where there is one, on a GPU."""

from typing import get_args

import numpy as np
import pytest
import torch

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.converter import Converter
from spicekit.engines.fast.die import codes_of_die
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.engines.fast.model import fit_thresholds, read_model
from spicekit.engines.fast.torch_backend import codes_on
from spicekit.errors import BadInput
from spicekit.evaluation.tiled import Tiles, on_tiles
from spicekit.mapping.binsparx import BinSparX
from spicekit.mapping.layers import Geometry, map_layer
from spicekit.mapping.packed import apply_inputs, pack_layer
from spicekit.mapping.torch_backend import products_on
from spicekit.networks.data import load_dataset
from spicekit.networks.inference import predict_logits
from spicekit.networks.models import Architecture, NetworkName, build

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_gpu)]


def spec_of(rows_active: int, cell: str = "8t-sram") -> TileSpec:
    rows = max(64, rows_active)
    return TileSpec(cell=cell, rows=rows, rows_active=rows_active, wires=Wires(r_bl=3.2, r_sl=3.2))


def packed_of(spec: TileSpec, binsparx: BinSparX):
    """A layer whose last tile is filled in part."""
    rng = np.random.default_rng(1)
    weights = (rng.random((6, 23, 3, 3)) < rng.uniform(0.2, 0.9, (6, 1, 1, 1))).astype(np.uint8)
    return pack_layer(map_layer("layer", weights, Geometry.square(23, 3, 2, 1), spec, binsparx=binsparx))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
@pytest.mark.parametrize(("rows_active", "bits"), [(4, None), (16, None), (16, 4), (64, 5)])
def test_sums_of_codes_are_those_of_the_compiled_engine(tables, device, cell, rows_active, bits):
    spec = spec_of(rows_active, cell)
    model = read_model(spec, tables[cell])
    codes = model.codes(fit_thresholds(model, Converter(bits=bits), None))
    for binsparx in (BinSparX(), BinSparX(static=True, dynamic=True)):
        packed = packed_of(spec, binsparx)
        images = (np.random.default_rng(2).random((3, 23, 6, 5)) < 0.6).astype(np.uint8)
        applied = apply_inputs(packed, images)
        ours = codes_on(device, codes, rows=rows_active).sums(packed.stored, applied)
        assert (ours == codes.sums(packed.stored, applied)).all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", get_args(NetworkName))
@pytest.mark.parametrize("rows_active", [16, 64])
def test_a_network_has_the_logits_of_the_compiled_engine(sram_table, device, name, rows_active):
    """On the processor bit for bit; a GPU's own first layer and classifier round differently."""
    torch.manual_seed(0)
    network = build(Architecture(name=name, width=0.125)).eval()
    images = load_dataset("digits", "test").first(5)
    spec = spec_of(rows_active)
    model = read_model(spec, sram_table)
    codes = model.codes(fit_thresholds(model, Converter(), None))
    binsparx = BinSparX(static=True, dynamic=True)
    compiled = predict_logits(on_tiles(network, Tiles(spec, codes, binsparx)), images)
    device_codes = codes_on(device, codes, rows=rows_active)
    ours = predict_logits(on_tiles(network, Tiles(spec, device_codes, binsparx)).to(device), images)
    if device == "cpu":
        assert torch.equal(ours, compiled)
    else:
        assert torch.allclose(ours, compiled, rtol=1e-4, atol=1e-4 * float(compiled.std()))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rows_active", [16, 64])
def test_products_do_not_depend_on_how_a_batch_is_cut(device, rows_active, monkeypatch):
    packed = packed_of(spec_of(rows_active), BinSparX(dynamic=True))
    signs = torch.randn(7, 23, 6, 5, device=device).sign()
    product = products_on(packed, codes_on(device, IdealCodes(), rows=rows_active))
    whole = product(signs)
    monkeypatch.setattr("spicekit.mapping.torch_backend.CHUNK_BYTES", 1.0)
    assert torch.equal(product(signs), whole)
    singly = torch.nn.functional.conv2d(
        torch.nn.functional.pad(signs, (1, 1, 1, 1), value=-1.0), weights_of(packed).to(device), stride=2
    )
    assert torch.equal(whole.permute(0, 3, 1, 2), singly)


def weights_of(packed) -> torch.Tensor:
    layer = packed.layer
    rows = layer.rows.swapaxes(0, 1).ravel()  # tile by tile
    used = rows >= 0
    bits = layer.stored.swapaxes(0, 1).reshape(-1, layer.outputs)[used]
    assert (rows[used] == np.arange(used.sum())).all()
    return torch.from_numpy(2.0 * bits.T - 1).to(torch.float32).reshape(layer.outputs, 23, 3, 3)


def test_what_only_the_compiled_engine_knows_is_refused(sram_table):
    spec = spec_of(16)
    model = read_model(spec, sram_table)
    converter = Converter(noise=0.5)
    flawed = codes_of_die(model, fit_thresholds(model, converter, None), converter)
    with pytest.raises(BadInput, match="evaluate on the processor"):
        codes_on("cpu", flawed, rows=16)
    packed = packed_of(spec, BinSparX(dynamic=True, flip_rule="position"))
    with pytest.raises(BadInput, match="flips by position"):
        products_on(packed, codes_on("cpu", IdealCodes(), rows=16))
