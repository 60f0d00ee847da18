"""A small trained-like network on tiles: what must hold at any design point."""

import dataclasses
import json
from copy import deepcopy

import numpy as np
import pytest
import torch

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.cell_currents import Variation, cell_currents_of
from spicekit.engines.converter import Converter
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.errors import BadInput
from spicekit.evaluation import reads as reads_module
from spicekit.evaluation import tiled as module
from spicekit.evaluation.convert import NotExact, software_and_ideal, tile_network
from spicekit.evaluation.design import Design, read_design
from spicekit.evaluation.evaluate import evaluate, run_on_tiles
from spicekit.evaluation.reads import CODE_IMAGES, ReadCounts, code_errors, tallies, watch
from spicekit.evaluation.tiled import Tiles, start_at, tiled_layers
from spicekit.networks.data import load_dataset, network_inputs
from spicekit.networks.inference import predict_logits
from spicekit.networks.layers import binary_layers
from spicekit.networks.models import Architecture, build
from spicekit.tables.table import interpolate, linear

TRAIN = load_dataset("digits", "train").first(16)


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits", "test").first(12)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build(Architecture(name="vgg-small", width=0.125)).eval()


def design_of(ohm: float, *, terminal: float = 100.0, rows_active: int = 16, reference="unit") -> Design:
    wires = Wires(r_bl=ohm, r_sl=ohm, r_driver=terminal, r_sink=terminal)
    tile = TileSpec(rows_active=rows_active, wires=wires)
    return Design(tile=tile, converter=Converter(reference=reference))


@pytest.mark.parametrize(("name", "bits"), [("vgg-small", 1), ("resnet18", 1), ("vgg-small", 4)])
@pytest.mark.parametrize("rows_active", [16, 64])
def test_ideal_tiles_give_the_software_logits_bit_for_bit(digits, name, bits, rows_active):
    network = build(Architecture(name=name, width=0.125, bits=bits)).eval()
    software, ideal = software_and_ideal(network, digits, design_of(1.0, rows_active=rows_active).tile)
    assert software == ideal


@pytest.mark.parametrize("rows_active", [16, 64])
def test_tiles_without_resistance_give_the_software_logits(network, digits, sram_table, rows_active):
    design = design_of(0.0, terminal=0.0, rows_active=rows_active)
    result = evaluate(
        network,
        digits,
        design,
        sram_table,
        calibration=TRAIN,
        mitigations=("none", "both"),
    )
    assert {run.accuracy for run in result.runs} == {result.software}
    assert abs(result.runs[0].nf) < 0.01


def test_a_tile_that_computes_wrongly_is_caught(network, digits, monkeypatch):
    genuine = Tiles.write

    def corrupt(tiles, packed):
        packed = genuine(tiles, packed)
        flip = np.uint64(packed.layer.name == "conv4")
        return dataclasses.replace(packed, stored=dataclasses.replace(packed.stored, words=packed.stored.words ^ flip))

    monkeypatch.setattr(Tiles, "write", corrupt)
    with pytest.raises(NotExact, match=r"of 12 images have other logits on ideal tiles .*; layer 'conv4' is the first"):
        software_and_ideal(network, digits, design_of(1.0).tile)


def test_resistance_lowers_the_currents_and_binsparx_the_partial_sums(network, digits, sram_table):
    design = design_of(3.2)
    result = evaluate(
        network,
        digits,
        design,
        sram_table,
        calibration=TRAIN,
        mitigations=("none", "both"),
    )
    plain, flipped = result.runs
    assert 0.02 < flipped.nf < plain.nf < 0.5
    assert flipped.partial_sum < plain.partial_sum
    assert flipped.energy < plain.energy
    record = json.loads(result.to_json())
    assert record["runs"][1]["partial_sum_reduction"] == 1 - flipped.partial_sum / plain.partial_sum
    assert set(record["runs"][0]["layers"]) == {f"conv{k}" for k in range(2, 7)}


