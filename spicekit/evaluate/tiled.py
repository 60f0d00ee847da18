"""A network laid out on the tiles of a design point, its converters set: ready to classify."""

import dataclasses
import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from spicekit.engines.converter import Reference
from spicekit.engines.fast.die import codes_of_die
from spicekit.engines.fast.model import Codes, ReadModel, fit_reference, ideal_codes, read_model
from spicekit.engines.fast.torch_backend import codes_on
from spicekit.engines.words import Applied, Tally
from spicekit.errors import BadInput
from spicekit.evaluate.design import Design
from spicekit.evaluate.inference import Layers, map_network, on_tiles
from spicekit.mapping.binsparx import BinSparX
from spicekit.mapping.die import layer_on_die, mismatch_passed
from spicekit.mapping.packed import PackedLayer
from spicekit.networks.data import Dataset, network_inputs
from spicekit.networks.inference import predict_logits
from spicekit.tables.table import IVTable, linear

Mitigation = Literal["none", "static", "dynamic", "both"]
MITIGATIONS: dict[Mitigation, BinSparX] = {
    "none": BinSparX(),
    "static": BinSparX(static=True),
    "dynamic": BinSparX(dynamic=True),
    "both": BinSparX(static=True, dynamic=True),
}

# Images whose reads are counted for currents, and on which fitted references are calibrated. Reads of one image are
# alike: in VGG-small for CIFAR-10 a layer's means differ by 9 to 15 % between images, so that their standard error over
# 16 is 2 to 4 %, and 0.5 % over all layers.
PROBE_IMAGES = 16
# Images that batch norms see at once when their statistics are taken anew: bounds memory.
NORM_IMAGES = 256


@dataclass(frozen=True, eq=False)
class TiledNetwork:
    """What classifying on a design point's tiles takes, beside the network."""

    layers: Layers
    """As designed."""
    made: Layers
    """As the die of the design's variation holds them."""
    codes: dict[str, Codes]
    """Of each layer's converters."""
    norms: dict[str, Tensor]
    """Statistics of batch norms that replace the network's own; empty unless recalibrated."""
    model: ReadModel
    reference: Reference
    """Thresholds of the converters."""


def check_mitigations(names: Sequence[str]) -> list[Mitigation]:
    """The names as mitigations; `BadInput` for one that does not exist or comes twice."""
    known = get_args(Mitigation)
    if not names or len(set(names)) < len(names) or not set(names) <= set(known):
        raise BadInput(f"mitigations {list(names)}: pass some of {list(known)}, each once.")
    return [name for name in known if name in names]


def calibration_images(design: Design) -> int:
    """How many images `tile_network` looks at."""
    return max(PROBE_IMAGES, design.mapping.recalibrate)


def probed(dataset: Dataset) -> Dataset:
    """The images of which reads are counted."""
    return dataset.first(min(PROBE_IMAGES, len(dataset)))


def tile_network(
    network: nn.Module,
    design: Design,
    table: IVTable,
    *,
    mitigation: Mitigation,
    calibration: Dataset,
    met: Tally | None = None,
) -> TiledNetwork:
    """Lay a network out on a design point.

    Parameters
    ----------
    network : Module
        In evaluation mode.
    design : Design
    table : IVTable
        Of the design's cell and corner.
    mitigation : {"none", "static", "dynamic", "both"}
    calibration : Dataset
        On whose first images fitted converter references and batch norms are calibrated; never those to be classified.
    met : Tally, optional
        What the `probed` of them read, in all layers, where another design point has found it.

    Raises
    ------
    BadInput
        If `ablation.layer` names no layer, or there are too few calibration images.
    """
    mapping, only = design.mapping, design.ablation.layer
    table = cells_read(design, table)
    layers = lay_out(network, design, mitigation=mitigation)
    if only is not None and only not in layers:
        raise BadInput(f"[ablation] layer = {only!r}: the network's binary layers are {', '.join(layers)}.")
    if len(calibration) < mapping.recalibrate:
        raise BadInput(
            f"[mapping] recalibrate = {mapping.recalibrate}: only {len(calibration)} images are there."
        )
    model = read_model(design.tile, table)
    if met is None and design.converter.reference != "unit":
        met = added(tallies(network, probed(calibration), layers, model))
    reference = fit_reference(model, design.converter, met)
    passed = mismatch_passed(design.tile, table, design.variation)
    real = codes_of_die(model, reference, design.converter, passed=passed)
    codes: dict[str, Codes] = {
        name: real if only in (None, name) else ideal_codes(design.tile) for name in layers
    }
    device = next(network.parameters()).device
    if device.type != "cpu":
        codes = {name: codes_on(device, each, rows=design.tile.rows_active) for name, each in codes.items()}
    made = {
        name: layer_on_die(layer, table, design.variation) if only in (None, name) else layer
        for name, layer in layers.items()
    }
    tiled = TiledNetwork(layers, made, codes, {}, model, reference)
    if mapping.recalibrate:
        tiled = dataclasses.replace(
            tiled, norms=_norms(network, tiled, calibration.first(mapping.recalibrate))
        )
    return tiled


