"""SPICE cards of transistors: shipped ones by name, the user's own by path.

A device is a folder with `device.toml` and a card for each corner, `tt.sp`, `ff.sp` and `ss.sp`; or a single
card file with its sheet beside it (`mine.sp`, `mine.toml`), which then serves the typical corner only.
A card of the user's own is read without trust: it may hold one `.model` statement with plain numbers and
nothing else, and what reaches a deck is written anew from what was read.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spicekit.devices.corners import Process
from spicekit.devices.levels import require_runnable
from spicekit.devices.sheet import Polarity, Sheet, read_sheet
from spicekit.errors import BadInput
from spicekit.provenance import content_hash
from spicekit.resources import shipped_folder

Speed = Literal["tt", "ff", "ss"]
"""Corner of a single transistor; the crossed corners of a pair follow from it."""


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
    """Channel type, from the `.model` statement."""


def load_card(device: str, process: Process) -> Card:
    """Card of a shipped device (or of a path) at a process corner.

    Raises
    ------
    BadInput
        If there is no such device, its card holds anything but one `.model` of a level that this ngspice
        runs, or its sheet is missing or wrong.
    """
    sheet = load_sheet(device)
    folder = device_folder(device)
    if folder.is_file():
        if process != "tt":
            raise BadInput(
                f"load_card({device!r}, {process!r}): a single card file serves the typical corner only; "
                "pass a folder with tt.sp, ff.sp, ss.sp and device.toml."
            )
        return _read_card(folder, sheet, device=device)
    typical = _read_card(folder / "tt.sp", sheet, device=device)
    speed = _speed(process, typical.polarity)
    return typical if speed == "tt" else _read_card(folder / f"{speed}.sp", sheet, device=device)


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
        raise BadInput(
            f"device {device!r}: is neither a shipped device ({', '.join(shipped_devices())}) nor a path "
            "to a card or to a folder of cards."
        )
    return path


def shipped_devices() -> tuple[str, ...]:
    """Names of the transistors in `device_models/`."""
    return tuple(sorted(path.parent.name for path in shipped_folder("device_models").glob("*/device.toml")))


def card_from_text(text: str, sheet: Sheet, *, device: str) -> Card:
    """Card from untrusted text: comments dropped, one `.model` statement checked and written anew."""
    model, polarity, parameters = _parse_model(_statement(text, device), device)
    lines = [" ".join(parameters[start : start + 6]) for start in range(0, len(parameters), 6)]
    text = "\n+ ".join([f".model {model} {polarity} (", *lines]) + ")\n"
    return Card(
        device=device,
        model=model,
        text=text,
        width=sheet.geometry.width,
        length=sheet.geometry.length,
        sha256=content_hash(text),
        polarity=polarity,
    )


def _speed(process: Process, polarity: Polarity) -> Speed:
    letter = process[0] if polarity == "nmos" else process[1]
    return {"t": "tt", "f": "ff", "s": "ss"}[letter]  # type: ignore[return-value]


def _read_card(path: Path, sheet: Sheet, *, device: str) -> Card:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as text ({error}); pass a SPICE card.") from error
    if len(text) > _LARGEST:
        raise BadInput(f"{path}: is longer than {_LARGEST} characters; pass a file with one .model card.")
    card = card_from_text(text, sheet, device=device)
    require_runnable(card.text, source=str(path))
    return card


_LARGEST = 100_000  # characters; a card has a few thousand
# `4.8.2`, a version, counts as a number.
_PAIR = re.compile(r"\b(\w+)\s*=\s*([+-]?(?:\d[\d.]*|\.\d+)(?:e[+-]?\d+)?[a-z]*)(?=[\s),]|$)")


def _statement(text: str, source: str) -> str:
    """The one `.model` statement in a card, in lower case, continuation lines joined."""
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
                "hold one .model and comments, and nothing that executes or includes."
            )
    if len(statements) != 1:
        raise BadInput(f"{source}: holds {len(statements)} .model statements; pass a file with one.")
    return statements[0]


def _parse_model(statement: str, source: str) -> tuple[str, Polarity, list[str]]:
    """Name, polarity and `key=number` pairs of a `.model` statement."""
    match = re.match(r"\.model\s+(\w+)\s+(\w+)\s*(.*)$", statement)
    if match is None:
        raise BadInput(f"{source}: expected '.model NAME nmos (...)', got '{statement[:60]}'.")
    name, kind, body = match.groups()
    if kind not in ("nmos", "pmos"):
        raise BadInput(
            f"{source}: model type '{kind}' is not nmos or pmos. A Verilog-A model such as BSIM-CMG needs an "
            "ngspice with OSDI and its own instance line; refit it as a BSIM4 card for stock ngspice."
        )
    rest = _PAIR.sub(" ", body).replace(",", " ").strip(" ()")
    if rest:
        raise BadInput(f"{source}: expected 'parameter = number', got '{rest[:60]}'.")
    polarity: Polarity = "nmos" if kind == "nmos" else "pmos"
    return name, polarity, [f"{key}={value}" for key, value in _PAIR.findall(body)]