@pytest.mark.parametrize("reference", ["linear", "per_level"])
def test_a_fitted_reference_gets_more_codes_right(network, digits, sram_table, reference):
    software = predict_logits(network, digits)

    def distance(kind: str) -> float:
        design = design_of(3.2, reference=kind)
        tiled = tile_network(network, design, sram_table, mitigation="none", calibration=digits)
        return float((predict_logits(tiled.network, digits) - software).abs().mean())

    assert distance(reference) < distance("unit")


@pytest.mark.parametrize("mitigation", ["none", "both"])
@pytest.mark.parametrize("rows_active", [16, 64])
def test_results_do_not_depend_on_how_a_batch_is_cut(network, digits, sram_table, monkeypatch, rows_active, mitigation):
    design = design_of(3.2, rows_active=rows_active)
    tiled = tile_network(network, design, sram_table, mitigation=mitigation, calibration=digits)
    logits = []
    for budget in (1e3, 3e5, 1e9):
        monkeypatch.setattr(module, "CHUNK_BYTES", budget)
        logits.append(predict_logits(tiled.network, digits))
    assert torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], logits[2])


def test_a_design_file_holds_tile_converter_and_read(tmp_path):
    path = tmp_path / "design.toml"
    path.write_text("[wires]\nr_bl = 1.0\nr_sl = 2.0\n[converter]\nbits = 4\n[read]\ntime = 2e-9\n")
    design = read_design(path)
    assert (design.tile.wires.r_sl, design.converter.bits, design.read.time) == (2.0, 4, 2e-9)


def test_run_on_tiles_names_its_layers(network, digits, sram_table):
    tiled = tile_network(network, design_of(1.0), sram_table, mitigation="static", calibration=TRAIN)
    run = run_on_tiles(tiled, digits, counts=ReadCounts(network))
    assert list(run.layers) == ["conv2", "conv3", "conv4", "conv5", "conv6"]


def test_errors_of_codes_are_those_of_whole_dot_products(network, digits, sram_table):
    """Each read apart, against all reads of a layer added up by the engine; nearly ideal tiles have none."""
    errors = {}
    for r in (0.01, 10.0):
        design = design_of(r, terminal=r)
        tiled = tile_network(network, design, sram_table, mitigation="none", calibration=TRAIN)
        errors[r] = np.array(code_errors(tiled, digits))
    few = digits.first(CODE_IMAGES)
    total = []

    def probe(packed, applied):
        codes = tiled_layers(tiled.network)[packed.layer.name].tiles.codes
        total.append(codes.step * codes.sums(packed.stored, applied) - IdealCodes().sums(packed.stored, applied))

    watch(network, few, tiled.layers, probe)
    m = (len(errors[10.0]) - 1) // 2
    assert errors[0.01].sum() == errors[0.01][m] == errors[10.0].sum()
    assert errors[10.0] @ np.arange(-m, m + 1) * len(few) == sum(part.sum() for part in total) < 0


def test_errors_of_codes_are_not_counted_where_cells_differ(network, digits, sram_table):
    design = design_of(3.2).replace(variation=Variation(stuck_at_0=0.01))
    tiled = tile_network(network, design, sram_table, mitigation="none", calibration=TRAIN)
    assert code_errors(tiled, digits) == ()


def logits_on(network, digits, table, design):
    tiled = tile_network(network, design, table, mitigation="both", calibration=digits)
    return predict_logits(tiled.network, digits)


def test_recalibrated_norms_see_on_tiles_what_they_saw_in_software(network, digits, sram_table):
    """On ideal tiles they are those of the software; on real ones they make up for a systematic loss."""
    own = {name: value.clone() for name, value in network.state_dict().items()}
    train = load_dataset("digits", "train").first(48)
    means = {}
    for ohm in (0.0, 10.0):
        design = design_of(ohm, terminal=10 * ohm).replace(mapping={"recalibrate": 48})
        tiled = tile_network(network, design, sram_table, mitigation="none", calibration=train)
        recalibrated = tiled.network.state_dict()
        changed = {name for name, value in own.items() if not torch.equal(value, recalibrated[name])}
        assert changed == {
            f"norm{k}.{what}" for k in range(1, 7) for what in ("running_mean", "running_var", "num_batches_tracked")
        }
        means[ohm] = recalibrated["norm2.running_mean"]
    software = software_statistics(network, train)["norm2.running_mean"]
    assert torch.allclose(means[0.0], software, rtol=1e-4, atol=1e-3)
    assert not torch.allclose(means[10.0], software, rtol=1e-4, atol=1e-3)
    assert all(torch.equal(own[name], value) for name, value in network.state_dict().items())
    asked = design_of(10.0).replace(mapping={"recalibrate": 49})
    with pytest.raises(BadInput, match=r"recalibrate = 49: only 48 images"):
        tile_network(network, asked, sram_table, mitigation="none", calibration=train)


