"""Triton kernels of the FAST engine: words of a batch's reads, and the codes that converters make of them.

They work on the words that the compiled engine packs, halves of them to be exact: 32 rows each, the first row at the
lowest bit. Lanes are vectors and columns. What `wire_sums` wants of a read follows from the ones of each byte and from
the running count of its ones, both of four bytes at a time in one number. All sums are of whole numbers; then come the
operations of `wire_sum_kernels` in their order, each rounded once. So codes are the compiled engine's, bit for bit.

Places are counted in 32 bits: a call may fill two gigabytes of each array, see `mapping.torch_backend`.
"""

from typing import Any

import torch
import triton  # type: ignore[import-not-found,import-untyped,unused-ignore]
import triton.language as tl  # type: ignore[import-not-found,import-untyped,unused-ignore]

from spicekit.engines.fast.kernels import HEADROOM, UNIT

HALF = 32
"""Rows of a half word."""
PATTERNS, LINE, LOOKUP, COUNT = 0, 1, 2, 3
"""How a code is found: by pattern of ON cells, by a line over currents, in a table over currents, by counting."""

_PIXELS, _COLUMNS, _WARPS = 32, 32, 8  # four reads a thread: they and their sums stay in registers
_PACKED = 256  # pixels at a time


def pack(bits: Any, offsets: Any, words: Any, ones: Any, *, bases: Any) -> None:
    """Set the words that word lines carry, before any of them is inverted.

    Parameters
    ----------
    bits : (n, c, places) uint8 tensor
        Images as the kernel moves over them.
    offsets : (reads, halves * 32) int32 tensor
        Where, from a pixel's first input on, the bit of each row lies in a flat (c, places); -1 for none.
    words : (reads, halves, p) int32 tensor
    ones : (reads, p) int32 tensor
        How many ones they have.
    bases : (pixels,) int32 tensor
        Where the first input of each output pixel lies.
    """
    reads, halves, pixels = words.shape
    with torch.cuda.device_of(bits):  # type: ignore[no-untyped-call]
        _pack[(triton.cdiv(pixels, _PACKED), reads)](
            bits,
            offsets,
            words,
            ones,
            pixels,
            bits[0].numel(),
            bases,
            len(bases),
            halves,
            _PACKED,
        )


def add_codes(
    sums: Any,
    words: Any,
    inverted: Any,
    asserted: Any,
    mask: Any,
    stored: Any,
    sign: Any,
    tiles: Any,
    table: Any,
    coefficients: Any,
    scale: Any,
    *,
    form: int,
    rows: int,
    size: int,
    leak: float,
) -> None:
    """Set the signed codes of all reads of each dot product, added.

    Parameters
    ----------
    sums : (p, c) int32 tensor
    words : (groups * tiles, halves, p) int32 tensor
        Not yet inverted.
    inverted, asserted : (groups * tiles, p) int32 tensors
        1 where a read is inverted; ones that it applies then.
    mask : (groups * tiles, halves) int32 tensor
        Ones in the rows in use.
    stored : (groups, tiles, halves, c) int32 tensor
    sign : (groups, tiles, c) int32 tensor
        -1 where a column is stored inverted, else 1.
    tiles : (groups,) int32 tensor
        Tiles in which each group has rows in use.
    table : tensor
        `PATTERNS`: (groups, ones 2^rows) codes without sign, or (groups, 2^rows) if `leak` is 0. `LOOKUP`: the code of
        each current.
    coefficients, scale : float32 tensors
        As in `WireSumCodes`; used by `LINE` and `LOOKUP`.
    form : int
        `PATTERNS`, `LINE`, `LOOKUP` or `COUNT`.
    rows : int
        m, rows that a read asserts.
    size : int
        Bytes of a read.
    leak : float
        What an asserted cell counts that is not ON; for `PATTERNS`, not 0 where codes depend on the number of ones.
    """
    pixels, columns = sums.shape
    groups, most, halves, _ = stored.shape
    with torch.cuda.device_of(sums):  # type: ignore[no-untyped-call]
        _add_codes[(triton.cdiv(pixels, _PIXELS), triton.cdiv(columns, _COLUMNS))](
            sums,
            words,
            inverted,
            asserted,
            mask,
            stored,
            sign,
            tiles,
            table,
            coefficients,
            scale,
            table.shape[-1],
            leak,
            pixels,
            columns,
            groups,
            most,
            halves,
            form,
            rows,
            size,
            leak != 0,
            UNIT,
            HEADROOM,
            _PIXELS,
            _COLUMNS,
            num_warps=_WARPS,
            enable_fp_fusion=False,  # a product and a sum are one operation where it says `fma`, and nowhere else
        )


