"""What tiles read while a network classifies images in software: counted once, for currents, energy and converters.

A network that the tiles have brought down applies other bits; currents are compared on the right ones.
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spicekit.engines.exact.ladder import decides
from spicekit.engines.fast.factored import FactoredCodes
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.engines.fast.kernels import count_patterns
from spicekit.engines.fast.model import ReadModel, read_model
from spicekit.engines.fast.patterns import PatternCodes, PatternCounts, PatternReads, count_reads, in_one_word
from spicekit.engines.words import Applied, Stored, Tally, one_read
from spicekit.errors import BadInput
from spicekit.evaluation.costs import LayerEvents
from spicekit.evaluation.design import Design
from spicekit.evaluation.records import ReadStatistics
from spicekit.evaluation.tiled import Tiles, tiled_layers
from spicekit.mapping.binsparx import MITIGATIONS, BinSparX, Mitigation
from spicekit.mapping.packed import PackedLayer, apply_inputs
from spicekit.networks.as_written import require_tiles
from spicekit.networks.data import Dataset
from spicekit.networks.inference import predict_logits
from spicekit.networks.layers import BinaryConv, binary_layers
from spicekit.provenance import code_hash, content_hash
from spicekit.tables.table import IVTable, linear

if TYPE_CHECKING:
    from spicekit.evaluation.convert import TiledNetwork

Layers = dict[str, PackedLayer]
"""By name."""
Tallies = tuple[Tally, ...]
"""What reads carry: of all images together, or of one image each."""


def probed(dataset: Dataset, design: Design) -> Dataset:
    """The images of which reads are counted."""
    return dataset.first(min(design.read.probe_images, len(dataset)))


def cells_read(design: Design, table: IVTable) -> IVTable:
    """The cells' I-V table; of linear ones where the design asks for these."""
    return linear(table, design.tile.v_read) if design.ablation.linear_cells else table


def flips(design: Design, mitigation: Mitigation) -> BinSparX:
    """BinSparX's flips of a mitigation, chosen as the design says."""
    return MITIGATIONS[mitigation].replace(flip_rule=design.mapping.flip_rule)


def lay_out(network: nn.Module, design: Design, *, mitigation: Mitigation) -> Layers:
    """The layers as designed, by name: no cell differs from its nominal value."""
    tile = design.tile
    tiles = Tiles(tile, IdealCodes(), flips(design, mitigation), design.mapping.unrolling, design.variation)
    return {name: tiles.lay(name, layer) for name, layer in binary_layers(network).items()}


@dataclass(frozen=True, eq=False)
class LayerInputs:
    """What the layers of a network get of some images in software, kept for designs that lay them out otherwise."""

    kept: tuple[tuple[str, NDArray[np.uint8]], ...]
    """Layer by layer, batch by batch: its name, and its bits (planes, n, c_in, *sides)."""

    @classmethod
    def of(cls, network: nn.Module, dataset: Dataset) -> Self:
        """A byte for each bit: some 0.6 MB for an image of ResNet-18. Raises as `watch` does."""
        kept: list[tuple[str, NDArray[np.uint8]]] = []
        _classify(network, dataset, lambda name, planes: kept.append((name, planes)))
        return cls(tuple(kept))


def tallies(
    network: nn.Module | LayerInputs,
    dataset: Dataset,
    layers: Layers,
    model: ReadModel,
    *,
    image_by_image: bool = False,
) -> dict[str, Tallies]:
    """What each layer reads while the network, or what is kept of it, classifies `dataset` in software.

    Image by image it takes some milliseconds more for each image and layer, and says how much images differ.
    """
    if isinstance(model, PatternReads) and not image_by_image:
        counted = patterns_read(network, dataset, layers)
        return {name: (model.tally_of(found),) for name, found in counted.items()}
    found = _count(network, dataset, layers, model.tally, image_by_image=image_by_image)
    return {name: tuple(images.values()) for name, images in found.items()}


def patterns_read(network: nn.Module | LayerInputs, dataset: Dataset, layers: Layers) -> dict[str, PatternCounts]:
    """How often each layer, of up to 16 rows a read, reads each pattern while the network classifies in software.

    Whatever the wires and cells: `PatternReads.tally_of` says what reads carry.
    """

    def count(stored: Stored, applied: Applied) -> PatternCounts:
        return count_reads(stored, applied, rows=next(iter(layers.values())).layer.spec.rows_active)

    return {name: found[0] for name, found in _count(network, dataset, layers, count).items()}


class _Counted(Protocol):
    def __add__(self, other: Self) -> Self: ...


C = TypeVar("C", bound=_Counted)


