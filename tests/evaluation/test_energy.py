"""Energy, time and area: laws, limits, and one layer worked out by hand."""

import dataclasses

import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.converter import Converter
from spicekit.errors import BadInput
from spicekit.evaluation.costs import (
    OVERHEAD,
    Costs,
    Figures,
    LayerEvents,
    ReadCircuit,
    conduction_time,
    estimate,
    overhead,
    resolution,
    together,
)
from spicekit.evaluation.design import Design

CIRCUIT = ReadCircuit(settling=20e-12, word_line_charge=5e-15)
PLAIN = LayerEvents(
    pixels=10,
    inputs=100,
    outputs=40,
    tiles=2,
    groups=4,
    subvectors=7,
    ones=500.0,
    static=False,
    dynamic=False,
    weighted=False,
    stored_inverted=0,
    applied_inverted=0.0,
    current=50e-6,
)
STATIC = dataclasses.replace(PLAIN, static=True, stored_inverted=120)
DYNAMIC = dataclasses.replace(PLAIN, dynamic=True, applied_inverted=30.0)
BOTH = dataclasses.replace(STATIC, dynamic=True, applied_inverted=30.0)
RUNS = {"plain": PLAIN, "static": STATIC, "dynamic": DYNAMIC, "both": BOTH}


def design_of(*, cell="8t-sram", rows_active=16, bits=None, **costs) -> Design:
    wires = Wires(r_bl=1, r_sl=1, r_driver=100, r_sink=50)
    tile = TileSpec(cell=cell, rows=64, columns=32, rows_active=rows_active, wires=wires)
    return Design(tile=tile, converter=Converter(bits=bits), costs=Costs(**costs))


def of(events: LayerEvents, **options) -> Figures:
    return estimate(events, CIRCUIT, design_of(**options))


@pytest.mark.parametrize("cell", ["8t-sram", "1t1r"])
@pytest.mark.parametrize("events", RUNS.values(), ids=RUNS)
def test_network_is_the_sum_of_its_layers(cell, events):
    one, other = of(events, cell=cell), of(dataclasses.replace(events, outputs=64), cell=cell)
    both = together([one, other])
    assert both.energy == pytest.approx(one.energy + other.energy)
    assert both.time == pytest.approx(one.time + other.time)
    assert both.area == pytest.approx(one.area + other.area)
    assert together([]).energy == 0


def test_twice_the_pixels_are_twice_the_energy_and_the_same_area():
    twice = dataclasses.replace(BOTH, pixels=20, ones=1000.0, applied_inverted=60.0)
    assert of(twice).energy == pytest.approx(2 * of(BOTH).energy)
    assert of(twice).area == of(BOTH).area


@pytest.mark.parametrize("events", RUNS.values(), ids=RUNS)
def test_leaving_a_component_out_removes_exactly_it(events):
    whole = of(events)
    for component in {*whole.energy_parts, *whole.area_parts}:
        rest = of(events, leave_out=(component,))
        assert rest.energy_parts == {name: part for name, part in whole.energy_parts.items() if name != component}
        assert rest.area_parts == {name: part for name, part in whole.area_parts.items() if name != component}
        assert rest.time == whole.time


def test_binsparx_adds_nothing_when_off_and_each_flip_its_own_part():
    assert overhead(of(PLAIN)) == 0
    assert all(of(PLAIN).area_parts[name] == 0 for name in OVERHEAD)
    static, dynamic, both = of(STATIC), of(DYNAMIC), of(BOTH)
    assert static.energy_parts["flip decision"] == static.energy_parts["inversion"] == 0
    assert static.energy_parts["correction"] > 0
    assert static.energy_parts["flip memory"] > 0
    assert all((dynamic.energy_parts[name] > 0) == (name != "row order") for name in OVERHEAD)
    assert both.energy_parts["flip memory"] == pytest.approx(
        static.energy_parts["flip memory"] + dynamic.energy_parts["flip memory"]
    )
    assert overhead(both) < overhead(static) + overhead(dynamic)  # they share the change of sign
    shared = [name for name in of(PLAIN).energy_parts if name not in OVERHEAD]
    assert all(
        of(events).energy_parts[name] == of(PLAIN).energy_parts[name] for events in RUNS.values() for name in shared
    )


