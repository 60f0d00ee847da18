"""Cells as data: a folder with a SPICE subcircuit and a sheet. The shipped ones are written so themselves.

The subcircuit is untrusted text: instances of R, C, B, E, G and X, and transistors `M... d g s b nmos fins=2`, whose
model is written in by the spec's cards. Commands, sources, models and included files are refused. `{fins}` stands for
the spec's fins, `{vdd}` for its supply, `{bit}` for the stored bit, and any other name for a value of the sheet.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from spicekit.config import Config, parse, read_toml
from spicekit.devices.cards import Card
from spicekit.devices.sheet import Polarity
from spicekit.errors import BadInput
from spicekit.files import read_file, shipped_folder

Port = Literal["drive", "select", "sense", "state", "column vdd", "row low", "ground"]
"""What a port of a subcircuit is tied to: bit line, word line, source line, a node at the stored bit's level, a supply
line for each column, a line at 0 V for each row, or 0 V."""

_ELEMENTS = "mrcbegx"
_LARGEST = 100_000  # bytes of a subcircuit file: a cell has a few lines
_NAME = re.compile(r"\{(\w+)\}")
_TRANSISTOR = re.compile(r"m(\w+)((?:\s+[\w.]+){4})\s+(nmos|pmos)\s+fins=(\{fins\}|\d+)(\s+off)?$", re.IGNORECASE)


class Netlist(Config):
    """A subcircuit, and what its ports are tied to."""

    file: str = Field(default="cell.sp", pattern=r"^[\w-][\w.-]*$")
    """Beside the sheet."""
    subcircuit: str = Field(pattern=r"^[A-Za-z]\w*(\{bit\})?\w*$")
    """Its name; with {bit} there is one for each stored bit."""
    ports: dict[str, Port]
    """In the subcircuit's order."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        tied = list(self.ports.values())
        for port in ("drive", "select", "sense"):
            if tied.count(port) != 1:
                raise ValueError(f"[ports]: one port must be '{port}', got {tied.count(port)}")
        if tied.count("state") > 1:
            raise ValueError("[ports]: a cell holds one bit of two states; one port at most is 'state'")
        return self


class Sheet(Netlist):
    """What `cell.toml` says."""

    title: str
    width: float = Field(gt=0, lt=1e-4)
    """m, along the row."""
    height: float = Field(gt=0, lt=1e-4)
    """m, along the column."""
    mismatch: tuple[str, ...] = ()
    """Transistors of the read path, without their letter, that have mismatch."""
    parameters: dict[str, tuple[float, float]] = Field(default={})
    """Values for the stored bits 0 and 1, by the name that stands for them."""
    reram: bool = False
    """Takes [device] reram: {element} names its subcircuit and {gap} its state."""
    bitline: bool = False
    """May be driven by its rows."""
    full: Netlist | None = None
    """The cell with what holds its bit, for decks with `--detail full`; it may use the subcircuits of `file`."""

    @model_validator(mode="after")
    def _stores_a_bit(self) -> Self:
        if "state" not in self.ports.values() and "{bit}" not in self.subcircuit:
            raise ValueError(
                "nothing expresses the stored bit: tie a port to 'state', or call the subcircuit NAME_{bit}"
            )
        return self


@dataclass(frozen=True)
class Transistor:
    """One instance in a subcircuit."""

    name: str
    """Without its letter."""
    nodes: tuple[str, str, str, str]
    polarity: Polarity
    fins: str
    """A number, or {fins}."""
    off: bool

    def count(self, fins: int) -> int:
        """Its fins, in a cell of so many."""
        return fins if self.fins == "{fins}" else int(self.fins)


@dataclass(frozen=True)
class Cell:
    """A cell: its sheet and its subcircuits."""

    sheet: Sheet
    texts: tuple[str, ...]
    """Of `file`, and of `full.file` if there is such."""

    def netlist(self, detail: str) -> Netlist:
        """The subcircuit that a level of detail takes: the read path unless there is more and it is asked for."""
        return self.sheet.full if detail == "full" and self.sheet.full else self.sheet

    def transistors(self, detail: str) -> list[Transistor]:
        """Those of the subcircuits of a level of detail."""
        lines = "\n".join(self._texts(detail)).splitlines()
        return [found for line in lines if (found := _transistor(line.strip()))]

    def polarities(self, detail: str) -> list[Polarity]:
        """Channel types of them."""
        return sorted({each.polarity for each in self.transistors(detail)})

    def select_fins(self, fins: int) -> dict[Polarity, int]:
        """Fins of the gates that its word line sees, by channel type."""
        select = self.port("select")
        found: dict[Polarity, int] = {}
        for each in self.transistors("read-port"):
            if each.nodes[1] == select:
                found[each.polarity] = found.get(each.polarity, 0) + each.count(fins)
        return found

    def port(self, role: Port) -> str:
        """The port of the read path that is tied so."""
        return next(name for name, tied in self.sheet.ports.items() if tied == role)

    def text(
        self,
        detail: str,
        *,
        cards: Mapping[Polarity, Card],
        fins: int,
        vdd: float,
        values: Mapping[str, tuple[str, str]],
    ) -> str:
        """Subcircuits with the cards' transistors and values written in; twice where they depend on the stored bit."""
        by_bit = {
            **{"bit": ("0", "1"), "fins": (str(fins),) * 2, "vdd": (repr(vdd),) * 2},
            **{name: (repr(zero), repr(one)) for name, (zero, one) in self.sheet.parameters.items()},
            **values,
        }
        written = []
        for text in self._texts(detail):
            lines = (_line(line, cards, fins) for line in text.splitlines())
            kept = "\n".join(line for line in lines if line is not None).strip()
            for bit in (0, 1):
                parts = _NAME.split(kept)  # text and names by turns
                parts[1::2] = [by_bit[name][bit] for name in parts[1::2]]
                written.append("".join(parts) + "\n")
        return "\n".join(dict.fromkeys(written))

    def _texts(self, detail: str) -> tuple[str, ...]:
        return self.texts if detail == "full" else self.texts[:1]


