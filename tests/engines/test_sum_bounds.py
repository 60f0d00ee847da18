"""What the surrogate's kernel for 17 to 64 rows keeps in 16 bits: its sums fit, for every pattern there is.

Each sum depends on the bytes of a pattern by few numbers, so that all patterns can be gone through: of a byte, how many
ON cells it has and what they add to its running numbers; of each half of a read, the ON cells and the running numbers,
added; and for each of these the least and the most that their squares add up to.
"""

import collections
import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from spicekit.engines.fast.wire_sum_code import NARROW_RANGE, NARROW_ROWS
from spicekit.engines.fast.wire_sums import features, read_bytes


def halves(size: int, *, near: bool) -> dict[tuple[int, int], tuple[int, int]]:
    """By ON cells of half a read and the sum of its running numbers: the least and the most of their squares' sum."""
    bit = np.arange(8)
    behind = 8 - bit if near else bit
    bits = np.arange(256)[:, None] >> bit & 1
    values = {(int(byte.sum()), int(byte @ behind)) for byte in bits}
    found = {(0, 0): (0, 0)}
    for _ in range(size // 2):  # from the end of the column inwards
        grown: dict[tuple[int, int], tuple[int, int]] = {}
        for (count, linear), (least, most) in found.items():
            for ones, inside in values:
                x = 8 * count + inside
                assert x < 256  # 8 bits hold a running number
                key = count + ones, linear + x
                low, high = grown.get(key, (least + x * x, most + x * x))
                grown[key] = min(low, least + x * x), max(high, most + x * x)
        found = grown
    return found


def extremes(size: int) -> dict[str, tuple[int, int]]:
    """The least and the most of u, f and b over all patterns of a read of so many bytes.

    With n1 and n2 ON cells in the halves, n = n1 + n2, what each half adds to

        u = a - c,  f = 8 n a - 2 n u - level n^2 - s,  b = 8 n c + 2 n u - level n^2 - t

    is its own: a and s of the near half's running numbers, their sum and the sum of their squares, c and t of the far.
    """

    def by_count(near: bool) -> dict[int, NDArray[np.int64]]:
        grouped = collections.defaultdict(list)
        for (count, linear), (least, most) in halves(size, near=near).items():
            grouped[count].append((linear, least, most))
        return {count: np.array(rows).T for count, rows in grouped.items()}

    found: dict[str, list[int]] = {"u": [], "f": [], "b": []}
    for (n1, (a, *s)), (n2, (c, *t)) in itertools.product(by_count(True).items(), by_count(False).items()):
        n = n1 + n2
        level = 4 * (4 * size // 3) * n**2
        for end, (ss, tt) in ((np.min, (s[1], t[1])), (np.max, (s[0], t[0]))):
            found["u"].append(int(end(a) + end(-c)))
            found["f"].append(int(end(6 * n * a - ss) + end(2 * n * c) - level))
            found["b"].append(int(end(6 * n * c - tt) + end(2 * n * a) - level))
    return {name: (min(values), max(values)) for name, values in found.items()}


@pytest.mark.parametrize("rows", [32, 48, 64])
def test_every_pattern_has_sums_that_16_bits_hold(rows):
    found = extremes(read_bytes(rows))
    low, high = np.iinfo(np.int16).min, np.iinfo(np.int16).max
    assert all(low <= least <= most <= high for least, most in found.values())
    if rows == NARROW_ROWS:  # what the kernel's text states is what there is
        ranges = found["f"], found["b"]
        assert (min(least for least, _ in ranges), max(most for _, most in ranges)) == NARROW_RANGE


def test_the_ends_are_met_by_patterns_and_not_exceeded_by_a_search():
    """Up the hill from random patterns, one cell or one pair of cells at a time; runs and their complements, too."""
    rng = np.random.default_rng(0)
    met = []
    for sign in (1, -1):
        bits = np.tril(np.ones((65, 64), np.uint8), -1)
        bits = np.concatenate([bits, 1 - bits, rng.integers(0, 2, (16, 64), dtype=np.uint8)])
        for which in (2, 3):
            best = bits.copy()
            for _ in range(400):
                tried = best ^ (rng.random(best.shape) < rng.choice([1, 2, 4], (len(best), 1)) / 64).astype(np.uint8)
                better = sign * features(tried, tried, share=0.0)[which] > sign * features(best, best, share=0.0)[which]
                best[better] = tried[better]
            found = features(best, best, share=0.0)[which]
            assert NARROW_RANGE[0] <= found.min() <= found.max() <= NARROW_RANGE[1]
            met += [found.min(), found.max()]
    assert min(met) == NARROW_RANGE[0]
    assert max(met) == NARROW_RANGE[1]
