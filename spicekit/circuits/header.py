"""The header of a deck: TOML in comment lines, written when it is rendered and read when it is shown."""

import itertools
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spicekit.circuits.spec import TileSpec
from spicekit.errors import BadInput


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

    Raises
    ------
    BadInput
        If the deck has no such header, or the header was edited into something else.
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
    """JSON writes strings, finite numbers, booleans and arrays as TOML does."""
    lines = []
    for name, table in tables.items():
        inner = {f"{name}.{key}": value for key, value in table.items() if isinstance(value, Mapping)}
        lines.append(f"[{name}]")
        lines += [f"{_json(k)} = {_json(v)}" for k, v in table.items() if not isinstance(v, Mapping)]
        lines += _toml(inner)
    return lines


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # TOML knows no surrogate pairs
