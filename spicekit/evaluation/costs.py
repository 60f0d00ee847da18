"""What a network on tiles costs: how often each thing happens, times a constant of one sheet, `Costs`.

Every constant says where it comes from, or that it is assumed and why; results carry the sheet with these sentences.

A column read is one column of one group of rows, digitised once. For one output pixel of a layer, each of its
sub-vectors is applied to all tiles that hold it, and all columns are read; tiles work side by side, the groups of a
tile, the pixels and the layers one after the other. docs/decisions/energy.md says what is counted and what is not.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import ConfigDict, Field

from spicekit.circuits.cells import load_cell
from spicekit.config import Config
from spicekit.errors import BadInput
from spicekit.results import Joule, Record, Second, SquareMetre

if TYPE_CHECKING:
    from spicekit.evaluation.design import Design

Component = Literal[
    "bit lines",
    "word lines",
    "converter",
    "accumulation",
    "input sums",
    "border sums",
    "flip decision",
    "inversion",
    "correction",
    "flip memory",
    "row order",
    "cells",
    "drivers",
]
"""Parts of the energy of an image, but for the last two, and of the area, but for the first two."""

SOURCES = {
    "ASAP7": "standard cells of ASAP7, 7.5 tracks, RVT, TT, 0.7 V: Liberty files in OpenROAD-flow-scripts",
    "SAR-28": "Ramkaj et al., JSSC 53 (2018) 1889: 7-bit SAR converter in 28 nm, 1.25 GS/s, 3.56 mW at 1 V, 0.0071 mm2",
    "Gonugondla": "Gonugondla et al., TCAD 2022, doi 10.1109/TCAD.2021.3124757: a column converter takes k1 B + k2 4^B",
    "ZigZag": "ZigZag-IMC (KULeuven-MICAS/zigzag), AimcArray.get_adc_cost",
    "NeuroSim": "DNN+NeuroSim 1.3, default of numColMuxed",
    "Horowitz": "Horowitz, ISSCC 2014, at 45 nm and 0.9 V: 30 fJ to add 8 bits, 10 pJ to read 64 bits of an 8 kB cache",
    "Stillmaker": "Stillmaker and Baas, Integration 58 (2017) 74: 7 nm, 0.7 V takes 0.068 of 45 nm, 0.9 V",
    "Clark": "Clark et al., Microelectronics Journal 53 (2016) 105, Tables 1 and 3",
}

OVERHEAD: tuple[Component, ...] = ("flip decision", "inversion", "correction", "flip memory", "row order")
"""What a mitigation adds."""

# m2. Full adder FAx1, exclusive or XOR2xp5, flip-flop DFFHQNx1 of ASAP7.
FULL_ADDER_AREA, XOR_AREA, REGISTER_AREA = 0.204e-12, 0.131e-12, 0.292e-12


class Costs(Config):
    """Energy in J, time in s, area in m2, for one event or one part; [costs] of a design file changes them."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    sensing: Literal["held", "sampled"] = "held"
    """Assumed. held: a column conducts until its converter has the last bit, because the converter works on the current
    at the virtual ground. sampled: a copy of the current is kept, and the column conducts only until it has settled."""
    flip_timing: Literal["pipelined", "before each read"] = "pipelined"
    """Assumed. pipelined: a flip is decided while the read before it is converted, and costs time once in a layer, or
    where it takes longer than a read. before each read: it always does."""
    converter_range: Literal["same", "as needed"] = "same"
    """Assumed. same: a converter has a code for each sum up to the rows in a read, with BinSparX and without. as
    needed: where sub-vectors are inverted by count, half of the rows are on at most, and it has codes up to that: on
    ideal tiles no code changes. A number of bits in [converter] goes before both."""
    leave_out: tuple[Component, ...] = ()
    """Components that energy and area do not count; by default none."""
    converter_capacitance: float = Field(default=100e-15, ge=0)
    """F; times Vdd^2, energy of a conversion for each bit. k1 = 100 fJ in Gonugondla, a capacitance in ZigZag. SAR-28
    takes 407 fJ a bit at 1 V: a quarter of that at 7 nm, if capacitance goes with length."""
    converter_noise_capacitance: float = Field(default=1e-18, ge=0)
    """F; times Vdd^2 4^bits, what a conversion takes against noise. k2 = 1 aJ in Gonugondla, as a capacitance in
    ZigZag."""
    converter_bit_time: float = Field(default=0.114e-9, ge=0)
    """s for each bit. SAR-28: 0.8 ns for seven, taken over from 28 nm as it is."""
    converter_code_area: float = Field(default=10e-12, ge=0)
    """m2 for each code in 28 nm. ZigZag's fit to three macros: 11.4 um2 at 4 bits to 8.9 um2 at 7."""
    converter_shrink: float = Field(default=0.25, ge=0)
    """Converter area at 7 nm over that at 28 nm. Assumed: with length; logic shrinks with its square, matched
    capacitors and comparators less."""
    columns_per_converter: int = Field(default=1, ge=1)
    """Assumed: each column has a converter, as in the engines. NeuroSim shares one among 8. Columns that wait do not
    conduct."""
    read_supply_efficiency: float = Field(default=1.0, gt=0, le=1)
    """Part of the energy behind V_read that reaches the bit lines. Assumed 1: V_read is a supply of its own. A linear
    regulator would have V_read / Vdd."""
    word_line_driver_share: float = Field(default=1 / 3, ge=0)
    """Energy inside the drivers of a word line, as part of what the line takes. Assumed: inverters with a fan-out of 4,
    1/4 + 1/16 + ..."""
    full_adder_energy: float = Field(default=1e-15, ge=0)
    """J for one operation; other gates in proportion to their area. ASAP7, FAx1: 0.28 fJ inside for an edge of either
    output, 5.8 fF at its inputs, half of all nodes toggling. Horowitz, scaled by Stillmaker, has 0.26 fJ a bit."""
    full_adder_time: float = Field(default=30e-12, ge=0)
    """s from an input to an output. ASAP7, FAx1: 20 to 40 ps for a load of one more of them."""
    memory_bit_energy: float = Field(default=2e-15, ge=0)
    """J to read a flag, or a bit of a column's sum of weights. Assumed: a latch, 1.4 fJ, and 15 um of wire. A bit of an
    8 kB cache takes 11 fJ (Horowitz, scaled by Stillmaker)."""
    memory_bit_area: float = Field(default=0.054e-12, ge=0)
    """m2. A 6T cell, 0.027 um2 (TSMC, IEDM 2016); assumed twice, because half of a small memory is not cells."""
    position_bits: int = Field(default=4, ge=1)
    """Of the weight that a row has where flips go by position. Assumed: rows of one read differ by less than one part
    in 16 of what decides. Read from a memory each time."""
    logic_spread: float = Field(default=1.4, ge=1)
    """Area of logic over that of its cells. Assumed: 70 % of it is filled."""
    terminal_area: float = Field(default=8.7e-12, ge=0)
    """m2 ohm: area times resistance of the transistor at either end of a column. Clark: an RVT fin has 50 mV / (37.85
    uA / 4.5) = 5.9 kohm on 27 nm x 54 nm."""
    word_line_driver_area: float = Field(default=0.2e-12, ge=0)
    """m2 a row. Assumed: inverters of 1, 3 and 9 fins in each polarity, as large as one full adder."""

    def sheet(self) -> dict[str, dict[str, object]]:
        """Value and source of each constant, by name, JSON-ready."""
        values = self.model_dump(mode="json")
        fields = type(self).model_fields
        return {
            name: {"value": value, "source": " ".join((fields[name].description or "").split())}
            for name, value in values.items()
        }

    def variations(self) -> dict[str, "Costs"]:
        """Sheets with one thing changed: a constant halved or doubled where it may be, or another choice made."""
        changes: dict[str, dict[str, object]] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, str):
                others = (choice for choice in get_args(field.annotation) if choice != value)
                changes |= {f"{name} = {choice}": {name: choice} for choice in others}
            elif isinstance(value, float | int) and value:
                changes |= {f"{name} x {factor}": {name: value * factor} for factor in (0.5, 2)}
        sheets = {}
        for what, change in changes.items():
            with suppress(BadInput):  # half a converter, or an efficiency of 2
                sheets[what] = self.replace(**change)
        return sheets


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
    """Pixels of the output; where activations have several bits, for each of them."""
    inputs: int
    """Inputs of one dot product, n."""
    outputs: int
    """Output channels."""
    tiles: int
    """Tiles that the inputs of one dot product fill, the last one perhaps in part."""
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
    """Columns of sub-vectors that are stored inverted."""
    applied_inverted: float
    """Sub-vectors that are applied inverted, over all pixels."""
    current: float
    """Mean current of a column read, A."""
    border_additions: int = 0
    """Constants that zero padding adds, over all pixels and outputs."""
    border_constants: int = 0
    """Words that hold these constants."""
    ordered: bool = False
    """Whether a memory says which input drives which row."""

    @property
    def reads(self) -> int:
        """Column reads."""
        return self.pixels * self.subvectors * self.outputs

    @property
    def order_bits(self) -> int:
        """Of the memory of the row order."""
        return self.ordered * self.inputs * (self.inputs - 1).bit_length()

    @property
    def flips(self) -> bool:
        """Whether codes are corrected for what was inverted."""
        return self.static or self.dynamic


