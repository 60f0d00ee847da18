"""A binary layer laid out on tiles: its inputs unrolled, cut into groups of rows, packed into words.

The n inputs of a product, c_in for each place of the kernel, are the rows. They fill tiles of `rows` rows; each tile is
read in groups of `rows_active` rows. The last tile may be filled in part: what is left of it is never asserted.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.cell_currents import NO_VARIATION, Variation, stick
from spicekit.errors import BadInput
from spicekit.mapping.binsparx import BinSparX, to_invert
from spicekit.mapping.positions import invert_together, row_order, row_weights
from spicekit.networks.geometry import Geometry

Unrolling = Literal["channel-major", "kernel-major"]
Bits = NDArray[np.uint8]

# Which input a row holds decides what a group of rows sees. Channel-major puts the k x k neighbours of one channel
# side by side; they are alike, so flips gain more (docs/decisions/unrolling.md).
DEFAULT_UNROLLING: Unrolling = "channel-major"


@dataclass(frozen=True, eq=False)
class MappedLayer:
    """One binary convolution on tiles of one spec."""

    name: str
    geometry: Geometry
    spec: TileSpec
    binsparx: BinSparX
    rows: NDArray[np.int64]
    """(groups, tiles, rows_active) input of each row, a flat index into (c_in, *kernel); -1 if unused."""
    stored: Bits
    """(groups, tiles, rows_active, c_out) bits in the cells, after inversion; 0 in unused rows."""
    inverted: NDArray[np.bool_]
    """(groups, tiles, c_out) static flips."""
    weight_ones: NDArray[np.int64]
    """(groups, tiles, c_out) ones of the weights before inversion."""

    @property
    def used(self) -> NDArray[np.int64]:
        """(groups, tiles) rows that hold an input."""
        return np.asarray((self.rows >= 0).sum(axis=2))

    @property
    def outputs(self) -> int:
        """Output channels, c_out."""
        return int(self.stored.shape[3])


def map_layer(
    name: str,
    weights: Bits,
    geometry: Geometry,
    spec: TileSpec,
    *,
    binsparx: BinSparX,
    unrolling: Unrolling = DEFAULT_UNROLLING,
    places: tuple[float, ...] = (1.0,),
    variation: Variation = NO_VARIATION,
) -> MappedLayer:
    """Lay a convolution out on tiles.

    Parameters
    ----------
    name : str
        For reports.
    weights : (c_out, c_in, *kernel) uint8 array
        Bits.
    spec : TileSpec
        Of each tile; its number of columns only decides how many tiles stand side by side.
    binsparx : BinSparX
        Decides what is stored, and where.
    unrolling : {"channel-major", "kernel-major"}
        Order of the rows: inputs of one channel, or of one kernel position, side by side.
    places : tuple of float
        What a one in each bit plane of the weights stands for; c_out has the planes one behind the other.
    variation : Variation
        Of the die, whose stuck cells decide where `binsparx.faults` asks for it.

    Raises
    ------
    BadInput
        If weights and geometry do not fit each other, or rows are to be ordered on tiles with bit-line drive.
    """
    if weights.shape[1:] != (geometry.in_channels, *geometry.kernel):
        raise BadInput(f"map_layer({name}): weights shaped {weights.shape} do not fit {geometry}.")
    order = np.arange(weights[0].size).reshape(weights.shape[1:])
    if unrolling == "kernel-major":
        order = np.moveaxis(order, 0, -1)
    m, groups = spec.rows_active, spec.groups
    tiles = -(-order.size // spec.rows)
    filled = np.full(tiles * spec.rows, -1)
    filled[: order.size] = order.ravel()
    rows = np.ascontiguousarray(filled.reshape(tiles, groups, m).swapaxes(0, 1))
    flat = weights.reshape(len(weights), -1).T  # (n, c_out)
    if binsparx.order:
        rows = row_order(spec, rows, flat, binsparx=binsparx)
    bits = np.where(rows[..., None] >= 0, flat[rows], 0).astype(np.uint8)
    used = (rows >= 0)[..., None]
    ones = bits.sum(axis=2, dtype=np.int64)
    inverted = np.zeros(ones.shape, bool)
    if binsparx.joint and len(places) > 1:
        inverted = invert_together(bits, used.sum(axis=2), places)
    elif binsparx.static:
        by_place = binsparx.flip_rule == "position"
        weighed = np.einsum("gtmc,gtm->gtc", bits, row_weights(spec, rows)) if by_place else ones
        inverted = to_invert(weighed, used.sum(axis=2))
    if binsparx.faults:
        wrong = [(used & (held(kept, variation, name) != kept)).sum(axis=2) for kept in (bits, 1 - bits)]
        inverted = np.where(wrong[0] == wrong[1], inverted, wrong[0] > wrong[1])
    stored = np.where(inverted[:, :, None, :] & used, 1 - bits, bits)
    return MappedLayer(name, geometry, spec, binsparx, rows, stored, inverted, ones)


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


def held(stored: Bits, variation: Variation, name: str) -> Bits:
    """Bits (groups, tiles, m, c_out) that the cells of a layer hold on a die after `stored` was written."""
    if not (variation.stuck_at_0 or variation.stuck_at_1):
        return stored
    # in whose order the cells of a die are drawn
    return stick(stored.swapaxes(0, 1), variation, place=name).swapaxes(0, 1)
