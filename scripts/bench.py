"""Measure here and now every ratio and error that the documents name; each command prints JSON.

A figure that was timed comes as the median over repeats with the smallest and the largest. What is compared runs
alternately in one process on the same threads, so that a busy machine slows both.
"""

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numba
import numpy as np
import torch
import typer
from numpy.typing import NDArray

from spicekit.circuits.spec import Device, TileSpec, Wires
from spicekit.compiled import keep_memory
from spicekit.engines.cell_currents import NO_VARIATION, Variation, lsb
from spicekit.engines.converter import Converter
from spicekit.engines.exact.ladder import Crossbar, solve
from spicekit.engines.fast.factored import FactoredCodes
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.engines.fast.mesh import RMS_LIMIT, correction
from spicekit.engines.fast.mismatch import passed
from spicekit.engines.fast.model import fit_thresholds, read_model
from spicekit.engines.fast.patterns import PatternReads
from spicekit.engines.fast.wire_sums import POWERS, features, fit_patterns, sample_patterns, terms
from spicekit.engines.lanes import target
from spicekit.engines.spice import sensed, tile_job
from spicekit.engines.tile import EngineName, Tile, read_currents
from spicekit.errors import MissingTable, SpiceFailed
from spicekit.evaluation.design import Design
from spicekit.evaluation.signoff import sign_off
from spicekit.evaluation.tiled import Tiles, on_tiles
from spicekit.evaluation.vectors import HARVEST_IMAGES, LAYERS, Case, cases_for, network_cases
from spicekit.mapping.binsparx import MITIGATIONS, Mitigation
from spicekit.networks.checkpoints import load_network
from spicekit.networks.cifar import CIFAR10_CLASSES
from spicekit.networks.data import Dataset, load_dataset
from spicekit.networks.inference import predict_logits
from spicekit.provenance import provenance
from spicekit.spice.simulator import Failure, available_cores, simulate_all
from spicekit.tables.characterise import DEFAULT_CELLS, Characterisation, characterise
from spicekit.tables.inventory import inventory
from spicekit.tables.store import find_table
from spicekit.tables.table import IVTable

Bits = NDArray[np.uint8]

CELLS = DEFAULT_CELLS
NETWORKS = ("vgg-small", "resnet18")
BINSPARX: tuple[Mitigation, ...] = ("none", "both")
TILES = ((32, 32, 3.2), (64, 64, 3.2), (128, 128, 3.2), (64, 64, 10.0), (64, 16, 3.2))
"""Rows, rows in a read, ohm a segment."""
FORMS: dict[str, Callable[[int, int, int, int, int], bool]] = {
    "n": lambda n, u, f, b, e: u + f + b + e == 0,
    "n, u": lambda n, u, f, b, e: f + b + e == 0,
    "n, u, f, b, linear": lambda n, u, f, b, e: u + f + b < 2 and not e,
    "n, u, f, b": lambda n, u, f, b, e: not e,
    "n, u, f, b, e": lambda n, u, f, b, e: True,
}
"""Which terms of the surrogate's polynomial are taken, by their powers."""
PRESETS = ("hfo2-100k", "hfo2-10k", "hfo2-low")
BITLINE_TILES = {
    "hfo2-100k": (
        (32, 3.2),
        (64, 0),
        (64, 1),
        (64, 3.2),
        (64, 10),
        (64, 30),
        (64, 50),
        (128, 3.2),
        (128, 10),
    ),
    "hfo2-10k": ((64, 3.2), (64, 10), (64, 50), (128, 10)),
    "hfo2-low": ((64, 1), (64, 3.2), (64, 50), (128, 3.2)),
}
"""Rows, which are also columns, and ohm a segment."""
EXACT_ROWS = (16, 32, 64, 128)
EXACT_OHMS = (0, 1, 3.2, 10, 30)
ENDS: tuple[Literal["far", "near"], ...] = ("far", "near")
PATIENCE = 600.0
"""Seconds for one tile in ngspice, on a machine that has much else to do."""
SOLVERS = ["sparse", "klu"]
"""Of linear equations, in ngspice."""
SEED = 0

