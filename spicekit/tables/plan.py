"""Which tables a calibration makes: grids of conditions, from a TOML file or by default."""

import itertools
import math
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import Field, model_validator

from spicekit.circuits.cells import shipped_cells
from spicekit.circuits.spec import Device
from spicekit.config import Config, parse, read_toml
from spicekit.devices.cards import shipped_devices
from spicekit.devices.corners import Corner, Process
from spicekit.tables.characterise import Characterisation

MOST_TABLES = 100_000
"""Of a plan: each takes a second at least, and all are held in memory."""
T = TypeVar("T")
Values = Annotated[tuple[T, ...], Field(min_length=1)]

DEFAULT_CELLS = ("8t-sram", "1t1r")
"""Those whose tables ship."""
_DEVICE = Device()
_NOMINAL = Corner()


class Grid(Config):
    """Conditions of which every combination gets a table."""

    cell: Values[str] = DEFAULT_CELLS
    """Folders in `cells/`, or paths of cells' sheets, in a file from its folder."""
    nmos: Values[str] = (_DEVICE.nmos,)
    """Flavours: folders in `device_models/`, or paths of cards, likewise."""
    fins: Values[int] = (_DEVICE.fins,)
    reram: Values[str] = (_DEVICE.reram,)
    """Presets; an 8T cell has none, and gets one table for all of them."""
    process: Values[Process] = ("tt", "ff", "ss")
    vdd: Values[float] = (_NOMINAL.vdd,)
    """V; the word line is at the supply unless `v_wl` says otherwise."""
    v_wl: Values[float] | None = None
    """V."""
    temperature: Values[float] = (233.15, _NOMINAL.temperature, 398.15)
    """K; by default both ends and the reference of the range in which the cards hold."""
    seed: Values[Annotated[int, Field(ge=0)]] | None = None
    """Monte Carlo: each is a cell with thresholds and ReRAM states of its own; by default the nominal cell."""

    @property
    def combinations(self) -> int:
        """How many there are."""
        return math.prod(len(values or (None,)) for values in dict(self).values())

    def characterisations(self) -> list[Characterisation]:
        """One for each combination; `BadInput` if a value is out of range."""
        combinations = itertools.product(
            self.cell, self.nmos, self.fins, self.reram, self.process, self.vdd, self.temperature
        )
        return [
            Characterisation.of(
                {
                    "cell": cell,
                    "device": {"nmos": nmos, "fins": fins, "reram": reram},
                    "corner": {"process": process, "vdd": vdd, "temperature": temperature},
                    "v_wl": v_wl,
                    "seed": seed,
                }
            )
            for cell, nmos, fins, reram, process, vdd, temperature in combinations
            for v_wl in self.v_wl or (vdd,)
            for seed in self.seed or (None,)
        ]


class Plan(Config):
    """Grids one after the other; what two of them share is made once."""

    grid: Values[Grid] = (Grid(),)

    @model_validator(mode="after")
    def _countable(self) -> Self:
        count = sum(grid.combinations for grid in self.grid)
        if count > MOST_TABLES:
            raise ValueError(f"asks for {count:,} tables; a plan has at most {MOST_TABLES:,}")
        return self

    def characterisations(self) -> list[Characterisation]:
        """Without repetition."""
        listed = itertools.chain.from_iterable(grid.characterisations() for grid in self.grid)
        return list({request.name: request for request in listed}.values())


def default_plan() -> list[Characterisation]:
    """Both cells with their default devices, at three process corners, cold, at 25 degrees Celsius and hot."""
    return Plan().characterisations()


def read_plan(path: Path) -> list[Characterisation]:
    """Plan from a TOML file with tables [[grid]].

    Raises
    ------
    BadInput
        If the file cannot be read, a key is unknown, or a value is out of range.
    """
    tables = read_toml(path)
    grids = tables.get("grid")
    for grid in filter(lambda each: isinstance(each, dict), grids if isinstance(grids, list) else []):
        for key, shipped in (("cell", shipped_cells()), ("nmos", shipped_devices())):
            if isinstance(names := grid.get(key), list):
                grid[key] = [
                    str((path.parent / name).resolve())
                    if isinstance(name, str) and name not in shipped
                    else name
                    for name in names
                ]
    return parse(Plan, tables, source=str(path)).characterisations()
