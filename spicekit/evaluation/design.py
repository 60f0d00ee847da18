"""A design point: a tile, the converter behind its columns, and how long a read takes."""

from collections import abc
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from spicekit.circuits.spec import SPEC_TABLES, Device, Discharge, TileSpec, Wires, rooted
from spicekit.config import Config, at_line, parse, read_toml, unknown_key
from spicekit.devices.cards import Corner
from spicekit.engines.cell_currents import Variation
from spicekit.engines.converter import Converter
from spicekit.errors import BadInput
from spicekit.evaluation.costs import Costs
from spicekit.files import as_path
from spicekit.mapping.binsparx import FlipRule
from spicekit.mapping.layers import DEFAULT_UNROLLING, Unrolling
from spicekit.tables.ends import Ends, resolved


class Read(Config):
    """Timing of one read."""

    time: float = Field(default=1e-9, gt=0)
    """s, for which the bit lines conduct. Assumed: a converter of some GHz sets it; a 64-row column itself settles in
    25 ps, which `spicekit netlist settle` measures and `spicekit evaluate --settle` takes instead."""
    probe_images: int = Field(default=16, ge=1)
    """Images whose reads are counted: of those classified, for currents and energy; of the training split, for fitted
    converters. Reads of one image are alike: in VGG-small for CIFAR-10 a layer's means differ by 9 to 15 % between
    images, so that their standard error over 16 is 2 to 4 %, and 0.5 % over all layers. Results state it."""


class Limits(Config):
    """How far the engines may be from ngspice on whole tiles, for every kind of vector."""

    exact_worst: float = Field(default=0.01, gt=0)
    """LSB. A hundredth of a code; 1e-4 of full scale is 0.0064 LSB at 64 rows."""
    fast_rms: float = Field(default=0.05, gt=0)
    """LSB. Assumed: what the surrogate's targets allow the heaviest tile they name, 128 rows."""
    fast_worst: float = Field(default=0.25, gt=0)
    """LSB. Assumed: half of the distance from a code's middle to its threshold."""
    codes_differ: float = Field(default=0.05, ge=0, le=1)
    """Fraction of converter codes that are not those of ngspice's currents, of either engine. Assumed: an error of
    x LSB moves about a fraction x of the codes."""


class Mapping(Config):
    """How a network is laid out, beyond BinSparX."""

    unrolling: Unrolling = DEFAULT_UNROLLING
    """Order of a convolution's inputs along the rows."""
    flip_rule: FlipRule = "count"
    """What decides BinSparX's flips: ones counted, or the error that they are predicted to cause."""
    recalibrate: int = Field(default=0, ge=0)
    """Images of the training split on which the batch norms' statistics are taken anew, on the tiles; 0: never."""


class Ablation(Config):
    """What is idealised, to see what it costs. Wires and terminals are switched off by a resistance of 0."""

    linear_cells: bool = False
    """Cells are resistors that conduct what the real ones do at `v_read`."""
    layer: str | None = None
    """Only this layer runs on real tiles, the others on ideal ones."""


