"""Measure here and now every ratio and error that the documents name; each command prints JSON.

A figure that was timed comes as the median over repeats with the smallest and the largest. What is compared runs
alternately in one process on the same threads, so that a busy machine slows both.
"""

import functools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numba
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from sklearn.preprocessing import PolynomialFeatures

from spicekit.circuits.spec import CellName, TileSpec, Wires
from spicekit.engines.bias import lsb
from spicekit.engines.blocks import block_features, sample_patterns
from spicekit.engines.converter import Converter
from spicekit.engines.fast import Codes, fit_reference, read_model
from spicekit.engines.ladder import ladder_of, solve
from spicekit.engines.spice import tile_job
from spicekit.engines.tile import Tile, read_currents
from spicekit.engines.words import block_length
from spicekit.errors import SpiceFailed
from spicekit.evaluate.design import Design
from spicekit.evaluate.evaluation import MITIGATIONS, Mitigation
from spicekit.evaluate.inference import Layers, map_network, on_tiles
from spicekit.evaluate.signoff import sign_off
from spicekit.evaluate.vectors import HARVEST_IMAGES, LAYERS, Case, cases_for, network_cases
from spicekit.networks.checkpoints import load_network
from spicekit.networks.cifar import CIFAR10_CLASSES
from spicekit.networks.data import Dataset, load_dataset
from spicekit.networks.inference import predict_logits
from spicekit.provenance import provenance
from spicekit.spice.simulator import Failure, Outcome, available_cores, simulate_all
from spicekit.tables.inventory import inventory
from spicekit.tables.store import find_table

Bits = NDArray[np.uint8]

CELLS = get_args(CellName)
NETWORKS = ("vgg-small", "resnet18")
BINSPARX: tuple[Mitigation, ...] = ("none", "both")
TILES = ((32, 32, 3.2), (64, 64, 3.2), (128, 128, 3.2), (64, 64, 10.0), (64, 16, 3.2))
"""Rows, rows in a read, ohm a segment."""
FORMS = (
    ("I", 4, 2),
    ("I", 5, 2),
    ("n / I", 4, 2),
    ("n / I", 5, 1),
    ("n / I", 5, 2),
    ("n / I", 5, 3),
    ("n / I", 6, 2),
)
"""What the polynomial gives, its degree in the block counts, that of the moments' factors."""
SEED = 0

app = typer.Typer(help=__doc__, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def engines(repeats: int = 5, columns: int = 100_000) -> None:
    """Speed of EXACT against ngspice; errors of EXACT against ngspice and of FAST against EXACT."""
    errors = [_errors(cell, *tile, columns) for cell in CELLS for tile in TILES]
    _print({"speed": [_exact_speed(cell, repeats) for cell in CELLS], "errors": errors})


@app.command()
def inference(repeats: int = 5, batch: int = 64) -> None:
    """Images a second of whole networks on non-ideal tiles against torch in float32."""
    torch.set_num_threads(numba.get_num_threads())
    speed = [
        _network_speed(name, active, mitigation, batch, repeats)
        for name in NETWORKS
        for active in (64, 16)
        for mitigation in BINSPARX
    ]
    _print({"threads": torch.get_num_threads(), "batch": batch, "speed": speed})


@app.command()
def memory(images: int = 2_000) -> None:
    """Peak resident memory of whole networks on tiles, for a number of images and twice as many."""
    counts = images, 2 * images
    _print({"memory": [_memory_of_child(name, count) for name in NETWORKS for count in counts]})


@app.command()
def calibrate(repeats: int = 5) -> None:
    """Wall time of the default calibration from nothing, and its ratio to the time in ngspice over the cores."""
    command = [str(Path(sys.executable).with_name("spicekit")), "calibrate", "--store"]
    wall, ngspice, kept = [], [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as store:
            run = functools.partial(subprocess.run, [*command, store], check=True, stdout=subprocess.DEVNULL)
            wall.append(_seconds(run))
            kept.append(_seconds(run))
            swept = [entry.sweep for entry in inventory(Path(store)) if entry.sweep]
        ngspice.append(sum(sweep.origin["ngspice_seconds"] for sweep in swept))
    ratio = [whole * available_cores() / inside for whole, inside in zip(wall, ngspice, strict=True)]
    times = {"wall_s": _spread(wall), "ngspice_s": _spread(ngspice), "again_s": _spread(kept)}
    _print({"tables": len(swept), **times, "ratio": _spread(ratio)})


@app.command()
def surrogate(patterns: int = 20_000) -> None:
    """Forms of the surrogate that were tried: errors of each on patterns that it was not fitted to."""
    whole = [tile for tile in TILES if tile[0] == tile[1]]
    _print({"forms": [row for tile in whole for row in _forms_tried(*tile, patterns)]})


@app.command(hidden=True)
def classify(network: str, images: int) -> None:
    """Classify made-up images of CIFAR's size on tiles; print this process's peak resident memory."""
    pixels = np.random.default_rng(SEED).integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    dataset = Dataset("cifar10", "test", pixels, np.zeros(images, np.uint8), CIFAR10_CLASSES, "made up")
    loaded = load_network(network)
    layers, codes = _mapped(loaded, _spec("8t-sram", 64, 64, 3.2), "both")
    with on_tiles(loaded, layers, codes):
        predict_logits(loaded, dataset)
    status = Path("/proc/self/status").read_text()
    (peak,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"network": network, "images": images, "peak_bytes": peak * 1024}))


