"""What machine code written by hand earns over plain loops that Numba compiles; prints JSON.

    python scripts/bench_code.py

Each innermost loop of the fast engine runs in both forms on the same made-up reads, alternately on one thread; seconds
are of processor time, so that a busy machine slows both. Plain loops get what help there is: numbers of the same width,
fused operations, slices taken out of the loop.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from spicekit.engines.fast import factored_kernels as factored
from spicekit.engines.fast import ideal, kernels
from spicekit.engines.fast import wire_sum_code as wires
from spicekit.engines.lanes import target
from spicekit.provenance import provenance

READS = 1024
"""For one tile of 64 columns: what a tile's table is shared by."""
REPEATS, LOOPS = 7, 40

plain: Any = njit(error_model="numpy", nogil=True, fastmath={"contract", "nsz", "arcp"})


@plain
def plain_factored(table, reads, offset, shift, highest, turn, total):  # type: ignore[no-untyped-def]
    """`factored_kernels._add_codes` with one product, clamped and flipped."""
    for read in range(len(reads)):
        low, high = reads[read] & 255, (reads[read] >> 8) & 255
        added, inverted = offset[(reads[read] >> 16) & 31], np.int16(-(reads[read] >> 31))
        f, g, u, v = table[0, 0, low], table[1, 0, high], table[0, 1, low], table[1, 1, high]
        row = total[read]
        for lane in range(64):
            x = np.int16(f[lane] + g[lane] + ((np.int32(u[lane]) * np.int32(v[lane])) >> 16) + added)
            code = np.int16(min(max(np.int16(x >> shift), np.int16(0)), highest))
            mask = np.int16(turn[lane] ^ inverted)
            row[lane] = np.int16(row[lane] + np.int16((code ^ mask) - mask))


@plain
def plain_wires(table, given, apart, c, line, turn, total):  # type: ignore[no-untyped-def]
    """`wire_sum_code.add_codes` of reads of 64 rows, with flips; columns in the order of the table."""
    for read in range(len(given)):
        entries, places = table, given[read]
        added, moment, zero, inverted = (
            apart[read, 0],
            apart[read, 1],
            apart[read, 2],
            np.int32(apart[read, 3]),
        )
        row = total[read]
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
            n = np.float32(twice) * c[0] + added
            u = np.float32(apart_by) * c[1] + moment
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
            mask = turn[lane] ^ inverted
            row[lane] += (code ^ mask) - mask


@plain
def plain_count(words, cells, chunk, start, found):  # type: ignore[no-untyped-def]
    """`ideal.count_ones` of some vectors and a chunk of columns, nothing inverted."""
    found[:] = 0
    for k in range(words.shape[1]):
        held = cells[chunk, k]
        for vector in range(found.shape[0]):
            word, row = words[start + vector, k], found[vector]
            for lane in range(found.shape[1]):
                row[lane] += kernels.ones_of(held[lane] & word)


@njit(nogil=True)
def written_factored(table, moved, reads, offset, shift, highest, turn, total, parts):  # type: ignore[no-untyped-def]
    """The same by hand."""
    factored._add_codes(table, moved, reads, offset, shift, highest, turn, total, parts)


@njit(nogil=True)
def written_wires(table, given, apart, coefficients, line, turn, total, parts):  # type: ignore[no-untyped-def]
    """The same by hand."""
    wires.add_codes(table, given, apart, coefficients, line, turn, total, parts)


@njit(nogil=True)
def written_counts(words, cells, chunks, found):  # type: ignore[no-untyped-def]
    """All vectors and chunks, by hand."""
    for start in range(0, len(words), found.shape[0]):
        for chunk in range(chunks):
            ideal.count_ones(words, None, start, cells, None, chunk, found)


@njit(nogil=True)
def plain_counts(words, cells, chunks, found):  # type: ignore[no-untyped-def]
    """All vectors and chunks, plain."""
    for start in range(0, len(words), found.shape[0]):
        for chunk in range(chunks):
            plain_count(words, cells, chunk, start, found)


