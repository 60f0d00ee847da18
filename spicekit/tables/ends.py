"""Both ends of a column as circuits: a pass switch from the read supply, and the input of a current mirror.

The driver is a pass gate, an n- and a p-channel transistor side by side, between the read supply and the bit line. The
sense end is the input transistor of an active mirror: its gate is at the supply, the column is its drain, and an
amplifier holds the mirror's output transistor at the same drain voltage (docs/decisions/ends.md). Currents of both are
proportional to the fins, so that one curve for each, of one fin, gives any width.
"""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spicekit.circuits.render import tile_deck
from spicekit.circuits.spec import TileSpec
from spicekit.config import Config, parse
from spicekit.devices.cards import Card, load_card
from spicekit.errors import BadInput, SpiceFailed
from spicekit.files import read_json, write_atomically
from spicekit.provenance import JsonDict, content_hash, provenance
from spicekit.spice.simulator import Job, Step, ngspice, simulate
from spicekit.tables.characterise import Characterisation
from spicekit.tables.spread import all_waves, read_current
from spicekit.units import to_celsius

Array = NDArray[np.float64]

POINTS = 141
"""Of a curve: 2.5 mV apart at a read voltage of 0.35 V; between them it is straight to 1e-4 of the current."""


class Devices(Config):
    """Transistors of the periphery."""

    nmos: str = "nmos-lvt"
    """Folder in `device_models/`, or a path. Assumed: logic beside an array is of low threshold."""
    pmos: str = "pmos-lvt"


class Ends(Devices):
    """Ends of a column by their widths: from the curves in `file` follow `r_driver` and `r_sink` of the wires.

    >>> Ends().file is None  # ends are the resistances of the wires
    True
    """

    file: str | None = None
    """Made by `spicekit devices ends`; from the folder of the spec's file."""
    driver_fins: int | None = Field(default=None, ge=1, le=100_000)
    """Of each of the pass gate's two transistors."""
    sense_fins: int | None = Field(default=None, ge=1, le=100_000)
    """Of the mirror's input transistor."""
    r_driver: float | None = None
    """Ohm; found, not given."""
    r_sink: float | None = None
    """Ohm; found, not given."""

    @model_validator(mode="after")
    def _whole(self) -> "Ends":
        given = [self.file, self.driver_fins, self.sense_fins]
        if any(each is None for each in given) and any(each is not None for each in given):
            raise ValueError("[ends] takes file, driver_fins and sense_fins together")
        return self


def resolved(ends: Ends, spec: TileSpec) -> tuple[Ends, TileSpec]:
    """The ends with their resistances, and the tile that has them; both as they are where no widths are given.

    Resistances are V / I at the current of a column with a quarter of its active rows ON, the mean of random bits.
    `BadInput` if the file has no curves of the tile's conditions, or the tile gives resistances of its own.
    """
    if ends.file is None or ends.driver_fins is None or ends.sense_fins is None or ends.r_driver is not None:
        return ends, spec
    if given := {"r_driver", "r_sink"} & spec.wires.model_fields_set:
        raise BadInput(
            f"the ends of a column are given twice: [ends] has their widths, [wires] has {', '.join(sorted(given))}; "
            "keep one of them."
        )
    curves = find_ends(Path(ends.file), spec, Devices(nmos=ends.nmos, pmos=ends.pmos))
    driver, sink = curves.resistances(spec.rows_active / 4, driver_fins=ends.driver_fins, sense_fins=ends.sense_fins)
    wires = spec.wires.replace(r_driver=driver, r_sink=sink)
    return ends.replace(r_driver=driver, r_sink=sink), spec.replace(wires=wires)


class EndCurves(Config):
    """What one fin of each end carries, and a cell, under the conditions of a tile."""

    conditions: JsonDict
    """Cell, devices and corner of the tile, its read voltage, and the devices of the ends."""
    voltage: tuple[float, ...]
    """(k,) V across an end, from 0 to the read voltage."""
    driver: tuple[float, ...]
    """(k,) A, of one fin of each of its two transistors."""
    sense: tuple[float, ...]
    """(k,) A, of one fin."""
    cell: float = Field(gt=0)
    """A, of one ON cell between ideal terminals."""
    made_from: str = ""
    """Hash of the cards and the cell's deck."""
    provenance: JsonDict = Field(default={})

    @model_validator(mode="after")
    def _rise(self) -> "EndCurves":
        for name in ("voltage", "driver", "sense"):
            values = np.array(getattr(self, name))
            if len(values) != len(self.voltage) or len(values) < 3 or values[0] != 0 or not (np.diff(values) > 0).all():
                raise ValueError(f"{name}: expected {len(self.voltage)} values that rise from 0")
        return self

    @cached_property
    def arrays(self) -> tuple[Array, Array, Array]:
        """Voltage, and the currents of both ends."""
        return np.array(self.voltage), np.array(self.driver), np.array(self.sense)

    def drop(self, current: float, *, driver_fins: int, sense_fins: int) -> tuple[float, float]:
        """V across driver and sense end at a column's current, A; infinite beyond the curves."""
        voltage, driver, sense = self.arrays
        return (
            float(np.interp(current / driver_fins, driver, voltage, right=np.inf)),
            float(np.interp(current / sense_fins, sense, voltage, right=np.inf)),
        )

    def column_current(self, cells: float, **fins: int) -> float:
        """A, of a column of so many ON cells, taken as resistors, without wires."""
        v_read = self.voltage[-1]
        low, high = 0.0, cells * self.cell
        for _ in range(60):
            current = (low + high) / 2
            left = v_read - sum(self.drop(current, **fins))
            low, high = (current, high) if current < cells * self.cell * left / v_read else (low, current)
        return low

    def resistances(self, cells: float, **fins: int) -> tuple[float, float]:
        """Ohm of driver and sense end, V / I, at the current of `column_current`; for 0 cells the slope at 0 V."""
        current = self.column_current(cells, **fins) if cells else min(self.driver[1], self.sense[1]) / 2
        driver, sense = self.drop(current, **fins)
        return driver / current, sense / current


