"""A network laid out on the tiles of a design, its converters set: ready to classify."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from spicekit.circuits.spec import TileSpec
from spicekit.engines.converter import Thresholds
from spicekit.engines.fast.die import codes_of_die
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.engines.fast.model import Codes, ReadModel, fit_thresholds, read_model
from spicekit.engines.words import Tally
from spicekit.errors import BadInput, SpicekitError, no_such
from spicekit.evaluation.design import Design, as_design
from spicekit.evaluation.reads import Layers, Tallies, added, cells_read, flips, lay_out, probed, tallies
from spicekit.evaluation.tiled import TiledConv, TiledConv2d, Tiles, on_tiles, start_at, tiled_layers
from spicekit.mapping.binsparx import MITIGATIONS, Mitigation, check_mitigations
from spicekit.mapping.packed import mismatch_of
from spicekit.networks.adopt import check_binary
from spicekit.networks.data import Data, Dataset, as_dataset, network_inputs
from spicekit.networks.inference import accuracy, like_of, predict_logits
from spicekit.networks.layers import binary_layers
from spicekit.networks.models import norms_anew
from spicekit.results import Report, silent
from spicekit.tables.store import table_for
from spicekit.tables.table import IVTable

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
        for name, layer in real_layers(copied, self.design).items():
            made[name] = kind(layer.tiles.codes)
            layer.tiles = dataclasses.replace(layer.tiles, codes=made[name])
        return copied, made


def real_layers(network: nn.Module, design: Design) -> dict[str, TiledConv]:
    """The layers of a network on tiles that the design has on real ones, by name."""
    return {name: layer for name, layer in tiled_layers(network).items() if design.ablation.layer in (None, name)}


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
    network = check_binary(network)
    check_mitigations([mitigation])
    design = as_design(design)
    table = table_for(design.tile, table)
    images = None if calibration is None else as_dataset(calibration, split="train")
    return tile_network(network, design, table, mitigation=mitigation, calibration=images).network


def calibration_images(design: Design) -> int:
    """How many images `tile_network` looks at."""
    return max(design.read.probe_images, design.mapping.recalibrate)


def lay_network(network: nn.Module, design: Design, table: IVTable, *, mitigation: Mitigation) -> nn.Module:
    """A copy of a network on the tiles of a design, whose converters are ideal: it is the same for any converter.

    `BadInput` if `ablation.layer` names no layer, or for mismatch that the fast engine does not hold.
    """
    only, names = design.ablation.layer, list(binary_layers(network))
    if only is not None and only not in names:
        raise no_such("[ablation] layer", only, names)
    given = design.tile, IdealCodes(), flips(design, mitigation), design.mapping.unrolling
    ideal, real = Tiles(*given), Tiles(*given, design.variation, cells_read(design, table))
    return on_tiles(network, real, others={name: ideal for name in names if only not in (None, name)})


def tile_network(
    network: nn.Module,
    design: Design,
    table: IVTable,
    *,
    mitigation: Mitigation,
    calibration: Dataset | None,
    counted: Mapping[str, Tallies] | None = None,
    laid: nn.Module | None = None,
) -> TiledNetwork:
    """Lay a network out on a design point.

    Fitted converter references and batch norms are calibrated on the first images of `calibration`, never those to be
    classified; `counted` is what the `probed` of these read, by layer, where that is known. `laid` is what
    `lay_network` gives, where it is there: it stays as it is. `BadInput` if there are too few such images, and as
    there.
    """
    mapping, converter = design.mapping, design.converter
    cells = cells_read(design, table)
    if mapping.recalibrate > (there := len(calibration) if calibration else 0):
        raise BadInput(
            f"[mapping] recalibrate = {mapping.recalibrate}: only {there} images are there; pass more as calibration."
        )
    tiled = deepcopy(laid) if laid else lay_network(network, design, table, mitigation=mitigation)
    model = read_model(design.tile, cells)
    tally: Tally | None = None
    sums: list[tuple[Tally, int]] = []
    if converter.reference != "unit":
        if calibration is None:
            raise BadInput(f"[converter] reference = {converter.reference!r} is fitted: pass calibration images.")
        if counted is None:
            layers = lay_out(network, design, mitigation=mitigation)
            counted = tallies(network, probed(calibration, design), layers, model)
        tally = added(counted.values())
        sums = [
            (added([counted[name]]), -(-layer.weight[0].numel() // design.tile.rows_active))
            for name, layer in binary_layers(network).items()
        ]
    thresholds = fit_thresholds(model, converter, tally, sums=sums)
    mismatch = mismatch_of(design.tile, cells, design.variation)
    codes = codes_of_die(model, thresholds, converter, passed=mismatch.passed if mismatch else None)
    real = list(real_layers(tiled, design).values())
    tiles = dataclasses.replace(real[0].tiles, codes=codes)  # which they share
    for layer in real:
        layer.tiles = tiles
    if mapping.recalibrate and calibration is not None:
        recalibrate(tiled, calibration.first(mapping.recalibrate))
    layers = {name: layer.designed for name, layer in tiled_layers(tiled).items()}
    return TiledNetwork(tiled, network, design, table, mitigation, layers, model, thresholds)


@torch.no_grad()
def recalibrate(network: nn.Module, images: Dataset) -> None:
    """Take mean and variance of every batch norm's inputs anew, on the tiles: means over batches of like size."""
    like = like_of(network)
    with norms_anew(network):
        for places in np.array_split(np.arange(len(images)), -(-len(images) // NORM_IMAGES)):
            network(network_inputs(images.part(slice(places[0], places[-1] + 1))).to(like))
    start_at(network, 0)


# -- the proof on ideal tiles ---------------------------------------------------------------------------------


class NotExact(SpicekitError):
    """A network on ideal tiles did not give its software logits: the mapping would be wrong."""


def software_and_ideal(
    network: nn.Module,
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
    ideal = _ideal_logits(network, dataset, software, spec, mitigation="none", report=partial(report, "ideal tiles"))
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
    network: nn.Module,
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


def _first_wrong_layer(network: nn.Module, dataset: Dataset) -> str | None:
    """The first layer on tiles whose products, of the inputs that it gets, are not the software's; None if all are."""
    wrong: list[str] = []

    def compare(layer: TiledConv2d, arguments: tuple[Tensor], output: Tensor) -> None:
        if not torch.equal(output, layer.product(layer.input_levels(arguments[0]))):
            wrong.append(layer.name)

    for layer in tiled_layers(network).values():
        layer.register_forward_hook(compare)
    predict_logits(network, dataset)
    return wrong[0] if wrong else None
