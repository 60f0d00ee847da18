"""What the parts around the cells cost: the one sheet of constants behind energy, time and area.

Every field says in its description where it comes from, or that it is assumed and why; results carry the sheet with
these sentences. A design file changes any of them in its table [costs]. `SOURCES` has those that several fields share.
"""

from contextlib import suppress
from typing import Literal, get_args

from pydantic import ConfigDict, Field

from spicekit.config import Config
from spicekit.errors import BadInput

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

OVERHEAD: tuple[Component, ...] = (
    "flip decision",
    "inversion",
    "correction",
    "flip memory",
    "row order",
)
"""What a mitigation adds."""

# m2. Full adder FAx1, exclusive or XOR2xp5, flip-flop DFFHQNx1 of ASAP7.
FULL_ADDER_AREA, XOR_AREA, REGISTER_AREA = 0.204e-12, 0.131e-12, 0.292e-12


class Costs(Config):
    """Energy in J, time in s, area in m2, for one event or one part."""

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

    @property
    def xor_energy(self) -> float:
        """J."""
        return self.full_adder_energy * XOR_AREA / FULL_ADDER_AREA

    @property
    def register_energy(self) -> float:
        """J for one bit written."""
        return self.full_adder_energy * REGISTER_AREA / FULL_ADDER_AREA

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