def test_recalibration_takes_images_in_batches(network, sram_table, monkeypatch):
    """The first norms follow no other, so that their means do not depend on the cut."""
    train = load_dataset("digits", "train").first(40)
    design = design_of(10.0, terminal=100.0).replace(mapping={"recalibrate": 40})

    def first_mean(batch):
        monkeypatch.setattr("spicekit.evaluation.convert.NORM_IMAGES", batch)
        tiled = tile_network(network, design, sram_table, mitigation="none", calibration=train)
        return tiled.network.state_dict()["norm1.running_mean"]

    assert torch.allclose(first_mean(10), first_mean(40), rtol=1e-5, atol=1e-5)


def software_statistics(network, images):
    """Of the same network and images without tiles: batch statistics in every norm."""
    copy = deepcopy(network).train()
    for name, norm in copy.named_modules():
        if name.startswith("norm") and name != "normalise":
            norm.momentum = 1.0
    with torch.no_grad():
        copy(network_inputs(images.images))
    return copy.state_dict()


def test_each_ablation_takes_a_part_of_the_error_away(network, digits, sram_table):
    software = predict_logits(network, digits)

    def error(**ablation) -> float:
        design = design_of(3.2).replace(ablation=ablation)
        return float((logits_on(network, digits, sram_table, design) - software).abs().mean())

    assert 0 < error(layer="conv6") < error()
    assert error(linear_cells=True) != error()
    with pytest.raises(BadInput, match=r"layer 'conv9' is not one of conv2, "):
        error(layer="conv9")


def test_linear_cells_conduct_what_the_real_ones_do_at_the_read_voltage(sram_table):
    spec = design_of(1.0).tile
    table = linear(sram_table, spec.v_read)
    assert np.allclose(cell_currents_of(spec, table).state, cell_currents_of(spec, sram_table).state, rtol=1e-9)
    v = np.array([0.1, 0.2, 0.3])
    on = np.full(3, 3)
    current = interpolate(table, on, v, v / 2)
    assert np.allclose(current / current[0], v / v[0])
    assert table.sha256 != sram_table.sha256


FLAWED = {"offset": 0.3, "inl": 0.2, "noise": 0.4, "seed": 1}
VARIED = {"mismatch": 1.0, "stuck_at_0": 0.01, "stuck_at_1": 0.01, "seed": 2}


@pytest.mark.parametrize("rows_active", [16, 64])
def test_results_of_a_flawed_die_do_not_depend_on_how_images_are_cut(
    network, digits, sram_table, monkeypatch, rows_active
):
    design = design_of(3.2, rows_active=rows_active).replace(converter=FLAWED, variation=VARIED)
    tiled = tile_network(network, design, sram_table, mitigation="both", calibration=digits)
    whole = predict_logits(tiled.network, digits)
    monkeypatch.setattr(module, "CHUNK_BYTES", 1e3)
    start_at(tiled.network, 0)
    assert torch.equal(predict_logits(tiled.network, digits, batch=5), whole)
    last = dataclasses.replace(digits, images=digits.images[7:], labels=digits.labels[7:])
    start_at(tiled.network, 7)
    assert torch.equal(predict_logits(tiled.network, last), whole[7:])
    assert not torch.equal(predict_logits(tiled.network, last), whole[7:])  # they come after the others