app = typer.Typer(help=__doc__, add_completion=False, pretty_exceptions_enable=False)


@app.command()
def engines(program: str = "ngspice", repeats: int = 3, columns: int = 100_000) -> None:
    """Speed of EXACT against ngspice, with KLU where it has it; errors of EXACT against ngspice, of FAST against EXACT.

    With --columns 0 no errors are measured. A version of 43 or later has KLU where it was built with it; it
    need not be installed: unpack its package somewhere and pass --program.
    """
    specs = [_spec(cell, 64, 64, 3.2) for cell in CELLS] + [_bitline_spec("hfo2-10k", 64, 3.2)]
    speed = _exact_speed(specs, program, repeats)
    errors = [_errors(cell, *tile, columns) for cell in CELLS for tile in TILES if columns]
    _print({**speed, "errors": errors})


@app.command()
def exact(columns: int = 4) -> None:
    """EXACT against ngspice on whole tiles with word-line drive, by pattern of stored and applied bits."""
    specs = [
        _spec(cell, rows, rows, ohm).replace(columns=columns, sense_end=end)
        for cell in CELLS
        for rows in EXACT_ROWS
        for ohm in EXACT_OHMS
        for end in ENDS
    ]
    _print({"errors": _exact_errors(specs, name=lambda spec: spec.cell)})


@app.command()
def bitline(columns: int = 16) -> None:
    """Tiles with bit-line drive: errors of EXACT against ngspice by pattern, of FAST against EXACT."""
    specs = [
        _bitline_spec(preset, rows, ohm).replace(columns=columns, sense_end=end)
        for preset in PRESETS
        for rows in EXACT_ROWS
        for ohm in EXACT_OHMS
        for end in (ENDS if rows == EXACT_ROWS[0] else ENDS[:1])
    ]
    errors = _exact_errors(specs, name=lambda spec: spec.device.reram)
    fast = [_bitline_fast(preset, *tile) for preset in PRESETS for tile in BITLINE_TILES[preset]]
    _print({"exact_against_ngspice": errors, "fast_against_exact": fast})


@app.command()
def variation(mismatch: float = 1.0) -> None:
    """FAST against EXACT where cells are not all alike: first-order mismatch on reads that the fit has not seen."""
    amount = Variation(mismatch=mismatch)
    _print({"mismatch": mismatch, "errors": [_mismatch_error(c, *tile, amount) for c in CELLS for tile in TILES]})


@app.command()
def inference(repeats: int = 5, batch: int = 64) -> None:
    """Images a second of whole networks on tiles, real and ideal, against torch in float32 and in bfloat16.

    Each thread runs a batch of its own on tiles, as `spicekit evaluate` does; torch shares each layer out to its
    threads, as it does when it is called. `torch_apart` is float32 with a batch a thread, too.
    """
    keep_memory()  # torch's run gains by it, too
    torch.set_num_threads(numba.get_num_threads())
    speed = [
        _network_speed(name, active, mitigation, batch, repeats)
        for name in NETWORKS
        for active in (64, 16)
        for mitigation in BINSPARX
    ]
    _print({"threads": torch.get_num_threads(), "batch": batch, "code_for": target(), "speed": speed})


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
    """Errors of the factored form of 16 rows, and of forms tried for more on patterns that they were not fitted to."""
    whole = [tile for tile in TILES if tile[0] == tile[1]]
    factored = [_factored(cell, ohm) for cell in CELLS for ohm in EXACT_OHMS]
    _print({"factored": factored, "forms": [row for tile in whole for row in _forms_tried(*tile, patterns)]})


@app.command(hidden=True)
def classify(network: str, images: int) -> None:
    """Classify made-up images of CIFAR's size on tiles; print this process's peak resident memory."""
    pixels = np.random.default_rng(SEED).integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    dataset = Dataset("cifar10", "test", pixels, np.zeros(images, np.uint8), CIFAR10_CLASSES, "made up")
    loaded = load_network(network)
    keep_memory()
    predict_logits(_mapped(loaded, _spec("8t-sram", 64, 64, 3.2), "both"), dataset, batch_per_thread=True)
    status = Path("/proc/self/status").read_text()
    (peak,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"network": network, "images": images, "peak_bytes": peak * 1024}))


