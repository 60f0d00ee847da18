"""A mapped layer on a GPU: unrolled, flipped, read and corrected in torch, without a detour over the processor.

The same steps as in `packed`, whose results it reproduces bit for bit: every number is whole and small enough for
single precision.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spicekit.engines.fast.torch_backend import DeviceCodes
from spicekit.errors import BadInput
from spicekit.mapping.packed import PackedLayer, output_shape

# Bytes that the reads of one layer take at a time: small against any GPU's memory, enough to keep it busy.
CHUNK_BYTES = 1e9


def products_on(packed: PackedLayer, codes: DeviceCodes) -> Callable[[Tensor], Tensor]:
    """What computes a layer's dot products (n, h, w, c_out) float32 from signs (n, c_in, h, w) on the codes' device.

    Raises
    ------
    BadInput
        If flips are chosen by position, which only the compiled engine does.
    """
    if packed.scores is not None:
        raise BadInput("flips by position are in the processor's engine alone; evaluate on the processor.")
    layer, geometry = packed.layer, packed.layer.geometry
    cells = codes.cells(packed.stored)

    def put(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], dtype: torch.dtype) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(codes.device, dtype)

    rows = layer.rows.transpose(1, 0, 2)  # (groups, tiles, m)
    place = put(np.maximum(rows, 0).ravel(), torch.int64)
    mask = put(rows >= 0, codes.dtype)
    used = put(layer.used.T, torch.int64)
    corrections = put(packed.corrections, torch.float32)
    constant = put(layer.used.sum() - 2 * packed.weight_ones, torch.float32)
    # bits as unrolled, gathered and flipped; running numbers of ON cells of one tile at a time, and what
    # becomes of them
    bytes_per_pixel = 4 * 3 * rows.size + 4 * 4 * max(rows.shape[2], 16) * layer.outputs

    def dots(signs: Tensor) -> Tensor:
        padded = functional.pad((signs > 0).to(torch.float32), (geometry.padding,) * 4)
        unrolled = functional.unfold(padded, geometry.kernel, stride=geometry.stride)
        pixels = unrolled.transpose(1, 2).reshape(-1, unrolled.shape[1]).to(codes.dtype)
        bits = pixels[:, place].reshape(-1, *mask.shape) * mask
        asserted = bits.sum(dim=3, dtype=torch.float32).to(torch.int64)
        inverted = torch.zeros_like(asserted, dtype=torch.bool)
        if layer.binsparx.dynamic:
            inverted = 2 * asserted > used
            bits = torch.where(inverted[..., None], mask - bits, bits)
            asserted = torch.where(inverted, used - asserted, asserted)
        sums = codes.read_sums(cells, bits, inverted, asserted) * codes.step
        d, a = inverted.to(torch.float32), asserted.to(torch.float32)
        if layer.binsparx.static or layer.binsparx.dynamic:
            factors = torch.stack([a * (1 - 2 * d), d], dim=1)
            sums += factors.reshape(len(sums), -1) @ corrections
        ones = torch.where(inverted, used - a, a)
        return 4 * sums + constant - 2 * ones.sum(dim=(1, 2))[:, None]

    def product(signs: Tensor) -> Tensor:
        height, width = output_shape(layer, *signs.shape[2:])
        images = max(1, int(CHUNK_BYTES // (bytes_per_pixel * height * width)))
        parts = [dots(part) for part in torch.split(signs, images)]
        return torch.cat(parts).reshape(len(signs), height, width, -1)

    return product