def test_planes_of_a_network_of_several_bits_have_noise_of_their_own(digits, sram_table):
    sliced = build(Architecture(name="vgg-small", width=0.0625, bits=4)).eval()
    few = digits.first(4)
    design = design_of(3.2).replace(converter=FLAWED)
    tiled = tile_network(sliced, design, sram_table, mitigation="none", calibration=few)
    whole = predict_logits(tiled.network, few)
    start_at(tiled.network, 0)
    again = predict_logits(tiled.network, few, batch=3)
    # The classifier itself rounds otherwise in another batch; noise taken from elsewhere moves logits by a tenth.
    assert torch.allclose(again, whole, atol=1e-5)


@pytest.mark.parametrize("changed", ["converter.seed", "variation.seed"])
def test_another_seed_is_another_die(network, digits, sram_table, changed):
    design = design_of(3.2).replace(converter=FLAWED, variation=VARIED)
    table, _, field = changed.partition(".")
    other = design.replace(**{table: {**getattr(design, table).model_dump(), field: 9}})
    first, again, another = (logits_on(network, digits, sram_table, d) for d in (design, design, other))
    assert torch.equal(first, again)
    assert not torch.equal(first, another)


def test_a_die_without_variation_is_the_design(network, digits, sram_table):
    plain, seeded = (
        logits_on(network, digits, sram_table, design_of(3.2).replace(**changes))
        for changes in ({}, {"variation": {"seed": 5}, "converter": {"seed": 5}})
    )
    assert torch.equal(plain, seeded)


def test_an_assumption_says_what_mismatch_is(network, digits, sram_table):
    design = design_of(3.2).replace(variation=VARIED)
    result = evaluate(
        network,
        digits,
        design,
        sram_table,
        calibration=TRAIN,
        mitigations=("none",),
    )
    assert "to first order" in result.assumptions[-1]


def test_images_that_are_classified_and_calibrated_on_are_refused(network, digits, sram_table):
    train = TRAIN
    images, labels = (
        np.concatenate([getattr(train, name), getattr(digits, name)[:1]]) for name in ("images", "labels")
    )
    overlapping = dataclasses.replace(train, images=images, labels=labels)
    for calibration, shared in ((digits, 12), (overlapping, 1)):
        with pytest.raises(BadInput, match=f"{shared} of the 12 images to be classified are among the"):
            evaluate(network, digits, design_of(1.0), sram_table, calibration=calibration)


def test_designs_of_one_tile_count_its_reads_once(network, digits, sram_table, monkeypatch):
    """One count for each mitigation and set of images, whatever the converter; results are those of a fresh run."""
    counted = []

    def counting(*arguments, **options):
        counted.append(arguments[1])
        return tallies(*arguments, **options)

    monkeypatch.setattr(reads_module, "tallies", counting)
    digits = digits.first(3)
    options = {"table": sram_table, "calibration": TRAIN.first(3), "known": (0.0, 0.0)}
    first = evaluate(network, digits, design_of(3.2, reference="linear"), **options)
    assert len(counted) == 4  # images to classify and images to fit to, plain and with BinSparX
    for change in (
        {"bits": 3},
        {"reference": "linear_codes"},
        {"reference": "unit", "noise": 0.5, "seed": 2},
    ):
        again = first.with_converter(**change)
        assert len(counted) == 4
        assert again.runs == evaluate(network, digits, again.design, **options).runs
        del counted[4:]
    first.with_design(design_of(4.0))
    assert len(counted) == 6  # other wires are other tiles
    with torch.no_grad():
        network.conv2.weight.neg_()
    try:
        assert first.with_design(first.design).runs != first.runs
        assert len(counted) == 10
    finally:
        with torch.no_grad():
            network.conv2.weight.neg_()


def test_a_network_whose_cells_are_all_off_has_no_reduction(network, digits, sram_table):
    off = deepcopy(network)
    with torch.no_grad():
        for layer in binary_layers(off).values():
            layer.weight.fill_(-1.0)
    result = evaluate(off, digits.first(1), design_of(1.0), sram_table, known=(0.0, 0.0))
    assert result.runs[0].partial_sum == result.runs[0].partial_sum_reduction == 0
    with pytest.raises(BadInput, match="pass accuracies in software and on ideal tiles, 0 to 1"):
        evaluate(off, digits, design_of(1.0), sram_table, known=(87.0, 87.0))
