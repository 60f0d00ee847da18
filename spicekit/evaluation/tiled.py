"""Layers whose dot products come from tiles: ordinary modules, in the place of a network's binary layers.

A network on tiles is a network like any other: it is printed, pickled, moved and called as PyTorch's are, from several
threads too, and others of the same weights may stand beside it.
"""

import functools
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from spicekit.circuits.spec import TileSpec
from spicekit.engines.cell_currents import NO_VARIATION, Variation
from spicekit.engines.fast.model import Codes
from spicekit.engines.fast.torch_backend import DeviceCodes, codes_on
from spicekit.errors import BadInput
from spicekit.mapping.binsparx import BinSparX
from spicekit.mapping.layers import DEFAULT_UNROLLING, Unrolling, map_layer
from spicekit.mapping.packed import (
    Mismatch,
    PackedLayer,
    apply_inputs,
    dot_products,
    layer_on_die,
    mismatch_of,
    pack_layer,
)
from spicekit.mapping.torch_backend import products_on
from spicekit.networks.adopt import own_copy
from spicekit.networks.as_written import require_tiles
from spicekit.networks.layers import BinaryConv, BinaryConv2d, BinaryLinear, MultiBitConv2d, binary_layers
from spicekit.tables.table import IVTable

# Bytes that the words of one layer take at a time: bounds memory whatever the batch, and keeps cores busy.
CHUNK_BYTES = 128e6
_PLANE = 1 << 32  # more than there are images
PLAIN = BinSparX()


