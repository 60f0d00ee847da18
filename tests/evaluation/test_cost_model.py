"""Events counted on a small network, and what an evaluation's energy, time and area are made of."""

import json

import pytest
import torch

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.evaluation.costs import ReadCircuit, conduction_time
from spicekit.evaluation.design import Design
from spicekit.evaluation.evaluate import evaluate
from spicekit.evaluation.network_costs import (
    UNDEFINED,
    NetworkCosts,
    energy,
    measure_read,
    network_costs,
    with_read_time,
)
from spicekit.evaluation.records import Evaluation
from spicekit.mapping.binsparx import MITIGATION_LABELS
from spicekit.networks.data import load_dataset
from spicekit.networks.models import Architecture, build
from spicekit.report.costs import cost_tables

CIRCUIT = ReadCircuit(settling=24e-12, word_line_charge=6e-15)
MITIGATIONS = ("none", "static", "dynamic", "both")


TRAIN = load_dataset("digits", "train").first(4)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build(Architecture(name="vgg-small", width=0.125)).eval()


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits", "test").first(4)


@pytest.fixture(scope="module")
def evaluation(network, digits, sram_table) -> Evaluation:
    tile = TileSpec(rows_active=8, wires=Wires(r_bl=3.2, r_sl=3.2))
    design = with_read_time(Design(tile=tile), CIRCUIT)
    return evaluate(
        network,
        digits,
        design,
        sram_table,
        calibration=TRAIN,
        mitigations=MITIGATIONS,
    )


@pytest.fixture(scope="module")
def counted(network, digits, evaluation, sram_table) -> NetworkCosts:
    return energy(network, digits, evaluation.design, mitigations=MITIGATIONS, table=sram_table, circuit=CIRCUIT)


def run_of(costs: NetworkCosts, mitigation: str):
    (run,) = (run for run in costs.runs if run.mitigation == mitigation)
    return run


def test_reads_and_bit_line_energy_are_those_of_the_evaluation(counted, evaluation):
    for run in evaluation.runs:
        for name, statistics in run.layers.items():
            assert counted.events[run.mitigation][name].reads == statistics.reads
        bit_lines = run_of(counted, run.mitigation).energy_parts["bit lines"]
        assert bit_lines == pytest.approx(run.energy)


def test_events_of_a_layer_follow_from_its_shape(counted):
    """conv3: 16 channels of 3 x 3, so 144 inputs, on 3 tiles; on digits of 16 x 16 pixels after one pooling, 8 x 8."""
    layer = counted.events["none"]["conv3"]
    assert (layer.inputs, layer.outputs, layer.tiles, layer.groups, layer.subvectors) == (144, 32, 3, 8, 18)
    assert 0 < layer.ones < layer.pixels * layer.inputs
    assert layer.pixels == counted.events["none"]["conv4"].pixels


def test_flips_are_counted_where_they_are_on(counted):
    for mitigation, layers in counted.events.items():
        for layer in layers.values():
            assert (layer.stored_inverted > 0) == layer.static == (mitigation in ("static", "both"))
            assert layer.dynamic == (mitigation in ("dynamic", "both"))
            assert layer.applied_inverted == 0 or layer.dynamic
    ones = {mitigation: sum(layer.ones for layer in counted.events[mitigation].values()) for mitigation in MITIGATIONS}
    assert ones["none"] == ones["static"]
    assert ones["dynamic"] == ones["both"] < ones["none"]


def test_a_record_carries_every_constant_with_its_source_and_every_assumption(counted):
    record = json.loads(counted.to_json())
    assert all(entry["source"] for entry in record["constants"].values())
    assert record["assumptions"]
    assert record["not_counted"]
    assert [run["mitigation"] for run in record["runs"]] == list(MITIGATIONS)
    for run in record["runs"]:
        assert sum(run["shares"]["energy"].values()) == pytest.approx(1)
        assert sum(run["energy_parts"].values()) == pytest.approx(run["energy"])
        assert sum(layer["energy"] for layer in run["layers"].values()) == pytest.approx(run["energy"])
    assert record["runs"][0]["change"] == {"energy": 0, "time": 0, "area": 0}


def test_the_area_of_ideal_terminals_is_not_defined_and_said_so(counted):
    tile = counted.design.tile
    ideal = counted.design.replace(tile=tile.replace(wires=tile.wires.replace(r_driver=0.0)))
    costs = network_costs(ideal, CIRCUIT, counted.events)
    record = json.loads(costs.to_json())
    for run in record["runs"]:
        assert run["area"] is run["area_parts"]["drivers"] is run["change"]["area"] is None
        assert run["area_parts"]["cells"] > 0
    assert UNDEFINED in record["not_counted"]
    assert UNDEFINED not in counted.not_counted
    assert NetworkCosts.model_validate_json(costs.to_json()).runs[0].area is None
    assert any("undefined" in row for table in cost_tables(costs) for row in table.rows)


def test_doubling_a_constant_raises_the_total_by_its_parts_share(counted):
    """Which is why shares say how the numbers respond."""
    response, shares = counted.response, counted.runs[0].shares
    both = (
        response["converter_capacitance x 2"].first_run,
        response["converter_noise_capacitance x 2"].first_run,
    )
    assert sum(change.energy for change in both) == pytest.approx(shares["energy"]["converter"])


def test_other_constants_give_what_the_response_says_and_run_nothing(counted, tmp_path):
    """Also of a result that was kept and read back."""
    counted.save(tmp_path / "costs.json")
    kept = NetworkCosts.from_record(json.loads((tmp_path / "costs.json").read_text()), source="costs.json")
    assert kept == counted
    other = kept.with_constants(converter_capacitance=2 * counted.design.costs.converter_capacitance)
    change = other.runs[0].energy / counted.runs[0].energy - 1
    assert change == pytest.approx(counted.response["converter_capacitance x 2"].first_run.energy)


def test_at_break_even_binsparx_saves_nothing(counted):
    plain, flipped = (run_of(counted, kind) for kind in ("none", "both"))
    factor = flipped.break_even
    needed = [run.energy + (factor - 1) * run.energy_parts["bit lines"] for run in (plain, flipped)]
    assert needed[0] == pytest.approx(needed[1])
    assert plain.break_even is None


def test_tables_show_every_part_and_every_layer(counted):
    tables = {table.title: table for table in cost_tables(counted)}
    assert [row[0] for row in tables["Energy, time and area for one image"].rows] == [
        MITIGATION_LABELS[kind] for kind in MITIGATIONS
    ]
    assert {"bit lines", "converter", "flip memory", "cells"} <= {row[0] for row in tables["Where it goes"].rows}
    assert len(tables["Energy, time and area of each layer"].rows) == 5 * len(MITIGATIONS)
    assert all(len(row) == len(table.heads) for table in tables.values() for row in table.rows)


def test_ngspice_sets_the_length_of_a_read():
    tile = TileSpec(rows=8, columns=8, rows_active=8, wires=Wires(r_bl=3.2, r_sl=3.2))
    circuit = measure_read(tile)
    assert 1e-12 < circuit.settling < 1e-9
    assert 1e-16 < circuit.word_line_charge < 1e-14
    design = with_read_time(Design(tile=tile), circuit)
    assert design.read.time == conduction_time(circuit, design) > circuit.settling
