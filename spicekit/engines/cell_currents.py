"""What a cell delivers at the tile's bias, without parasitics: the unit that everything is counted in; and how cells of
one die differ.

Mismatch is a factor on a cell's current, that of its read current with both terminals held at the bias. In a column its
terminals are nearer to each other, and the same threshold shift then does a little less or more;
tests/tables/test_spread.py holds this against shifted transistors in ngspice. Cells may also be stuck at 0 or 1.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spicekit.circuits.spec import TileSpec
from spicekit.config import Config
from spicekit.engines.cache import cached, key_of
from spicekit.errors import BadInput
from spicekit.provenance import content_hash
from spicekit.tables.spread import sensitivity, standard_deviations
from spicekit.tables.table import IVTable, interpolate

Array = NDArray[np.float64]
Bits = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class CellCurrents:
    """A tile's cell currents with the terminals held at `v_read` and 0 V."""

    spec: TileSpec
    state: Array
    """(2, 2) A, by [w, a]. With bit-line drive, `a = 0` is a row at 0 V: no current."""

    @property
    def lsb(self) -> float:
        """Current step of one ON cell, A."""
        return float(self.state[1, 1] - self.state[0, 1])

    def zeros(self, asserted: NDArray[np.integer] | Array, *, reads: int = 1) -> Array:
        """Current in A of a column that stores zeros only, for numbers of rows asserted in so many reads, of any shape.

        The converter subtracts it: what it carries, by design, is no signal.
        """
        idle = self.spec.rows * reads - asserted
        return np.asarray(asserted * self.state[0, 1] + idle * self.state[0, 0])


def cell_currents_of(spec: TileSpec, table: IVTable) -> CellCurrents:
    """Cell currents of a spec, from its I-V table."""
    if spec.drive == "wordline":
        state, v_bl = np.arange(4), np.full(4, spec.v_read)
    else:
        state, v_bl = np.array([1, 1, 3, 3]), np.tile([0.0, spec.v_read], 2)
    return CellCurrents(spec, interpolate(table, state, v_bl, np.zeros(4)).reshape(2, 2))


def lsb(spec: TileSpec, table: IVTable) -> float:
    """Current step of one ON cell without parasitics, A."""
    return cell_currents_of(spec, table).lsb


class Variation(Config):
    """What differs from cell to cell of one die; nothing by default.

    >>> Variation(seed=7, mismatch=1.0, stuck_at_0=1e-3) == Variation(seed=8, mismatch=1.0, stuck_at_0=1e-3)
    False
    """

    seed: int = Field(default=0, ge=0)
    """Which die: the same seed gives the same cells, whatever is stored in them."""
    mismatch: float = Field(default=0.0, ge=0, le=2)
    """Standard deviations of thresholds and ReRAM states, as a multiple of those of the card and the preset
    (docs/decisions/corners-and-mismatch.md); 1 is what is expected of them, 0 none."""
    stuck_at_0: float = Field(default=0.0, ge=0, le=1)
    """Probability of a cell that holds 0 whatever is written."""
    stuck_at_1: float = Field(default=0.0, ge=0, le=1)
    """Likewise 1."""

    @model_validator(mode="after")
    def _no_cell_is_stuck_twice(self) -> Self:
        if self.stuck_at_0 + self.stuck_at_1 > 1:
            raise ValueError(f"stuck_at_0 + stuck_at_1 = {self.stuck_at_0 + self.stuck_at_1:g} must not exceed 1")
        return self


NO_VARIATION = Variation()


def stick(bits: Bits, variation: Variation, *, place: str) -> Bits:
    """Bits that cells hold after `bits` (..) were written; `place` names the cells: a layer, or a single tile."""
    if not (variation.stuck_at_0 or variation.stuck_at_1):
        return bits
    draw = _rng(variation, place, "stuck").random(bits.shape)
    held = np.where(draw < variation.stuck_at_0, 0, bits)
    return np.where(draw >= 1 - variation.stuck_at_1, 1, held).astype(np.uint8)


def factors(bits: Bits, variation: Variation, cell: Array, *, place: str) -> Array:
    """Factors on the currents of cells that hold `bits`, float64 array of their shape.

    Parameters
    ----------
    bits : (..) uint8 array
        As held, stuck cells included.
    cell : (2, k, 2) float64 array
        From `cell_sensitivity`.
    place : str
        As in `stick`.
    """
    from spicekit.engines.normals import add_normals  # whoever names a variation alone needs no compiled code

    log = np.zeros(bits.size)
    if variation.mismatch:
        rng = _rng(variation, place, "mismatch")
        for source in range(cell.shape[1]):
            add_normals(rng, bits.reshape(-1), variation.mismatch, np.ascontiguousarray(cell[:, source]), log)
    return np.exp(log, out=log).reshape(bits.shape)


def cell_sensitivity(spec: TileSpec, table: IVTable) -> Array:
    """(2, k, 2): by stored bit, for each of k independent normal variables z, a and b of ln(factor) = a z + b z^2.

    From ngspice at the first call for a cell, card, corner and bias; then cached. `SpiceFailed` or `MissingTool` if
    ngspice is needed and fails, or is not there.
    """
    return cached(_key(spec, table), lambda: {"sensitivity": sensitivity(spec)})["sensitivity"]


def keep_sensitivity(spec: TileSpec, table: IVTable, found: Array) -> None:
    """Put what `cell_sensitivity` gave on one machine into the cache of another, which then needs no ngspice."""
    cached(_key(spec, table), lambda: {"sensitivity": found})


def _key(spec: TileSpec, table: IVTable) -> str:
    decides = spec.model_dump(mode="json", include={"cell", "device", "corner", "v_read", "v_wl"})
    return key_of(__name__, decides, standard_deviations(spec), table.sha256)


def require_wordline(spec: TileSpec) -> None:
    """`BadInput` for a drive whose fast engine knows no mismatch."""
    if spec.drive != "wordline":
        raise BadInput("the fast engine for bit-line drive takes all cells as alike; use the exact engine.")


def _rng(variation: Variation, place: str, what: str) -> np.random.Generator:
    return np.random.default_rng(int(content_hash([variation.seed, place, what]), 16))
