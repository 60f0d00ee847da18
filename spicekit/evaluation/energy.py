"""Energy, time and area of a network on tiles: how often each thing happens, times what it costs.

A column read is one column of one group of rows, digitised once. For one output pixel of a layer, each of its
sub-vectors is applied to all tiles that hold it, and all columns are read; tiles work side by side, the groups of a
tile, the pixels and the layers one after the other. docs/decisions/energy.md says what is counted and what is not.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from spicekit.circuits.cells import load_cell
from spicekit.evaluation.costs import FULL_ADDER_AREA, OVERHEAD, REGISTER_AREA, XOR_AREA, Component, Costs
from spicekit.evaluation.design import Design


@dataclass(frozen=True)
class ReadCircuit:
    """What a transient in ngspice says of one read."""

    settling: float
    """s, until the worst column is right to half an LSB."""
    word_line_charge: float
    """C, that it takes to raise one word line."""


@dataclass(frozen=True)
class LayerEvents:
    """What happens in a layer for one image."""

    pixels: int
    """Of the output; where activations have several bits, for each of them."""
    inputs: int
    """Of one dot product, n."""
    outputs: int
    """Channels."""
    tiles: int
    """That the inputs of one dot product fill, the last one perhaps in part."""
    groups: int
    """Reads one after the other for a pixel."""
    subvectors: int
    """Groups with rows in use, over all tiles."""
    ones: float
    """Word lines raised, over all pixels and sub-vectors, in one block of columns."""
    static: bool
    """Whether columns may be stored inverted."""
    dynamic: bool
    """Whether sub-vectors may be applied inverted."""
    weighted: bool
    """Whether a row has a weight of its own in that decision (`mapping.positions`)."""
    stored_inverted: int
    """Columns of sub-vectors."""
    applied_inverted: float
    """Sub-vectors, over all pixels."""
    current: float
    """A, mean of a column read."""
    border_additions: int = 0
    """Constants that zero padding adds, over all pixels and outputs."""
    border_constants: int = 0
    """Words that hold them."""
    ordered: bool = False
    """Whether a memory says which input drives which row."""

    @property
    def reads(self) -> int:
        """Column reads."""
        return self.pixels * self.subvectors * self.outputs


@dataclass(frozen=True)
class Estimate:
    """What a layer, or several, take for one image, and the room that they need."""

    energy: dict[Component, float] = field(default_factory=dict)
    """J."""
    time: float = 0.0
    """s, one layer after the other."""
    area: dict[Component, float] = field(default_factory=dict)
    """m2; NaN where there is none: of drivers, where a terminal is ideal."""

    @property
    def total_energy(self) -> float:
        """J."""
        return sum(self.energy.values())

    @property
    def total_area(self) -> float:
        """m2."""
        return sum(self.area.values())

    @property
    def overhead(self) -> float:
        """J, of what the mitigation adds."""
        return sum(self.energy.get(name, 0.0) for name in OVERHEAD)


def conduction_time(circuit: ReadCircuit, design: Design, *, largest: int | None = None) -> float:
    """Time in s for which a column conducts in a read; `largest` as in `resolution`."""
    held = design.costs.sensing == "held"
    return circuit.settling + (conversion_time(design, largest=largest) if held else 0.0)


def conversion_time(design: Design, *, largest: int | None = None) -> float:
    """Time in s that a converter takes; `largest` as in `resolution`."""
    return resolution(design, largest=largest) * design.costs.converter_bit_time


def resolution(design: Design, *, largest: int | None = None) -> int:
    """Bits of the converters: as in the design, or as many as give each partial sum up to `largest` a code.

    By default, up to the rows in a read.
    """
    sums = design.tile.rows_active if largest is None else largest
    return design.converter.resolution(sums)


def estimate(events: LayerEvents, circuit: ReadCircuit, design: Design) -> Estimate:
    """Energy, time and area of one layer."""
    return Estimate(
        _counted(_energy(events, circuit, design), design.costs),
        _time(events, circuit, design),
        _counted(_area(events, design), design.costs),
    )


def together(estimates: Iterable[Estimate]) -> Estimate:
    """Of layers that run one after the other, each on tiles of its own."""
    layers = list(estimates)
    return Estimate(
        _added(layer.energy for layer in layers),
        sum(layer.time for layer in layers),
        _added(layer.area for layer in layers),
    )


def _energy(events: LayerEvents, circuit: ReadCircuit, design: Design) -> dict[Component, float]:
    tile, costs = design.tile, design.costs
    pixel_subvectors = events.pixels * events.subvectors
    blocks = math.ceil(events.outputs / tile.columns)
    largest = _largest_sum(events, design)
    bits, count_bits = resolution(design, largest=largest), tile.rows_active.bit_length()
    sum_bits = events.inputs.bit_length()
    adder, register, xor = costs.full_adder_energy, costs.register_energy, costs.xor_energy
    bit_line = tile.v_read * events.current * conduction_time(circuit, design, largest=largest)
    word_line = circuit.word_line_charge * tile.v_wl
    capacitance = bits * costs.converter_capacitance + 4**bits * costs.converter_noise_capacitance
    stored_inverted = events.pixels * events.stored_inverted
    applied_inverted = events.applied_inverted * events.outputs
    flips = events.static or events.dynamic
    weight_bits = _weight_bits(events, costs)
    index_bits = events.ordered * events.inputs * (events.inputs - 1).bit_length()
    decision = (tile.rows_active * weight_bits + count_bits + weight_bits - 1) * adder
    if events.weighted:
        decision += tile.rows_active * weight_bits * costs.memory_bit_energy
    return {
        "bit lines": events.reads * bit_line / costs.read_supply_efficiency,
        "word lines": events.ones * blocks * word_line * (1 + costs.word_line_driver_share),
        "converter": events.reads * capacitance * tile.corner.vdd**2,
        # each code added into a register
        "accumulation": events.reads * sum_bits * (adder + register),
        # sum(u_a), counted once for a pixel and taken from each output
        "input sums": events.pixels * (events.inputs + events.outputs * sum_bits) * adder,
        # at border pixels, a constant read and added
        "border sums": events.border_additions * sum_bits * (adder + costs.memory_bit_energy),
        # ones of each sub-vector added up, the sum compared with half of the greatest
        "flip decision": events.dynamic * pixel_subvectors * decision,
        "inversion": events.dynamic * pixel_subvectors * tile.rows_active * xor,
        # (-1)^(f+d) m, then a sum where f is set, and another where d is
        "correction": flips * events.reads * bits * xor
        + (stored_inverted + applied_inverted) * (count_bits + 1) * adder,
        # f at each read; sum(u_w) where d is set
        "flip memory": (events.static * events.reads + applied_inverted * count_bits)
        * costs.memory_bit_energy,
        # for each pixel, the input that drives each row
        "row order": events.pixels * index_bits * costs.memory_bit_energy,
    }


def _largest_sum(events: LayerEvents, design: Design) -> int:
    """That the converters have a code for."""
    rows = design.tile.rows_active
    halved = events.dynamic and not events.weighted  # a sub-vector with more ones than half is inverted
    return max(1, rows // 2) if halved and design.costs.converter_range == "as needed" else rows


def _time(events: LayerEvents, circuit: ReadCircuit, design: Design) -> float:
    costs = design.costs
    waiting = min(costs.columns_per_converter, design.tile.columns, events.outputs)
    conversion = conversion_time(design, largest=_largest_sum(events, design))
    read = waiting * (circuit.settling + conversion)
    reads = events.pixels * events.groups
    if not events.dynamic:
        return reads * read
    levels = _decision_levels(design.tile.rows_active, _weight_bits(events, costs))
    decision = levels * costs.full_adder_time
    if costs.flip_timing == "before each read":
        return reads * (read + decision)
    return reads * max(read, decision) + decision


def _weight_bits(events: LayerEvents, costs: Costs) -> int:
    return costs.position_bits if events.weighted else 1


def _decision_levels(rows: int, weight_bits: int) -> int:
    """Full adders in a row from the activations to the word lines: add up, compare, invert.

    A tree makes two numbers of three on each level, down to two; then a carry runs through the sum, and one through
    the comparison.

    >>> _decision_levels(16, 1)
    17
    """
    tree = max(0, math.ceil(math.log(rows / 2) / math.log(1.5)))
    return tree + 2 * (rows.bit_length() + weight_bits - 1) + 1


def _area(events: LayerEvents, design: Design) -> dict[Component, float]:
    tile, costs = design.tile, design.costs
    blocks = math.ceil(events.outputs / tile.columns)
    tiles = events.tiles * blocks
    bits = resolution(design, largest=_largest_sum(events, design))
    count_bits = tile.rows_active.bit_length()
    converters = tiles * math.ceil(tile.columns / costs.columns_per_converter)
    sum_bits = events.inputs.bit_length()
    adder, xor = costs.logic_spread * FULL_ADDER_AREA, costs.logic_spread * XOR_AREA
    register = costs.logic_spread * REGISTER_AREA
    ends = (tile.wires.r_driver, tile.wires.r_sink)
    # the wider the transistor, the less its resistance: one of 0 ohm has no width
    column_ends = sum(costs.terminal_area / ohm for ohm in ends) if all(ends) else math.nan
    cell = load_cell(tile.cell).sheet
    flips = events.static or events.dynamic
    corrections = events.static + events.dynamic
    memory_bits = events.static + events.dynamic * count_bits
    weight_bits = _weight_bits(events, costs)
    decision = (tile.rows_active * weight_bits + count_bits + weight_bits - 1) * adder
    if events.weighted:
        decision += tile.rows * weight_bits * costs.memory_bit_area
    return {
        "cells": tiles * tile.rows * tile.columns * cell.height * cell.width,
        "drivers": tiles * (tile.rows * costs.word_line_driver_area + tile.columns * column_ends),
        "converter": converters * 2**bits * costs.converter_code_area * costs.converter_shrink,
        "accumulation": sum_bits * (converters * adder + tiles * tile.columns * register),
        "input sums": (events.inputs + converters // events.tiles * sum_bits) * adder,
        "border sums": (events.border_constants > 0) * converters // events.tiles * sum_bits * adder
        + events.border_constants * sum_bits * costs.memory_bit_area,
        "flip decision": events.dynamic * events.tiles * decision,
        "inversion": events.dynamic * events.tiles * tile.rows_active * xor,
        "correction": converters * (flips * bits * xor + corrections * (count_bits + 1) * adder),
        "flip memory": tiles * tile.columns * tile.groups * memory_bits * costs.memory_bit_area,
        "row order": events.ordered
        * events.inputs
        * (events.inputs - 1).bit_length()
        * costs.memory_bit_area,
    }


def _counted(parts: dict[Component, float], costs: Costs) -> dict[Component, float]:
    return {name: value for name, value in parts.items() if name not in costs.leave_out}


def _added(layers: Iterable[dict[Component, float]]) -> dict[Component, float]:
    whole: dict[Component, float] = {}
    for parts in layers:
        for name, value in parts.items():
            whole[name] = whole.get(name, 0.0) + value
    return whole