class Design(Config):
    """What a network is evaluated on.

    >>> from spicekit.circuits.spec import Wires
    >>> made = Design(tile=TileSpec(wires=Wires(layer="M2", pitch_nm=108)), converter=Converter(bits=5))
    >>> Design.from_toml(made.to_toml()) == made
    True
    """

    tile: TileSpec
    """The array."""
    converter: Converter = Converter()
    """Behind each column."""
    variation: Variation = Variation()
    """How cells of a die differ."""
    read: Read = Read()
    """How long it takes, and of how many images reads are counted."""
    mapping: Mapping = Mapping()
    """How layers lie on tiles."""
    ablation: Ablation = Ablation()
    """What is idealised, to see what it costs."""
    limits: Limits = Limits()
    """What sign-off allows."""
    costs: Costs = Costs()
    """What estimates of energy, time and area take for peripherals."""
    ends: Ends = Field(default=Ends(), exclude_if=lambda ends: ends == Ends())
    """Widths of drivers and sense ends, from which the tile's `r_driver` and `r_sink` follow."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        ends, wires, scale = self.ends, self.tile.wires, self.converter.full_scale
        if ends.file is not None and (ends.r_driver, ends.r_sink) != (wires.r_driver, wires.r_sink):
            raise ValueError("[ends]: read_design and design(...) find the resistances of given widths")
        if scale is not None and not 1 <= scale <= _MOST_ROWS:
            raise ValueError(
                f"[converter] full_scale = {scale:g}; pass 1 to {_MOST_ROWS} ON cells: one cell would saturate a "
                f"smaller scale, and no tile fills a larger one"
            )
        if self.tile.discharge and self.read.time not in (Read().time, self.tile.discharge.time):
            raise ValueError("[read] time: a read that discharges its lines lasts [discharge] time; leave it out")
        return self

    @property
    def read_time(self) -> float:
        """s, for which the bit lines conduct: `read.time`, or as long as a read discharges its lines."""
        return self.tile.discharge.time if self.tile.discharge else self.read.time

    def tables(self) -> dict[str, dict[str, Any]]:
        """The design as the tables of a TOML file."""
        tables = super().tables()
        del tables["tile"]
        return {**self.tile.tables(), **tables}

    @classmethod
    def from_tables(cls, tables: dict[str, Any], *, source: str) -> Self:
        """Design from the tables of a TOML file; `source` names it in errors."""
        tables = dict(tables)
        known = {"tile", "ends", *SPEC_TABLES, *_PARTS}
        if unknown := [name for name, table in tables.items() if name not in known and isinstance(table, dict)]:
            raise BadInput(f"{source}: {at_line(source, (unknown[0],))}{unknown_key(unknown[0], known)}")
        parts = {name: parse(kind, tables.pop(name, {}), source=f"{source} [{name}]") for name, kind in _PARTS.items()}
        ends = parse(Ends, tables.pop("ends", {}), source=f"{source} [ends]")
        tile = TileSpec.from_tables(tables, source=source)
        try:
            ends, tile = resolved(ends, tile)
            return cls(tile=tile, ends=ends, **parts)
        except BadInput as error:
            raise BadInput(f"{source}: {str(error).removeprefix('Design: ')}.") from error

    def as_laid(self) -> "Design":
        """This design, but for what does not decide what its cells hold."""
        return self.replace(
            converter=Converter(),
            read=Read(),
            mapping=self.mapping.replace(recalibrate=0),
            limits=Limits(),
            costs=Costs(),
            ends=Ends(),
        )

    def as_read(self) -> "Design":
        """This design, but for what does not decide what its tiles read: designs of which this is equal share that."""
        return self.as_laid().replace(
            variation=Variation(),
            read=Read(probe_images=self.read.probe_images),
            ablation=self.ablation.replace(layer=None),
        )


def as_design(what: Any) -> Design:
    """A design as it is, or the design of a tile alone; `BadInput` for anything else."""
    if isinstance(what, Design):
        return what
    if isinstance(what, TileSpec):
        return Design(tile=what)
    raise BadInput(f"expected a Design or a TileSpec, got {type(what).__name__}; spicekit.design(...) makes one.")


def read_design(path: Path | str) -> Design:
    """Design from a TOML file: a tile spec with, optionally, a table for each other field of `Design`.

    >>> _ = Path("tile.toml").write_text('[wires]\\nlayer = "M2"\\npitch_nm = 108')
    >>> read_design("tile.toml") == design(layer="M2", pitch_nm=108)
    True

    Raises
    ------
    BadInput
        If the file cannot be read, a key is unknown, or a value is out of range.
    """
    path = as_path(path, what="read_design")
    return Design.from_tables(rooted(read_toml(path), path.parent), source=str(path))


def design(**fields: Any) -> Design:
    """A design by the names of its fields, whatever tables they stand in: the short way.

    A field that stands in several tables takes the table's name in front, `converter_seed`, but for `layer` and `time`,
    which are those of wires and read. Whole tables may be given too: `converter=Converter(bits=5)`.

    >>> made = design(layer="M2", pitch_nm=108, rows_active=16, bits=5, variation_seed=3)
    >>> made.tile.rows_active, made.converter.bits, made.variation.seed
    (16, 5, 3)

    Raises
    ------
    BadInput
        If there is no such field, it stands in several tables or is given twice, or a value is out of range.
    """
    tables: dict[str, Any] = {}

    def put(table: str, values: Any) -> None:
        given = values.model_dump(exclude_unset=True) if isinstance(values, Config) else values
        if not isinstance(given, abc.Mapping):
            raise BadInput(f"design: {table} = {values!r}; pass a {_TABLES[table].__name__} or a mapping.")
        for field, value in given.items():
            if table == "tile" and field in _INNER:
                put(field, value)
            elif field in tables.setdefault(table, {}):
                raise BadInput(f"design: {field!r} of {table} is given twice; keep one of them.")
            else:
                tables[table][field] = value

    for name, value in fields.items():
        if name in _TABLES:
            put(name, value)
            continue
        places = [(table, field) for table, field in _FIELDS if name in (field, f"{table}_{field}")]
        exact = [place for place in places if place[1] != name] or places
        chosen = [place for place in exact if place in (("wires", "layer"), ("read", "time"))] or exact
        if not chosen:
            raise BadInput(f"design: {unknown_key(name, {field for _, field in _FIELDS} | set(_TABLES))}.")
        if len(chosen) > 1:
            raise BadInput(
                f"design: {name!r} stands in several tables; pass "
                f"{' or '.join(f'{table}_{field}' for table, field in chosen)}."
            )
        ((table, field),) = chosen
        put(table, {field: value})
    tile = tables.pop("tile", {})
    parts = {name: tables.pop(name) for name in _INNER if name in tables}
    ends, spec = resolved(Ends(**tables.pop("ends", {})), TileSpec(**tile, **parts))
    return Design(tile=spec, ends=ends, **tables)


_MOST_ROWS = 256  # of a `TileSpec`
_INNER: dict[str, type[Config]] = {"wires": Wires, "corner": Corner, "device": Device, "discharge": Discharge}
"""Tables within a tile spec."""
_PARTS: dict[str, type[Config]] = {
    name: type(field.default) for name, field in Design.model_fields.items() if name not in ("tile", "ends")
}
_TABLES: dict[str, type[Config]] = {"tile": TileSpec, **_INNER, "ends": Ends, **_PARTS}
_FIELDS = [
    (table, field)
    for table, kind in _TABLES.items()
    for field in kind.model_fields
    if field not in _INNER and (table, field) not in (("ends", "r_driver"), ("ends", "r_sink"))  # found, not given
]