@triton.jit  # type: ignore[untyped-decorator]
def _pack(  # type: ignore[no-untyped-def]
    bits,
    offsets,
    words,
    ones,
    pixels,
    image_size,
    bases,
    area,
    HALVES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    read = tl.program_id(1)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    there = pixel < pixels
    place = pixel % area
    corner = (pixel // area) * image_size + tl.load(bases + place)
    count = tl.zeros((BLOCK,), tl.int32)
    for half in range(HALVES):
        word = tl.zeros((BLOCK,), tl.int32)
        for row in range(32):
            offset = tl.load(offsets + (read * HALVES + half) * 32 + row)
            bit = tl.load(bits + corner + offset, mask=there & (offset >= 0), other=0).to(tl.int32)
            word |= bit << row
            count += bit
        tl.store(words + (read * HALVES + half) * pixels + pixel, word, mask=there)
    tl.store(ones + read * pixels + pixel, count, mask=there)


@triton.jit
def _count_bytes(word):  # type: ignore[no-untyped-def]
    """Of each byte of unsigned 32-bit numbers: its ones; and the running counts of its ones, added."""
    upper = (word >> 1) & 0x55555555
    lower = word & 0x55555555
    count = lower + upper
    running = 2 * lower + upper
    below = count & 0x33333333
    running = (running & 0x33333333) + 2 * below + ((running >> 2) & 0x33333333)
    count = below + ((count >> 2) & 0x33333333)
    below = count & 0x0F0F0F0F
    running = (running & 0x0F0F0F0F) + 4 * below + ((running >> 4) & 0x0F0F0F0F)
    return below + ((count >> 4) & 0x0F0F0F0F), running


@triton.jit  # type: ignore[untyped-decorator]
def _add_codes(  # type: ignore[no-untyped-def]
    sums,
    words,
    inverted,
    asserted,
    mask,
    stored,
    sign,
    tiles,
    table,
    coefficients,
    scale,
    entries,
    leak,
    pixels,
    columns,
    groups,
    most,
    HALVES: tl.constexpr,
    FORM: tl.constexpr,
    ROWS: tl.constexpr,
    SIZE: tl.constexpr,
    LEAKY: tl.constexpr,
    UNIT: tl.constexpr,
    HEADROOM: tl.constexpr,
    PIXELS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    given, held = pixel < pixels, column < columns
    total = tl.zeros((PIXELS, COLUMNS), tl.int32)
    for group in range(groups):
        for tile in range(tl.load(tiles + group)):
            read = group * most + tile
            here = read * pixels + pixel
            turned = tl.load(inverted + here, mask=given, other=0)
            ones = tl.load(asserted + here, mask=given, other=0)
            turn = tl.load(sign + read * columns + column, mask=held, other=0)
            if FORM == 0:
                applied = tl.load(words + here, mask=given, other=0) ^ (tl.load(mask + read) * turned)
                cells = tl.load(stored + read * columns + column, mask=held, other=0)
                index = applied[:, None] & cells[None, :]
                if LEAKY:
                    index += ones[:, None] << ROWS
                code = tl.load(table + group * entries + index).to(tl.int32)
            elif FORM == 3:
                code = tl.zeros((PIXELS, COLUMNS), tl.int32)
                for half in tl.static_range(HALVES):
                    bits = tl.load(words + (read * HALVES + half) * pixels + pixel, mask=given, other=0)
                    applied = bits ^ (tl.load(mask + read * HALVES + half) * turned)
                    cells = tl.load(stored + (read * HALVES + half) * columns + column, mask=held, other=0)
                    counts, _ = _count_bytes((applied[:, None] & cells[None, :]).to(tl.uint32, bitcast=True))
                    code += ((counts * 0x01010101) >> 24).to(tl.int32)
            else:
                before = tl.zeros((PIXELS, COLUMNS), tl.int32)
                near = tl.zeros((PIXELS, COLUMNS), tl.int32)
                far = tl.zeros((PIXELS, COLUMNS), tl.int32)
                near_squared = tl.zeros((PIXELS, COLUMNS), tl.int32)
                far_squared = tl.zeros((PIXELS, COLUMNS), tl.int32)
                middle = tl.zeros((PIXELS, COLUMNS), tl.int32)
                all_before = tl.zeros((PIXELS,), tl.int32)
                all_below = tl.zeros((PIXELS,), tl.int32)
                for half in tl.static_range(HALVES):
                    bits = tl.load(words + (read * HALVES + half) * pixels + pixel, mask=given, other=0)
                    applied = bits ^ (tl.load(mask + read * HALVES + half) * turned)
                    cells = tl.load(stored + (read * HALVES + half) * columns + column, mask=held, other=0)
                    counts, runs = _count_bytes((applied[:, None] & cells[None, :]).to(tl.uint32, bitcast=True))
                    all_counts, all_runs = _count_bytes(applied.to(tl.uint32, bitcast=True))
                    for k in tl.static_range(4):
                        byte = 4 * half + k
                        if byte < SIZE:
                            count = ((counts >> (8 * k)) & 255).to(tl.int32)
                            inside = 8 * before + ((runs >> (8 * k)) & 255).to(tl.int32)
                            before += count
                            if 2 * byte < SIZE:
                                near += inside
                                near_squared += inside * inside
                            else:
                                far += inside
                                far_squared += inside * inside
                            if (byte == SIZE // 2 - 1) or (byte == SIZE // 2):
                                middle += count
                            if LEAKY:
                                all_below += 8 * all_before + ((all_runs >> (8 * k)) & 255).to(tl.int32)
                                all_before += ((all_counts >> (8 * k)) & 255).to(tl.int32)
                level = 4 * (4 * SIZE // 3) * before * before
                moment = near + far - 4 * SIZE * before
                f_sum = 8 * before * near - near_squared - 2 * before * moment - level
                b_sum = 8 * before * far - far_squared + 2 * before * moment - level
                n, u, f, b, e = (
                    (2 * before).to(tl.float32),
                    moment.to(tl.float32),
                    f_sum.to(tl.float32),
                    b_sum.to(tl.float32),
                    (8 * middle).to(tl.float32),
                )
                c = coefficients + group * 20
                added = leak * all_before.to(tl.float32)
                offset = leak * (all_below - 4 * SIZE * all_before).to(tl.float32)
                n = tl.fma(n, tl.load(c), added[:, None])
                u = tl.fma(u, tl.load(c + 1), offset[:, None])
                p = tl.fma(e, tl.load(c + 18), tl.load(c + 3))
                p = tl.fma(n, tl.fma(n, tl.fma(n, tl.load(c + 6), tl.load(c + 5)), tl.load(c + 4)), p)
                p = tl.fma(n, p, tl.load(c + 2))
                q = tl.fma(e, tl.load(c + 19), tl.load(c + 7))
                q = n * tl.fma(n, tl.fma(n, tl.load(c + 9), tl.load(c + 8)), q)
                q = tl.fma(b, tl.load(c + 12), tl.fma(u, tl.fma(n, tl.load(c + 11), tl.load(c + 10)), q))
                p = tl.fma(u, q, p)
                p = tl.fma(f, tl.fma(b, tl.load(c + 15), tl.fma(n, tl.load(c + 14), tl.load(c + 13))), p)
                p = tl.fma(b, tl.fma(n, tl.load(c + 17), tl.load(c + 16)), p)
                current = tl.div_rn(n * n, p)
                zeros = tl.load(scale + 2 * (1 + ones) + (1 if FORM == 1 else 0))[:, None]
                if FORM == 1:
                    place = tl.fma(current, tl.load(scale), zeros)
                    code = tl.minimum(tl.maximum(place, 0.0), tl.load(scale + 1)).to(tl.int32)
                else:
                    level_ = tl.floor(UNIT * (current - zeros) + 0.5)
                    index = tl.minimum(tl.maximum(level_ + HEADROOM * UNIT, 0.0), entries - 1.0).to(tl.int32)
                    code = tl.load(table + index).to(tl.int32)
            total += code * turn[None, :] * (1 - 2 * turned)[:, None]
    where = pixel[:, None] * columns + column[None, :]
    tl.store(sums + where, total, mask=given[:, None] & held[None, :])
