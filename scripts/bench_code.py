"""What machine code written by hand earns over plain loops that Numba compiles; prints JSON.

    python scripts/bench_code.py

Each innermost loop of the engines runs in both forms on the same made-up reads, alternately on one thread; seconds
are of processor time, so that a busy machine slows both. Plain loops get what help there is: numbers of the same width,
fused operations, slices taken out of the loop.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from spicekit.engines.exact import codes
from spicekit.engines.exact.codes import LANES
from spicekit.engines.fast import factored_kernels as factored
from spicekit.engines.fast import ideal, kernels, repeats
from spicekit.engines.fast import wire_sum_code as wires
from spicekit.engines.lanes import target
from spicekit.mapping import packed
from spicekit.provenance import provenance

READS = 1024
"""For one tile of 64 columns: what a tile's table is shared by."""
REPEATS, LOOPS = 7, 40

plain: Any = njit(error_model="numpy", nogil=True, fastmath={"contract", "nsz", "arcp"})


@plain
def plain_factored(table, words, inverted, asserted, offset, shift, highest, turn, codes):  # type: ignore[no-untyped-def]
    """`factored_kernels._set_codes` with one product, clamped and flipped."""
    for read in range(len(words)):
        low, high = np.int64(words[read]) & 255, np.int64(words[read]) >> 8
        added, whole = offset[asserted[read]], -np.int16(inverted[read])
        for part in range(2):
            f, g = table[0, 0, part, low], table[1, 0, part, high]
            u, v = table[0, 1, part, low], table[1, 1, part, high]
            turns, row = turn[32 * part : 32 * part + 32], codes[read, 32 * part : 32 * part + 32]
            for lane in range(32):
                x = np.int16(f[lane] + g[lane] + ((np.int32(u[lane]) * np.int32(v[lane])) >> 16) + added)
                code = np.int16(min(max(np.int16(x >> shift), np.int16(0)), highest))
                mask = np.int16(turns[lane] ^ whole)
                row[lane] = np.int8((code ^ mask) - mask)


@plain
def plain_wires(table, given, inverted, asserted, c, line, zeros, turn, codes):  # type: ignore[no-untyped-def]
    """`wire_sum_code.set_codes` of reads of 64 rows, with flips."""
    for read in range(len(given)):
        entries, places = table, given[read]
        zero, whole = zeros[asserted[read]], -np.int32(inverted[read])
        row = codes[read]
        e0, e1, e2, e3 = (
            entries[0, places[0]],
            entries[1, places[1]],
            entries[2, places[2]],
            entries[3, places[3]],
        )
        e4, e5, e6, e7 = (
            entries[4, places[4]],
            entries[5, places[5]],
            entries[6, places[6]],
            entries[7, places[7]],
        )
        for lane in range(64):
            r0 = np.int32(e0[1, lane])
            n1 = np.int32(e0[0, lane])
            r1 = n1 + np.int32(e1[1, lane])
            n2 = n1 + np.int32(e1[0, lane])
            r2 = n2 + np.int32(e2[1, lane])
            n3 = n2 + np.int32(e2[0, lane])
            r3 = n3 + np.int32(e3[1, lane])
            n4 = n3 + np.int32(e3[0, lane])
            t0 = np.int32(e7[1, lane])
            m1 = np.int32(e7[0, lane])
            t1 = m1 + np.int32(e6[1, lane])
            m2 = m1 + np.int32(e6[0, lane])
            t2 = m2 + np.int32(e5[1, lane])
            m3 = m2 + np.int32(e5[0, lane])
            t3 = m3 + np.int32(e4[1, lane])
            m4 = m3 + np.int32(e4[0, lane])
            a, s = r0 + r1 + r2 + r3, r0 * r0 + r1 * r1 + r2 * r2 + r3 * r3
            b, t = t0 + t1 + t2 + t3, t0 * t0 + t1 * t1 + t2 * t2 + t3 * t3
            twice = (n4 + m4) >> 2
            level, apart_by = twice * twice * np.int32(10), a - b
            n = np.float32(twice) * c[0]
            u = np.float32(apart_by) * c[1]
            f = np.float32(twice * (4 * a - apart_by) - s - level)
            d = np.float32(twice * (4 * b + apart_by) - t - level)
            e = np.float32(np.int32(e3[0, lane]) + np.int32(e4[0, lane]))
            p = n * (n * (n * c[6] + c[5]) + c[4]) + (e * c[18] + c[3])
            p = n * p + c[2]
            q = n * (n * (n * c[9] + c[8]) + (e * c[19] + c[7]))
            q = d * c[12] + (u * (n * c[11] + c[10]) + q)
            p = u * q + p
            p = f * (d * c[15] + (n * c[14] + c[13])) + p
            p = d * (n * c[17] + c[16]) + p
            level_of_code = n * n / p * line[0] + zero
            code = np.int32(min(max(level_of_code, np.float32(0)), line[1]))
            mask = turn[lane] ^ whole
            row[lane] = np.int8((code ^ mask) - mask)


