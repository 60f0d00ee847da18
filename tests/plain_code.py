"""What the functions that write machine code compute, in plain NumPy.

The loops around them run with `NUMBA_DISABLE_JIT`, and so can their tests be run on changed loops (scripts/mutate.py);
and with compiled code these are the slow, obvious versions of it (tests/engines/test_plain_code.py).
"""

from typing import Any

import numpy as np
from numba.core.extending import _Intrinsic

import spicekit.mapping.packed  # noqa: F401
from spicekit.engines.fast import factored_kernels as factored
from spicekit.engines.fast import ideal
from spicekit.engines.fast.repeats import COLUMNS

F32 = np.float32


def ones_of(word):
    return np.bitwise_count(word)


def count_ones(given, held, start, column, shift, out, row, place):
    lanes = slice(start, start + ideal.VECTORS)
    columns = np.minimum(column + np.arange(ideal.COLUMNS), len(held.words) - 1)

    def both(words, cells):
        return words[:, lanes], cells[columns][:, :, None]

    words, cells = both(given.words, held.words)
    on, negative = words & cells, 0
    if given.turns is not None:
        turns, of_columns = both(given.turns, held.turns)
        on = on ^ turns ^ of_columns
        turned, of_columns = both(given.turned, held.turned)
        negative = np.bitwise_count(turned ^ of_columns).sum(axis=1, dtype=np.int64)
    found = np.bitwise_count(on).sum(axis=1, dtype=np.int64) - (negative << shift)
    out[row : row + ideal.COLUMNS, place : place + ideal.VECTORS] = found


def fill_values(table, added):
    held = (np.arange(256)[:, None] >> np.arange(8)) & 1
    table[:] = np.einsum("vb,bfc->vfc", held.astype(np.uint8), added)


def _take_some_signs(flat, start, signs, place):
    signs[place : place + 16] = flat[start : start + 16] >= 0


def _gather(flat, base, offsets, first, count, pieces, byte):
    places = base + 64 * offsets.reshape(-1)[first : first + count]
    lines = flat[places[:, None] + np.arange(64)].astype(np.uint8)
    pieces[byte] = (lines << np.arange(count, dtype=np.uint8)[:, None]).sum(axis=0)


def _join(pieces, filled, found, ones, read):
    found[read] = (pieces[:filled].astype(found.dtype) << (8 * np.arange(filled, dtype=found.dtype))[:, None]).sum(
        axis=0
    )
    ones[read] = np.bitwise_count(found[read])


def _invert(found, ones, mask, rows, dynamic, read, k, turned, left):
    own = slice(k * mask.shape[1], (k + 1) * mask.shape[1])
    count = ones[own].astype(np.int64).sum(axis=0)
    turn = dynamic & (2 * count > rows)
    found[own] ^= np.where(turn, mask[read][:, None], np.uint64(0)).astype(found.dtype)
    turned[k], left[k] = turn, np.where(turn, rows - count, count)


def transpose_block(source, start, stride, target, place, step):
    side = np.arange(8 if source.itemsize == 8 else 16)
    target[place + side[:, None] * step + side] = source[start + side * stride + side[:, None]]


