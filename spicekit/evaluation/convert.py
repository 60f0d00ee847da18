"""A network laid out on the tiles of a design, its converters set: ready to classify."""

import dataclasses
import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TypeVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spicekit.engines.converter import Thresholds
from spicekit.engines.exact.ladder import decides
from spicekit.engines.fast.die import codes_of_die
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.engines.fast.model import Codes, ReadModel, fit_thresholds, read_model
from spicekit.engines.words import Applied, Tally
from spicekit.errors import BadInput, no_such
from spicekit.evaluation.design import Design, as_design
from spicekit.evaluation.tiled import Tiles, on_tiles, start_at, tiled_layers
from spicekit.mapping.binsparx import MITIGATIONS, BinSparX, Mitigation
from spicekit.mapping.packed import PackedLayer, apply_inputs, mismatch_passed
from spicekit.networks.adopt import check_binary, unwrapped
from spicekit.networks.as_written import require_tiles
from spicekit.networks.data import Data, Dataset, as_dataset, network_inputs
from spicekit.networks.inference import like_of, predict_logits
from spicekit.networks.layers import BinaryConv, binary_layers
from spicekit.provenance import code_hash, content_hash
from spicekit.tables.store import table_for
from spicekit.tables.table import IVTable, linear

Layers = dict[str, PackedLayer]
"""By name."""
Tallies = tuple[Tally, ...]
"""What reads carry: of all images together, or of one image each."""
C = TypeVar("C", bound=Codes)
# Images that batch norms see at once when their statistics are taken anew: bounds memory.
NORM_IMAGES = 256


@dataclass(frozen=True, eq=False)
class TiledNetwork:
    """A network on tiles, and what was found on the way."""

    network: nn.Module
    software: nn.Module
    """What was laid out."""
    design: Design
    table: IVTable
    mitigation: Mitigation
    layers: Layers
    """As designed."""
    model: ReadModel
    thresholds: Thresholds
    """Of the converters."""

    def with_codes(self, kind: Callable[[Codes], C]) -> tuple[nn.Module, dict[str, C]]:
        """A copy on the processor whose real tiles have other codes, made of their own; and these codes, by layer."""
        copied, made = deepcopy(self.network).cpu(), {}
        for name, layer in tiled_layers(copied).items():
            if self.design.ablation.layer in (None, name):
                made[name] = kind(layer.tiles.codes)
                layer.tiles = dataclasses.replace(layer.tiles, codes=made[name])
        return copied, made


def convert(
    network: nn.Module,
    design: Design,
    *,
    mitigation: Mitigation = "none",
    calibration: Data | None = None,
    table: IVTable | None = None,
) -> nn.Module:
    """A copy of a network whose binary layers run on the tiles of a design.

    Parameters
    ----------
    network : Module
        With binary layers; stays as it is.
    design : Design
    mitigation : Mitigation
        A name in `MITIGATIONS`: BinSparX's flips ("none", "static", "dynamic", "both") and more without training.
    calibration : as `dataset` of `evaluate`, optional
        Needed where the design fits its converters or recalibrates batch norms; never the images to be classified.
    table : IVTable, optional
        Of the design's cell and corner; by default the one that the stores have.

    Returns
    -------
    Module
        In evaluation mode; its `TiledConv2d` layers are modules like any other.

    Raises
    ------
    BadInput
        If the design does not fit the network, or calibration images are missing.
    MissingTable
        If there is no I-V table for the design.

    Examples
    --------
    >>> import spicekit as sk
    >>> network = sk.load_network("vgg-small-quarter")
    >>> tiled = sk.convert(network, sk.design(layer="M2", pitch_nm=108, rows_active=16), mitigation="both")
    >>> print(tiled.conv3)  # doctest: +ELLIPSIS
    TiledConv2d(32 -> 64, 3 x 3, padding 1, on 5 x 1 tiles of 64 x 64 8t-sram, 16 rows a read, BinSparX ...)
    """
    network = unwrapped(network)
    check_binary(network)
    check_mitigations([mitigation])
    design = as_design(design)
    table = table_for(design.tile, table)
    images = None if calibration is None else as_dataset(calibration, split="train")
    return tile_network(network, design, table, mitigation=mitigation, calibration=images).network


def check_mitigations(names: Sequence[str]) -> list[Mitigation]:
    """The names as mitigations; `BadInput` for one that does not exist or comes twice."""
    known = get_args(Mitigation)
    if unknown := [name for name in names if name not in known]:
        raise no_such("mitigation", unknown[0], known)
    if not names or len(set(names)) < len(names):
        raise BadInput(f"mitigations {list(names)}: pass some of {list(known)}, each once.")
    return [name for name in known if name in names]


def calibration_images(design: Design) -> int:
    """How many images `tile_network` looks at."""
    return max(design.read.probe_images, design.mapping.recalibrate)


def probed(dataset: Dataset, design: Design) -> Dataset:
    """The images of which reads are counted."""
    return dataset.first(min(design.read.probe_images, len(dataset)))