@plain
def plain_count(words, cells, column, start, found):  # type: ignore[no-untyped-def]
    """`ideal.count_ones` of some columns and vectors, nothing inverted."""
    found[:] = 0
    for k in range(len(words)):
        given = words[k, start : start + found.shape[1]]
        for own in range(found.shape[0]):
            cell, row = cells[column + own, k], found[own]
            for lane in range(found.shape[1]):
                row[lane] += kernels.ones_of(given[lane] & cell)


@plain
def plain_fill(factors, bits, table, first):  # type: ignore[no-untyped-def]
    """`factored_kernels._fill_field`."""
    flat = factors.reshape(-1)
    held = np.zeros(64, np.int64)
    for bit in range(8):
        for lane in range(64):
            held[lane] |= np.int64(bits[bit, lane]) << bit
    for part in range(2):
        for value in range(256):
            row, own = table[0, 0, part, value], held[32 * part : 32 * part + 32]
            for lane in range(32):
                row[lane] = flat[first + (value & own[lane])]


@plain
def plain_sums(codes, which, rows, vectors, total):  # type: ignore[no-untyped-def]
    """`repeats._add_up` of four reads."""
    for vector in range(vectors):
        first, second = codes[0, which[rows[0], vector]], codes[1, which[rows[1], vector]]
        third, fourth, row = codes[2, which[rows[2], vector]], codes[3, which[rows[3], vector]], total[vector]
        for lane in range(64):
            row[lane] += np.int8(first[lane] + second[lane] + third[lane] + fourth[lane])


@plain
def plain_cells(cells, first, n, lines, place):  # type: ignore[no-untyped-def]
    """`exact.codes._set_cells`."""
    line, table = lines[place], cells.reshape(-1, 8)
    for k in range(LANES):
        cell, on = table[first + n[k]], 3 if line[11 * LANES + k] != 0 else 0
        line[k], line[LANES + k], line[2 * LANES + k] = cell[on], cell[on + 1], cell[on + 2]
        line[9 * LANES + k], line[10 * LANES + k] = cell[6], cell[7]


@plain
def plain_layout(image, sums, product, step, column, pixel, laid_out):  # type: ignore[no-untyped-def]
    """`packed._lay_image_out`."""
    _, columns, area = laid_out.shape
    for k in range(columns):
        row, added, first = laid_out[image, k], product[k], image * area
        for place in range(area):
            total = step * sums[first + place, k] + np.float32(added[first + place])
            row[place] = np.float32(4) * total + column[k] + pixel[first + place]


@njit(nogil=True)
def written_factored(  # type: ignore[no-untyped-def]
    table, moved, words, inverted, asserted, places, offset, shift, highest, turn, codes, parts
):
    """The same by hand."""
    where = 0, len(words)
    factored._set_codes(
        table, moved, words, inverted, asserted, places, where, offset, shift, highest, turn, codes, parts
    )


@njit(nogil=True)
def written_wires(table, words, inverted, asserted, leaks, places, c, line, zeros, turn, out, parts):  # type: ignore[no-untyped-def]
    """The same by hand."""
    where = 0, len(inverted)
    wires.set_codes(table, words, inverted, asserted, leaks, places, where, c, line, zeros, turn, out, parts)


@njit(nogil=True)
def written_sums(codes, which, rows, vectors, total, together):  # type: ignore[no-untyped-def]
    """The same by hand."""
    repeats._add_up(codes, which, rows, vectors, total, together)