def shipped_cells() -> tuple[str, ...]:
    """Names of the cells in `cells/`."""
    return tuple(sorted(path.parent.name for path in shipped_folder("cells").glob("*/cell.toml")))


def load_cell(cell: str) -> Cell:
    """A shipped cell by name, or one's own by the path of its sheet, `cell.toml`.

    `BadInput` if there is none, or its sheet or subcircuits are not what this module's docstring says.
    """
    path = shipped_folder("cells") / cell / "cell.toml" if cell in shipped_cells() else Path(cell)
    if path.suffix != ".toml" or not path.is_file():
        raise BadInput(
            f"cell {cell!r}: is neither a shipped cell ({', '.join(shipped_cells())}) nor the path of a cell's sheet, "
            "cell.toml."
        )
    return _load(path, tuple(sorted((each.name, each.stat().st_mtime_ns) for each in path.parent.iterdir())))


@functools.lru_cache(maxsize=64)
def _load(path: Path, stamps: tuple[tuple[str, int], ...]) -> Cell:
    """The cell as it is at these times of change."""
    sheet, source = parse(Sheet, read_toml(path), source=str(path)), str(path)
    netlists = [sheet, sheet.full] if sheet.full else [sheet]
    texts = tuple(_read(path.parent / each.file) for each in netlists)
    cell = Cell(sheet, texts)
    own = {"element", "gap"} if sheet.reram else set()
    known = {"fins", "vdd", "bit", *sheet.parameters, *own}
    for netlist, text in zip(netlists, texts, strict=True):
        inside = False
        for number, line in enumerate(text.splitlines(), start=1):
            where, word = f"{source}: {netlist.file}, line {number}", line.strip().partition(" ")[0].lower()
            _check_line(line.strip(), known, where)
            if not inside and word not in ("", ".subckt") and word[0] != "*":
                raise BadInput(f"{where}: '{line.strip()[:60]}' stands outside of a subcircuit; put it inside one.")
            inside = word != ".ends" and (inside or word == ".subckt")
        if inside:
            raise BadInput(f"{source}: {netlist.file} ends inside a subcircuit; close it with .ends.")
        for bit in "01":
            name = netlist.subcircuit.replace("{bit}", bit)
            either = f"{re.escape(name)}|{re.escape(netlist.subcircuit)}"
            header = re.search(rf"^\.subckt\s+(?:{either})\s+(.*)$", text, re.MULTILINE | re.IGNORECASE)
            if header is None or header[1].split() != list(netlist.ports):
                raise BadInput(
                    f"{source}: {netlist.file} must hold '.subckt {name} {' '.join(netlist.ports)}', with the ports of "
                    "the sheet in their order."
                )
    transistors = {each.name for each in cell.transistors("read-port")}
    if missing := [name for name in sheet.mismatch if name not in transistors]:
        raise BadInput(f"{source}: mismatch names {missing}; {sheet.file} has {sorted(transistors)}.")
    if not cell.select_fins(1):
        raise BadInput(
            f"{source}: no transistor of {sheet.file}, 'M... d g s b nmos fins={{fins}}', has the word line as gate."
        )
    return cell


def _check_line(line: str, known: set[str], where: str) -> None:
    if not line or line.startswith("*"):
        return
    word = line.split()[0].lower()
    if word.startswith(".") and word not in (".subckt", ".ends", ".nodeset"):
        raise BadInput(f"{where}: '{word}' is a command; a cell holds .subckt, .ends, .nodeset and elements.")
    if not word.startswith(".") and word[0] not in _ELEMENTS:
        raise BadInput(f"{where}: '{line[:40]}' is none of the elements {', '.join(_ELEMENTS.upper())}.")
    if word[0] == "m" and _transistor(line) is None:
        raise BadInput(
            f"{where}: expected 'M... d g s b nmos fins=2' (or pmos, fins={{fins}}, off), got '{line[:60]}'."
        )
    if unknown := set(_NAME.findall(line)) - known:
        raise BadInput(f"{where}: {{{unknown.pop()}}} stands for nothing; known are {', '.join(sorted(known))}.")
    if re.search(r"[;$`\\\"]|file\s*=|\bcontrol\b", line, re.IGNORECASE):
        raise BadInput(f"{where}: '{line[:60]}' holds a comment, a file or an escape; write plain elements.")


def _transistor(line: str) -> Transistor | None:
    match = _TRANSISTOR.match(line)
    if match is None:
        return None
    d, g, s, b = match[2].split()
    return Transistor(
        match[1],
        (d, g, s, b),
        "nmos" if match[3].lower() == "nmos" else "pmos",
        match[4].lower(),
        bool(match[5]),
    )


def _line(line: str, cards: Mapping[Polarity, Card], fins: int) -> str | None:
    """A line with a card's transistor; None for what only compiled, or only built-in, models need."""
    stripped = line.strip()
    if stripped.lower().startswith(".nodeset"):  # compiled models know no `off`: voltages lead to the state
        return line if any(card.compiled for card in cards.values()) else None
    found = _transistor(stripped)
    if found is None:
        return line
    card = cards[found.polarity]
    instance = card.instance(found.count(fins), off=found.off)
    return f"{card.letter}{found.name} {' '.join(found.nodes)} {instance}"


def _read(path: Path) -> str:
    try:
        return read_file(path, largest=_LARGEST).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: cannot be read as text ({error}); the cell's sheet names it.") from error