def main() -> None:
    """Time each loop in both forms."""
    rng = np.random.default_rng(0)
    found = {
        "reads of 16 rows, factored": _factored(rng),
        "reads of 64 rows, sums of what wires carry": _wires(rng),
        "ideal reads, 18 words": _counts(rng),
    }
    print(json.dumps({"code_for": target(), "ratios": found, "provenance": provenance({})}, indent=1))


def _factored(rng: np.random.Generator) -> dict[str, Any]:
    table = rng.integers(-2000, 2000, (2, 2, 256, 64)).astype(np.int16)
    offset, turn = np.full(17, 4000, np.int16), -rng.integers(0, 2, 64).astype(np.int16)
    reads = rng.integers(0, 1 << 21, READS).astype(np.uint32)
    reads |= rng.integers(0, 2, READS).astype(np.uint32) << np.uint32(31)
    totals = np.zeros((2, READS, 64), np.int16)
    shared = reads, offset, np.int16(8), np.int16(15), turn
    moved, parts = np.zeros((0, 256, 64), np.int16), ((0,), (), (), (0,), (0,))
    signed = reads.view(np.int32).astype(np.int64) & 0xFFFFFFFF
    return _compare(
        lambda: written_factored(table, moved, *shared, totals[0], parts),
        lambda: plain_factored(table, signed, *shared[1:], totals[1]),
        lambda: totals,
    )


def _wires(rng: np.random.Generator) -> dict[str, Any]:
    table = rng.integers(0, 2, (8, 256, 2, 64)).astype(np.uint8) * np.uint8(8)
    words = rng.integers(0, 1 << 63, (READS, 1)).astype(np.uint64)
    c = np.concatenate([[0.5, 1.0, 1e-30, 1.0], rng.uniform(0, 1e-6, 16)]).astype(np.float32)  # close to n
    line = np.array([1.0, 63.0], np.float32)
    apart = np.zeros((READS, 4), np.float32)
    apart[:, 3] = -rng.integers(0, 2, READS)
    turn = -rng.integers(0, 2, 64).astype(np.int32)
    order = np.argsort(4 * (np.arange(64) % 16) + np.arange(64) // 16 % 2 * 2 + np.arange(64) // 32)
    totals = np.zeros((2, READS, 64), np.int32)
    given = words.view(np.uint8)
    return _compare(
        lambda: written_wires(table, words, apart, c, line, turn, totals[0], ((0,) * 4, (0,))),
        lambda: plain_wires(table, given, apart, c, line, np.ascontiguousarray(turn[order]), totals[1]),
        lambda: (totals[0][:, order], totals[1]),
    )


def _counts(rng: np.random.Generator) -> dict[str, Any]:
    words = rng.integers(0, 1 << 63, (READS, 18)).astype(np.uint64)
    cells = rng.integers(0, 1 << 63, (2, 18, ideal.LANES)).astype(np.uint64)
    room = np.zeros((2, ideal.VECTORS, ideal.LANES), np.int64)
    return _compare(
        lambda: written_counts(words, cells, 2, room[0]),
        lambda: plain_counts(words, cells, 2, room[1]),
        lambda: room,
    )


def _compare(
    written: Callable[[], Any], loop: Callable[[], Any], results: Callable[[], Any]
) -> dict[str, Any]:
    """Nanoseconds for a read (of 64 columns) in both forms, and how much longer the plain one takes."""
    written(), loop()  # compiles
    ours, theirs = results()
    same = {"that_differ": float((ours != theirs).mean()), "values": len(np.unique(ours))}
    times = [(_time(written), _time(loop)) for _ in range(REPEATS)]
    ratio = float(np.median([theirs / ours for ours, theirs in times]))
    by_hand, plainly = (min(each) * 1e9 / LOOPS / READS for each in zip(*times, strict=True))
    return {"by_hand_ns": by_hand, "plain_ns": plainly, "plain_over_by_hand": ratio, **same}


def _time(action: Callable[[], Any]) -> float:
    before = time.thread_time()
    for _ in range(LOOPS):
        action()
    return time.thread_time() - before


if __name__ == "__main__":
    main()
