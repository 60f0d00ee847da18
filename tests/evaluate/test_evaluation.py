"""A small trained-like network on tiles: what must hold at any design point."""

import dataclasses

import pytest
import torch

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.converter import Converter
from spicekit.evaluate import inference
from spicekit.evaluate.design import Design, read_design
from spicekit.evaluate.evaluation import NotExact, evaluate, run_on_tiles, software_and_ideal
from spicekit.mapping.binsparx import BinSparX
from spicekit.networks.data import load_dataset
from spicekit.networks.inference import predict_logits
from spicekit.networks.models import resnet18, vgg_small


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits", "test").first(12)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return vgg_small(width=0.125).eval()


def design_of(ohm: float, *, terminal: float = 100.0, rows_active: int = 16, reference="unit") -> Design:
    wires = Wires(r_bl=ohm, r_sl=ohm, r_driver=terminal, r_sink=terminal)
    tile = TileSpec(rows_active=rows_active, wires=wires)
    return Design(tile=tile, converter=Converter(reference=reference))


@pytest.mark.parametrize("build", [vgg_small, resnet18])
@pytest.mark.parametrize("rows_active", [16, 64])
def test_ideal_tiles_give_the_software_logits_bit_for_bit(digits, build, rows_active):
    network = build(width=0.125).eval()
    software, ideal = software_and_ideal(network, digits, design_of(1.0, rows_active=rows_active).tile)
    assert software == ideal


@pytest.mark.parametrize("rows_active", [16, 64])
def test_tiles_without_resistance_give_the_software_logits(network, digits, sram_table, rows_active):
    design = design_of(0.0, terminal=0.0, rows_active=rows_active)
    result = evaluate(network, digits, design, sram_table, calibration=digits, mitigations=("none", "both"))
    assert {run.accuracy for run in result.runs} == {result.software}
    assert abs(result.runs[0].total.nf) < 0.01


def test_a_tile_that_computes_wrongly_is_caught(network, digits, monkeypatch):
    genuine = inference.map_network

    def corrupt(*arguments, **options):
        layers = genuine(*arguments, **options)
        name, packed = next(iter(layers.items()))
        flipped = dataclasses.replace(packed.stored, words=packed.stored.words ^ 1)
        return {**layers, name: dataclasses.replace(packed, stored=flipped)}

    monkeypatch.setattr("spicekit.evaluate.evaluation.map_network", corrupt)
    with pytest.raises(NotExact, match="of 12 images have other logits on ideal tiles"):
        software_and_ideal(network, digits, design_of(1.0).tile)


def test_resistance_lowers_the_currents_and_binsparx_the_partial_sums(network, digits, sram_table):
    design = design_of(3.2)
    result = evaluate(network, digits, design, sram_table, calibration=digits, mitigations=("none", "both"))
    plain, flipped = (run.total for run in result.runs)
    assert 0.02 < flipped.nf < plain.nf < 0.5
    assert flipped.partial_sum < plain.partial_sum
    assert flipped.energy(design) < plain.energy(design)
    record = result.record()
    assert record["runs"][1]["partial_sum_reduction"] == 1 - flipped.partial_sum / plain.partial_sum
    assert set(record["runs"][0]["layers"]) == {f"conv{k}" for k in range(2, 7)}


@pytest.mark.parametrize("reference", ["linear", "per_level"])
def test_a_fitted_reference_gets_more_codes_right(network, digits, sram_table, reference):
    software = predict_logits(network, digits)

    def distance(kind: str) -> float:
        design = design_of(3.2, reference=kind)
        model, layers = run_parts(network, design, sram_table, digits)
        with inference.on_tiles(network, layers, model):
            return float((predict_logits(network, digits) - software).abs().mean())

    assert distance(reference) < distance("unit")


def run_parts(network, design, table, calibration):
    from spicekit.evaluate.evaluation import calibrated_codes

    layers = inference.map_network(network, design.tile, binsparx=BinSparX())
    return calibrated_codes(network, layers, design, table, calibration=calibration), layers


def test_results_do_not_depend_on_how_a_batch_is_cut(network, digits, sram_table, monkeypatch):
    design = design_of(3.2)
    codes, layers = run_parts(network, design, sram_table, digits)
    logits = []
    for budget in (1e3, 1e9):
        monkeypatch.setattr(inference, "CHUNK_BYTES", budget)
        with inference.on_tiles(network, layers, codes):
            logits.append(predict_logits(network, digits))
    assert torch.equal(*logits)


def test_a_design_file_holds_tile_converter_and_read(tmp_path):
    path = tmp_path / "design.toml"
    path.write_text("[wires]\nr_bl = 1.0\nr_sl = 2.0\n[converter]\nbits = 4\n[read]\ntime = 2e-9\n")
    design = read_design(path)
    assert (design.tile.wires.r_sl, design.converter.bits, design.read.time) == (2.0, 4, 2e-9)


def test_run_on_tiles_names_its_layers(network, digits, sram_table):
    run = run_on_tiles(network, digits, design_of(1.0), sram_table, mitigation="static", calibration=digits)
    assert list(run.layers) == ["conv2", "conv3", "conv4", "conv5", "conv6"]