@njit(nogil=True)
def written_counts(given, held, found):  # type: ignore[no-untyped-def]
    """All vectors and columns, by hand."""
    for start in range(0, found.shape[1], ideal.VECTORS):
        for column in range(0, len(found), ideal.COLUMNS):
            ideal.count_ones(given, held, start, column, 6, found, column, start)


@njit(nogil=True)
def plain_counts(words, cells, room, found):  # type: ignore[no-untyped-def]
    """All vectors and columns, plain."""
    for start in range(0, found.shape[1], ideal.VECTORS):
        for column in range(0, len(found), ideal.COLUMNS):
            plain_count(words, cells, column, start, room)
            found[column : column + ideal.COLUMNS, start : start + ideal.VECTORS] = room


@njit(nogil=True)
def written_fill(factors, bits, table, first):  # type: ignore[no-untyped-def]
    """The same by hand."""
    factored._fill_field(factors, bits, table, first)


@njit(nogil=True)
def written_cells(cells, first, n, lines, rows):  # type: ignore[no-untyped-def]
    """Of all rows, by hand."""
    for row in range(rows):
        codes._set_cells(cells, first + row * cells.shape[1], n, lines, row)


@njit(nogil=True)
def plainly_cells(cells, first, n, lines, rows):  # type: ignore[no-untyped-def]
    """Of all rows, plain."""
    for row in range(rows):
        plain_cells(cells, first + row * cells.shape[1], n, lines, row)


def main() -> None:
    """Time each loop in both forms."""
    rng = np.random.default_rng(0)
    found = {
        "reads of 16 rows, factored": _factored(rng),
        "reads of 64 rows, sums of what wires carry": _wires(rng),
        "codes of 16 rows added up, of a vector and four reads": _added(rng),
        "ideal reads, 18 words": _counts(rng),
        "table of 16 rows, of a field and byte": _filled(rng),
        "exact engine's start, of a row": _cells(rng),
        "layout of a layer, of a pixel's 64 columns": _laid_out(rng),
    }
    print(json.dumps({"code_for": target(), "ratios": found, "provenance": provenance({})}, indent=1))


def _factored(rng: np.random.Generator) -> dict[str, Any]:
    table = rng.integers(-2000, 2000, (2, 2, 2, 256, 32)).astype(np.int16)
    offset, turn = np.full(17, 4000, np.int16), -rng.integers(0, 2, 64).astype(np.int16)
    words = rng.integers(0, 1 << 16, READS).astype(np.uint16)
    given = words, rng.integers(0, 2, READS).astype(np.uint8), rng.integers(0, 17, READS).astype(np.int16)
    codes, places = np.zeros((2, READS, 64), np.int8), np.arange(READS, dtype=np.int32)
    shared = offset, np.int16(8), np.int16(15), turn
    moved, parts = np.zeros((0, 2, 256, 32), np.int16), ((0,), (), (), (0,), (0,))
    return _compare(
        lambda: written_factored(table, moved, *given, places, *shared, codes[0], parts),
        lambda: plain_factored(table, *given, *shared, codes[1]),
        lambda: codes,
    )