@dataclass(frozen=True)
class EndFigures:
    """Both ends of one width."""

    driver_fins: int
    sense_fins: int
    current: float
    """A, of a column with a quarter of its active rows ON: the mean of random bits."""
    driver: tuple[float, float, float]
    """Ohm: at no current, at `current`, and with all active rows ON."""
    sense: tuple[float, float, float]


def end_figures(curves: EndCurves, rows_active: int, *, driver_fins: int, sense_fins: int) -> EndFigures:
    """Resistances of both ends over the range of a read."""
    fins = {"driver_fins": driver_fins, "sense_fins": sense_fins}
    found = [curves.resistances(cells, **fins) for cells in (0, rows_active / 4, rows_active)]
    driver, sense = zip(*found, strict=True)
    return EndFigures(
        driver_fins, sense_fins, curves.column_current(rows_active / 4, **fins), tuple(driver), tuple(sense)
    )


def ends(spec: TileSpec, devices: Devices | None = None) -> EndCurves:
    """Characterise both ends for a tile's read voltage and corner, in ngspice.

    Raises
    ------
    BadInput
        If the tile is driven by its bit lines, or there is no such device.
    SpiceFailed
        If ngspice fails.

    Examples
    --------
    >>> import spicekit as sk
    >>> type(sk.ends(sk.TileSpec(wires=sk.Wires(layer="M2", pitch_nm=108)))).__name__
    'EndCurves'
    """
    devices = devices or Devices()
    voltage = np.linspace(0.0, spec.v_read, POINTS)
    step = spec.v_read / (POINTS - 1)
    deck = "\n".join(
        [
            "* both ends of a column, of one fin",
            subcircuits(spec, devices, driver_fins=1, sense_fins=1),
            f"Vread vread 0 dc {spec.v_read!r}",
            f"Vbl bl 0 dc {spec.v_read!r}",
            "Vsl sl 0 dc 0",
            "Xdriver vread bl end_driver",
            "Xsense sl 0 end_sense",
            ".options reltol=1e-6 abstol=1e-16 vntol=1e-10 gmin=1e-18",
            f".temp {to_celsius(spec.corner.temperature)!r}",
            ".end\n",
        ]
    )
    steps = (
        Step(f"dc vsl 0 {spec.v_read!r} {step!r}"),
        Step(f"dc vbl 0 {spec.v_read!r} {step!r}", ("vsl dc 0",)),
    )
    into, out_of = simulate(Job(deck, steps, keep=("vsl#branch", "vbl#branch")))
    driver, sense = out_of["vbl#branch"][::-1], -into["vsl#branch"]
    if len(driver) != POINTS or len(sense) != POINTS:
        raise SpiceFailed("ends: ngspice did not finish the sweeps of both ends.")
    return EndCurves(
        conditions=_conditions(spec, devices),
        voltage=tuple(voltage.tolist()),
        driver=tuple((driver - driver[0]).tolist()),
        sense=tuple((sense - sense[0]).tolist()),
        cell=read_current(spec, 1),
        made_from=_made_from(spec, devices),
        provenance=provenance({**ngspice().facts(), "deck": deck}),
    )


def subcircuits(spec: TileSpec, devices: Devices, *, driver_fins: int, sense_fins: int) -> str:
    """Both ends as subcircuits, `end_driver supply line` and `end_sense column ground`, with their models."""
    if spec.drive != "wordline":
        raise BadInput("ends: only columns that their word lines drive have these ends; got drive = 'bitline'.")
    cards: dict[str, Card] = {
        "nmos": load_card(devices.nmos, spec.corner.process, "nmos"),
        "pmos": load_card(devices.pmos, spec.corner.process, "pmos"),
    }
    vdd = spec.corner.vdd
    n, p = cards["nmos"], cards["pmos"]
    return "\n".join(
        [
            *(card.renamed(f"end_{kind}").rstrip() for kind, card in cards.items()),
            ".subckt end_driver supply line",
            f"Von on 0 dc {vdd!r}",
            f"{n.letter}n supply on line 0 {n.instance(driver_fins, model='end_nmos')}",
            f"{p.letter}p supply 0 line on {p.instance(driver_fins, model='end_pmos')}",
            ".ends end_driver",
            ".subckt end_sense column ground",
            f"Von on 0 dc {vdd!r}",
            f"{n.letter}in column on ground 0 {n.instance(sense_fins, model='end_nmos')}",
            ".ends end_sense",
        ]
    )


