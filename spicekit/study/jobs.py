"""What a worker does: some images of a point through the tiles. It knows no Dask."""

import functools
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spicekit.compiled import keep_memory
from spicekit.engines.cache import Once
from spicekit.engines.cell_currents import keep_sensitivity
from spicekit.engines.fast.model import read_model
from spicekit.engines.fast.patterns import PatternCounts, PatternReads
from spicekit.errors import BadInput
from spicekit.evaluation.convert import TiledNetwork, lay_network, tile_network
from spicekit.evaluation.reads import (
    LayerInputs,
    Layers,
    Tallies,
    cells_read,
    lay_out,
    patterns_key,
    patterns_read,
    read_statistics,
    tallies,
)
from spicekit.evaluation.tiled import start_at
from spicekit.networks.checkpoints import checkpoint_path, load_network
from spicekit.networks.data import Dataset
from spicekit.networks.inference import BATCH, count_right, predict_logits
from spicekit.networks.layers import binary_layers
from spicekit.provenance import JsonDict, code_hash, content_hash
from spicekit.study.plan import Point
from spicekit.tables.table import IVTable


@dataclass(frozen=True)
class Weights:
    """A checkpoint or ONNX file, recognised by its hash."""

    sha256: str
    suffix: str
    """Of the file: .safetensors or .onnx."""
    content: bytes = field(compare=False, repr=False)


def checkpoint(network: str, data: str) -> Weights:
    """The checkpoint or ONNX file that a study file means by a name or path."""
    load_network(network, data=data)  # refuses what is neither
    named = Path(network).suffix in (".safetensors", ".onnx")
    path = Path(network) if named else checkpoint_path(network, data)
    content = path.read_bytes()
    return Weights(content_hash(content), path.suffix, content)


def software_right(weights: Weights, images: Dataset) -> int:
    """Images that the network itself classifies rightly."""
    with _alone():
        return _right(_network(weights), images)


def counted_reads(point: Point, weights: Weights, table: IVTable, images: Dataset, *, code: str) -> dict[str, Tallies]:
    """What the software's activations of some images read of a point's tiles, by layer; arguments as of `run_job`."""
    _require(code)
    with _alone():
        network, design, mitigation = _network(weights), point.design, point.run.mitigation
        model = read_model(design.tile, cells_read(design, table))
        inputs: nn.Module | LayerInputs = network
        if images.images.size <= 64 * _LARGE:
            key = content_hash([weights.sha256, images.sha256])
            inputs = _inputs(Once(key, lambda: LayerInputs.of(network, images)))

        def layers() -> Layers:
            return lay_out(network, design, mitigation=mitigation)

        if not isinstance(model, PatternReads):
            return tallies(inputs, images, layers(), model)
        key = patterns_key(images, design, mitigation=mitigation, weights=weights.sha256)
        counted = _patterns(Once(key, lambda: patterns_read(inputs, images, layers())))
        return {name: (model.tally_of(found),) for name, found in counted.items()}