def tile_network(
    network: nn.Module,
    design: Design,
    table: IVTable,
    *,
    mitigation: Mitigation,
    calibration: Dataset | None,
    counted: Mapping[str, Tallies] | None = None,
) -> TiledNetwork:
    """Lay a network out on a design point.

    Parameters
    ----------
    network : Module
    design : Design
    table : IVTable
        Of the design's cell and corner.
    mitigation : Mitigation
    calibration : Dataset, optional
        On whose first images fitted converter references and batch norms are calibrated; never those to be classified.
    counted : mapping, optional
        What the `probed` of them read, by layer, where it has been counted already: fitted references follow from it.

    Raises
    ------
    BadInput
        If `ablation.layer` names no layer, or there are too few calibration images.
    """
    mapping, converter, only = design.mapping, design.converter, design.ablation.layer
    names = list(binary_layers(network))
    cells = cells_read(design, table)
    if only is not None and only not in names:
        raise no_such("[ablation] layer", only, names)
    if mapping.recalibrate > (len(calibration) if calibration else 0):
        raise BadInput(
            f"[mapping] recalibrate = {mapping.recalibrate}: only {len(calibration) if calibration else 0} images are "
            f"there; pass more as calibration."
        )
    model = read_model(design.tile, cells)
    tally: Tally | None = None
    sums: list[tuple[Tally, int]] = []
    if converter.reference != "unit":
        if calibration is None:
            raise BadInput(
                f"[converter] reference = {converter.reference!r} is fitted: pass calibration images."
            )
        if counted is None:
            layers = lay_out(network, design, mitigation=mitigation)
            counted = tallies(network, probed(calibration, design), layers, model)
        tally = added(counted.values())
        sums = [
            (added([counted[name]]), -(-layer.weight[0].numel() // design.tile.rows_active))
            for name, layer in binary_layers(network).items()
        ]
    thresholds = fit_thresholds(model, converter, tally, sums=sums)
    passed = mismatch_passed(design.tile, cells, design.variation)
    codes = codes_of_die(model, thresholds, converter, passed=passed)
    binsparx = flips(design, mitigation)
    tiles = Tiles(design.tile, codes, binsparx, mapping.unrolling, design.variation, cells)
    ideal = Tiles(design.tile, IdealCodes(), binsparx, mapping.unrolling)
    others = {name: ideal for name in names if only not in (None, name)}
    tiled = on_tiles(network, tiles, others=others)
    if mapping.recalibrate and calibration is not None:
        recalibrate(tiled, calibration.first(mapping.recalibrate))
    layers = {name: layer.designed for name, layer in tiled_layers(tiled).items()}
    return TiledNetwork(tiled, network, design, table, mitigation, layers, model, thresholds)


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


def tallies(
    network: nn.Module, dataset: Dataset, layers: Layers, model: ReadModel, *, image_by_image: bool = False
) -> dict[str, Tallies]:
    """What each layer reads while the network classifies `dataset` in software.

    A network that the tiles have brought down applies other bits; currents are compared on the right ones. Image by
    image it takes some milliseconds more for each image and layer, and says how much images differ.
    """
    counted: dict[str, dict[int, Tally]] = {name: {} for name in layers}

    def probe(packed: PackedLayer, applied: Applied) -> None:
        found = counted[packed.layer.name]
        apart = range(applied.images if image_by_image else 0)
        for part in [applied.part(k, k + 1) for k in apart] or [applied]:
            tally, place = model.tally(packed.stored, part), part.first if image_by_image else 0
            found[place] = found[place] + tally if place in found else tally

    watch(network, dataset, layers, probe)
    return {name: tuple(images.values()) for name, images in counted.items()}


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


def reads_key(
    images: Dataset, design: Design, table: IVTable, *, mitigation: Mitigation, weights: str
) -> str:
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


def weights_hash(network: nn.Module) -> str:
    """SHA-256 of all parameters and buffers, by name."""
    state = network.state_dict()
    return content_hash(
        {name: content_hash(value.detach().cpu().float().numpy()) for name, value in state.items()}
    )


def added(counted: Iterable[Tallies]) -> Tally:
    """What all layers read."""
    return functools.reduce(operator.add, itertools.chain.from_iterable(counted))


def watch(
    network: nn.Module,
    dataset: Dataset,
    layers: Layers,
    probe: Callable[[PackedLayer, Applied], None],
) -> dict[str, tuple[int, ...]]:
    """Classify images in software; `probe` is called with each layer and what its word lines would carry.

    The network stays as it is: a copy of it is watched. Returns the sides of the images that each layer gets;
    `BadInput` names one that gets none, and a binary product that no layer computes.
    """
    copied = deepcopy(network)
    require_tiles(copied)
    seen = dict.fromkeys(layers, 0)
    sides: dict[str, tuple[int, ...]] = {}

    def look(name: str, layer: BinaryConv, arguments: tuple[Tensor]) -> None:
        planes = layer.input_planes(arguments[0])
        sides[name] = tuple(planes.shape[3:])
        for plane in planes:
            bits: NDArray[np.uint8] = plane.view(torch.uint8).cpu().numpy()
            probe(layers[name], apply_inputs(layers[name], bits, first=seen[name]))
        seen[name] += planes.shape[1]

    for name, layer in binary_layers(copied).items():
        layer.register_forward_pre_hook(functools.partial(look, name))
    predict_logits(copied, dataset)
    if idle := [name for name in layers if not seen[name]]:
        raise BadInput(
            f"layer {idle[0]!r} is not called while the network classifies: take it out, or call the layer itself in "
            f"place of its `forward`."
        )
    return sides


@torch.no_grad()
def recalibrate(network: nn.Module, images: Dataset) -> None:
    """Take mean and variance of every batch norm's inputs anew, on the tiles: means over batches of like size."""
    norms = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    like = like_of(network)
    with _fresh(norms):
        for places in np.array_split(np.arange(len(images)), -(-len(images) // NORM_IMAGES)):
            network(network_inputs(images.part(slice(places[0], places[-1] + 1))).to(like))
    start_at(network, 0)


@contextmanager
def _fresh(norms: Sequence[nn.modules.batchnorm._BatchNorm]) -> Iterator[None]:
    """Inside this context batch norms take statistics, a plain mean over batches, from nothing."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
        norm.train()
    yield
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