class Figures(Record):
    """Energy, time and area for one image."""

    energy: Joule
    """For one image."""
    time: Second
    """For one image: layers one after the other."""
    area: SquareMetre | None
    """Of all tiles and the circuits around them; None where that of a part is not defined."""
    energy_parts: dict[str, float]
    """J, by component."""
    area_parts: dict[str, float | None]
    """m2, by component; None for drivers of 0 ohm: an ideal terminal has no area."""

    @classmethod
    def of(cls, energy: Mapping[str, float], time: float, area: Mapping[str, float | None]) -> "Figures":
        """Of parts in J, s and m2, with their totals."""
        defined = [part for part in area.values() if part is not None]
        return cls(
            energy=sum(energy.values()),
            time=time,
            area=sum(defined) if len(defined) == len(area) else None,
            energy_parts=dict(energy),
            area_parts=dict(area),
        )


def conduction_time(circuit: ReadCircuit, design: "Design", *, largest: int | None = None) -> float:
    """Time in s for which a column conducts in a read; `largest` as in `resolution`."""
    held = design.costs.sensing == "held"
    return circuit.settling + (conversion_time(design, largest=largest) if held else 0.0)


def conversion_time(design: "Design", *, largest: int | None = None) -> float:
    """Time in s that a converter takes; `largest` as in `resolution`."""
    return resolution(design, largest=largest) * design.costs.converter_bit_time


