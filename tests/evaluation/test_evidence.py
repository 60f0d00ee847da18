"""Codes of an evaluation against ngspice, on the very reads that it made."""

import dataclasses

import numpy as np
import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.errors import BadInput
from spicekit.evaluation import evidence as module
from spicekit.evaluation.convert import tile_network
from spicekit.evaluation.design import Design
from spicekit.evaluation.evidence import confidence, spice_evidence
from spicekit.evaluation.tiled import Tiles, on_tiles, tiled_layers
from spicekit.mapping.binsparx import BinSparX
from spicekit.networks.data import load_dataset
from spicekit.networks.inference import predict_logits
from spicekit.networks.models import Architecture, build


@pytest.fixture(scope="module")
def network():
    return build(Architecture(name="vgg-small", width=0.05)).eval()


@pytest.fixture(scope="module")
def images():
    return load_dataset("digits", "test").first(3)


def design_of(rows_active: int, **tile: object) -> Design:
    wires = Wires(r_bl=3.2, r_sl=3.2, r_row=3.2, r_col=3.2)
    return Design(tile=TileSpec(rows_active=rows_active, wires=wires, **tile))


def tiles_of(network, images, design, table, *, mitigation="both"):
    return tile_network(network, design, table, mitigation=mitigation, calibration=images)


def evidence(tiled, images):
    return spice_evidence(tiled, images, reads=8, rng=np.random.default_rng(0), workers=1)


@pytest.mark.parametrize("rows_active", [16, 64])
def test_ngspice_gives_the_codes_of_an_evaluation(network, images, sram_table, rows_active):
    found = evidence(tiles_of(network, images, design_of(rows_active), sram_table), images)
    assert (found.reads, found.near, found.failures) == (8, 4, ())
    assert found.codes_differ == 0
    assert (found.rate_low, found.rate_high) == confidence(0, 8)
    assert found.near_within < 0.05
    assert found.differ_within < 0.05  # LSB, of the reads near a threshold


@pytest.mark.parametrize(
    "tile",
    [
        {"wires": Wires(r_bl=3.2, r_sl=3.2, r_supply=5.0, r_ground=5.0)},
        {"wires": Wires(r_bl=3.2, r_sl=3.2), "discharge": {"load": 1e-12, "time": 3.3e-10}},
    ],
)
def test_ngspice_gives_the_codes_of_columns_on_rails_and_of_discharged_lines(network, images, sram_table, tile):
    design = Design(tile=TileSpec(rows=8, rows_active=8, columns=4, **tile))
    found = evidence(tiles_of(network, images, design, sram_table), images)
    assert (found.reads, found.near, found.failures, found.codes_differ) == (8, 4, (), 0)


def test_codes_that_are_off_are_counted(network, images, sram_table):
    class Off(IdealCodes):
        def __init__(self, codes):
            self.codes = codes

        @property
        def step(self):
            return self.codes.step

        def sums(self, stored, applied):
            sums = self.codes.sums(stored, applied)
            return sums + np.where(sums < 0, -1, 1)

    tiled = tiles_of(network, images, design_of(64), sram_table, mitigation="none")
    for layer in tiled_layers(tiled.network).values():
        layer.tiles = dataclasses.replace(layer.tiles, codes=Off(layer.tiles.codes))
    found = evidence(tiled, images)
    assert found.codes_differ == found.reads == 8
    assert found.rate_low > 0.6


@pytest.mark.parametrize("rows_active", [16, 64])
def test_a_recorded_read_is_the_column_and_the_vector_that_gave_its_code(network, images, rows_active):
    spec = design_of(rows_active).tile
    tiled = on_tiles(network, Tiles(spec, IdealCodes(), BinSparX(static=True, dynamic=True)))
    layer = list(tiled_layers(tiled).values())[1]
    recorder = module._Recorder(spec, layer.tiles.codes)
    layer.tiles = dataclasses.replace(layer.tiles, codes=recorder)
    predict_logits(tiled, images)
    drawn = np.random.default_rng(1).integers(recorder.count, size=50)
    recorder.collect(dict(enumerate(drawn.tolist())))
    predict_logits(tiled, images)
    assert len(recorder.found) == 50
    for read in recorder.found.values():
        assert read.code == read.bits @ read.weights[:, read.column].astype(int)
    assert any(read.code > 3 for read in recorder.found.values())


def test_what_no_deck_has_is_refused(network, images, sram_table):
    design = design_of(64).replace(ablation={"linear_cells": True})
    tiled = tiles_of(network, images, design, sram_table)
    with pytest.raises(BadInput, match="linear_cells"):
        evidence(tiled, images)


def test_the_interval_covers_the_rate_as_often_as_it_says():
    rng = np.random.default_rng(2)
    intervals = [confidence(int(events), 50) for events in rng.binomial(50, 0.1, size=400)]
    assert np.mean([low <= 0.1 <= high for low, high in intervals]) >= 0.95