def _exact_speed(cell: CellName, repeats: int) -> dict[str, Any]:
    """Columns a second of both on tiles of 64 x 64, on all cores."""
    _say(f"speed: {cell}")
    spec = _spec(cell, 64, 64, 3.2)
    table = find_table(spec)
    rng = np.random.default_rng(SEED)
    weights = rng.integers(0, 2, (64, 64), dtype=np.uint8)
    bits = rng.integers(0, 2, (256, 64), dtype=np.uint8)
    cores = available_cores()
    jobs = [tile_job(spec, weights, bits[4 * core : 4 * core + 4]) for core in range(cores)]
    ladder = ladder_of(spec, table, weights)
    solve(ladder, bits[:1])  # compile
    rates: dict[str, list[float]] = {"exact": [], "ngspice": []}
    for _ in range(repeats):
        rates["exact"].append(len(bits) * 64 / _seconds(lambda: solve(ladder, bits)))
        outcomes = [outcome for _, outcome in simulate_all(jobs, workers=cores)]
        slowest = max(_seconds_in_ngspice(outcome) for outcome in outcomes)
        rates["ngspice"].append(4 * cores * 64 / slowest)
    return {"cell": cell, "drive": "wordline", **_compared(rates, "exact", "ngspice")}


def _errors(cell: CellName, rows: int, active: int, ohm: float, columns: int) -> dict[str, Any]:
    spec = _spec(cell, rows, active, ohm)
    table = find_table(spec)
    _say(f"errors: {cell}, {active} of {rows} rows in a read, {ohm} ohm")
    narrow = spec.replace(
        columns=8
    )  # columns share no node: a few are as good as many, and quicker in ngspice
    signed = sign_off(Design(tile=narrow), table, cases_for(narrow, 2, rng=np.random.default_rng(SEED)))
    if signed.failures:
        raise SpiceFailed(signed.failures[0])
    exact = max(row.worst for row in signed.deviations if row.engine == "exact")
    fast = {
        kind: _against_exact(cases, spec)
        for kind, cases in (
            ("uniform", _drawn(spec, columns, _uniform)),
            ("clustered", _drawn(spec, columns, _clustered)),
            ("networks", _harvested(spec, columns)),
        )
    }
    what = {"cell": cell, "rows": rows, "rows_active": active, "ohm": ohm}
    return {**what, "exact_against_ngspice_worst_lsb": exact, "fast_against_exact": fast}


def _against_exact(cases: Iterator[Case], spec: TileSpec) -> dict[str, float]:
    table = find_table(spec)
    unit = lsb(spec, table)
    squares, worst, reads = 0.0, 0.0, 0
    for case in cases:
        tile = Tile(spec, table, case.weights)
        fast, exact = (read_currents(tile, case.bits, engine=engine) for engine in ("fast", "exact"))
        error = (fast - exact) / unit
        squares += float((error**2).sum())
        worst = max(worst, float(abs(error).max()))
        reads += error.size
    return {"columns": reads, "rms_lsb": (squares / reads) ** 0.5, "worst_lsb": worst}


Draw = Callable[[int, int, float, np.random.Generator], Bits]