def _exact_speed(specs: list[TileSpec], program: str, repeats: int) -> dict[str, Any]:
    """Column reads for a second of processor time, EXACT on one thread: right on a busy machine, too."""
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    found = [_solver_speed(spec, program, repeats) for spec in specs]
    numba.set_num_threads(threads)
    return {"ngspice": re.findall(r"ngspice-(\S+)", version)[:1], "speed": found}


def _solver_speed(spec: TileSpec, program: str, repeats: int) -> dict[str, Any]:
    """Of both engines on one tile; ngspice's time for a vector is what two more take, so that reading a deck is out."""
    _say(f"speed: {spec.cell}, {spec.drive}, {spec.device.reram}")
    rng = np.random.default_rng(SEED)
    shape = spec.rows, spec.columns
    tile = Tile(spec, _table(spec), rng.integers(0, 2, shape, dtype=np.uint8))
    bits = rng.integers(0, 2, (256, spec.rows), dtype=np.uint8)
    true = read_currents(tile, bits[:3], engine="exact")[:, 0, 0]  # compiles
    ours = [_processor_seconds(lambda: read_currents(tile, bits, engine="exact")) for _ in range(repeats)]
    rates = {"exact": [bits.shape[0] * spec.columns / seconds for seconds in ours]}
    solvers = {}
    for solver in SOLVERS:
        one, three = ([_ngspice(tile, bits[:count], program, solver) for _ in range(repeats)] for count in (1, 3))
        if all(run is None for run in one):
            continue
        rates[solver] = [2 * spec.columns / (b[0] - a[0]) for a, b in zip(one, three, strict=True) if a and b]
        worst = max(abs(run[1] - true).max() / abs(true).max() for run in three if run)
        solvers[solver] = {**_compared(rates, "exact", solver), "largest_difference": float(worst)}
    found = {"cell": spec.cell, "drive": spec.drive, "reram": spec.device.reram, "against": solvers}
    _say(json.dumps(found))
    return found


def _ngspice(tile: Tile, bits: Bits, program: str, solver: str) -> tuple[float, NDArray[np.float64]] | None:
    """Processor seconds of `ngspice -b` for an operating point of each vector, and the first column's currents, A.

    None if it does not have the solver.
    """
    job = tile_job(tile.spec, tile.weights, bits)
    steps = "".join(
        "".join(f"alter {each}\n" for each in step.alters) + "op\nprint vsense_0#branch\n" for step in job.steps
    )
    deck = job.deck.rstrip().removesuffix(".end") + (".options klu\n" if solver == "klu" else "")
    with tempfile.NamedTemporaryFile("w", suffix=".cir") as file:
        file.write(f"{deck}.control\nset numdgt=12\n{steps}.endc\n.end\n")
        file.flush()
        before = os.times()
        done = subprocess.run([program, "-n", "-b", file.name], capture_output=True, text=True, timeout=PATIENCE)
        after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    currents = np.array([float(x) for x in re.findall(r"^vsense_0#branch = (\S+)", done.stdout, re.MULTILINE)])
    if len(currents) != len(bits):
        raise SpiceFailed(f"{program}: {len(currents)} of {len(bits)} operating points; {done.stderr[-500:]}")
    return None if solver == "klu" and "Using KLU" not in done.stdout + done.stderr else (used, currents)


