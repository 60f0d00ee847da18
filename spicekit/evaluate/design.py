"""A design point: a tile, the converter behind its columns, and how long a read takes."""

from pathlib import Path
from typing import Any

from pydantic import Field

from spicekit.circuits.spec import TileSpec, spec_from_tables
from spicekit.config import Config, parse, read_toml
from spicekit.engines.converter import Converter


class Read(Config):
    """Timing of one read."""

    time: float = Field(default=1e-9, gt=0)
    """s, for which the bit lines conduct. Assumed: a few settling times of a 64-row column."""


class Design(Config):
    """What a network is evaluated on."""

    tile: TileSpec
    converter: Converter = Converter()
    read: Read = Read()


def read_design(path: Path) -> Design:
    """Design from a TOML file: a tile spec with, optionally, the tables [converter] and [read].

    Raises
    ------
    BadInput
        If the file cannot be read, a key is unknown, or a value is out of range.
    """
    tables: dict[str, Any] = read_toml(path)
    source = str(path)
    converter = parse(Converter, tables.pop("converter", {}), source=f"{source} [converter]")
    read = parse(Read, tables.pop("read", {}), source=f"{source} [read]")
    return Design(tile=spec_from_tables(tables, source=source), converter=converter, read=read)