def _drawn(spec: TileSpec, columns: int, draw: Draw) -> Iterator[Case]:
    """Tiles at on-fractions 0.1 to 0.9 of stored and of applied bits."""
    rng = np.random.default_rng(SEED)
    fractions = np.arange(1, 10) / 10
    vectors = -(-columns // (spec.columns * spec.groups * len(fractions)))
    for fraction in fractions:
        weights = draw(spec.columns, spec.rows, fraction, rng).T
        yield Case("drawn", np.ascontiguousarray(weights), draw(vectors, spec.rows, fraction, rng))


def _uniform(count: int, rows: int, fraction: float, rng: np.random.Generator) -> Bits:
    return (rng.random((count, rows)) < fraction).astype(np.uint8)


def _clustered(count: int, rows: int, fraction: float, rng: np.random.Generator) -> Bits:
    """A row's bit is that of the row above, except that one in eight is drawn anew: runs of eight and more."""
    anew = rng.random((count, rows)) < 1 / 8
    anew[:, 0] = True
    source = np.maximum.accumulate(np.where(anew, np.arange(rows), 0), axis=1)
    return np.take_along_axis(_uniform(count, rows, fraction, rng), source, axis=1)


def _harvested(spec: TileSpec, columns: int) -> Iterator[Case]:
    """Tiles and sub-vectors of both networks, plain and with BinSparX."""
    rng = np.random.default_rng(SEED)
    images = load_dataset("digits", "test").first(HARVEST_IMAGES)
    tiles = LAYERS * len(NETWORKS) * len(BINSPARX)
    vectors = -(-columns // (spec.columns * spec.groups * tiles))
    for name in NETWORKS:
        for mitigation in BINSPARX:
            binsparx = MITIGATIONS[mitigation]
            yield from network_cases(load_network(name), images, spec, vectors, binsparx=binsparx, rng=rng)


def _forms_tried(rows: int, active: int, ohm: float, patterns: int) -> list[dict[str, Any]]:
    """Errors of polynomials of block counts and moments (docs/surrogate.md), fitted to half of the patterns."""
    _say(f"forms: {rows} rows, {ohm} ohm")
    spec = _spec("8t-sram", rows, active, ohm)
    table = find_table(spec)
    on = sample_patterns(2 * patterns, rows, rng=np.random.default_rng(SEED))
    on = np.random.default_rng(SEED).permutation(on[on.any(axis=1)])
    current = solve(ladder_of(spec, table, np.ones((rows, 1), np.uint8)), on).current[:, 0] / lsb(spec, table)
    counts, moments = block_features(on)
    n = counts.sum(axis=1)
    length = block_length(rows)
    fitted = np.arange(len(on)) < patterns
    found = []
    for form, degree, moment_degree in FORMS:
        base = PolynomialFeatures(degree).fit_transform(counts / length)
        slope = PolynomialFeatures(moment_degree).fit_transform(counts / length)
        terms = np.hstack([base, *(slope * place[:, None] / length**2 for place in moments.T)])
        target, weight = (current, np.ones(len(on))) if form == "I" else (n / current, current**2 / n)
        solution = np.linalg.lstsq((terms * weight[:, None])[fitted], (target * weight)[fitted])[0]
        estimate = terms[~fitted] @ solution
        error = (estimate if form == "I" else n[~fitted] / estimate) - current[~fitted]
        what = {"rows": rows, "ohm": ohm, "form": form, "degree": degree, "moment_degree": moment_degree}
        errors = {"rms_lsb": float(np.sqrt((error**2).mean())), "worst_lsb": float(abs(error).max())}
        found.append({**what, "terms": terms.shape[1], **errors})
    return found


def _network_speed(
    name: str, active: int, mitigation: Mitigation, batch: int, repeats: int
) -> dict[str, Any]:
    """Images a second of one batch through a network, on tiles and in torch, alternately."""
    _say(f"speed: {name}, {active} rows in a read, BinSparX {mitigation}")
    images = load_dataset("digits", "test").first(batch)
    network = load_network(name)
    layers, codes = _mapped(network, _spec("8t-sram", 64, active, 3.2), mitigation)

    def rate() -> float:
        return batch / _seconds(lambda: predict_logits(network, images, batch=batch))

    rates: dict[str, list[float]] = {"tiles": [], "torch": []}
    for repeat in range(repeats + 1):
        software = rate()
        with on_tiles(network, layers, codes):
            tiles = rate()
        if repeat:  # the first round compiles
            rates["torch"].append(software)
            rates["tiles"].append(tiles)
    what = {"network": name, "rows_active": active, "binsparx": mitigation}
    return {**what, **_compared(rates, "tiles", "torch")}


def _mapped(network: torch.nn.Module, spec: TileSpec, mitigation: Mitigation) -> tuple[Layers, Codes]:
    """A network on tiles of a spec, behind converters as designed."""
    model = read_model(spec, find_table(spec))
    codes = model.codes(fit_reference(model, Converter(), None))
    return map_network(network, spec, binsparx=MITIGATIONS[mitigation]), codes


def _memory_of_child(network: str, images: int) -> dict[str, Any]:
    _say(f"memory: {network}, {images} images")
    command = [sys.executable, __file__, "classify", network, str(images)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _spec(cell: CellName, rows: int, active: int, ohm: float) -> TileSpec:
    return TileSpec(cell=cell, rows=rows, rows_active=active, wires=Wires(r_bl=ohm, r_sl=ohm))


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _seconds_in_ngspice(outcome: Outcome | Failure) -> float:
    if isinstance(outcome, Failure):
        raise SpiceFailed(outcome.reason)
    return outcome.seconds


def _compared(rates: dict[str, list[float]], ours: str, theirs: str) -> dict[str, Any]:
    """Both rates, 1/s, and their ratio, round by round."""
    ratio = [mine / other for mine, other in zip(rates[ours], rates[theirs], strict=True)]
    return {
        f"{ours}_per_s": _spread(rates[ours]),
        f"{theirs}_per_s": _spread(rates[theirs]),
        "ratio": _spread(ratio),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": float(np.median(values)), "min": min(values), "max": max(values)}


def _say(stage: str) -> None:
    print(stage, file=sys.stderr)


def _print(result: dict[str, Any]) -> None:
    print(json.dumps({**result, "provenance": provenance({"cores": available_cores()})}, indent=1))


if __name__ == "__main__":
    app()
