"""How many tiles, cells and reads a binary layer takes, before anything is laid out."""

import math
from dataclasses import dataclass

from spicekit.circuits.spec import TileSpec
from spicekit.networks.geometry import Geometry


@dataclass(frozen=True)
class Footprint:
    """Of one layer."""

    tiles: int
    cells: int
    """That hold a weight."""
    reads: int
    """Of columns, for one image."""
    additions: int
    """For one image: constants that zero padding adds at border pixels."""
    constants: int
    """Words that hold them: one for each output channel and kind of border pixel."""


def footprint(
    geometry: Geometry, outputs: int, sides: tuple[int, ...], spec: TileSpec, *, zero_padded: bool = False
) -> Footprint:
    """Of a layer with `outputs` channels on images with `sides`.

    >>> from spicekit.circuits.spec import Wires
    >>> layer = Geometry.square(64, 3, 1, 1)
    >>> spec = TileSpec(rows_active=16, wires=Wires(r_bl=1, r_sl=1))
    >>> footprint(layer, 128, (32, 32), spec, zero_padded=True)
    Footprint(tiles=18, cells=73728, reads=4718592, additions=15872, constants=1024)
    """
    whole, rest = divmod(geometry.inputs, spec.rows)
    groups = whole * spec.groups + -(-rest // spec.rows_active)
    gathering = geometry.gathering(sides)
    return Footprint(
        tiles=-(-geometry.inputs // spec.rows) * -(-outputs // spec.columns),
        cells=geometry.inputs * outputs,
        reads=math.prod(gathering.output) * groups * outputs,
        additions=gathering.border_pixels * outputs if zero_padded else 0,
        constants=gathering.border_classes * outputs if zero_padded else 0,
    )
