"""A mapped layer on one die: what its cells hold, and by how much each differs from nominal.

Popcounts and thresholds are those of the design: who wrote the weights does not know the die, but for its stuck cells
where a mitigation chooses flips against them.
"""

import dataclasses

import numpy as np

from spicekit.circuits.spec import TileSpec
from spicekit.engines.cell_currents import Variation, cell_currents_of, cell_sensitivity, factors
from spicekit.engines.fast.mismatch import Passed, mismatch_steps, passed
from spicekit.mapping.layers import held
from spicekit.mapping.packed import PackedLayer, pack_layer
from spicekit.tables.table import IVTable


def mismatch_passed(spec: TileSpec, table: IVTable, variation: Variation) -> Passed | None:
    """How mismatch reaches the sense points; None without mismatch. Raises as `mismatch.passed` does."""
    return passed(spec, table, variation) if variation.mismatch else None


def layer_on_die(packed: PackedLayer, table: IVTable | None, variation: Variation) -> PackedLayer:
    """The layer as the die of a variation's seed holds it; without a table, of ideal tiles, stuck cells alone count.

    Raises
    ------
    BadInput
        As `mismatch.passed` does.
    """
    layer = packed.layer
    kept = held(layer.stored, variation, layer.name)
    stored = packed.stored
    if kept is not layer.stored:
        stored = pack_layer(dataclasses.replace(layer, stored=kept)).stored
    found = None if table is None else mismatch_passed(layer.spec, table, variation)
    if table is not None and found is not None:
        cell = cell_sensitivity(layer.spec, table)
        factor = factors(kept.swapaxes(0, 1), variation, cell, place=layer.name).swapaxes(0, 1)
        mismatch = mismatch_steps(found, cell_currents_of(layer.spec, table), kept, factor)
        stored = dataclasses.replace(stored, mismatch=np.ascontiguousarray(mismatch))
    return dataclasses.replace(packed, stored=stored)