def _fill_field(factors, bits, table, first):
    values = np.arange(256)
    held = ((bits != 0) << np.arange(8)[:, None]).sum(axis=0)  # what each column stores
    found = factors.reshape(-1)[first + (values[:, None] & held)]
    table.reshape(-1, *table.shape[2:])[first // 256] = _apart(found)


def _add_lines(lines, moved):
    held = (np.arange(256)[:, None] >> np.arange(8)) & 1
    for byte in range(2):
        moved[byte] = _apart(held.astype(np.int16) @ lines[8 * byte : 8 * byte + 8])


def _apart(found):
    """(256, COLUMNS) as tables have it: (parts, 256, columns of a part)."""
    return found.reshape(256, -1, factored._LANES).swapaxes(0, 1)


def _set_codes(table, moved, words, turns, asserted, places, where, offset, shift, highest, turn, codes, parts):
    products, leaky, moving, clamped, flips = map(len, parts)
    start, count = where
    at = start + places[:count].astype(np.int64)
    reads, inverted, ones = (each.ravel()[at].astype(np.int64) for each in (words, turns, asserted))
    values = [reads >> 8 * byte & 255 for byte in range(2)]

    def short(x):
        return x.astype(np.int16)  # what exceeds 16 bits falls away

    def upper(x, y):
        return short(x.astype(np.int32) * y.astype(np.int32) >> 16)

    def entries(block, byte):
        """(n, .., COLUMNS) of a table (.., parts, 256, columns of a part)."""
        found = np.moveaxis(block[..., values[byte], :], -2, 0)
        return found.reshape(*found.shape[:-2], COLUMNS)

    def combined(first, number):
        low, high = (entries(table[byte], byte) for byte in range(2))  # (n, fields, columns)
        both = short(low[:, first] + high[:, first])
        for field in range(first + 1, first + 1 + number):
            both = short(both + upper(low[:, field], high[:, field]))
        return both

    x = short(combined(0, products) + offset[ones][:, None])
    if leaky:
        scaled = short(ones << factored.LEAK_SHIFT)[:, None]
        x = short(x + upper(combined(1 + products, factored.LEAK_PRODUCTS), scaled))
    if moving:
        last = 1 + products + (1 + factored.LEAK_PRODUCTS if leaky else 0)
        deviation = short(entries(moved[0], 0) + entries(moved[1], 1))
        x = short(x + upper(combined(last, factored.PASSED_PRODUCTS), deviation))
    code = x >> shift
    if clamped:
        code = np.clip(code, 0, highest)
    if flips:
        mask = turn ^ short(-inverted)[:, None]
        code = (code ^ mask) - mask
    codes[:count] = code


def _add_up(codes, which, rows, vectors, total, together):
    for k in range(len(together)):
        total[:vectors] += codes[k, which[rows[k], :vectors]]


def find_currents(table, flat, start, coefficients, added, moment, current, on, half):
    size = 2 * len(half)
    twice, *sums = _sums(table, flat[start : start + size])
    on[:] = twice >> 1
    current[:] = _current(coefficients, F32(added), F32(moment), twice, *sums)


def set_codes(table, words, inverted, asserted, leaks, places, where, coefficients, line, zeros, turn, codes, parts):
    size, (start, count) = 2 * len(parts[0]), where
    for k, place in enumerate(start + places[:count].astype(np.int64)):
        given = words.reshape(-1, words.shape[-1])[place].view(np.uint8)[:size]
        added, moment = leaks[place] if parts[2] else (F32(0), F32(0))
        current = _current(coefficients, added, moment, *_sums(table, given))
        code = np.clip(_fma(current, line[0], zeros[asserted.flat[place]]), F32(0), line[1]).astype(np.int32)
        mask = turn ^ -np.int32(inverted.flat[place]) if parts[1] else np.int32(0)
        codes[k] = (code ^ mask) - mask


def _lay_block_out(sums, product, step, column, pixel, laid_out, vector, k, image, place):
    block = slice(vector, vector + 16), slice(k, k + 16)
    more = F32(0) if product is None else product[block[::-1]].astype(F32)
    total = step * sums[block].T + more
    there = image, slice(k, k + 16), slice(place, place + 16)
    laid_out[there] = F32(4) * total + column[block[1], None] + pixel[block[0]]


def _sums(table, values):
    """2 n, u, f, b and e of `wire_sum_code._sums`, in as many bits as they want."""
    entries = table[np.arange(len(values)), values].astype(np.int64)  # (bytes, 2, columns)
    half = len(values) // 2
    ends = []
    for end in (entries[:half], entries[: half - 1 : -1]):
        before = np.cumsum(end[:, 0], axis=0) - end[:, 0]
        running = before + end[:, 1]
        ends.append((running.sum(axis=0), (running**2).sum(axis=0)))
    (a, s), (c, t) = ends
    twice = entries[:, 0].sum(axis=0) // 4
    middle = entries[half - 1, 0] + entries[half, 0]
    level, u = twice * twice * (8 * half // 3), a - c
    return twice, u, twice * (4 * a - u) - s - level, twice * (4 * c + u) - t - level, middle


def _fma(x, factor, added):
    return (x.astype(np.float64) * np.float64(factor) + np.float64(added)).astype(F32)


def _current(numbers, added, moment, n, u, f, b, e):
    """`wire_sum_code._polynomial`, in its order."""
    n, u, f, b, e = (x.astype(F32) for x in (n, u, f, b, e))
    (half, keep), c = numbers[:2], numbers[2:]
    fma = _fma
    n, u = fma(n, half, added), fma(u, keep, moment)
    p = fma(n, fma(n, fma(n, c[4], c[3]), c[2]), fma(e, c[16], c[1]))
    p = fma(n, p, c[0])
    q = n * fma(n, fma(n, c[7], c[6]), fma(e, c[17], c[5]))
    q = fma(b, c[10], fma(u, fma(n, c[9], c[8]), q))
    p = fma(u, q, p)
    p = fma(f, fma(b, c[13], fma(n, c[12], c[11])), p)
    p = fma(b, fma(n, c[15], c[14]), p)
    return n * n / p


def _set_cells(cells, first, n, lines, place):
    taken, on = cells.reshape(-1, 8)[first + n].T, lines[place].reshape(12, -1)[11] != 0
    lines[place].reshape(12, -1)[[0, 1, 2, 9, 10]] = *np.where(on, taken[3:6], taken[:3]), *taken[6:]


PLAIN = {
    f"spicekit.{module}.{function.__name__}": function
    for module, functions in {
        "engines.fast.kernels": (ones_of,),
        "engines.exact.codes": (_set_cells,),
        "engines.fast.ideal": (count_ones,),
        "engines.lanes": (transpose_block,),
        "engines.fast.factored_kernels": (_fill_field, _add_lines, _set_codes),
        "engines.fast.repeats": (_add_up,),
        "engines.fast.wire_sum_code": (fill_values, find_currents, set_codes),
        "mapping.inputs": (_gather, _invert, _join, _take_some_signs),
        "mapping.packed": (_lay_block_out,),
    }.items()
    for function in functions
}


def call(self: Any, *arguments: Any) -> Any:
    """A function that writes machine code, called without a compiler."""
    return PLAIN[f"{self.__module__}.{self.__name__}"](*arguments)


def install() -> None:
    """Let Python run what only the compiler could."""
    _Intrinsic.__call__ = call
