"""SPICE cards of transistors: shipped ones by name, the user's own by path.

A device is a folder with `device.toml` and a card for each corner, `tt.sp`, `ff.sp` and `ss.sp`; or a single
card file with its sheet beside it (`mine.sp`, `mine.toml`), which then serves the typical corner only.
A card of the user's own is read without trust: it may hold `.model` statements with plain numbers and nothing else, one
for each channel type at most, and what reaches a deck is written anew from what was read. Files that hold more go
through `spicekit.devices.importing`. Native code is loaded only if the sheet names its file: see `CompiledModel`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from spicekit.config import Config
from spicekit.devices.bsim4 import model_text, require_known, require_runnable
from spicekit.devices.sheet import Osdi, Polarity, Sheet, read_sheet
from spicekit.errors import BadInput, no_such
from spicekit.files import open_file, shipped_folder
from spicekit.provenance import content_hash

Process = Literal["tt", "ff", "ss", "fs", "sf"]
Speed = Literal["tt", "ff", "ss"]
"""Corner of a single transistor; the crossed corners of a pair follow from it."""


class Corner(Config):
    """A process corner with its supply and temperature.

    >>> Corner(process="ff", temperature=398.15).vdd
    0.7
    """

    process: Process = "tt"
    """NMOS letter first: `fs` is fast NMOS, slow PMOS."""
    vdd: float = Field(default=0.70, gt=0, le=1.2)
    """V; 0.7 V is the nominal supply of the 7 nm targets (ASAP7, Clark et al. 2016)."""
    temperature: float = Field(default=298.15, ge=233.15, le=398.15)
    """K; the cards are valid from -40 to 125 degrees Celsius."""


@dataclass(frozen=True)
class CompiledModel:
    """A compiled Verilog-A model (OSDI) that ngspice loads before it reads a card."""

    path: Path
    """Absolute."""
    sha256: str
    """Of the file."""
    osdi: Osdi
    """What its instances take."""


@dataclass(frozen=True)
class Card:
    """One transistor model at one process corner, ready to be put into a deck."""

    device: str
    """Folder in `device_models/`, or path of the user's own card."""
    model: str
    """Name that instances refer to, for instance `nmos_sram_tt`."""
    text: str
    """The `.model` card as ngspice reads it."""
    width: float
    """Effective width of one fin, m; an instance of n fins has `m=n`."""
    length: float
    """Gate length, m."""
    sha256: str
    """Of `text`."""
    polarity: Polarity
    """Channel type, from the `.model` statement; for compiled Verilog-A from the sheet."""
    compiled: CompiledModel | None = None
    """What ngspice must load for it; None for a model that is built in."""

    @property
    def letter(self) -> str:
        """What names of its instances begin with."""
        return "N" if self.compiled else "M"

    def instance(self, fins: int, *, model: str | None = None, off: bool = False) -> str:
        """What follows the nodes of an instance of `fins` fins.

        `model` stands in for the card's own name; `off` has the search for an operating point begin with the
        transistor off, which compiled models do not know.
        """
        name = model or self.model
        if self.compiled:
            osdi = self.compiled.osdi
            return f"{name} {osdi.length}={self.length} {osdi.fins}={fins}"
        return f"{name} l={self.length} w={self.width} m={fins}" + (" off" if off else "")

    def altered(self, fins: int, shift: float, excess: float) -> dict[str, float]:
        """Instance parameters of a transistor whose threshold is higher by `shift` (V), its current by a fraction.

        `BadInput` if the sheet of a compiled model does not name them.
        """
        if self.compiled is None:
            return {"delvto": shift, "m": fins * (1 + excess)}
        threshold, current = self.compiled.osdi.threshold, self.compiled.osdi.current
        if threshold is None or current is None:
            raise BadInput(
                f"device {self.device!r}: mismatch needs instance parameters that shift the threshold and scale the "
                "current; name them in the sheet, [osdi] threshold = 'delvtrand' and current = 'ids0mult' for BSIM-CMG."
            )
        return {threshold: shift, current: 1 + excess}

    def renamed(self, model: str) -> str:
        """Its text under another name."""
        return self.text.replace(f".model {self.model} ", f".model {model} ", 1)


