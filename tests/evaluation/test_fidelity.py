"""Whole networks through the exact engine."""

import numpy as np
import pytest
import torch

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.converter import Converter
from spicekit.engines.exact.codes import ExactCodes
from spicekit.errors import BadInput
from spicekit.evaluation.convert import tile_network
from spicekit.evaluation.design import Design
from spicekit.evaluation.evidence import fidelity
from spicekit.evaluation.tiled import Tiles, on_tiles
from spicekit.mapping.binsparx import MITIGATIONS
from spicekit.networks.data import load_dataset
from spicekit.networks.inference import predict_logits
from spicekit.networks.models import Architecture, build


@pytest.fixture(scope="module")
def network():
    return build(Architecture(name="vgg-small", width=0.05)).eval()


@pytest.fixture(scope="module")
def images():
    return load_dataset("digits", "test").first(2)


def design_of(ohm: float, *, rows_active: int, terminal: float = 100.0, cell="8t-sram") -> Design:
    wires = Wires(r_bl=ohm, r_sl=ohm, r_driver=terminal, r_sink=terminal)
    return Design(tile=TileSpec(cell=cell, rows_active=rows_active, wires=wires))


@pytest.mark.parametrize("mitigation", ["none", "both"])
@pytest.mark.parametrize(("cell", "rows_active"), [("8t-sram", 16), ("8t-sram", 64), ("1t1r", 64)])
def test_the_fast_engine_gives_nearly_every_code_of_the_exact_one(
    network, images, tables, cell, rows_active, mitigation
):
    design = design_of(3.2, rows_active=rows_active, cell=cell)
    found = fidelity(tile_network(network, design, tables[cell], mitigation=mitigation, calibration=images), images)
    assert found.codes >= 49_152
    assert found.codes_differ < 0.01 * found.codes


def test_columns_without_resistance_give_the_software_logits(network, images, sram_table):
    design = design_of(0.0, terminal=0.0, rows_active=64)
    tiled = tile_network(network, design, sram_table, mitigation="both", calibration=images)
    codes = ExactCodes(design.tile, sram_table, tiled.thresholds)
    exact = on_tiles(network, Tiles(design.tile, codes, MITIGATIONS["both"]))
    assert torch.equal(predict_logits(exact, images), predict_logits(network, images))


def test_a_surrogate_that_is_off_is_seen(network, images, sram_table):
    design = design_of(3.2, rows_active=64)
    from spicekit.evaluation import evidence as module

    class Worse(ExactCodes):
        def signed_codes(self, *arguments, **options):
            codes = super().signed_codes(*arguments, **options)
            return np.where(codes > 3, codes + 1, codes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ExactCodes", Worse)
        found = fidelity(tile_network(network, design, sram_table, mitigation="none", calibration=images), images)
    assert found.codes_differ > 0.5 * found.codes
    assert found.correlation < 1


def test_converters_with_faults_are_refused(network, images, sram_table):
    design = design_of(3.2, rows_active=64).replace(converter=Converter(noise=0.5).model_dump())
    with pytest.raises(BadInput, match="leave out offset, inl and noise"):
        fidelity(tile_network(network, design, sram_table, mitigation="none", calibration=images), images)
