"""What is known about a transistor: `device.toml` beside its cards, every number with its source.

A card of the user's own needs the table [geometry] only, and [osdi] if its model is compiled Verilog-A; the
others are what fitting and checking need.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from spicekit.config import Config, parse, read_toml
from spicekit.errors import BadInput

Polarity = Literal["nmos", "pmos"]


class Geometry(Config):
    """One fin, as an equivalent planar transistor."""

    width: float = Field(gt=0, lt=1e-3)
    """Effective width, m."""
    length: float = Field(gt=0, lt=1e-3)
    """Gate length, m."""
    source: str = ""


class Target(Config):
    """One published figure of merit, in SI units and as a magnitude."""

    value: float = Field(gt=0)
    source: str


class Targets(Config):
    """Published figures at TT, 25 degrees Celsius and nominal supply, as many as there are; as in `measure.Figures`."""

    idsat: Target | None = None
    ieff: Target | None = None
    idlin: Target | None = None
    ioff: Target | None = None
    vtsat: Target | None = None
    vtlin: Target | None = None
    ss: Target | None = None
    dibl: Target | None = None


class Cornered(Config):
    """A quantity at each process corner."""

    tt: float = Field(gt=0)
    ff: float = Field(gt=0)
    ss: float = Field(gt=0)


class Gate(Config):
    """What sets the gate capacitance."""

    eot: Cornered
    """Equivalent oxide thickness, m."""
    capacitance: Cornered
    """Of one fin, F, with the gate at the supply, source and drain at 0 V."""
    source: str


class Limits(Config):
    """How far a card may be from its curves; fractions, see `measure.Errors`."""

    rms: float = Field(default=0.005, gt=0)
    worst: float = Field(default=0.02, gt=0)
    figures: float = Field(default=0.01, gt=0)
    """Of Idsat, Ieff and Idlin."""
    subthreshold: float = Field(default=0.25, gt=0)


class CurveFile(Config):
    """Curves that cards are fitted to and held against."""

    file: str
    """Described in `devices/measure.py`; from the sheet's folder."""
    source: str
    limits: Limits = Limits()


class Osdi(Config):
    """The compiled Verilog-A model that a card is written for, and how its instances are written.

    The compiled model is native code, which ngspice loads and runs: it is named here or not loaded at all.
    """

    file: str
    """The .osdi file; if relative, from the sheet's folder."""
    fins: str = Field(default="nfin", pattern=r"^\w+$")
    """Instance parameter that takes the number of fins; the default is BSIM-CMG's."""
    length: str = Field(default="l", pattern=r"^\w+$")
    """Instance parameter that takes the gate length in m, likewise."""
    threshold: str | None = Field(default=None, pattern=r"^\w+$")
    """Instance parameter that raises the threshold, V; Monte Carlo needs it (BSIM-CMG: delvtrand)."""
    current: str | None = Field(default=None, pattern=r"^\w+$")
    """Instance parameter that multiplies the current; likewise (BSIM-CMG: ids0mult)."""


class Sheet(Config):
    """A device's sheet, as much of it as there is."""

    geometry: Geometry
    polarity: Polarity | None = None
    osdi: Osdi | None = None
    targets: Targets | None = None
    gate: Gate | None = None
    curves: CurveFile | None = None


class FullSheet(Sheet):
    """A sheet with all that a fit needs."""

    polarity: Polarity
    gate: Gate
    curves: CurveFile


def read_sheet(path: Path) -> Sheet:
    """The sheet of a device.

    Raises
    ------
    BadInput
        If it cannot be read, lacks [geometry], or holds an unknown key.
    """
    if not path.is_file():
        raise BadInput(
            f"{path}: is missing; write it with a table [geometry] that gives the effective width and the "
            "length of one fin in m, for instance width = 70.5e-9 and length = 21e-9."
        )
    return parse(Sheet, read_toml(path), source=str(path))


def read_full_sheet(path: Path) -> FullSheet:
    """The sheet of a device that is to be fitted; `BadInput` as `read_sheet`, or if a table is missing."""
    return parse(FullSheet, read_toml(path), source=str(path))
