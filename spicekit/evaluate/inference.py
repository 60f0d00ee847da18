"""A network whose binary layers run on tiles."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from spicekit.circuits.spec import TileSpec
from spicekit.engines.fast import CodeTable
from spicekit.mapping.binsparx import BinSparX
from spicekit.mapping.layers import DEFAULT_UNROLLING, Geometry, Unrolling, map_layer
from spicekit.mapping.packed import Applied, PackedLayer, apply_inputs, dot_products, pack_layer
from spicekit.networks.layers import binary_layers

Layers = dict[str, PackedLayer]
Probe = Callable[[PackedLayer, Applied], None]
"""Looks at what each layer reads."""

# Bytes of words that one layer holds at a time: bounds memory whatever the batch; large enough to keep cores busy.
CHUNK_BYTES = 128e6


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
                layer.weight_bits().numpy(),
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
    codes: Mapping[str, CodeTable] | CodeTable,
    *,
    probe: Probe | None = None,
) -> Iterator[None]:
    """Inside this context the network's binary layers take their dot products from tiles.

    Parameters
    ----------
    network : Module
    layers : Layers
        From `map_network`, of this network.
    codes : CodeTable or mapping of layer name to CodeTable
    probe : function, optional
        Called with each layer and the words applied to it.
    """
    modules = binary_layers(network)
    for name, module in modules.items():
        table = codes if isinstance(codes, CodeTable) else codes[name]
        module.product = _product(layers[name], table, probe)  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        for module in modules.values():
            del module.product


def _product(packed: PackedLayer, codes: CodeTable, probe: Probe | None) -> Callable[[Tensor], Tensor]:
    layer = packed.layer
    reads = layer.used.size

    def product(signs: Tensor) -> Tensor:
        bits = (signs > 0).to(torch.uint8).numpy()
        words_per_image = reads * bits.shape[2] * bits.shape[3] / layer.geometry.stride**2
        step = max(1, int(CHUNK_BYTES // (16 * words_per_image)))  # 4 bytes each: word, choice, 2 corrections
        dots = []
        for start in range(0, len(bits), step):
            applied = apply_inputs(packed, bits[start : start + step], by_ones=codes.by_ones)
            if probe is not None:
                probe(packed, applied)
            dots.append(dot_products(packed, applied, codes))
        return torch.from_numpy(np.concatenate(dots) if len(dots) > 1 else dots[0])

    return product