def _exact_errors(specs: list[TileSpec], *, name: Callable[[TileSpec], str]) -> list[dict[str, Any]]:
    """For each kind of cell and pattern, the spec with the largest error against ngspice.

    The error of a column is compared with the largest column current of the same read.
    """
    worst: dict[tuple[str, str], dict[str, Any]] = {}
    for rows in EXACT_ROWS:
        chosen = [
            (spec, kind, weights, bits)
            for spec in specs
            if spec.rows == rows
            for kind, weights, bits in _patterns(spec)
        ]
        _say(f"EXACT against ngspice: {rows} rows, {len(chosen)} tiles")
        jobs = [tile_job(spec, weights, bits) for spec, _, weights, bits in chosen]
        for place, outcome in simulate_all(jobs, timeout=PATIENCE):
            spec, kind, weights, bits = chosen[place]
            if isinstance(outcome, Failure) or any(run.trouble for run in outcome.runs):
                raise SpiceFailed(f"{kind}: {outcome.reason if isinstance(outcome, Failure) else outcome.runs}")
            true = np.array([sensed(run.waves, spec) for run in outcome.runs])
            table = _table(spec)
            ours = read_currents(Tile(spec, table, weights), bits, engine="exact")[:, 0]
            error = abs(ours - true)
            found: dict[str, Any] = {
                "cells": name(spec),
                "pattern": kind,
                "error": float((error.max(axis=1) / abs(true).max(axis=1)).max()),
                "error_lsb": float(error.max() / lsb(spec, table)),
                "rows": rows,
                "ohm": spec.wires.segment(spec.segment_names[0]),
                "sense_end": spec.sense_end,
            }
            key = name(spec), kind
            if key not in worst or found["error"] > worst[key]["error"]:
                worst[key] = found
    return list(worst.values())