def run_job(
    point: Point,
    weights: Weights,
    table: IVTable,
    images: Dataset,
    calibration: Dataset,
    software: int,
    *,
    calibration_counted: Mapping[str, Tallies] | None,
    images_counted: Mapping[str, Tallies] | None,
    counted: int,
    start: int,
    code: str,
    cell: NDArray[np.float64] | None = None,
) -> JsonDict:
    """Classify images on a point's tiles.

    Parameters
    ----------
    weights : Weights
        Of the point's network.
    table : IVTable
        Of its cell and corner.
    images : Dataset
        This job's share of the point's images.
    calibration : Dataset
        For fitted converter references.
    software : int
        Images of the share that the network itself classifies rightly.
    calibration_counted : mapping, optional
        `counted_reads` of the calibration images: where the point's converters are fitted.
    images_counted : mapping, optional
        `counted_reads` of the point's first images: for its job that says what the reads carry.
    counted : int
        How many images these are.
    start : int
        Place of the first image among the point's.
    code : str
        `code_hash` of who planned the job.
    cell : array, optional
        `cell_sensitivity` of the point's cell, where its cells have mismatch.

    Returns
    -------
    JSON-ready counts; the same bits on any number of workers, because each computes on one thread.

    Raises
    ------
    BadInput
        If this worker has other code.
    """
    _require(code)
    with _alone():
        began = time.perf_counter()
        if cell is not None:
            keep_sensitivity(point.design.tile, table, cell)
        fitted_to = tuple(calibration_counted.items()) if calibration_counted else None
        tiled = _tiled(point, weights, table, calibration, fitted_to)
        start_at(tiled.network, start)
        right = _right(tiled.network, images)
        result: JsonDict = {"images": len(images), "right": right, "software": software}
        if images_counted is not None:
            design = point.design

            def carried(names: Iterable[str]) -> JsonDict:
                read = [images_counted[name] for name in names]
                found = read_statistics(read, tiled.model, design, images=counted)
                return found.model_dump(exclude=_ERRORS)

            result["reads"] = carried([design.ablation.layer] if design.ablation.layer else images_counted)
            result["layers"] = {name: carried([name]) for name in images_counted}
        return {**result, "seconds": round(time.perf_counter() - began, 3)}


def _require(code: str) -> None:
    if code != code_hash():
        raise BadInput(
            f"this worker's spicekit is not the study's (code {code_hash()[:10]}, not {code[:10]}); "
            f"install the same on all and repeat the command."
        )


@contextmanager
def _alone() -> Iterator[None]:
    """One job at a time in a process, on one thread: its time is then its own, and its images' places too."""
    with _LOCK:
        keep_memory()
        torch.set_num_threads(1)
        numba.set_num_threads(1)
        yield


_LOCK = threading.Lock()
_ERRORS = {"partial_sum_error", "current_error"}
"""A study counts the reads of all images together."""


def _right(network: nn.Module, images: Dataset) -> int:
    large = any(layer.bits > 1 for layer in binary_layers(network).values()) or images.images[0].size > _LARGE
    logits = predict_logits(network, images, batch=BATCH if large else 2 * BATCH)
    return count_right(logits, torch.from_numpy(images.labels))


_LARGE = 32 * 32 * 3
"""Numbers of an image up to which batches are twice as large, so that more share what a tile's tables cost. With more
numbers or bits their arrays leave the cache that workers share."""


@functools.lru_cache(maxsize=4)
def _patterns(wanted: Once[dict[str, PatternCounts]]) -> dict[str, PatternCounts]:
    """What points share that differ in wires or cells alone, some tens of MB each."""
    return wanted.make()


@functools.lru_cache(maxsize=4)
def _inputs(wanted: Once[LayerInputs]) -> LayerInputs:
    """What all points of a network share, some tens of MB each at most."""
    return wanted.make()


@functools.lru_cache(maxsize=2)
def _laid(wanted: Once[nn.Module]) -> nn.Module:
    """What points share that differ in converters alone, some hundred MB each."""
    return wanted.make()


@functools.lru_cache(maxsize=4)
def _network(weights: Weights) -> nn.Module:
    with tempfile.NamedTemporaryFile(suffix=weights.suffix) as file:
        file.write(weights.content)
        file.flush()
        return load_network(file.name)


@functools.lru_cache(maxsize=2)
def _tiled(
    point: Point,
    weights: Weights,
    table: IVTable,
    calibration: Dataset,
    counted: tuple[tuple[str, Tallies], ...] | None,
) -> TiledNetwork:
    """What the jobs of one point share; a worker that has one of them probably gets the next."""
    network, design, mitigation = _network(weights), point.design, point.run.mitigation
    key = content_hash([design.as_laid().model_dump(mode="json"), table.sha256, weights.sha256, mitigation])
    laid = _laid(Once(key, lambda: lay_network(network, design, table, mitigation=mitigation)))
    return tile_network(
        network,
        design,
        table,
        mitigation=mitigation,
        calibration=calibration,
        counted=dict(counted) if counted else None,
        laid=laid,
    )