@dataclass(frozen=True, eq=False)
class Tiles:
    """How layers lie on tiles, and what reads them. Layers of a network share it, and so do copies of it."""

    spec: TileSpec
    codes: Codes
    """Of the converters."""
    binsparx: BinSparX = PLAIN
    unrolling: Unrolling = DEFAULT_UNROLLING
    variation: Variation = NO_VARIATION
    table: IVTable | None = None
    """I-V table of the cells; what a variation does, but for stuck cells, follows from it."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def lay(self, name: str, layer: BinaryConv) -> PackedLayer:
        """A layer as designed: no cell differs from its nominal value."""
        mapped = map_layer(
            name,
            layer.weight_bits().cpu().numpy(),
            layer.geometry,
            self.spec,
            binsparx=self.binsparx,
            unrolling=self.unrolling,
            places=layer.places,
            variation=self.variation,
        )
        return pack_layer(mapped)

    def write(self, packed: PackedLayer) -> PackedLayer:
        """The layer as the die of the variation holds it."""
        return layer_on_die(packed, self.variation, self.mismatch)

    @functools.cached_property
    def mismatch(self) -> Mismatch | None:
        """Of the cells, if they have any."""
        return mismatch_of(self.spec, self.table, self.variation)


@dataclass(frozen=True, eq=False)
class _Laid:
    """A layer's weights on tiles. Copies of the layer share it."""

    weights: Tensor
    """That the cells hold."""
    designed: PackedLayer
    cells: PackedLayer
    """As the die has them."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class TiledConv(BinaryConv):
    """A binary convolution, over any number of axes, that takes its dot products from tiles.

    Its weights are those of the layer that it replaces. Cells are written anew when they change: by an optimiser, or
    by `load_state_dict`. In training mode the gradient is that of the ideal product: straight through the tiles.
    """

    name: str
    """Decides which cells and converters of the die are this layer's, and stands in errors."""
    tiles: Tiles
    images_seen: int
    """Place of the next image: converters' noise is another for each."""

    @classmethod
    def of(cls, layer: BinaryConv, *, name: str, tiles: Tiles) -> None:
        """Make a layer one on tiles, the same object: a network may hold it by two names, in a list, or compiled."""
        layer.__class__ = cls
        assert isinstance(layer, cls)
        layer.name, layer.tiles, layer.images_seen = name, tiles, 0
        layer._lay()

    @property
    def designed(self) -> PackedLayer:
        """What was written."""
        return self._current().designed

    def dots(self, values: Tensor) -> Tensor:
        """Dot products (n, c_out, *sides), of the type of the real inputs (n, c_in, *sides), as tiles give them."""
        if not values.numel():
            return super().dots(values)
        tiles: Callable[[Tensor], Tensor] = self._from_tiles
        if torch.compiler.is_compiling():  # torch's compiler cannot read what tiles do, and goes around it
            tiles = torch.compiler.disable(tiles)  # type: ignore[no-untyped-call]
        from_tiles = tiles(values)
        if not (self.training and torch.is_grad_enabled()):
            return from_tiles
        ideal = super().dots(values)
        return ideal + (from_tiles - ideal).detach()

    @torch.no_grad()
    def _from_tiles(self, values: Tensor) -> Tensor:
        with _LOCK:
            first = self.images_seen
            self.images_seen += len(values)
        signs = self.bits == 1 and values.dtype == torch.float32 and self._on_processor(values)
        planes = values[None] if signs else self.input_planes(values)
        # each plane has noise of its own
        dots = [self._of_plane(plane, first + place * _PLANE) for place, plane in enumerate(planes)]
        return self.combine(dots, planes).to(values.dtype)

    def extra_repr(self) -> str:
        """What `print(network)` shows."""
        spec, layer = self.tiles.spec, self.designed.layer
        blocks = -(-layer.outputs // spec.columns)
        flips = [kind for kind, on in self.tiles.binsparx if on is True]
        return (
            f"{super().extra_repr()}, on {layer.rows.shape[1]} x {blocks} tiles of {spec.rows} x {spec.columns} "
            f"{spec.cell}, {spec.rows_active} rows a read, BinSparX {' and '.join(flips) or 'off'}"
        )

    def _of_plane(self, plane: Tensor, first: int) -> Tensor:
        """(n, bits c_out, *sides) of inputs (n, c_in, *sides), of which `first` is the first image's place.

        Inputs are bits, or on the processor real numbers that stand for their signs.
        """
        cells = self._current().cells
        if self._on_processor(plane):
            inputs: Any = (plane.view(torch.uint8) if plane.dtype == torch.bool else plane).numpy()
            images = _images_at_a_time(cells, inputs.shape[2:])
            parts = [
                dot_products(cells, apply_inputs(cells, inputs[at : at + images], first=first + at), self.tiles.codes)
                for at in range(0, len(inputs), images)
            ]
            dots = torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts))
        else:
            product = self._products.get(plane.device)
            if product is None:
                codes: Any = self.tiles.codes
                codes = _on_device(plane.device, codes, self.tiles.spec.rows_active)
                product = self._products.setdefault(plane.device, products_on(cells, codes))
            dots = product(plane).movedim(-1, 1)
        # In memory as the software's own result lies: what follows then adds in the same order, bit for bit.
        channels_last = plane.is_contiguous(memory_format=torch.channels_last) and not plane.is_contiguous()
        return dots.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)

    def _on_processor(self, values: Tensor) -> bool:
        return values.device.type == "cpu" and not isinstance(self.tiles.codes, DeviceCodes)

    def _current(self) -> _Laid:
        """The layer on tiles, of the weights that it has now."""
        if not _alike(self.weight, self._laid.weights):  # whoever changed them, through `.data` too
            self._lay()
        return self._laid

    def _lay(self) -> None:
        designed = self.tiles.lay(self.name, self)
        self._products: dict[torch.device, Any] = {}
        """Of each device that the layer has run on, besides the processor."""
        self._laid = _Laid(self.weight.detach().clone(), designed, self.tiles.write(designed))

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_laid": self._current(), "_products": {}}