def resolution(design: "Design", *, largest: int | None = None) -> int:
    """Bits of the converters: as in the design, or as many as give each partial sum up to `largest` a code.

    By default, up to the rows in a read.
    """
    sums = design.tile.rows_active if largest is None else largest
    return design.converter.resolution(sums)


def estimate(events: LayerEvents, circuit: ReadCircuit, design: "Design") -> Figures:
    """Energy, time and area of one layer."""
    energy, area = _energy(events, circuit, design), _area(events, design)
    for name in design.costs.leave_out:
        energy.pop(name, None)
        area.pop(name, None)
    return Figures.of(energy, _time(events, circuit, design), area)


def together(layers: Sequence[Figures]) -> Figures:
    """Of layers that run one after the other, each on tiles of its own."""
    energy: dict[str, float] = {}
    area: dict[str, float | None] = {}
    for layer in layers:
        for name, joule in layer.energy_parts.items():
            energy[name] = energy.get(name, 0.0) + joule
        for name, part in layer.area_parts.items():
            before = area.get(name, 0.0)
            area[name] = None if part is None or before is None else before + part
    return Figures.of(energy, sum(layer.time for layer in layers), area)


def overhead(figures: Figures) -> float:
    """J, of what the mitigation adds."""
    return sum(figures.energy_parts.get(name, 0.0) for name in OVERHEAD)


