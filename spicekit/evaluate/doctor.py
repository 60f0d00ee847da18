"""What spicekit needs and whether it works on this machine."""

import shutil
from dataclasses import dataclass
from typing import get_args

import torch

from spicekit.circuits.spec import CellName, TileSpec, Wires
from spicekit.devices.levels import supported_levels, supports_osdi
from spicekit.errors import SpicekitError
from spicekit.spice.simulator import INSTALL_HINT, Job, Step, ngspice_version, simulate
from spicekit.tables.store import find_table


@dataclass(frozen=True)
class Finding:
    """One thing examined."""

    what: str
    cure: str | None = None
    """None if all is well."""
    required: bool = True


def examine() -> list[Finding]:
    """Findings on ngspice, PySpice, torch, a GPU, and the default tables."""
    return [
        _ngspice(),
        _simulation(),
        _models(),
        _torch(),
        _gpu(),
        *(_table(cell) for cell in get_args(CellName)),
    ]


def _ngspice() -> Finding:
    path = shutil.which("ngspice")
    if path is None:
        return Finding("ngspice program (for decks run by hand): not found", INSTALL_HINT, required=False)
    return Finding(f"ngspice program: {path}")


def _simulation() -> Finding:
    deck = "* divider\nv1 a 0 dc 1\nr1 a b 1000\nr2 b 0 3000\n.end\n"
    try:
        version = ngspice_version()
        (waves,) = simulate(Job(deck, (Step("op"),)), timeout=60.0)
    except SpicekitError as error:
        return Finding(f"libngspice through PySpice: {error}", INSTALL_HINT)
    if abs(waves["b"][0] - 0.75) > 1e-9:
        return Finding(f"libngspice {version}: a 3:1 divider gives {waves['b'][0]} V", f"re{INSTALL_HINT}")
    return Finding(f"libngspice {version} through PySpice: simulates")


def _models() -> Finding:
    try:
        levels = ", ".join(str(level) for level in sorted(supported_levels()))
    except SpicekitError as error:
        return Finding(f"MOS models: {error}", INSTALL_HINT)
    osdi = "compiled Verilog-A (OSDI) too" if supports_osdi() else "no compiled Verilog-A (OSDI)"
    return Finding(f"MOS models for cards of your own: levels {levels}; {osdi}")


def _torch() -> Finding:
    return Finding(f"torch {torch.__version__}, {torch.get_num_threads()} threads")


def _gpu() -> Finding:
    if torch.cuda.is_available():
        return Finding(f"GPU: {torch.cuda.get_device_name()}", required=False)
    return Finding("GPU: none; training runs on the processor", required=False)


def _table(cell: CellName) -> Finding:
    try:
        table = find_table(TileSpec(cell=cell, wires=Wires(r_bl=0.0, r_sl=0.0)))
    except SpicekitError as error:
        return Finding(f"default I-V table, {cell}: {error}", "spicekit calibrate")
    return Finding(f"default I-V table, {cell}: up to date, ngspice {table.origin['ngspice']}")
