"""Fixed inputs through every form of the engines, on a table that depends on no card and no ngspice.

And a network on tables that ship: a second set, which a new card moves.
"""

import hashlib
from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.cell_currents import Variation, keep_sensitivity
from spicekit.engines.converter import Converter
from spicekit.engines.exact.codes import ExactCodes
from spicekit.engines.fast.die import codes_of_die
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.engines.fast.model import Codes, fit_thresholds, read_model
from spicekit.engines.tile import Tile, column_currents
from spicekit.engines.words import Tally
from spicekit.evaluation.design import Design
from spicekit.evaluation.evaluate import evaluate
from spicekit.files import shipped_folder
from spicekit.mapping.binsparx import BinSparX
from spicekit.mapping.layers import Geometry, map_layer
from spicekit.mapping.packed import apply_inputs, dot_products, layer_on_die, mismatch_of, pack_layer
from spicekit.networks.checkpoints import load_network
from spicekit.networks.data import load_dataset
from spicekit.tables.store import find_table
from spicekit.tables.table import IVTable

CHANNELS, OUTPUTS, IMAGES, SIDE = (
    9,
    70,
    2,
    7,
)  # 81 inputs: the last tile is filled in part, and so are 64 columns
# Each state's share of an ON cell's current, by [w, a].
SHARE = {"8t-sram": [[1e-7, 1e-5], [1e-6, 1.0]], "1t1r": [[1e-6, 0.02], [1e-6, 1.0]]}
# (2, k, 2), as `cell_sensitivity` gives it: one variable, about that of a threshold.
SENSITIVITY = np.array([[[-0.05, -0.002]], [[-0.12, -0.004]]])


def synthetic_table(cell: str) -> IVTable:
    """A transistor by the EKV formula (Enz, Krummenacher and Vittoz, AICSP 8 (1995) 83), 35 uA ON at 0.35 V."""
    v = np.linspace(0, 0.7, 57)
    charge = np.log1p(np.exp((0.7 - 0.25 - 1.3 * v) / (2 * 1.3 * 0.0257))) ** 2
    across = charge[None, :] - charge[:, None]  # [v_bl, v_sl]
    on = 35e-6 * across / across[28, 0]
    # rounded, so that processors whose exponentials differ in the last digit make one table
    current = np.round(np.array(SHARE[cell])[:, :, None, None] * on, 18)
    return IVTable(v, current, {"synthetic": "EKV transistor of tests/golden"})


def spec_of(rows: int, **fields: object) -> TileSpec:
    """Tiles of four reads of 8 rows, or of one of more."""
    wires = Wires(r_bl=3.2, r_sl=3.2, r_row=3.2, r_col=3.2)
    return TileSpec(**{"rows": max(rows, 32 if rows == 8 else 0), "rows_active": rows, "wires": wires, **fields})


def layer_of(spec: TileSpec, binsparx: BinSparX):
    """A packed layer and activation bits, most of them ones, so that all flips occur."""
    rng = np.random.default_rng(12)
    weights = (rng.random((OUTPUTS, CHANNELS, 3, 3)) < rng.uniform(0.2, 0.8, (OUTPUTS, 1, 1, 1))).astype(np.uint8)
    bits = (rng.random((IMAGES, CHANNELS, SIDE, SIDE)) < 0.55).astype(np.uint8)
    return pack_layer(map_layer("conv", weights, Geometry.square(CHANNELS, 3, 1, 1), spec, binsparx=binsparx)), bits


def fixed_tally(model) -> Tally:
    """Reads as a calibration might meet them: what the surrogate gives for runs of ON cells."""
    m = model.cells.spec.rows_active
    on = np.tril(np.ones((m + 1, m), np.uint8), -1)
    current = model.currents(on, on, group=0)
    return Tally(np.ones(m + 1), np.zeros(m + 1), current, current**2)


@cache
def codes_of(spec: TileSpec, converter: Converter, variation: Variation) -> Codes:
    """What the converters of a die give; the slowest part."""
    table = synthetic_table(spec.cell)
    model = read_model(spec, table)
    thresholds = fit_thresholds(model, converter, fixed_tally(model))
    mismatch = mismatch_of(spec, table, variation)
    return codes_of_die(model, thresholds, converter, passed=mismatch.passed if mismatch else None)


def fast_products(spec: TileSpec, converter: Converter, binsparx: BinSparX, variation: Variation) -> np.ndarray:
    """Dot products through the network kernels."""
    table = synthetic_table(spec.cell)
    if variation.mismatch:
        keep_sensitivity(spec, table, SENSITIVITY)
    packed, bits = layer_of(spec, binsparx)
    made = layer_on_die(packed, variation, mismatch_of(packed.layer.spec, table, variation))
    return dot_products(made, apply_inputs(made, bits), codes_of(spec, converter, variation))


