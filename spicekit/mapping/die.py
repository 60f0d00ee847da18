"""A mapped layer on one die: what its cells hold, and by how much each differs from nominal.

Flips, popcounts and thresholds are those of the design: who wrote the weights does not know the die.
"""

import dataclasses

import numpy as np

from spicekit.circuits.spec import TileSpec
from spicekit.engines.cell_currents import Variation, cell_currents_of, cell_sensitivity, factors, stick
from spicekit.engines.fast.mismatch import Passed, mismatch_steps, passed
from spicekit.mapping.packed import PackedLayer, pack_layer
from spicekit.tables.table import IVTable


def mismatch_passed(spec: TileSpec, table: IVTable, variation: Variation) -> Passed | None:
    """How mismatch reaches the sense points; None without mismatch. Raises as `mismatch.passed` does."""
    return passed(spec, table, variation) if variation.mismatch else None


def layer_on_die(packed: PackedLayer, table: IVTable, variation: Variation) -> PackedLayer:
    """The layer as the die of a variation's seed holds it.

    Raises
    ------
    BadInput
        As `mismatch.passed` does.
    """
    layer = packed.layer
    by_tile = layer.stored.swapaxes(0, 1)  # in whose order the cells of a die are drawn
    held = stick(by_tile, variation, place=layer.name)
    stored = packed.stored
    if held is not by_tile:
        stored = pack_layer(dataclasses.replace(layer, stored=held.swapaxes(0, 1))).stored
    found = mismatch_passed(layer.spec, table, variation)
    if found is not None:
        factor = factors(held, variation, cell_sensitivity(layer.spec, table), place=layer.name)
        mismatch = mismatch_steps(
            found, cell_currents_of(layer.spec, table), held.swapaxes(0, 1), factor.swapaxes(0, 1)
        )
        stored = dataclasses.replace(stored, mismatch=np.ascontiguousarray(mismatch))
    return dataclasses.replace(packed, stored=stored)
