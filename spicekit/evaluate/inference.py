"""A network whose binary layers run on tiles."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from spicekit.circuits.spec import TileSpec
from spicekit.engines.fast.model import Codes
from spicekit.engines.fast.torch_backend import DeviceCodes
from spicekit.engines.words import Applied
from spicekit.errors import BadInput
from spicekit.mapping.binsparx import BinSparX
from spicekit.mapping.layers import DEFAULT_UNROLLING, Geometry, Unrolling, map_layer
from spicekit.mapping.packed import PackedLayer, apply_inputs, dot_products, output_shape, pack_layer
from spicekit.mapping.torch_backend import products_on
from spicekit.networks.layers import BinaryConv2d, binary_layers, on_sign_products

Layers = dict[str, PackedLayer]
Probe = Callable[[PackedLayer, Applied], None]
"""Looks at what each layer reads."""

# Bytes that the words of one layer take at a time: bounds memory whatever the batch, and keeps cores busy.
CHUNK_BYTES = 128e6
_PLANE = 1 << 32  # more than there are images


def map_network(
    network: torch.nn.Module,
    spec: TileSpec,
    *,
    binsparx: BinSparX,
    unrolling: Unrolling = DEFAULT_UNROLLING,
) -> Layers:
    """Every binary layer of a network on tiles of one spec, by layer name."""
    return {
        name: pack_layer(
            map_layer(
                name,
                layer.weight_bits().cpu().numpy(),
                Geometry(layer.in_channels, layer.kernel_size, layer.stride, layer.padding),
                spec,
                binsparx=binsparx,
                unrolling=unrolling,
            )
        )
        for name, layer in binary_layers(network).items()
    }


@contextmanager
def on_tiles(
    network: torch.nn.Module,
    layers: Layers,
    codes: Codes | Mapping[str, Codes],
    *,
    probe: Probe | None = None,
    first_image: int = 0,
) -> Iterator[None]:
    """Inside this context the network's binary layers take their dot products from tiles.

    Parameters
    ----------
    network : Module
    layers : Layers
        From `map_network`, of this network.
    codes : Codes, or mapping of them by layer
        On a GPU, from `torch_backend.codes_on`, for a network that is there too; they take no probe.
    probe : function, optional
        Called with each layer and the words applied to it.
    first_image : int
        Place of the first image that the network will see, for converters with noise; the others follow in order.
    """
    modules = binary_layers(network)
    by_layer = codes if isinstance(codes, Mapping) else dict.fromkeys(modules, codes)
    for name, module in modules.items():
        product = _product(layers[name], by_layer[name], probe, first_image, planes=module.bits)
        module.product = on_sign_products(module, product)  # type: ignore[assignment,method-assign]
        if type(module).input_levels is BinaryConv2d.input_levels:  # what a sign is made of, in one pass
            module.input_levels = _not_negative  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in modules.values():
            del module.product
            vars(module).pop("input_levels", None)


def _product(
    packed: PackedLayer, codes: Codes, probe: Probe | None, first_image: int, *, planes: int
) -> Callable[[Tensor], Tensor]:
    """The dot products of a layer, which is given the `planes` of each batch one after the other.

    It takes their signs, or their bits.
    """
    if isinstance(codes, DeviceCodes):
        if probe is not None:
            raise BadInput("reads on a GPU cannot be looked at; run the network on the processor.")
        on_device = products_on(packed, codes)
        return lambda signs: _arranged(on_device(signs).permute(0, 3, 1, 2), signs)
    subvectors = packed.mask.size / packed.mask.shape[2]
    # word, flip and count of each sub-vector, and four float32 that the correction makes of them
    bytes_per_pixel = subvectors * (8 * packed.mask.shape[2] + 1 + 4 + 16)
    seen, plane = first_image, 0

    def product(signs: Tensor) -> Tensor:
        nonlocal seen, plane
        ones = signs if signs.dtype == torch.bool else signs > 0
        bits = ones.view(torch.uint8).cpu().numpy()
        height, width = output_shape(packed.layer, *bits.shape[2:])
        images = max(1, int(CHUNK_BYTES // (bytes_per_pixel * height * width)))
        dots = []
        for start in range(0, len(bits), images):
            first = seen + start + plane * _PLANE  # each plane has noise of its own
            applied = apply_inputs(packed, bits[start : start + images], first=first)
            if probe is not None:
                probe(packed, applied)
            dots.append(dot_products(packed, applied, codes))
        plane = (plane + 1) % planes
        seen += 0 if plane else len(bits)
        together = dots[0] if len(dots) == 1 else np.concatenate(dots)
        return _arranged(torch.from_numpy(together).to(signs.device), signs)

    return product


def _not_negative(values: Tensor) -> Tensor:
    """The bits of the signs of real values of any shape."""
    return values >= 0


def _arranged(dots: Tensor, signs: Tensor) -> Tensor:
    """Dot products (n, c, h, w), in memory as the software's own result of `signs` lies.

    What follows then adds in the same order, bit for bit.
    """
    channels_last = signs.is_contiguous(memory_format=torch.channels_last) and not signs.is_contiguous()
    return dots.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
