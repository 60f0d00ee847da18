"""What a tile is: cell, size, drive, wires, bias and corner, read from TOML or from the header of its deck."""

import itertools
import operator
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from spicekit.circuits.cells import load_cell
from spicekit.config import Config, parse, toml_value
from spicekit.devices.cards import Card, Corner, load_card, shipped_devices
from spicekit.devices.sheet import Polarity
from spicekit.errors import BadInput
from spicekit.units import NANO

Layer = Literal["M2", "M3", "M4", "M5", "M6", "M7"]

# ohm per metre. OpenROAD-flow-scripts, platform asap7, setRC.tcl (kohm/um inferred from the library's units).
WIRE_RESISTANCE = {"M2": 29.7e6, "M3": 31.3e6, "M4": 18.0e6, "M5": 19.0e6, "M6": 11.9e6, "M7": 12.5e6}
# F per metre, same source; M5 to M7 are not in it.
WIRE_CAPACITANCE = {"M2": 0.185e-9, "M3": 0.154e-9, "M4": 0.189e-9}


# A field at 0 or None is left out of records, so that their hashes are those from before it.
_NONE = operator.not_


RAILS = ("r_supply", "r_ground", "rail_columns")
"""Fields of shared rails."""


class Wires(Config):
    """Resistances of one tile, ohm. Segments are given in ohm, or by metal layer and cell pitch.

    >>> round(Wires(layer="M2", pitch_nm=108).segment("r_bl"), 2)
    3.21
    """

    r_driver: float = Field(default=100.0, ge=0)
    """Between the read source and the first node. Assumed: no 7 nm figure found; swept in studies."""
    r_sink: float = Field(default=100.0, ge=0)
    """Between the sense end and the virtual ground. Assumed, as `r_driver`."""
    r_supply: float = Field(default=0.0, ge=0, exclude_if=_NONE)
    """Between the read source and the drivers of all columns of a rail (word-line drive)."""
    r_ground: float = Field(default=0.0, ge=0, exclude_if=_NONE)
    """Between the sense points of all columns of a rail and 0 V (word-line drive)."""
    rail_columns: int | None = Field(default=None, ge=1, le=256, exclude_if=_NONE)
    """Neighbouring columns that share a supply and a ground rail; left out, all of a tile."""
    layer: Layer | None = None
    """Metal layer of the wires; with `pitch_nm` it sets every segment that is not given in ohm."""
    pitch_nm: float | None = Field(default=None, gt=0)
    """Cell pitch along the wire in nm; an 8T cell is 2 CPP = 108 nm along the column."""
    r_bl: float | None = Field(default=None, ge=0)
    """Bit-line segment (word-line drive)."""
    r_sl: float | None = Field(default=None, ge=0)
    """Source-line segment (word-line drive)."""
    r_row: float | None = Field(default=None, ge=0)
    """Row segment (bit-line drive)."""
    r_col: float | None = Field(default=None, ge=0)
    """Column segment (bit-line drive)."""

    @model_validator(mode="after")
    def _layer_needs_pitch(self) -> Self:
        if (self.layer is None) != (self.pitch_nm is None):
            raise ValueError("give layer and pitch_nm together")
        return self

    @property
    def railed(self) -> bool:
        """Whether columns share a rail with resistance."""
        return bool(self.r_supply or self.r_ground)

    def without_rails(self) -> Self:
        """The same wires between an ideal supply and an ideal ground."""
        return self.replace(r_supply=0.0, r_ground=0.0, rail_columns=None)

    def segment(self, name: Literal["r_bl", "r_sl", "r_row", "r_col"]) -> float:
        """Resistance of one segment in ohm: as given, else layer resistance per length times pitch."""
        given: float | None = getattr(self, name)
        if given is not None:
            return given
        if self.layer is None or self.pitch_nm is None:
            raise BadInput(f"Wires has neither {name} nor layer with pitch_nm; give one of them.")
        return WIRE_RESISTANCE[self.layer] * self.pitch_nm * NANO


class Device(Config):
    """Which device models the cell is made of.

    >>> Device(fins=1).nmos
    'nmos-sram'
    """

    nmos: str = "nmos-sram"
    """Folder in `device_models/`, or a path to a card of the user's own, from the folder of the spec's file."""
    pmos: str = "pmos-sram"
    """Likewise, for the pull-up transistors of the 6T core."""
    fins: int = Field(default=2, ge=1, le=16)
    """Fins of each transistor in the read path. Assumed: two, the usual strengthened read port."""
    reram: str = "hfo2-10k"
    """ReRAM preset in `device_models/reram/` (1T-1ReRAM only)."""