def _count(
    network: nn.Module | LayerInputs,
    dataset: Dataset,
    layers: Layers,
    count: Callable[[Stored, Applied], C],
    *,
    image_by_image: bool = False,
) -> dict[str, dict[int, C]]:
    """What is counted of each layer's reads: of all images together, at place 0, or of each at its own."""
    counted: dict[str, dict[int, C]] = {name: {} for name in layers}

    def probe(packed: PackedLayer, applied: Applied) -> None:
        found = counted[packed.layer.name]
        parts = [applied.part(k, k + 1) for k in range(applied.images)] if image_by_image else [applied]
        for part in parts:
            own, place = count(packed.stored, part), part.first if image_by_image else 0
            found[place] = found[place] + own if place in found else own

    watch(network, dataset, layers, probe)
    return counted


@dataclass(frozen=True, eq=False)
class ReadCounts:
    """What tiles read of images, counted once: designs share it that differ in converters, dies or times alone."""

    network: nn.Module
    kept: dict[str, dict[str, Tallies]] = field(default_factory=dict)

    def of(
        self,
        images: Dataset,
        design: Design,
        table: IVTable,
        *,
        mitigation: Mitigation,
        image_by_image: bool = False,
    ) -> dict[str, Tallies]:
        """`tallies` of the layers as the design lays them out, of the weights that the network has now."""
        found = reads_key(images, design, table, mitigation=mitigation, weights=weights_hash(self.network))
        key = f"{found} {image_by_image}"
        if key not in self.kept:
            layers = lay_out(self.network, design, mitigation=mitigation)
            model = read_model(design.tile, cells_read(design, table))
            self.kept[key] = tallies(self.network, images, layers, model, image_by_image=image_by_image)
        return self.kept[key]


def reads_key(images: Dataset, design: Design, table: IVTable, *, mitigation: Mitigation, weights: str) -> str:
    """Hash of all that decides what tiles read of images; `weights` is that of the network's."""
    return content_hash(
        {
            "code": code_hash(),
            "design": design.as_read().model_dump(mode="json"),
            "mitigation": mitigation,
            "die": design.variation.model_dump(mode="json") if MITIGATIONS[mitigation].faults else None,
            "weights": weights,
            "columns": decides(design.tile, table),
            "images": images.sha256,
        }
    )


def patterns_key(images: Dataset, design: Design, *, mitigation: Mitigation, weights: str) -> str:
    """Hash of all that decides which patterns tiles read of images: not what a read then carries."""
    tile, done = design.tile, MITIGATIONS[mitigation]
    placed = design.mapping.flip_rule == "position" or done.order  # wires decide, too
    return content_hash(
        {
            "code": code_hash(),
            "sizes": [tile.rows, tile.columns, tile.rows_active],
            "mapping": design.as_read().mapping.model_dump(mode="json"),
            "tile": tile.model_dump(mode="json") if placed else None,
            "mitigation": mitigation,
            "die": design.variation.model_dump(mode="json") if done.faults else None,
            "weights": weights,
            "images": images.sha256,
        }
    )


def weights_hash(network: nn.Module) -> str:
    """SHA-256 of all parameters and buffers, by name."""
    state = network.state_dict()
    return content_hash({name: content_hash(value.detach().cpu().float().numpy()) for name, value in state.items()})


def added(counted: Iterable[Tallies]) -> Tally:
    """What all layers read."""
    return functools.reduce(operator.add, itertools.chain.from_iterable(counted))


def watch(
    network: nn.Module | LayerInputs,
    dataset: Dataset,
    layers: Layers,
    probe: Callable[[PackedLayer, Applied], None],
) -> dict[str, tuple[int, ...]]:
    """Classify images in software; `probe` is called with each layer and what its word lines would carry.

    What `LayerInputs` keeps of the network and these images does as well. Returns the sides of the images that each
    layer gets; `BadInput` names one that gets none, and a binary product that no layer computes.
    """
    seen = dict.fromkeys(layers, 0)
    sides: dict[str, tuple[int, ...]] = {}

    def look(name: str, planes: NDArray[np.uint8]) -> None:
        sides[name] = planes.shape[3:]
        for bits in planes:
            probe(layers[name], apply_inputs(layers[name], bits, first=seen[name]))
        seen[name] += planes.shape[1]

    if isinstance(network, LayerInputs):
        for name, planes in network.kept:
            look(name, planes)
    else:
        _classify(network, dataset, look)
    if idle := [name for name in layers if not seen[name]]:
        raise BadInput(f"layer {idle[0]!r} is not called while the network classifies: take it out.")
    return sides