def load_card(device: str, process: Process, polarity: Polarity | None = None) -> Card:
    """Card of a shipped device (or of a path) at a process corner.

    Parameters
    ----------
    device : str
    process : str
    polarity : str, optional
        Channel type, for files that hold a card of each.

    Raises
    ------
    BadInput
        If there is no such device or channel type, its card holds anything but `.model` statements with known
        parameters and a level that this ngspice runs, its compiled model is missing, or its sheet is missing or wrong.
    """
    sheet = load_sheet(device)
    folder = device_folder(device)
    if folder.is_file():
        if process != "tt":
            raise BadInput(
                f"load_card({device!r}, {process!r}): a single card file serves the typical corner only; "
                "pass a folder with tt.sp, ff.sp, ss.sp and device.toml."
            )
        return _read_card(folder, sheet, device=device, polarity=polarity)
    typical = _read_card(folder / "tt.sp", sheet, device=device, polarity=polarity)
    speed = _speed(process, typical.polarity)
    if speed == "tt":
        return typical
    return _read_card(folder / f"{speed}.sp", sheet, device=device, polarity=polarity)


def load_sheet(device: str) -> Sheet:
    """Sheet of a device, shipped or the user's own; `BadInput` as `read_sheet`."""
    folder = device_folder(device)
    return read_sheet(folder.with_suffix(".toml") if folder.is_file() else folder / "device.toml")


def device_folder(device: str) -> Path:
    """Folder (or single card file) of a device: shipped if its name is known, else a path.

    Raises
    ------
    BadInput
        If it is neither.
    """
    if device in shipped_devices():
        return shipped_folder("device_models") / device
    path = Path(device)
    if not path.exists():
        raise no_such("device", device, shipped_devices(), also="the path of a card or of a folder of cards")
    return path


def shipped_devices() -> tuple[str, ...]:
    """Names of the transistors in `device_models/`."""
    return tuple(sorted(path.parent.name for path in shipped_folder("device_models").glob("*/device.toml")))


def polarities(device: str) -> tuple[Polarity | None, ...]:
    """Channel types that a card file holds; (None,) if it is one that `load_card` takes as it is."""
    folder = device_folder(device)
    path = folder if folder.is_file() else folder / "tt.sp"
    kinds = [kind for _, kind, _ in _models(_read(path), str(path))]
    return ("nmos", "pmos") if sorted(kinds) == ["nmos", "pmos"] else (None,)


def card_from_text(
    text: str,
    sheet: Sheet,
    *,
    device: str,
    compiled: CompiledModel | None = None,
    polarity: Polarity | None = None,
) -> Card:
    """Card from untrusted text: comments dropped, one `.model` statement checked and written anew."""
    models = _models(text, device)
    chosen = models if len(models) == 1 else [model for model in models if model[1] == polarity]
    if len(chosen) != 1:
        held = ", ".join(f"{name} ({kind})" for name, kind, _ in models) or "none"
        raise BadInput(
            f"{device}: holds {len(models)} .model statements: {held}; pass a file with one, or with one for each "
            f"channel type, or take one out: {_IMPORT.format(device)}"
        )
    ((model, kind, parameters),) = chosen
    channel = _polarity(kind, sheet, device, compiled)
    if compiled is None:
        require_known(dict(parameters), source=device)
    text = model_text(model, kind, parameters)
    return Card(
        device=device,
        model=model,
        text=text,
        width=sheet.geometry.width,
        length=sheet.geometry.length,
        sha256=content_hash(text),
        polarity=channel,
        compiled=compiled,
    )


def _polarity(kind: str, sheet: Sheet, device: str, compiled: CompiledModel | None) -> Polarity:
    """Channel type of a model of type `kind`; `BadInput` where sheet and card do not go together."""
    if kind in ("nmos", "pmos"):
        if compiled is not None:
            raise BadInput(
                f"{device}: model type '{kind}' is built into ngspice; write the type that the compiled model of "
                "[osdi] defines (its Verilog-A module), or drop [osdi] from the sheet."
            )
        return "nmos" if kind == "nmos" else "pmos"
    if compiled is None:
        raise BadInput(
            f"{device}: model type '{kind}' is not nmos or pmos. A Verilog-A model such as BSIM-CMG needs an "
            "ngspice with OSDI and, in the card's sheet, [osdi] file = 'FILE.osdi', the compiled model; or refit "
            "the device as BSIM4 for stock ngspice."
        )
    if sheet.polarity is None:
        raise BadInput(f"{device}: add polarity = 'nmos' or 'pmos' to the sheet, before its first table.")
    return sheet.polarity


