"""SPICE cards of transistors: found by name in `device_models/`, one `.model` for each process corner."""

import re
from dataclasses import dataclass
from typing import Literal

from spicekit.devices.corners import Process
from spicekit.errors import BadInput
from spicekit.provenance import content_hash
from spicekit.resources import shipped_folder

# One fin of ASAP7 (Clark et al., Microelectronics Journal 53 (2016) 105-115, Table 1): two side walls of
# 32 nm and a top of 6.5 nm carry the current, under a gate of 21 nm.
FIN_WIDTH = 2 * 32e-9 + 6.5e-9  # m
GATE_LENGTH = 21e-9  # m

_MODEL = re.compile(r"^\s*\.model\s+(\S+)\s+(nmos|pmos)\b", re.IGNORECASE | re.MULTILINE)


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

    @property
    def polarity(self) -> Literal["n", "p"]:
        """Channel type, from the `.model` statement."""
        match = _MODEL.search(self.text)
        return "p" if match and match.group(2).lower() == "pmos" else "n"


def load_card(device: str, process: Process) -> Card:
    """Card of a shipped device at a process corner.

    Raises
    ------
    BadInput
        If there is no such device.
    """
    root = shipped_folder("device_models")
    path = root / device / f"{process}.sp"
    if not path.is_file():
        known = sorted({found.parent.name for found in root.glob("*/*.sp")})
        raise BadInput(f"load_card({device!r}, {process!r}): no such card; shipped devices: {known}.")
    return card_from_text(path.read_text(encoding="utf-8"), device=device)


def card_from_text(text: str, *, device: str, width: float = FIN_WIDTH, length: float = GATE_LENGTH) -> Card:
    """Card from the text of one `.model` statement."""
    match = _MODEL.search(text)
    if match is None:
        raise BadInput(f"{device}: holds no '.model NAME nmos' or '.model NAME pmos' statement.")
    return Card(
        device=device,
        model=match.group(1).lower(),
        text=text,
        width=width,
        length=length,
        sha256=content_hash(text),
    )