def with_ends(deck: str, spec: TileSpec, devices: Devices, *, driver_fins: int, sense_fins: int) -> str:
    """A tile's deck with the true transistors in the place of `r_driver` and `r_sink`."""
    text = subcircuits(spec, devices, driver_fins=driver_fins, sense_fins=sense_fins)
    deck, drivers = re.subn(r"(?m)^Rdrv_(\d+) (\S+) (\S+) \S+$", r"Xdrv_\1 \2 \3 end_driver", deck)
    deck, sinks = re.subn(r"(?m)^Rsink_(\d+) (\S+) (\S+) \S+$", r"Xsink_\1 \3 \2 end_sense", deck)
    if (drivers, sinks) != (spec.columns, spec.columns):
        raise BadInput("with_ends: the deck has no resistors at its ends; r_driver and r_sink must not be 0.")
    title, _, rest = deck.partition("\n")
    return f"{title}\n{text}\n{rest}"


@dataclass(frozen=True)
class EndError:
    """What resistors in the place of both ends cost: column currents of ngspice, of resistors less transistors, LSB."""

    reads: int
    rms: float
    worst: float
    mean: float


def end_error(curves: EndCurves, spec: TileSpec, devices: Devices, *, driver_fins: int, sense_fins: int) -> EndError:
    """Simulate a tile of random bits, a quarter to all of a column ON, with transistors and with resistors."""
    driver, sink = curves.resistances(spec.rows_active / 4, driver_fins=driver_fins, sense_fins=sense_fins)
    tile = spec.replace(columns=len(_ON), rows=spec.rows_active, wires=spec.wires.replace(r_driver=driver, r_sink=sink))
    rng = np.random.default_rng(0)
    weights = (rng.random((tile.rows, tile.columns)) < _ON).astype(np.uint8)
    applied = [
        np.ones(tile.rows, np.uint8),
        *(rng.integers(0, 2, (_VECTORS - 1, tile.rows)).astype(np.uint8)),
    ]
    decks = [tile_deck(tile, weights, bits, batch=False) for bits in applied]
    true = [with_ends(deck, tile, devices, driver_fins=driver_fins, sense_fins=sense_fins) for deck in decks]
    keep = tuple(f"vsense_{column}#branch" for column in range(tile.columns))
    jobs = (Job(deck, (Step("op"),), keep) for deck in (*decks, *true))
    currents = np.array([[wave[name][0] for name in keep] for (wave,) in all_waves(jobs, what="ends")])
    error = (currents[:_VECTORS] - currents[_VECTORS:]) / curves.cell
    return EndError(error.size, float(np.sqrt((error**2).mean())), float(np.abs(error).max()), float(error.mean()))


_ON = np.array([0.25, 0.5, 0.75, 1.0])  # fraction of stored ones, by column
_VECTORS = 4


def _conditions(spec: TileSpec, devices: Devices) -> JsonDict:
    return {**Characterisation(spec).conditions, "v_read": spec.v_read, "ends": devices.model_dump()}


def _made_from(spec: TileSpec, devices: Devices) -> str:
    both = subcircuits(spec, devices, driver_fins=1, sense_fins=1)
    return content_hash([both, Characterisation(spec).deck_hash])


class _File(Config):
    kind: Literal["ends"]
    entries: tuple[EndCurves, ...]


def write_ends(path: Path, curves: EndCurves) -> None:
    """Keep curves in a file, beside those of other conditions; those of the same conditions are replaced."""
    there = read_ends(path) if path.is_file() else ()
    kept = [one for one in there if one.conditions != curves.conditions]
    file = _File(kind="ends", entries=(*kept, curves))
    write_atomically(path, json.dumps(file.model_dump(mode="json"), indent=1) + "\n")


def read_ends(path: Path) -> tuple[EndCurves, ...]:
    """Curves of a file; `BadInput` if it is none."""
    return parse(_File, read_json(path), source=f"{path} (a file of: {_MAKE})").entries


def find_ends(path: Path, spec: TileSpec, devices: Devices) -> EndCurves:
    """The curves of a file that were made under a tile's conditions; `BadInput` if there are none of today's cards."""
    wanted = _conditions(spec, devices)
    there = read_ends(path)
    for curves in there:
        if curves.conditions == wanted:
            if curves.made_from != _made_from(spec, devices):
                raise BadInput(
                    f"{path}: is stale: a card or template has changed since; make the curves anew with: {_MAKE}"
                )
            return curves
    raise BadInput(f"{path}: has no curves of these conditions, {json.dumps(wanted)}; add them with: {_MAKE}")


_MAKE = "spicekit devices ends --spec TILE.toml --out ENDS.json"
