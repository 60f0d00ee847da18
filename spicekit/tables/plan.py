"""Which tables a calibration makes."""

import itertools

from spicekit.circuits.spec import CellName, TileSpec, Wires
from spicekit.devices.corners import Corner, Process
from spicekit.resources import shipped_folder
from spicekit.tables.characterise import Characterisation

PROCESSES: tuple[Process, ...] = ("tt", "ff", "ss")
TEMPERATURES = (233.15, 298.15, 398.15)  # K; both ends and the reference of the range in which the cards hold
CELLS: tuple[CellName, ...] = ("8t-sram", "1t1r")
_NO_WIRES = Wires(r_bl=0.0, r_sl=0.0)  # a table does not depend on them


def default_plan() -> list[Characterisation]:
    """Both cells with their default devices, at each process corner that has a card, cold, at 25 degrees and hot."""
    cards = shipped_folder("device_models") / TileSpec(wires=_NO_WIRES).device.nmos
    processes = [process for process in PROCESSES if (cards / f"{process}.sp").is_file()]
    return [
        Characterisation(
            TileSpec(cell=cell, wires=_NO_WIRES, corner=Corner(process=process, temperature=temperature))
        )
        for cell, process, temperature in itertools.product(CELLS, processes, TEMPERATURES)
    ]
