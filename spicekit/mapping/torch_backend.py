"""A mapped layer on a GPU: unrolled, flipped, read and corrected in torch, without a detour over the processor.

The same steps as in `packed`, whose results it reproduces bit for bit: every number is whole and small enough for
single precision.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from spicekit.engines.fast.torch_backend import DeviceCodes
from spicekit.errors import BadInput
from spicekit.mapping.binsparx import corrections_of, to_invert
from spicekit.mapping.packed import PackedLayer, input_offsets

# Bytes that the reads of one layer take at a time: small against any GPU's memory, enough to keep it busy.
CHUNK_BYTES = 1e9


def products_on(packed: PackedLayer, codes: DeviceCodes) -> Callable[[Tensor], Tensor]:
    """What computes dot products (n, *sides, c_out) float32 from signs (n, c_in, *sides) on the codes' device.

    `BadInput` if flips are chosen by position, which only the compiled engine does.
    """
    if packed.scores is not None:
        raise BadInput("flips by position are in the processor's engine alone; evaluate on the processor.")
    return _by_words(packed, codes) if codes.form == "kernels" else _by_bits(packed, codes)


def _by_words(packed: PackedLayer, codes: DeviceCodes) -> Callable[[Tensor], Tensor]:
    """`products_on`, in kernels of our own."""
    from spicekit.engines.fast.gpu_kernels import HALF, pack

    layer, device = packed.layer, codes.device
    cells = codes.words(packed.stored, packed.mask)
    used = torch.from_numpy(layer.used.reshape(-1, 1)).to(device, torch.int32)
    corrections = torch.from_numpy(packed.corrections).T.to(device, torch.float32)
    constant = torch.from_numpy(layer.used.sum() - 2 * packed.weight_ones).to(device, torch.float32)
    reads, halves = len(used), codes.halves
    # words, and four float32 that the correction makes of each; sums, and what becomes of them
    bytes_per_pixel = reads * (4 * halves + 4 * 4 + 16) + 4 * 4 * layer.outputs

    @functools.lru_cache(maxsize=4)
    def gathered(shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Pixel in each place of the larger image; base of each output pixel there; (reads, rows) int32 place of each
        row's input from there on, over all channels, -1 where there is none."""
        gathering = layer.geometry.gathering(shape)
        rows = layer.rows.reshape(reads, -1)
        offsets = np.full((reads, halves * HALF), -1, np.int32)
        offsets[:, : rows.shape[1]] = np.where(rows >= 0, input_offsets(layer, gathering).reshape(rows.shape), -1)
        lists = gathering.source, gathering.bases.astype(np.int32), offsets
        source, bases, places = (torch.from_numpy(each).to(device) for each in lists)
        return source, bases, places

    def dots(signs: Tensor) -> Tensor:
        source, bases, offsets = gathered(signs.shape[2:])
        laid = _laid_out(signs, source).view(torch.uint8).contiguous()
        words = torch.empty(reads, halves, len(signs) * len(bases), dtype=torch.int32, device=device)
        asserted = torch.empty(reads, words.shape[2], dtype=torch.int32, device=device)
        pack(laid, offsets, words, asserted, bases=bases)
        inverted = torch.zeros_like(asserted)
        if layer.binsparx.dynamic:
            inverted = to_invert(asserted, used).to(torch.int32)
            asserted = torch.where(inverted > 0, used - asserted, asserted)
        sums = codes.sums_of_words(cells, words, inverted, asserted) * codes.step
        signed, ones = corrections_of(inverted, asserted, used)
        if layer.binsparx.flips:
            sums += torch.cat([signed, inverted]).to(torch.float32).T @ corrections
        products: Tensor = 4 * sums + constant - 2 * ones.sum(dim=0, dtype=torch.int32)[:, None]
        return products

    return _in_chunks(packed, dots, bytes_per_pixel)


def _by_bits(packed: PackedLayer, codes: DeviceCodes) -> Callable[[Tensor], Tensor]:
    """`products_on`, in torch's operations."""
    layer = packed.layer
    cells = codes.cells(packed.stored)

    def put(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], dtype: torch.dtype) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(codes.device, dtype)

    rows = layer.rows
    mask = put(rows >= 0, codes.dtype)
    used = put(layer.used, torch.int64)
    corrections = put(packed.corrections.T, torch.float32)
    constant = put(layer.used.sum() - 2 * packed.weight_ones, torch.float32)
    # bits as unrolled, gathered and flipped; running numbers of ON cells of one tile at a time, and what
    # becomes of them
    bytes_per_pixel = 4 * 3 * rows.size + 4 * 4 * max(rows.shape[2], 16) * layer.outputs

    @functools.lru_cache(maxsize=4)
    def gathered(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Pixel in each place of the larger image; place of each row's bit there, (pixels, rows), over all channels."""
        gathering = layer.geometry.gathering(shape)
        offsets = input_offsets(layer, gathering).ravel()
        return put(gathering.source, torch.int64), put(np.add.outer(gathering.bases, offsets), torch.int64)

    def dots(signs: Tensor) -> Tensor:
        source, places = gathered(signs.shape[2:])
        bits = _laid_out(signs, source).flatten(1).to(codes.dtype)[:, places].reshape(-1, *mask.shape) * mask
        asserted = bits.sum(dim=3, dtype=torch.float32).to(torch.int64)
        inverted = torch.zeros_like(asserted, dtype=torch.bool)
        if layer.binsparx.dynamic:
            inverted = to_invert(asserted, used)
            bits = torch.where(inverted[..., None], mask - bits, bits)
            asserted = torch.where(inverted, used - asserted, asserted)
        sums = codes.read_sums(cells, bits, inverted, asserted) * codes.step
        flipped = inverted.to(torch.int64)
        signed, ones = corrections_of(flipped, asserted, used)
        if layer.binsparx.flips:
            factors = torch.stack([signed, flipped], dim=1).to(torch.float32)
            sums += factors.reshape(len(sums), -1) @ corrections
        products: Tensor = 4 * sums + constant - 2 * ones.sum(dim=(1, 2)).to(torch.float32)[:, None]
        return products

    return _in_chunks(packed, dots, bytes_per_pixel)


def _laid_out(signs: Tensor, source: Tensor) -> Tensor:
    """(n, c, places) bool: ones in larger images, of signs or bits (n, c, *sides); False where there is no pixel."""
    ones = signs if signs.dtype == torch.bool else signs > 0
    return ones.flatten(2)[:, :, source.clamp(min=0)] & (source >= 0)


def _in_chunks(
    packed: PackedLayer, dots: Callable[[Tensor], Tensor], bytes_per_pixel: int
) -> Callable[[Tensor], Tensor]:
    """Dot products of as many images at a time as `CHUNK_BYTES` allows."""

    def product(signs: Tensor) -> Tensor:
        sides = packed.layer.geometry.output(signs.shape[2:])
        images = max(1, int(CHUNK_BYTES // (bytes_per_pixel * math.prod(sides))))
        parts = [dots(part) for part in torch.split(signs, images)]
        return torch.cat(parts).reshape(len(signs), *sides, -1)

    return product
