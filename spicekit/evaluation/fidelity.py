"""Whole networks run twice and compared: ideal tiles with the software bit for bit, the exact engine with the fast one.

Single columns agree to a small part of a code (`spicekit signoff`). Here every read of every layer is solved by the
exact engine, converted, and added up, layer after layer, so that errors have every chance to grow.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spicekit.circuits.spec import TileSpec
from spicekit.engines.exact.codes import ExactCodes
from spicekit.engines.fast.factored import FactoredCodes
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.engines.fast.kernels import count_patterns
from spicekit.engines.fast.model import Codes
from spicekit.engines.fast.patterns import PatternCodes, in_one_word
from spicekit.engines.words import Applied, Stored
from spicekit.errors import BadInput, SpicekitError
from spicekit.evaluation.convert import TiledNetwork
from spicekit.evaluation.design import Design
from spicekit.evaluation.reads import cells_read, watch
from spicekit.evaluation.records import Fidelity
from spicekit.evaluation.tiled import TiledConv2d, Tiles, on_tiles, tiled_layers
from spicekit.mapping.binsparx import MITIGATIONS, Mitigation
from spicekit.mapping.packed import PackedLayer
from spicekit.networks.data import Dataset
from spicekit.networks.inference import accuracy, predict_logits
from spicekit.results import Report, silent


def fidelity(tiled: TiledNetwork, dataset: Dataset) -> Fidelity:
    """Run a network through both engines, seconds for an image of CIFAR's size; `BadInput` as `check_comparable`."""
    check_comparable(tiled.design)
    exact_codes = ExactCodes(tiled.design.tile, cells_read(tiled.design, tiled.table), tiled.thresholds)
    network, compared = tiled.with_codes(partial(_Compared, exact_codes))
    exact, fast = predict_logits(network, dataset), predict_logits(tiled.network, dataset)
    if exact.min() == exact.max() or fast.min() == fast.max():
        raise BadInput(
            "fidelity: all logits are alike, and correlate with nothing; take more images or classes."
        )
    return Fidelity(
        images=len(dataset),
        correlation=float(np.corrcoef(exact.ravel(), fast.ravel())[0, 1]),
        worst_logit=float((exact - fast).abs().max() / exact.std()),
        predictions_differ=int((exact.argmax(1) != fast.argmax(1)).sum()),
        codes=sum(both.codes for both in compared.values()),
        codes_differ=sum(both.differ for both in compared.values()),
    )


def check_comparable(design: Design) -> None:
    """`BadInput` if the design's converters have faults, or its cells are not all alike."""
    if design.converter.flawed:
        raise BadInput(
            "fidelity: the exact engine's converters have no faults; leave out offset, inl and noise."
        )
    if design.variation.mismatch:
        raise BadInput(
            "fidelity: whole networks run in the exact engine with all cells alike; set mismatch = 0."
        )


def code_errors(tiled: TiledNetwork, dataset: Dataset) -> tuple[float, ...]:
    """By how much converters miscount: column reads for one image by their error in ON cells.

    An error is what a code stands for less the ON cells that the read has; a converter with fewer codes than ON cells
    also rounds. Reads are those that the software's own activations cause on the first `CODE_IMAGES` images.

    Returns
    -------
    (2 m + 1,) tuple of float
        From -m to m, the rows of a read; larger errors count there. Empty for flawed converters, mismatch and stuck
        cells: reads of these differ from column to column.
    """
    design, die = tiled.design, tiled.design.variation
    if design.converter.flawed or die.mismatch or die.stuck_at_0 or die.stuck_at_1:
        return ()
    few = dataset.first(min(CODE_IMAGES, len(dataset)))
    m = design.tile.rows_active
    found = np.zeros(2 * m + 1)
    layers, ideal = tiled_layers(tiled.network), IdealCodes()

    def add(error: NDArray[Any], reads: NDArray[np.int64] | None) -> None:
        places = np.clip(error.astype(np.int64) + m, 0, 2 * m)
        weights = None if reads is None else reads.ravel()
        found[:] += np.bincount(places.ravel(), weights, minlength=len(found))

    def probe(packed: PackedLayer, applied: Applied) -> None:
        codes = layers[packed.layer.name].tiles.codes
        alike = codes.by_pattern() if isinstance(codes, FactoredCodes | PatternCodes) else None
        if alike is not None:
            add(*_pattern_errors(alike * codes.step, packed, applied))
            return
        for group, tiles in enumerate(packed.stored.tiles):
            for tile in range(tiles):
                read = one_read(packed.stored, applied, group=group, tile=tile)
                error = np.rint(codes.step * np.abs(codes.sums(*read)) - np.abs(ideal.sums(*read)))
                add(error, None)

    watch(tiled.software, few, tiled.layers, probe)
    return tuple((found / len(few)).tolist())