def load_lines(cards: Iterable[Card]) -> list[str]:
    """Lines of a deck that load the compiled models of some cards, before ngspice reads its circuit; none without."""
    paths = dict.fromkeys(str(card.compiled.path) for card in cards if card.compiled)
    return [".control", *(f"pre_osdi {path}" for path in paths), ".endc"] if paths else []


def _speed(process: Process, polarity: Polarity) -> Speed:
    letter = process[0] if polarity == "nmos" else process[1]
    return {"t": "tt", "f": "ff", "s": "ss"}[letter]  # type: ignore[return-value]


def _read_card(path: Path, sheet: Sheet, *, device: str, polarity: Polarity | None) -> Card:
    text = _read(path)
    card = card_from_text(text, sheet, device=device, compiled=_compiled(path, sheet), polarity=polarity)
    if card.compiled is None:
        require_runnable(card.text, source=str(path))
    return card


def _read(path: Path) -> str:
    with open_file(path) as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise BadInput(f"{path}: is longer than {_LARGEST} bytes; take one card out of it: {_IMPORT.format(path)}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: cannot be read as text ({error}); pass a SPICE card.") from error


def _compiled(card: Path, sheet: Sheet) -> CompiledModel | None:
    """What the sheet beside `card` names."""
    if sheet.osdi is None:
        return None
    path = (card.parent / sheet.osdi.file).resolve()
    if not _PLAIN_PATH.fullmatch(str(path)):
        raise BadInput(f"{path}: ngspice takes no such path; use letters, digits and . _ - + / only.")
    try:
        return CompiledModel(path, content_hash(path.read_bytes()), sheet.osdi)
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be read ({error.strerror}); [osdi] file must name the compiled model (.osdi)."
        ) from error


_PLAIN_PATH = re.compile(r"[\w./+-]+", re.ASCII)
_LARGEST = 100_000  # bytes; a card has a few thousand
# `4.8.2`, a version, counts as a number.
_PAIR = re.compile(r"\b(\w+)\s*=\s*([+-]?(?:\d[\d.]*|\.\d+)(?:e[+-]?\d+)?[a-z]*)(?=[\s),]|$)")


def _models(text: str, source: str) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Names, types and `key=number` pairs of the `.model` statements in a card, in lower case."""
    statements: list[str] = []
    for number, line in enumerate(text.lower().splitlines(), start=1):
        line = re.split(r"[;$]", line, maxsplit=1)[0].strip()
        if not line or line.startswith("*"):
            continue
        if line.startswith("+") and statements:
            statements[-1] += " " + line[1:]
        elif line.split()[0] == ".model":
            statements.append(line)
        else:
            raise BadInput(
                f"{source}, line {number}: '{line[:40]}' is not part of a .model statement; a card may "
                "hold .model statements and comments, and nothing that executes or includes. Out of a file with "
                f"sections, parameters or subcircuits take one card: {_IMPORT.format(source)}"
            )
    return [_parse_model(statement, source) for statement in statements]


def _parse_model(statement: str, source: str) -> tuple[str, str, list[tuple[str, str]]]:
    """Name, type and `key=number` pairs of a `.model` statement."""
    match = re.match(r"\.model\s+([\w.]+)\s+(\w+)\s*(.*)$", statement)
    if match is None:
        raise BadInput(f"{source}: expected '.model NAME nmos (...)', got '{statement[:60]}'.")
    name, kind, body = match.groups()
    if "." in name:
        raise BadInput(
            f"{source}: '{name}' is a bin, one of several cards for ranges of width and length: a card here may have "
            f"no dot in its name. Take out the bin that fits your transistor: {_IMPORT.format(source)}"
        )
    rest = _PAIR.sub(" ", body).replace(",", " ").strip(" ()")
    if rest:
        raise BadInput(f"{source}: expected 'parameter = number', got '{rest[:60]}'.")
    return name, kind, _PAIR.findall(body)


_IMPORT = "spicekit devices import {} --out FOLDER"
