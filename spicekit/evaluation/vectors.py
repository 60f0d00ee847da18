"""Stored and applied bits on which the engines are compared: random, adversarial, and from the layers of a network."""

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.engines.tile import one_read_each
from spicekit.engines.words import Applied, layout_of, unpack
from spicekit.errors import BadInput, no_such
from spicekit.mapping.binsparx import BinSparX

if TYPE_CHECKING:
    from torch.nn import Module

    from spicekit.evaluation.reads import Layers
    from spicekit.mapping.packed import PackedLayer
    from spicekit.networks.data import Dataset

Bits = NDArray[np.uint8]

ADVERSARIAL = "adversarial"
NETWORK = "network"
"""What kinds of vectors from networks begin with."""
ON_FRACTIONS = (0.1, 0.5, 0.9)
HARVEST_IMAGES = 16
LAYERS = 3
"""Of a network, that tiles are taken from: the first, the middle and the last."""


@dataclass(frozen=True, eq=False)
class Case:
    """One tile and what is applied to it."""

    kind: str
    weights: Bits
    """(r, c)."""
    bits: Bits
    """(b, r)."""


def cases_for(
    spec: TileSpec, vectors: int, *, rng: np.random.Generator, harvest: "tuple[Module, Dataset] | None" = None
) -> list[Case]:
    """Cases of all kinds, with `vectors` each; those of a network, plain and with BinSparX, if there is one.

    `harvest` is a network and the images that it classifies.
    """
    cases = random_cases(spec, vectors, rng=rng) + adversarial_cases(spec)
    if harvest is not None:
        network, images = harvest
        for binsparx in (BinSparX(), BinSparX(static=True, dynamic=True)):
            cases += network_cases(network, images, spec, vectors, binsparx=binsparx, rng=rng)
    return cases


def random_cases(spec: TileSpec, vectors: int, *, rng: np.random.Generator) -> list[Case]:
    """A tile for each on-fraction of the activations; its columns have on-fractions of their own, 0.1 to 0.9."""
    cases = []
    for fraction in ON_FRACTIONS:
        dense = rng.uniform(0.1, 0.9, spec.columns)
        weights = rng.random((spec.rows, spec.columns)) < dense
        bits = rng.random((vectors, spec.rows)) < fraction
        cases.append(Case(f"random, {fraction:.0%} ones", weights.astype(np.uint8), bits.astype(np.uint8)))
    return cases


def adversarial_cases(spec: TileSpec) -> list[Case]:
    """Tiles of ones, and of every shape side by side, each read with every shape."""
    shapes = np.tile(read_shapes(spec.rows_active), (1, spec.groups))
    tiles = -(-len(shapes) // spec.columns)
    stored = np.resize(shapes, (tiles, spec.columns, spec.rows))
    ones = np.ones((1, spec.columns, spec.rows), np.uint8)
    return [Case(ADVERSARIAL, weights.T, shapes) for weights in np.concatenate([ones, stored])]


def read_shapes(rows: int) -> Bits:
    """(shapes, rows) bits: all, none, one at each end, a checkerboard, half and a quarter of the rows at each end.

    >>> read_shapes(2).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    row = np.arange(rows)
    shapes = [row >= 0, row < 0, row < 1, row >= rows - 1, row % 2 == 0]
    for length in (rows // 2, rows // 4):
        shapes += [row < length, row >= rows - length]
    return np.unique(np.array(shapes, np.uint8), axis=0)


def network_cases(
    network: "Module",
    images: "Dataset",
    spec: TileSpec,
    vectors: int,
    *,
    binsparx: BinSparX,
    rng: np.random.Generator,
) -> list[Case]:
    """Tiles of a network as mapped, and `vectors` for each that it sees when the network classifies images in software.

    `rng` chooses each layer's tile, its columns and the pixels.
    """
    from spicekit.evaluation.reads import watch

    layers = _laid_out(network, spec, binsparx)
    chosen = {list(layers)[int(place)] for place in np.linspace(0, len(layers) - 1, LAYERS)}
    kind = f"{NETWORK}, BinSparX" if binsparx.flips else NETWORK
    cases: dict[str, Case] = {}

    def probe(packed: "PackedLayer", applied: Applied) -> None:
        name = packed.layer.name
        if name in chosen and name not in cases:
            tile = int(rng.integers(packed.layer.rows.shape[1]))
            block = int(rng.integers(-(-packed.layer.outputs // spec.columns)))
            pixels = rng.integers(applied.vectors, size=vectors)
            cases[name] = _case(kind, packed, applied, tile=tile, block=block, pixels=pixels)

    watch(network, images, layers, probe)
    return list(cases.values())


def network_case(
    network: "Module",
    images: "Dataset",
    spec: TileSpec,
    *,
    binsparx: BinSparX,
    layer: str,
    tile: int,
    block: int,
    position: tuple[int, int],
) -> Case:
    """One tile of a layer as mapped, and the reads that one output pixel of the first image makes on it in software.

    `tile` counts along the layer's inputs, `block` along its outputs; `position` is the pixel's row and column. It has
    a vector for each read: rows that this does not assert are 0. `BadInput` if there is no such layer, tile or pixel.
    """
    from spicekit.evaluation.reads import watch

    layers = _laid_out(network, spec, binsparx)
    if layer not in layers:
        raise no_such("binary layer", layer, layers)
    found: list[Case] = []

    def probe(packed: "PackedLayer", applied: Applied) -> None:
        if packed.layer.name != layer:
            return
        height, width = (1, 1, *applied.shape)[-2:]
        blocks = -(-packed.layer.outputs // spec.columns)
        for name, value, end in (
            ("tile", tile, packed.layer.rows.shape[1]),
            ("columns block", block, blocks),
            ("pixel row", position[0], height),
            ("pixel column", position[1], width),
        ):
            if not 0 <= value < end:
                raise BadInput(f"{layer}: {name} {value} is outside 0..{end - 1}.")
        pixels = np.array([position[0] * width + position[1]])
        found.append(_case(f"{layer}, tile {tile}", packed, applied, tile=tile, block=block, pixels=pixels))

    watch(network, images.first(1), layers, probe)
    return dataclasses.replace(found[0], bits=one_read_each(spec, found[0].bits))


def _laid_out(network: "Module", spec: TileSpec, binsparx: BinSparX) -> "Layers":
    from spicekit.evaluation.tiled import Tiles
    from spicekit.networks.layers import binary_layers

    tiles = Tiles(spec, IdealCodes(), binsparx)
    return {name: tiles.lay(name, layer) for name, layer in binary_layers(network).items()}


def _case(
    kind: str, packed: "PackedLayer", applied: Applied, *, tile: int, block: int, pixels: NDArray[np.integer]
) -> Case:
    """One block of a layer's columns on a tile, zeros where it has no more outputs; each pixel's reads together."""
    spec = packed.layer.spec
    first = spec.columns * block
    stored = packed.layer.stored[:, tile].reshape(spec.rows, -1)[:, first : first + spec.columns]
    image, pixel = np.divmod(pixels, math.prod(applied.shape))
    bits = unpack(applied.words[image, :, tile, pixel], layout_of(spec.rows_active))
    weights = np.pad(stored, ((0, 0), (0, spec.columns - stored.shape[1])))
    return Case(kind, weights, bits.reshape(len(pixels), spec.rows))