def _pattern_errors(
    partial_sums: NDArray[Any], packed: PackedLayer, applied: Applied
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Error of each pattern's code, of what the codes stand for (groups, 2^m), and how often it is read."""
    m = packed.layer.spec.rows_active
    given, _, asserted = in_one_word(applied)
    reads, _ = count_patterns(
        packed.stored.words[:, :, 0].astype(np.uint32), packed.stored.tiles, given, asserted, m
    )
    return np.rint(partial_sums - np.bitwise_count(np.arange(2**m))), reads


CODE_IMAGES = 4
"""Whose reads `code_errors` counts: millions, in a second or two."""


@dataclass(eq=False)
class _Compared:
    """The exact engine's codes; counts those that the fast engine makes otherwise."""

    exact: ExactCodes
    fast: Codes
    codes: int = 0
    differ: int = 0

    @property
    def step(self) -> float:
        return self.exact.step

    def sums(self, stored: Stored, applied: Applied) -> NDArray[np.float32]:
        sums = np.zeros((applied.vectors, stored.words.shape[-1]), np.float32)
        for group, tiles in enumerate(stored.tiles):
            for tile in range(tiles):
                exact = self.exact.signed_codes(stored, applied, group=group, tile=tile).astype(np.float32)
                fast = self.fast.sums(*one_read(stored, applied, group=group, tile=tile))
                self.codes += exact.size
                self.differ += int((exact != fast).sum())
                sums += exact
        return sums


def one_read(stored: Stored, applied: Applied, *, group: int, tile: int) -> tuple[Stored, Applied]:
    """A layer that consists of one group's read of one tile."""
    only = slice(tile, tile + 1)
    return (
        dataclasses.replace(
            stored,
            words=np.ascontiguousarray(stored.words[:, only]),
            inverted=np.ascontiguousarray(stored.inverted[:, only]),
            tiles=np.eye(len(stored.tiles), dtype=stored.tiles.dtype)[group],
        ),
        dataclasses.replace(
            applied,
            words=np.ascontiguousarray(applied.words[:, :, only]),
            inverted=np.ascontiguousarray(applied.inverted[:, :, only]),
            asserted=np.ascontiguousarray(applied.asserted[:, :, only]),
        ),
    )


class NotExact(SpicekitError):
    """A network on ideal tiles did not give its software logits: the mapping would be wrong."""


def software_and_ideal(
    network: torch.nn.Module,
    dataset: Dataset,
    spec: TileSpec,
    *,
    mitigations: Sequence[Mitigation] = ("both",),
    report: Report = silent,
) -> tuple[float, float]:
    """Accuracy in software and on ideal tiles; those with `mitigations` are compared on a few images.

    Raises
    ------
    NotExact
        If a logit on ideal tiles, with or without a mitigation, differs from the software's in a single bit; names the
        first layer whose products do.
    """
    software = predict_logits(network, dataset, batch_per_thread=True, report=partial(report, "software"))
    ideal = _ideal_logits(
        network, dataset, software, spec, mitigation="none", report=partial(report, "ideal tiles")
    )
    few = dataset.first(min(IDEAL_IMAGES, len(dataset)))
    # in the same batches: torch rounds a single image otherwise
    logits = predict_logits(network, few, batch_per_thread=True)
    for mitigation in dict.fromkeys(mitigations):
        if mitigation != "none":
            _ideal_logits(network, few, logits, spec, mitigation=mitigation)
    return accuracy(software, dataset), accuracy(ideal, dataset)


IDEAL_IMAGES = 16
"""Of which logits with mitigations on ideal tiles are compared, too: tests prove their rules layer by layer."""


def _ideal_logits(
    network: torch.nn.Module,
    dataset: Dataset,
    software: Tensor,
    spec: TileSpec,
    *,
    mitigation: Mitigation,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """The logits on ideal tiles; `NotExact` if they are not those of the software."""
    ideal = on_tiles(network, Tiles(spec, IdealCodes(), MITIGATIONS[mitigation]))
    logits = predict_logits(ideal, dataset, batch_per_thread=True, report=report)
    if wrong := int((logits != software).any(dim=1).sum()):
        raise NotExact(
            f"{wrong} of {len(logits)} images have other logits on ideal tiles (BinSparX: {mitigation}) than in "
            f"software; layer {_first_wrong_layer(ideal, dataset)!r} is the first whose products differ."
        )
    return logits


def _first_wrong_layer(network: torch.nn.Module, dataset: Dataset) -> str | None:
    """The first layer on tiles whose products, of the inputs that it gets, are not the software's; None if all are."""
    wrong: list[str] = []

    def compare(layer: TiledConv2d, arguments: tuple[Tensor], output: Tensor) -> None:
        if not torch.equal(output, layer.product(layer.input_levels(arguments[0]))):
            wrong.append(layer.name)

    for layer in tiled_layers(network).values():
        layer.register_forward_hook(compare)
    predict_logits(network, dataset)
    return wrong[0] if wrong else None
