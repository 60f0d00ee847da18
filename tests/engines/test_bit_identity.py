"""Codes of real tiles are the same bit for bit, however a batch is cut and whatever number of threads works on it."""

import numba
import numpy as np
import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.converter import Converter
from spicekit.engines.fast.model import fit_thresholds, read_model
from spicekit.mapping.binsparx import BinSparX
from spicekit.mapping.layers import Geometry, map_layer
from spicekit.mapping.packed import apply_inputs, dot_products, pack_layer

IMAGES, SIDE = 11, 20  # 4,400 vectors: more than a compiled loop takes at a time
CHANNELS, OUTPUTS = 19, 70  # the last tile is filled in part, and so are the last 64 columns

pytestmark = [
    pytest.mark.parametrize("binsparx", [BinSparX(), BinSparX(static=True, dynamic=True)], ids=["plain", "both"]),
    pytest.mark.parametrize("cell", ["8t-sram", "1t1r"]),
    pytest.mark.parametrize("rows", [16, 64, 128]),
]


def layer_on_tiles(tables, cell: str, rows: int, binsparx: BinSparX):
    """A layer of random weights, activations (n, c, h, w) with more ones than zeros, and codes of real tiles."""
    spec = TileSpec(cell=cell, rows=max(64, rows), rows_active=rows, wires=Wires(r_bl=3.2, r_sl=3.2))
    model = read_model(spec, tables[cell])
    rng = np.random.default_rng(rows)
    weights = rng.integers(0, 2, (OUTPUTS, CHANNELS, 3, 3), dtype=np.uint8)
    packed = pack_layer(map_layer("layer", weights, Geometry.square(CHANNELS, 3, 1, 1), spec, binsparx=binsparx))
    bits = (rng.random((IMAGES, CHANNELS, SIDE, SIDE)) < 0.6).astype(np.uint8)
    # a code of less than one ON cell, so that what lies between two of them would be seen
    fine = Converter(bits=8, full_scale=float(rows))
    return packed, bits, model.codes(fit_thresholds(model, fine, None))


def test_a_batch_gives_what_its_images_give_alone(tables, cell, rows, binsparx):
    packed, bits, codes = layer_on_tiles(tables, cell, rows, binsparx)
    together = dot_products(packed, apply_inputs(packed, bits), codes)
    for size in (1, 3, 4):
        cuts = [bits[first : first + size] for first in range(0, IMAGES, size)]
        parts = [dot_products(packed, apply_inputs(packed, cut), codes) for cut in cuts]
        np.testing.assert_array_equal(np.concatenate(parts).view(np.uint32), together.view(np.uint32))
    assert len(np.unique(together)) > 50


def test_codes_do_not_depend_on_the_number_of_threads(tables, cell, rows, binsparx):
    packed, bits, codes = layer_on_tiles(tables, cell, rows, binsparx)
    threads, found = numba.get_num_threads(), []
    try:
        for number in sorted({1, min(2, numba.config.NUMBA_NUM_THREADS), numba.config.NUMBA_NUM_THREADS}):
            numba.set_num_threads(number)
            found.append(codes.sums(packed.stored, apply_inputs(packed, bits)))
    finally:
        numba.set_num_threads(threads)
    for sums in found[1:]:
        np.testing.assert_array_equal(sums.view(np.uint32), found[0].view(np.uint32))