def exact_products(spec: TileSpec, binsparx: BinSparX) -> np.ndarray:
    """Dot products of columns that are solved one by one."""
    table = synthetic_table(spec.cell)
    thresholds = fit_thresholds(read_model(spec, table), Converter(), None)
    packed, bits = layer_of(spec, binsparx)
    return dot_products(packed, apply_inputs(packed, bits), ExactCodes(spec, table, thresholds))


def ideal_products(spec: TileSpec, binsparx: BinSparX) -> np.ndarray:
    """Dot products of tiles that count."""
    packed, bits = layer_of(spec, binsparx)
    return dot_products(packed, apply_inputs(packed, bits), IdealCodes())


def tile_currents(spec: TileSpec, engine: str, variation: Variation) -> np.ndarray:
    """(2, c) A of one tile."""
    table = synthetic_table(spec.cell)
    rng = np.random.default_rng(5)
    weights = rng.integers(0, 2, (spec.rows, spec.columns), dtype=np.uint8)
    bits = rng.integers(0, 2, (2, spec.rows), dtype=np.uint8)
    if variation.mismatch:
        keep_sensitivity(spec, table, SENSITIVITY)
    return column_currents(Tile(spec, table, weights, variation), bits, engine=engine)


FLIPS = {
    "plain": BinSparX(),
    "static": BinSparX(static=True),
    "dynamic": BinSparX(dynamic=True),
    "both": BinSparX(static=True, dynamic=True),
    "both-by-position": BinSparX(static=True, dynamic=True, flip_rule="position"),
}
NOMINAL, DIE = Variation(), Variation(seed=3, mismatch=1.0, stuck_at_0=0.01, stuck_at_1=0.02)
FLAWED = Converter(offset=0.4, inl=0.3, noise=0.2, seed=9)


def product_cases() -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """Names and what gives their dot products."""
    both = FLIPS["both"]
    for rows in (8, 16, 64):
        for cell in SHARE:
            for end in ("far", "near"):
                spec, start = spec_of(rows, cell=cell, sense_end=end), f"{cell}-{rows}-{end}"
                yield f"fast-{start}-both", partial(fast_products, spec, Converter(), both, NOMINAL)
                yield f"exact-{start}-both", partial(exact_products, spec, both)
            spec, start = spec_of(rows, cell=cell), f"{cell}-{rows}"
            for name, flips in FLIPS.items():
                yield f"ideal-{start}-{name}", partial(ideal_products, spec, flips)
                yield f"fast-{start}-{name}", partial(fast_products, spec, Converter(), flips, NOMINAL)
            for scheme in ("linear", "per_level"):
                converter = Converter(reference=scheme)
                yield f"fast-{start}-{scheme}", partial(fast_products, spec, converter, both, NOMINAL)
            yield f"die-{start}-cells", partial(fast_products, spec, Converter(), both, DIE)
            yield f"die-{start}-converters", partial(fast_products, spec, FLAWED, both, NOMINAL)
            yield f"die-{start}-all", partial(fast_products, spec, FLAWED, both, DIE)
    wide = spec_of(128)
    yield "fast-8t-sram-128-both", partial(fast_products, wide, Converter(), both, NOMINAL)
    yield "die-8t-sram-128-all", partial(fast_products, wide, FLAWED, both, DIE)


def current_cases() -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """Names and what gives their column currents."""
    for engine in ("exact", "fast", "ideal"):
        for rows in (16, 64):
            for cell in SHARE:
                spec = spec_of(rows, cell=cell, columns=8)
                yield f"{engine}-{cell}-{rows}", partial(tile_currents, spec, engine, NOMINAL)
                yield f"{engine}-{cell}-{rows}-die", partial(tile_currents, spec, engine, DIE)
        for end in ("far", "near"):
            spec = spec_of(32, cell="1t1r", columns=8, drive="bitline", sense_end=end)
            yield f"{engine}-bitline-{end}", partial(tile_currents, spec, engine, NOMINAL)
    near = spec_of(64, columns=8, sense_end="near")
    yield "exact-near", partial(tile_currents, near, "exact", NOMINAL)


def shipped_accuracies() -> dict[str, list[float]]:
    """Accuracy of a network that ships, on tables that ship: plain, and with both flips."""
    network, test = (
        load_network("vgg-small-quarter", data="digits"),
        load_dataset("digits", "test").first(100),
    )
    found = {}
    points = {
        "light": Wires(r_bl=1.0, r_sl=1.0, r_driver=50, r_sink=50),
        "heavy": Wires(r_bl=3.2, r_sl=3.2),
    }
    for name, wires in points.items():
        design = Design(tile=TileSpec(rows=16, rows_active=16, wires=wires))
        table = find_table(design.tile, store=shipped_folder("calibration"))
        result = evaluate(network, test, design, table, calibration=load_dataset("digits", "train"))
        found[name] = [result.software, result.ideal, *(run.accuracy for run in result.runs)]
    return found


def fingerprint(products: np.ndarray) -> str:
    """SHA-256 of an array's numbers, single precision, little-endian."""
    return hashlib.sha256(np.ascontiguousarray(products, "<f4").tobytes()).hexdigest()