def test_flips_by_position_take_more_to_decide_and_nothing_else():
    counted, weighted = of(BOTH), of(dataclasses.replace(BOTH, weighted=True))
    for kind in ("energy_parts", "area_parts"):
        parts, others = getattr(counted, kind), getattr(weighted, kind)
        assert others["flip decision"] > 3 * parts["flip decision"]
        assert {name for name in parts if parts[name] != others[name]} == {"flip decision"}
    assert weighted.time > counted.time


def test_more_reads_take_more_time_and_energy():
    """Half of the rows in a read: twice the groups."""
    finer = dataclasses.replace(PLAIN, groups=8, subvectors=14)
    few, many = of(PLAIN, rows_active=16, bits=5), of(finer, rows_active=8, bits=5)
    assert many.time == pytest.approx(2 * few.time)
    assert many.energy_parts["converter"] == pytest.approx(2 * few.energy_parts["converter"])
    assert many.area == pytest.approx(few.area)


def test_a_flip_decision_takes_time_once_in_a_layer_or_before_each_read():
    reads = PLAIN.pixels * PLAIN.groups
    hidden = of(DYNAMIC).time - of(PLAIN).time
    shown = of(DYNAMIC, flip_timing="before each read").time - of(PLAIN).time
    assert of(STATIC).time == of(PLAIN).time
    assert 0 < hidden < 1e-9
    assert shown == pytest.approx(reads * hidden)


def test_a_decision_slower_than_a_read_sets_the_pace():
    slow = {"full_adder_time": 1e-9}
    assert of(DYNAMIC, **slow).time > 10 * of(PLAIN, **slow).time


def test_a_finer_converter_takes_more_of_everything():
    coarse, fine = of(PLAIN, bits=4), of(PLAIN, bits=8)
    assert fine.energy_parts["converter"] > 2 * coarse.energy_parts["converter"]
    assert fine.energy_parts["bit lines"] > coarse.energy_parts["bit lines"]
    assert fine.time > coarse.time
    assert fine.area_parts["converter"] == pytest.approx(16 * coarse.area_parts["converter"])


def test_a_converter_has_a_code_for_each_sum_unless_the_design_says_otherwise():
    assert [resolution(design_of(rows_active=rows)) for rows in (1, 16, 64)] == [1, 5, 7]
    assert resolution(design_of(bits=4)) == 4


def test_dynamic_flips_by_count_halve_the_range_that_a_converter_needs():
    needed = {"converter_range": "as needed"}
    by_position = dataclasses.replace(BOTH, weighted=True)
    for events, bits in ((PLAIN, 5), (STATIC, 5), (DYNAMIC, 4), (BOTH, 4), (by_position, 5)):
        assert of(events, **needed) == of(events, bits=bits)
        assert of(events, bits=6, **needed) == of(events, bits=6)
        assert of(events) == of(events, bits=5)


def test_sharing_a_converter_costs_time_and_saves_area():
    own, shared = of(PLAIN), of(PLAIN, columns_per_converter=8)
    assert shared.time == pytest.approx(8 * own.time)
    assert shared.area_parts["converter"] == pytest.approx(own.area_parts["converter"] / 8)
    assert shared.energy_parts == own.energy_parts


def test_a_sampled_column_conducts_only_until_it_has_settled():
    design = design_of(sensing="sampled")
    assert conduction_time(CIRCUIT, design) == CIRCUIT.settling
    held, sampled = of(PLAIN), of(PLAIN, sensing="sampled")
    ratio = CIRCUIT.settling / conduction_time(CIRCUIT, design_of())
    assert sampled.energy_parts["bit lines"] == pytest.approx(ratio * held.energy_parts["bit lines"])
    assert sampled.time == held.time


def test_stronger_column_ends_need_more_area_and_that_of_ideal_ones_is_not_defined():
    def drivers(ohm: float) -> float:
        design = design_of()
        wires = Wires(r_bl=1, r_sl=1, r_driver=ohm, r_sink=ohm)
        return estimate(PLAIN, CIRCUIT, design.replace(tile=design.tile.replace(wires=wires))).area_parts["drivers"]

    assert drivers(100) < drivers(10) < drivers(0.1)
    assert drivers(0) is None