def cells_read(design: Design, table: IVTable) -> IVTable:
    """The cells' I-V table; of linear ones where the design asks for these."""
    return linear(table, design.tile.v_read) if design.ablation.linear_cells else table


def lay_out(network: nn.Module, design: Design, *, mitigation: Mitigation) -> Layers:
    """The layers as designed: no cell differs from its nominal value."""
    binsparx = MITIGATIONS[mitigation].replace(rule=design.mapping.flips)
    return map_network(network, design.tile, binsparx=binsparx, unrolling=design.mapping.unrolling)


@contextmanager
def running(network: nn.Module, tiled: TiledNetwork, *, first_image: int = 0) -> Iterator[None]:
    """Inside this context the network computes on its tiles.

    Noise is another for each image: `first_image` is the place, in all that belong together, of the first to be seen.
    """
    own = {name: value.clone() for name, value in network.state_dict().items() if name in tiled.norms}
    network.load_state_dict(tiled.norms, strict=False)
    try:
        with on_tiles(network, tiled.made, tiled.codes, first_image=first_image):
            yield
    finally:
        network.load_state_dict(own, strict=False)


def tallies(network: nn.Module, dataset: Dataset, layers: Layers, model: ReadModel) -> dict[str, Tally]:
    """What each layer reads while the network classifies `dataset` on ideal tiles.

    A network that the tiles have brought down applies other bits; currents are compared on the right ones.
    """
    met: dict[str, Tally] = {}

    def probe(packed: PackedLayer, applied: Applied) -> None:
        name = packed.layer.name
        tally = model.tally(packed.stored, applied)
        met[name] = met[name] + tally if name in met else tally

    with on_tiles(network, layers, ideal_codes(model.bias.spec), probe=probe):
        predict_logits(network, dataset)
    return met


def added(met: Mapping[str, Tally]) -> Tally:
    """What all layers read."""
    return functools.reduce(operator.add, met.values())


@torch.no_grad()
def _norms(network: nn.Module, tiled: TiledNetwork, images: Dataset) -> dict[str, Tensor]:
    """Mean and variance of every batch norm's inputs on the tiles: means over batches of like size."""
    norms = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    device = next(network.parameters()).device
    own = {name: value.clone() for name, value in network.state_dict().items()}
    momenta = {name: norm.momentum for name, norm in norms.items()}
    try:
        for norm in norms.values():
            norm.momentum = None  # a plain mean over batches
            norm.reset_running_stats()
            norm.train()
        with running(network, tiled):
            for batch in np.array_split(images.images, -(-len(images) // NORM_IMAGES)):
                network(network_inputs(batch).to(device))
        return {
            f"{name}.{kind}": getattr(norm, kind).clone()
            for name, norm in norms.items()
            for kind in ("running_mean", "running_var")
        }
    finally:
        for name, norm in norms.items():
            norm.momentum = momenta[name]
            norm.eval()
        network.load_state_dict(own)
