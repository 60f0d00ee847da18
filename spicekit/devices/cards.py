"""SPICE cards of transistors: found by name in `device_models/`, one `.model` for each process corner."""

from dataclasses import dataclass

from spicekit.devices.corners import Process


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


def load_card(device: str, process: Process) -> Card:
    """Card of a shipped device (or of a path) at a process corner."""
    raise NotImplementedError