class Discharge(Config):
    """Reads that discharge a line: each column's, charged to `v_read`, is let go, and its voltage sampled."""

    load: float = Field(gt=0, le=1e-9)
    """F, at the end of each bit line beside its wire and cells: the sampling capacitor and what senses it."""
    time: float = Field(gt=0, le=1e-3)
    """s, from the release of the lines to the sample."""


class TileSpec(Config):
    """An array of cells with its wires, drivers and sense points.

    >>> TileSpec(wires=Wires(r_bl=3.2, r_sl=3.2)).groups
    1
    """

    cell: str = "8t-sram"
    """Folder in `cells/`, or the sheet of a cell of one's own; in a file, [cell] file = "mine/cell.toml"."""
    rows: int = Field(default=64, ge=1, le=256)
    """Word lines: cells of a column."""
    columns: int = Field(default=64, ge=1, le=256)
    """Cells along a word line."""
    rows_active: int = Field(default=64, ge=1, le=256)
    """Rows asserted in one read, by default all `rows`; fewer is partial word-line activation."""
    drive: Literal["wordline", "bitline"] = "wordline"
    """Which lines carry the activations."""
    sense_end: Literal["far", "near"] = "far"
    """Where currents are sensed: at the other end from the drivers, or at theirs."""
    v_read: float = Field(default=0.35, gt=0, le=0.70)
    """V, on the bit lines. Assumed: half the supply (docs/decisions/read-bias.md)."""
    v_wl: float = Field(default=0.70, gt=0, le=1.2)
    """V, on an asserted word line."""
    wires: Wires = Wires()
    """Resistances of lines and terminals."""
    corner: Corner = Corner()
    """Process and temperature."""
    device: Device = Device()
    """Transistor cards, and the ReRAM of cells that have one."""
    discharge: Discharge | None = Field(default=None, exclude_if=_NONE)
    """In place of a read source that holds the bit lines at `v_read`."""

    @model_validator(mode="before")
    @classmethod
    def _all_rows_at_once(cls, data: Any) -> Any:
        """Rows that a read asserts: by default all."""
        if isinstance(data, dict) and "rows_active" not in data and 1 <= _whole(data.get("rows")) <= 256:
            return {**data, "rows_active": data["rows"]}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.rows % self.rows_active:
            raise ValueError(f"rows_active = {self.rows_active} must divide rows = {self.rows}")
        try:
            bitline = load_cell(self.cell).sheet.bitline
        except BadInput as error:
            raise ValueError(str(error)) from error
        if self.drive == "bitline" and not bitline:
            raise ValueError(
                f"bit-line drive needs a cell whose sheet says bitline = true, such as '1t1r'; {self.cell!r} is driven "
                "by its word line"
            )
        if self.drive == "bitline" and self.rows_active != self.rows:
            raise ValueError("bit-line drive asserts all rows at once; set rows_active = rows")
        if self.drive == "bitline" and self.wires.railed:
            raise ValueError("shared rails are of word-line drive; leave out r_supply and r_ground")
        if self.discharge and (self.drive == "bitline" or self.wires.railed):
            raise ValueError("[discharge] is of word-line drive without shared rails; leave one of them out")
        if (self.wires.rail_columns or 1) > self.columns:
            raise ValueError(f"rail_columns = {self.wires.rail_columns}: a tile has only {self.columns} columns")
        for name in self.segment_names:
            try:
                self.wires.segment(name)
            except BadInput as error:
                raise ValueError(str(error)) from error
        return self

    def tables(self) -> dict[str, dict[str, Any]]:
        """The spec as the tables of a TOML file."""
        tables = super().tables()
        return {"tile": tables.pop(""), **tables}

    @classmethod
    def from_tables(cls, tables: dict[str, Any], *, source: str) -> Self:
        """Tile spec from the tables of a TOML file; `source` names it in errors."""
        tables = dict(tables)
        tile = tables.pop("tile", {})
        if not isinstance(tile, dict):
            raise BadInput(f"{source}: 'tile' must be a table, [tile].")
        if (own := tables.pop("cell", None)) is not None:
            if "cell" in tile:
                raise BadInput(f"{source}: gives a cell twice, [tile] cell and [cell] file; keep one of them.")
            if not isinstance(own, dict) or own.keys() != {"file"} or not isinstance(own["file"], str):
                raise BadInput(f"{source}: expected [cell] file = 'mine/cell.toml', the sheet of a cell; got {own!r}.")
            tile = {**tile, "cell": own["file"]}
        clash = set(tile) & (SPEC_TABLES - {"cell"})
        if clash:
            raise BadInput(f"{source}: {sorted(clash)} are tables of their own, not keys of [tile].")
        return parse(cls, {**tile, **tables}, source=source)

    def card(self, polarity: Polarity) -> Card:
        """The card of its transistors of a channel type; `BadInput` if there is none, or it is of the other."""
        device: str = getattr(self.device, polarity)
        card = load_card(device, self.corner.process, polarity)
        if card.polarity != polarity:
            raise BadInput(f"[device] {polarity} = {device!r}: is a card of {card.polarity}; pass one of {polarity}.")
        return card

    @property
    def segment_names(self) -> tuple[Any, Any]:
        """The two kinds of wire segment that this drive has."""
        return ("r_bl", "r_sl") if self.drive == "wordline" else ("r_row", "r_col")

    @property
    def groups(self) -> int:
        """Reads that one activation vector takes."""
        return self.rows // self.rows_active

    @property
    def rail_columns(self) -> int:
        """Columns that share a rail; the last rail of a tile may have fewer."""
        return self.wires.rail_columns or self.columns

    def one_column(self) -> Self:
        """One column that stands for a rail full of such columns: alike, they load the rail with as many currents."""
        wires, n = self.wires, self.rail_columns
        return self.replace(
            columns=1,
            wires={
                **wires.model_dump(),
                "r_supply": n * wires.r_supply,
                "r_ground": n * wires.r_ground,
                "rail_columns": None,
            },
        )