def _patterns(spec: TileSpec) -> Iterator[tuple[str, Bits, Bits]]:
    """Kinds of stored bits (r, c) and activations (b, r)."""
    rng = np.random.default_rng(SEED)
    i, j = np.indices((spec.rows, spec.columns))
    top = i < spec.rows // 2
    every = np.ones((1, spec.rows), np.uint8)
    first, last = np.eye(spec.rows, dtype=np.uint8)[[[0], [-1]]]
    ones = np.ones(i.shape, np.uint8)
    far = (i == spec.rows - 1) & (j == spec.columns - 1)
    stored = rng.integers(0, 2, i.shape, dtype=np.uint8)
    yield "random", stored, rng.integers(0, 2, (4, spec.rows), dtype=np.uint8)
    yield "all ON", ones, every
    yield "all OFF", 0 * ones, every
    for kind, bits in (("near", first), ("far", last)):
        yield f"one row asserted, all its cells 1, {kind}", ones, bits
    for kind, cell in (("near", (i == 0) & (j == 0)), ("far", far)):
        yield f"one cell 1, all rows asserted, {kind}", cell.astype(np.uint8), every
    checkers = np.stack([every[0], np.arange(spec.rows) % 2]).astype(np.uint8)
    yield "checkerboard", ((i + j) % 2).astype(np.uint8), checkers
    halves = np.stack([every[0], top[:, 0], ~top[:, 0]]).astype(np.uint8)
    yield "blocks", (top ^ (j < spec.columns // 2)).astype(np.uint8), halves


def _bitline_fast(preset: str, rows: int, ohm: float) -> dict[str, Any]:
    """What the surrogate of a spec states of itself, and its errors on 20 tiles of each kind with 50 reads each."""
    _say(f"FAST: {preset}, {rows} rows, {ohm} ohm")
    spec = _bitline_spec(preset, rows, ohm)
    table = _table(spec)
    rms, most = correction(spec, table).error
    found: dict[str, Any] = {"reram": preset, "rows": rows, "ohm": ohm, "stated": _rms_and_worst(rms, most)}
    if rms > RMS_LIMIT:
        return {**found, "refused": True}
    rng = np.random.default_rng(SEED)
    for kind in ("independent", "clustered"):
        errors = []
        for tile in range(20):
            if kind == "independent":
                weights = _uniform(rows, rows, rng.choice(np.arange(1, 10)) / 10, rng)
                bits = _uniform(50, rows, (tile % 9 + 1) / 10, rng)
            else:
                weights = sample_patterns(2 * rows, rows, rng=rng)[rows:].T
                bits = sample_patterns(100, rows, rng=rng)[50:]
            made = Tile(spec, table, np.ascontiguousarray(weights))
            fast, true = (read_currents(made, bits, engine=engine) for engine in ("fast", "exact"))
            errors.append((fast - true) / lsb(spec, table))
        together = np.array(errors)
        found[kind] = _rms_and_worst(np.sqrt((together**2).mean()), abs(together).max())
    return found


def _rms_and_worst(rms: float, worst: float) -> dict[str, float]:
    return {"rms_lsb": float(rms), "worst_lsb": float(worst)}


def _bitline_spec(preset: str, rows: int, ohm: float) -> TileSpec:
    return TileSpec(
        cell="1t1r",
        drive="bitline",
        rows=rows,
        rows_active=rows,
        columns=rows,
        wires=Wires(r_row=ohm, r_col=ohm),
        device=Device(reram=preset),
    )


def _table(spec: TileSpec) -> IVTable:
    """The table of a cell, swept here and now where none was calibrated: not every preset's ships."""
    try:
        return find_table(spec)
    except MissingTable:
        return _swept(Characterisation(spec).conditions["device"]["reram"])


@functools.cache
def _swept(reram: str) -> IVTable:
    ((_, sweep),) = characterise([Characterisation(_bitline_spec(reram, 64, 0.0))])
    if isinstance(sweep, Failure):
        raise SpiceFailed(sweep.reason)
    return sweep.table()


def _errors(cell: str, rows: int, active: int, ohm: float, columns: int) -> dict[str, Any]:
    spec = _spec(cell, rows, active, ohm)
    table = find_table(spec)
    _say(f"errors: {cell}, {active} of {rows} rows in a read, {ohm} ohm")
    narrow = spec.replace(columns=8)  # columns share no node: a few are as good as many, and quicker in ngspice
    signed = sign_off(Design(tile=narrow), table, cases_for(narrow, 2, rng=np.random.default_rng(SEED)))
    if signed.failures:
        raise SpiceFailed(signed.failures[0])
    exact = max(row.worst for row in signed.errors if row.engine == "exact")
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


def _mismatch_error(cell: str, rows: int, active: int, ohm: float, amount: Variation) -> dict[str, Any]:
    """What mismatch does to reads of random tiles, and what the first order leaves of it."""
    _say(f"mismatch: {cell}, {active} of {rows} rows in a read, {ohm} ohm")
    spec = _spec(cell, rows, active, ohm)
    table = find_table(spec)
    rng = np.random.default_rng(SEED)
    runs: tuple[tuple[Variation, EngineName], ...] = (
        (amount, "exact"),
        (amount, "fast"),
        (NO_VARIATION, "exact"),
        (NO_VARIATION, "fast"),
    )
    tiles = [
        tuple(
            read_currents(Tile(spec, table, weights, die), bits, engine=engine) / lsb(spec, table)
            for die, engine in runs
        )
        for weights, bits in (
            (_uniform(rows, spec.columns, dense, rng), _uniform(50, rows, 0.5, rng)) for dense in (0.2, 0.5, 0.8)
        )
    ]
    made, fast, nominal, fast_nominal = (np.concatenate(parts) for parts in zip(*tiles, strict=True))
    first_order = (fast - fast_nominal) - (made - nominal)
    stated = passed(spec, table, amount).error
    return {
        **{"cell": cell, "rows": rows, "rows_active": active, "ohm": ohm, "reads": made.size},
        "effect": _rms_and_worst(np.sqrt(((made - nominal) ** 2).mean()), abs(made - nominal).max()),
        "error": _rms_and_worst(np.sqrt((first_order**2).mean()), abs(first_order).max()),
        "stated": _rms_and_worst(*stated),
    }


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


def _factored(cell: str, ohm: float) -> dict[str, Any]:
    """Products that 16 rows take, and what the codes' positions are off over all patterns, no other row asserted."""
    spec = _spec(cell, 64, 16, ohm)
    model = read_model(spec, find_table(spec))
    assert isinstance(model, PatternReads)
    codes = model.codes(fit_thresholds(model, Converter(), None))
    assert isinstance(codes, FactoredCodes)
    on = np.bitwise_count(np.arange(1 << 16)).astype(np.int64)
    current = (model.quiet - model.cells.zeros(on)) / model.cells.lsb
    error = codes.positions(on[None])[:, 0] / 2.0**codes.shift - 0.5 - current  # thresholds at 0.5, 1.5, ...
    return {"cell": cell, "ohm": ohm, "products": codes.products, **_errors_of(error)}


def _errors_of(error: NDArray[np.float64]) -> dict[str, float]:
    return {"rms_lsb": float(np.sqrt((error**2).mean())), "worst_lsb": float(abs(error).max())}


def _forms_tried(rows: int, active: int, ohm: float, patterns: int) -> list[dict[str, Any]]:
    """Errors with parts of the surrogate's polynomial (docs/surrogate.md), fitted to half of the patterns."""
    _say(f"forms: {rows} rows, {ohm} ohm")
    spec = _spec("8t-sram", rows, active, ohm)
    table = find_table(spec)
    on = fit_patterns(2 * patterns, rows, rng=np.random.default_rng(SEED))
    on = np.random.default_rng(SEED).permutation(on[on.any(axis=1)])
    current = solve(Crossbar(spec, table, np.ones((rows, 1), np.uint8)), on).current[:, 0] / lsb(spec, table)
    sums = features(on, on, share=0.0)
    small = sums / np.array([rows, rows**2, rows**3, rows**3, rows])[:, None]
    target, weight = sums[0] ** 2 / current, current**2 / sums[0] ** 2
    fitted = np.arange(len(on)) < patterns
    found = []
    for form, taken in FORMS.items():
        design = terms(small)[:, np.array([k for k, powers in enumerate(POWERS) if k and taken(*powers)])]
        solution = np.linalg.lstsq((design * weight[:, None])[fitted], (target * weight)[fitted])[0]
        error = (sums[0] ** 2)[~fitted] / (design[~fitted] @ solution) - current[~fitted]
        what = {"rows": rows, "ohm": ohm, "form": form, "terms": design.shape[1]}
        found.append({**what, **_errors_of(error)})
    return found


def _network_speed(name: str, active: int, mitigation: Mitigation, batch: int, repeats: int) -> dict[str, Any]:
    """Images a second through a network, a batch for each thread, on tiles and in torch, alternately."""
    _say(f"speed: {name}, {active} rows in a read, BinSparX {mitigation}")
    images = load_dataset("digits", "test").first(batch * torch.get_num_threads())
    network = load_network(name)
    spec = _spec("8t-sram", 64, active, 3.2)
    runs = {
        "torch": network,
        "torch_apart": network,
        "bfloat16": network,
        "tiles": _mapped(network, spec, mitigation),
        "ideal": on_tiles(network, Tiles(spec, IdealCodes(), MITIGATIONS[mitigation])),
    }
    rates: dict[str, list[float]] = {kind: [] for kind in runs}
    for repeat in range(repeats + 1):
        for kind, run in runs.items():
            apart = kind not in ("torch", "bfloat16")
            with torch.autocast("cpu", torch.bfloat16, enabled=kind == "bfloat16"):
                action = functools.partial(predict_logits, run, images, batch=batch, batch_per_thread=apart)
                seconds = _seconds(action)
            if repeat:  # the first round compiles
                rates[kind].append(len(images) / seconds)
    what = {"network": name, "rows_active": active, "binsparx": mitigation}
    against = {
        ours: {other: _compared(rates, ours, other) for other in ("torch", "torch_apart", "bfloat16")}
        for ours in ("tiles", "ideal")
    }
    return {**what, **against}


def _mapped(network: torch.nn.Module, spec: TileSpec, mitigation: Mitigation) -> torch.nn.Module:
    """A network on tiles of a spec, behind converters as designed."""
    model = read_model(spec, find_table(spec))
    codes = model.codes(fit_thresholds(model, Converter(), None))
    return on_tiles(network, Tiles(spec, codes, MITIGATIONS[mitigation]))


def _memory_of_child(network: str, images: int) -> dict[str, Any]:
    _say(f"memory: {network}, {images} images")
    command = [sys.executable, __file__, "classify", network, str(images)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _spec(cell: str, rows: int, active: int, ohm: float) -> TileSpec:
    return TileSpec(cell=cell, rows=rows, rows_active=active, wires=Wires(r_bl=ohm, r_sl=ohm))


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _processor_seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


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