def _classify(network: nn.Module, dataset: Dataset, look: Callable[[str, NDArray[np.uint8]], object]) -> None:
    """Have `look` at the bits (planes, n, c_in, *sides) that each layer gets, by name.

    The network stays as it is: a copy of it is watched.
    """
    copied = deepcopy(network)
    require_tiles(copied)

    def watched(name: str, layer: BinaryConv, dots: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
        look(name, layer.input_planes(values).view(torch.uint8).cpu().numpy())
        return dots(values)

    for name, layer in binary_layers(copied).items():  # whoever asks: a network may call `layer.forward` itself
        layer.dots = functools.partial(watched, name, layer, layer.dots)  # type: ignore[method-assign]
    predict_logits(copied, dataset)


def read_statistics(counted: Iterable[Tallies], model: ReadModel, design: Design, *, images: int) -> ReadStatistics:
    """What the reads of some layers carry together, of their `tallies` over so many images.

    There are standard errors where these were counted image by image.
    """
    counted = list(counted)
    tally, spec = added(counted), design.tile
    reads = float(tally.reads.sum())
    on = float(tally.reads @ np.arange(len(tally.reads)))
    others = float(tally.others.sum())
    idle = reads * spec.rows - on - others
    state = model.cells.state
    ideal = float(on * state[1, 1] + others * state[0, 1] + idle * state[0, 0])
    current = float(tally.current.sum()) / reads
    each = [added([layers]) for layers in zip(*counted, strict=True)]
    return ReadStatistics(
        reads=reads / images,
        partial_sum=on / reads,
        current=current,
        ideal_current=ideal / reads,
        energy=reads / images * spec.v_read * current * design.read_time,
        partial_sum_error=_standard_error([one.reads @ np.arange(len(one.reads)) / one.reads.sum() for one in each]),
        current_error=_standard_error([one.current.sum() / one.reads.sum() for one in each]),
    )


def _standard_error(values: Sequence[float]) -> float | None:
    """Of the mean of independent values; None of a single one."""
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None


def count_events(
    network: nn.Module,
    dataset: Dataset,
    layers: Layers,
    *,
    currents: Mapping[str, float],
    inputs: LayerInputs | None = None,
) -> dict[str, LayerEvents]:
    """What happens in each layer for one image, the mean over `dataset`, classified in software.

    `currents` are means of a column read by layer, A; `inputs` is what the layers get, where it was kept.
    """
    ones, inverted, pixels = (dict.fromkeys(layers, 0) for _ in range(3))

    def probe(packed: PackedLayer, applied: Applied) -> None:
        name = packed.layer.name
        ones[name] += int(applied.asserted.sum())
        inverted[name] += int(applied.inverted.sum())
        pixels[name] += applied.vectors

    seen = watch(inputs or network, dataset, layers, probe)
    events = {}
    for name, layer in binary_layers(network).items():
        mapped = layers[name].layer
        binsparx, used = mapped.binsparx, mapped.used > 0
        border = layer.geometry.gathering(seen[name]) if layer.zero_padded else None
        events[name] = LayerEvents(
            pixels=pixels[name] // len(dataset),
            inputs=int(mapped.used.sum()),
            outputs=mapped.outputs,
            tiles=mapped.rows.shape[1],
            groups=int(used.any(axis=1).sum()),
            subvectors=int(used.sum()),
            ones=ones[name] / len(dataset),
            static=binsparx.stores_inverted,
            dynamic=binsparx.dynamic,
            weighted=binsparx.dynamic and binsparx.flip_rule == "position",
            ordered=binsparx.order,
            stored_inverted=int(mapped.inverted.sum()),
            applied_inverted=inverted[name] / len(dataset),
            current=currents[name],
            border_additions=border.border_pixels * mapped.outputs if border else 0,
            border_constants=border.border_classes * mapped.outputs if border else 0,
        )
    return events


def code_errors(tiled: "TiledNetwork", dataset: Dataset) -> tuple[float, ...]:
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
            cells, (given, _, asserted) = packed.stored.words[:, :, 0].astype(np.uint32), in_one_word(applied)
            reads, _ = count_patterns(cells, packed.stored.tiles, given, asserted, m)
            add(np.rint(alike * codes.step - np.bitwise_count(np.arange(2**m))), reads)
            return
        for group, tiles in enumerate(packed.stored.tiles):
            for tile in range(tiles):
                read = one_read(packed.stored, applied, group=group, tile=tile)
                error = np.rint(codes.step * np.abs(codes.sums(*read)) - np.abs(ideal.sums(*read)))
                add(error, None)

    watch(tiled.software, few, tiled.layers, probe)
    return tuple((found / len(few)).tolist())


CODE_IMAGES = 4
"""Whose reads `code_errors` counts: millions, in a second or two."""