def _added(rng: np.random.Generator) -> dict[str, Any]:
    codes = rng.integers(-31, 32, (4, READS, 64)).astype(np.int8)
    which, rows = rng.integers(0, READS // 2, (4, READS)).astype(np.uint16), np.arange(4)
    totals = np.zeros((2, READS, 64), np.int16)
    return _compare(
        lambda: written_sums(codes, which, rows, READS, totals[0], (0,) * 4),
        lambda: plain_sums(codes, which, rows, READS, totals[1]),
        lambda: totals,
    )


def _wires(rng: np.random.Generator) -> dict[str, Any]:
    table = rng.integers(0, 2, (8, 256, 2, 64)).astype(np.uint8) * np.uint8(8)
    words = rng.integers(0, 1 << 63, (1, 1, 1, READS, 1)).astype(np.uint64)
    c = np.concatenate([[0.5, 1.0, 1e-30, 1.0], rng.uniform(0, 1e-6, 16)]).astype(np.float32)  # close to n
    line, zeros = np.array([1.0, 63.0], np.float32), np.zeros(65, np.float32)
    given = rng.integers(0, 2, READS).astype(np.uint8), rng.integers(0, 65, READS).astype(np.int16)
    turn, leaks = -rng.integers(0, 2, 64).astype(np.int32), np.zeros((0, 2), np.float32)
    codes, places = np.zeros((2, READS, 64), np.int8), np.arange(READS, dtype=np.int32)
    bytes_, parts = words.view(np.uint8).reshape(READS, 8), ((0,) * 4, (0,), ())
    return _compare(
        lambda: written_wires(table, words, *given, leaks, places, c, line, zeros, turn, codes[0], parts),
        lambda: plain_wires(table, bytes_, *given, c, line, zeros, turn, codes[1]),
        lambda: codes,
    )


def _counts(rng: np.random.Generator) -> dict[str, Any]:
    words = rng.integers(0, 1 << 63, (18, READS)).astype(np.uint64)
    cells = rng.integers(0, 1 << 63, (64, 18)).astype(np.uint64)
    given, held = ideal._Bits(words, None, None), ideal._Bits(cells, None, None)
    room, found = np.zeros((ideal.COLUMNS, ideal.VECTORS), np.int64), np.zeros((2, 64, READS), np.float32)
    return _compare(
        lambda: written_counts(given, held, found[0]),
        lambda: plain_counts(words, cells, room, found[1]),
        lambda: found,
    )


def _filled(rng: np.random.Generator) -> dict[str, Any]:
    factors = rng.integers(-2000, 2000, (1, 1, 256)).astype(np.int16)
    bits, tables = rng.integers(0, 2, (8, 64)).astype(np.int16), np.zeros((2, 1, 1, 2, 256, 32), np.int16)
    return _compare(
        lambda: written_fill(factors, bits, tables[0], 0),
        lambda: plain_fill(factors, bits, tables[1], 0),
        lambda: tables,
        each=1,
    )


def _cells(rng: np.random.Generator) -> dict[str, Any]:
    rows = 64
    cells = rng.uniform(0, 1, (rows, rows + 1, 8)).astype(np.float32)
    lines = np.zeros((2, rows, 12 * LANES), np.float32)
    lines[:, :, 11 * LANES :] = rng.integers(0, 2, (rows, LANES))
    n = rng.integers(5, 15, LANES)
    return _compare(
        lambda: written_cells(cells, 0, n, lines[0], rows),
        lambda: plainly_cells(cells, 0, n, lines[1], rows),
        lambda: lines,
        each=rows,
    )


def _laid_out(rng: np.random.Generator) -> dict[str, Any]:
    sums = rng.integers(-999, 999, (READS, 64)).astype(np.float32)
    product, step = rng.integers(-999, 999, (64, READS)).astype(np.int32), np.float32(1.5)
    column, pixel = (rng.integers(0, 99, size).astype(np.float32) for size in (64, READS))
    found = np.zeros((2, 1, 64, READS), np.float32)
    return _compare(
        lambda: packed._lay_image_out(0, sums, product, step, column, pixel, found[0]),
        lambda: plain_layout(0, sums, product, step, column, pixel, found[1]),
        lambda: found,
    )


def _compare(
    written: Callable[[], Any], loop: Callable[[], Any], results: Callable[[], Any], *, each: int = READS
) -> dict[str, Any]:
    """Nanoseconds for one of `each`, reads of 64 columns, in both forms, and how much longer the plain one takes."""
    written(), loop()  # compiles
    ours, theirs = results()
    same = {"that_differ": float((ours != theirs).mean()), "values": len(np.unique(ours))}
    times = [(_time(written), _time(loop)) for _ in range(REPEATS)]
    ratio = float(np.median([theirs / ours for ours, theirs in times]))
    by_hand, plainly = (min(form) * 1e9 / LOOPS / each for form in zip(*times, strict=True))
    return {"by_hand_ns": by_hand, "plain_ns": plainly, "plain_over_by_hand": ratio, **same}


def _time(action: Callable[[], Any]) -> float:
    before = time.thread_time()
    for _ in range(LOOPS):
        action()
    return time.thread_time() - before


if __name__ == "__main__":
    main()