class TiledConv2d(TiledConv, BinaryConv2d):
    """A binary convolution of images on tiles.

    >>> import spicekit as sk
    >>> design = sk.design(rows=16, columns=16, layer="M2", pitch_nm=108)
    >>> sk.convert(nn.Sequential(sk.BinaryConv2d(3, 8)), design)[0]
    TiledConv2d(3 -> 8, 3 x 3, padding 1, on 2 x 1 tiles of 16 x 16 8t-sram, 16 rows a read, BinSparX off)
    """


class TiledLinear(BinaryLinear, TiledConv):
    """A binary fully connected layer on tiles.

    >>> import spicekit as sk
    >>> design = sk.design(rows=16, columns=16, layer="M2", pitch_nm=108)
    >>> tiled = sk.convert(nn.Sequential(sk.BinaryLinear(16, 4)), design)
    >>> tiled(torch.ones(2, 16)).shape
    torch.Size([2, 4])
    """


class TiledMultiBitConv2d(TiledConv, MultiBitConv2d):
    """A convolution of four-bit weights with four-bit inputs on tiles, bit-sliced."""


TILED: dict[type[BinaryConv], type[TiledConv]] = {
    BinaryConv: TiledConv,
    BinaryLinear: TiledLinear,
    BinaryConv2d: TiledConv2d,
    MultiBitConv2d: TiledMultiBitConv2d,
}
"""What stands for each kind of layer."""


def on_tiles(network: nn.Module, tiles: Tiles, *, others: dict[str, Tiles] | None = None) -> nn.Module:
    """A copy of a network, in evaluation mode, whose binary layers are on tiles; some, by name, on `others`.

    `BadInput` for a kind of layer that no tiles are known for, or one whose `forward` was replaced; and when the copy
    computes a binary product beside its layers, which `adopt` would have found.
    """
    copied = own_copy(network)
    require_tiles(copied)
    for name, layer in binary_layers(copied).items():
        kind = type(layer) if isinstance(layer, TiledConv) else TILED.get(type(layer))
        if kind is None:
            raise BadInput(
                f"on_tiles: layer {name!r} is a {type(layer).__name__}; tiles compute "
                f"{', '.join(sorted({known.__name__ for known in TILED}))}."
            )
        if "forward" in vars(layer):
            raise BadInput(
                f"on_tiles: layer {name!r} has a `forward` set on the object, which would go on computing in software; "
                f"delete it, or take off the wrapper that set it."
            )
        kind.of(layer, name=name, tiles=(others or {}).get(name, tiles))
    return copied


def tiled_layers(network: nn.Module) -> dict[str, TiledConv]:
    """The layers of a network that are on tiles, by their dotted names, in the order of definition."""
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, TiledConv)}


def start_at(network: nn.Module, image: int) -> None:
    """Say which place the next image has among all that belong together: noise is another for each."""
    for layer in tiled_layers(network).values():
        layer.images_seen = image


@torch.no_grad()
def _alike(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are of the same bits."""
    if one.device != other.device or one.dtype != other.dtype:
        return False
    if one.device.type != "cpu":
        return torch.equal(one, other)
    # in a quarter of the time that torch takes; whole numbers, for NumPy knows no bfloat16
    kind = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[one.itemsize]
    return np.array_equal(one.view(kind).numpy(), other.view(kind).numpy())


def _images_at_a_time(packed: PackedLayer, shape: tuple[int, ...]) -> int:
    subvectors = packed.mask.size / packed.mask.shape[2]
    # word, flip and count of each sub-vector, whose words are shorter up to 16 rows; what follows takes few at a time
    bytes_per_pixel = subvectors * (8 * packed.mask.shape[2] + 1 + 2)
    return max(1, int(CHUNK_BYTES // (bytes_per_pixel * math.prod(packed.layer.geometry.output(shape)))))


@functools.lru_cache(maxsize=4)  # layers share the tables of their codes
def _on_device(device: torch.device, codes: Any, rows: int) -> DeviceCodes:
    return codes if isinstance(codes, DeviceCodes) else codes_on(device, codes, rows=rows)


_LOCK = threading.Lock()