def _energy(events: LayerEvents, circuit: ReadCircuit, design: "Design") -> dict[str, float]:
    tile, costs = design.tile, design.costs
    pixel_subvectors = events.pixels * events.subvectors
    blocks = math.ceil(events.outputs / tile.columns)
    largest = _largest_sum(events, design)
    bits, count_bits = resolution(design, largest=largest), tile.rows_active.bit_length()
    sum_bits = events.inputs.bit_length()
    adder = costs.full_adder_energy
    xor, register = (adder * area / FULL_ADDER_AREA for area in (XOR_AREA, REGISTER_AREA))
    bit_line = tile.v_read * events.current * conduction_time(circuit, design, largest=largest)
    word_line = circuit.word_line_charge * tile.v_wl
    capacitance = bits * costs.converter_capacitance + 4**bits * costs.converter_noise_capacitance
    stored_inverted = events.pixels * events.stored_inverted
    applied_inverted = events.applied_inverted * events.outputs
    weight_bits = _weight_bits(events, costs)
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
        "correction": events.flips * events.reads * bits * xor
        + (stored_inverted + applied_inverted) * (count_bits + 1) * adder,
        # f at each read; sum(u_w) where d is set
        "flip memory": (events.static * events.reads + applied_inverted * count_bits) * costs.memory_bit_energy,
        # for each pixel, the input that drives each row
        "row order": events.pixels * events.order_bits * costs.memory_bit_energy,
    }


def _largest_sum(events: LayerEvents, design: "Design") -> int:
    """That the converters have a code for."""
    rows = design.tile.rows_active
    halved = events.dynamic and not events.weighted  # a sub-vector with more ones than half is inverted
    return max(1, rows // 2) if halved and design.costs.converter_range == "as needed" else rows


def _time(events: LayerEvents, circuit: ReadCircuit, design: "Design") -> float:
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


def _area(events: LayerEvents, design: "Design") -> dict[str, float | None]:
    tile, costs = design.tile, design.costs
    blocks = math.ceil(events.outputs / tile.columns)
    tiles = events.tiles * blocks
    bits = resolution(design, largest=_largest_sum(events, design))
    count_bits = tile.rows_active.bit_length()
    converters = tiles * math.ceil(tile.columns / costs.columns_per_converter)
    sum_bits = events.inputs.bit_length()
    adder, xor, register = (costs.logic_spread * area for area in (FULL_ADDER_AREA, XOR_AREA, REGISTER_AREA))
    ends = (tile.wires.r_driver, tile.wires.r_sink)
    # the wider the transistor, the less its resistance: one of 0 ohm has no width
    column_ends = sum(costs.terminal_area / ohm for ohm in ends) if all(ends) else None
    cell = load_cell(tile.cell).sheet
    corrections = events.static + events.dynamic
    memory_bits = events.static + events.dynamic * count_bits
    weight_bits = _weight_bits(events, costs)
    decision = (tile.rows_active * weight_bits + count_bits + weight_bits - 1) * adder
    if events.weighted:
        decision += tile.rows * weight_bits * costs.memory_bit_area
    return {
        "cells": tiles * tile.rows * tile.columns * cell.height * cell.width,
        "drivers": None
        if column_ends is None
        else tiles * (tile.rows * costs.word_line_driver_area + tile.columns * column_ends),
        "converter": converters * 2**bits * costs.converter_code_area * costs.converter_shrink,
        "accumulation": sum_bits * (converters * adder + tiles * tile.columns * register),
        "input sums": (events.inputs + converters // events.tiles * sum_bits) * adder,
        "border sums": (events.border_constants > 0) * converters // events.tiles * sum_bits * adder
        + events.border_constants * sum_bits * costs.memory_bit_area,
        "flip decision": events.dynamic * events.tiles * decision,
        "inversion": events.dynamic * events.tiles * tile.rows_active * xor,
        "correction": converters * (events.flips * bits * xor + corrections * (count_bits + 1) * adder),
        "flip memory": tiles * tile.columns * tile.groups * memory_bits * costs.memory_bit_area,
        "row order": events.order_bits * costs.memory_bit_area,
    }
