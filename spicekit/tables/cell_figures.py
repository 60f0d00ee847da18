"""Everything that is measured of one cell, together."""

from dataclasses import dataclass

from spicekit.circuits.spec import TileSpec
from spicekit.tables.margins import CoreMargins, ElementMargins, core_margins, element_margins
from spicekit.tables.read_points import ReadPoint, read_points, supply_corners, temperature_corners


@dataclass(frozen=True)
class CellFigures:
    """A cell as its designer would characterise it."""

    spec: TileSpec
    core: CoreMargins | None
    """8T-SRAM only."""
    element: ElementMargins | None
    """1T-1ReRAM only."""
    over_temperature: tuple[ReadPoint, ...]
    over_supply: tuple[ReadPoint, ...]


def characterise_cell(spec: TileSpec) -> CellFigures:
    """Margins and read currents of a spec's cell.

    Raises
    ------
    SpiceFailed
        If ngspice fails.
    """
    return CellFigures(
        spec=spec,
        core=core_margins(spec) if spec.cell == "8t-sram" else None,
        element=element_margins(spec) if spec.cell == "1t1r" else None,
        over_temperature=read_points(spec, temperature_corners(spec)),
        over_supply=read_points(spec, supply_corners(spec)),
    )