SPEC_TABLES = frozenset({"wires", "corner", "device", "cell", "discharge"})
"""Of a TOML file, beside [tile]."""


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def rooted(tables: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The tables of a TOML file in which paths of [device], [cell] and [ends] count from the file's folder."""
    moved = dict(tables)
    for table, keys in (
        ("device", ("nmos", "pmos")),
        ("cell", ("file",)),
        ("ends", ("file", "nmos", "pmos")),
    ):
        given = tables.get(table)
        if isinstance(given, dict):
            moved[table] = {
                key: own_path(name, folder, shipped_devices()) if key in keys else name for key, name in given.items()
            }
    return moved


def own_path(name: Any, folder: Path, shipped: Collection[str]) -> Any:
    """A path as a file names it, from the file's folder on; the name of what ships, and what is no name, as it is."""
    return str((folder / name).resolve()) if isinstance(name, str) and name not in shipped else name


# The header of a deck: TOML in comment lines, written when it is rendered and read when it is shown.


@dataclass(frozen=True)
class Header:
    """What made a deck."""

    facts: Mapping[str, Any]
    """Kind of deck, hashes, expected currents."""
    spec: TileSpec


def header_lines(facts: Mapping[str, Any], spec: TileSpec) -> list[str]:
    """Lines of TOML: the table `deck` with the facts, then the tables of the spec."""
    tile = spec.model_dump(mode="json", exclude_none=True)
    parts: dict[str, Any] = {
        name: tile.pop(name) for name in ("wires", "corner", "device", "discharge") if name in tile
    }
    return _toml({"deck": facts, "tile": tile, **parts})


def read_header(comments: Iterable[str]) -> Header:
    """Header of a deck that spicekit rendered, from its comment lines without their `*`.

    `BadInput` if the deck has no such header, or the header was edited into something else.
    """
    lines = itertools.dropwhile(lambda line: line != "[deck]", comments)
    text = "\n".join(itertools.takewhile(lambda line: line, lines))
    try:
        tables = tomllib.loads(text)
        facts = tables.pop("deck")
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise BadInput("the deck has no header of spicekit; render it with 'spicekit netlist'.") from error
    return Header(facts, TileSpec.from_tables(tables, source="header of the deck"))


def _toml(tables: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = []
    for name, table in tables.items():
        inner = {f"{name}.{key}": value for key, value in table.items() if isinstance(value, Mapping)}
        lines.append(f"[{name}]")
        lines += [f"{toml_value(k)} = {toml_value(v)}" for k, v in table.items() if not isinstance(v, Mapping)]
        lines += _toml(inner)
    return lines