def test_one_layer_by_hand():
    """A tile of 4 x 2, 2 rows in a read, one image of 3 pixels; 3 inputs, so that the second read has one row."""
    tile = TileSpec(rows=4, columns=2, rows_active=2, v_read=0.5, v_wl=0.7, wires=Wires(r_bl=0, r_sl=0))
    costs = Costs(
        converter_capacitance=10e-15,
        converter_noise_capacitance=1e-15,
        converter_bit_time=1e-10,
        word_line_driver_share=0.5,
        full_adder_energy=2.04e-15,  # so that an exclusive or takes 1.31 fJ and a register 2.92 fJ
        full_adder_time=1e-11,
        memory_bit_energy=3e-15,
    )
    layer = LayerEvents(
        pixels=3,
        inputs=3,
        outputs=2,
        tiles=1,
        groups=2,
        subvectors=2,
        ones=4.0,
        static=True,
        dynamic=True,
        weighted=False,
        stored_inverted=1,
        applied_inverted=2.0,
        current=10e-6,
        border_additions=4,
        border_constants=6,
        ordered=True,
    )
    found = estimate(layer, ReadCircuit(5e-11, 1e-15), Design(tile=tile, costs=costs))
    # 3 pixels x 2 sub-vectors x 2 columns = 12 column reads; 2 bits a conversion, so a column conducts for 0.25 ns.
    assert found.energy_parts == pytest.approx(
        {
            "bit lines": 12 * 0.5 * 10e-6 * 0.25e-9,
            "word lines": 4 * 1e-15 * 0.7 * 1.5,
            "converter": 12 * (2 * 10e-15 + 16 * 1e-15) * 0.7**2,
            "accumulation": 12 * 2 * (2.04e-15 + 2.92e-15),
            "input sums": 3 * (3 + 2 * 2) * 2.04e-15,
            "border sums": 4 * 2 * (2.04e-15 + 3e-15),
            "flip decision": 3 * 2 * (2 + 2) * 2.04e-15,
            "inversion": 3 * 2 * 2 * 1.31e-15,
            # 12 changes of sign of 2 bits; 3 x 1 sums for the stored flip, 2 x 2 for the applied ones, of 3 bits
            "correction": 12 * 2 * 1.31e-15 + (3 + 4) * 3 * 2.04e-15,
            "flip memory": (12 + 4 * 2) * 3e-15,
            "row order": 3 * 3 * 2 * 3e-15,  # for each pixel 3 places of 2 bits
        }
    )
    # 6 reads of 0.25 ns; to decide a flip, count (a carry of 2), compare (2) and invert (1) before the first
    assert found.time == pytest.approx(6 * 0.25e-9 + 5 * 1e-11)
    assert found.area_parts["cells"] == pytest.approx(8 * 108e-9 * 325e-9)
    assert found.area_parts["border sums"] == pytest.approx(2 * 2 * costs.logic_spread * 0.204e-12 + 6 * 2 * 0.054e-12)
    assert found.area_parts["flip memory"] == pytest.approx(2 * 2 * (1 + 2) * 0.054e-12)
    assert found.area_parts["row order"] == pytest.approx(3 * 2 * 0.054e-12)
    assert found.area_parts["converter"] == pytest.approx(2 * 4 * 10e-12 * 0.25)


def test_a_design_file_changes_a_constant_and_unknown_ones_are_refused():
    tables = {"wires": {"r_bl": 1, "r_sl": 1}}
    design = Design.from_tables({**tables, "costs": {"full_adder_energy": 3e-15}}, source="here")
    assert design.costs.full_adder_energy == 3e-15
    with pytest.raises(BadInput, match=r"\[costs\]: unknown key 'adder'"):
        Design.from_tables({**tables, "costs": {"adder": 1}}, source="here")
    with pytest.raises(BadInput, match="leave_out"):
        Design.from_tables({**tables, "costs": {"leave_out": ["adc"]}}, source="here")


def test_every_constant_says_where_it_comes_from():
    for name, entry in Costs().sheet().items():
        assert entry["source"], name


def test_variations_change_one_thing_each_and_only_where_they_may():
    base = Costs()
    varied = base.variations()
    for what, costs in varied.items():
        changed = [name for name in type(base).model_fields if getattr(base, name) != getattr(costs, name)]
        assert changed == [what.split()[0]]
    assert {"sensing = sampled", "full_adder_energy x 2", "columns_per_converter x 2"} <= set(varied)
    assert not {"columns_per_converter x 0.5", "read_supply_efficiency x 2", "logic_spread x 0.5"} & set(varied)
