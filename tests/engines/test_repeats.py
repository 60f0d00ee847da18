"""Which reads of a batch differ, and what is added up for those that do not."""

import numpy as np
import pytest

from spicekit.engines.fast.repeats import (
    COLUMNS,
    LARGEST_CODE,
    MOST_VECTORS,
    block_of,
    blocks_of,
    find_repeats,
    finish,
    hand_in,
    room_to_add,
)

ALWAYS = 1e9
"""How much longer a code is to take: so that repeats are looked for whatever is found."""


def batch_of(kind, q, *, images=3, pixels=50, distinct=8, seed=0):
    """Words of a few kinds, applied inverted or not: so that a word occurs both ways."""
    rng = np.random.default_rng(seed)
    some = rng.integers(0, np.iinfo(kind).max, (distinct, q), dtype=kind, endpoint=True)
    shape = images, 2, 3, pixels
    return some[rng.integers(0, distinct, shape)], rng.integers(0, 2, shape).astype(np.uint8)


def read_of(array, image, pixel, few, each, group, tile):
    """What a block's vectors apply in one read, image by image."""
    part = array[image : image + few, group, tile, pixel : pixel + each]
    return part.reshape(few * each, *part.shape[2:])


@pytest.mark.parametrize(("kind", "q"), [(np.uint16, 1), (np.uint64, 1), (np.uint64, 3)])
@pytest.mark.parametrize("block", [1000, 100, 16])  # all images, two of them, a part of one
def test_every_vector_finds_its_own_read_among_those_that_differ(kind, q, block):
    words, inverted = batch_of(kind, q)
    images, groups, tiles, pixels = inverted.shape
    found = find_repeats(words, inverted, block=block, worth=ALWAYS)
    flat, turned = words.reshape(-1, q), inverted.ravel()
    assert len(found.differ) == blocks_of(images, pixels, block)
    seen = 0
    for number in range(len(found.differ)):
        where = image, pixel, few, each = block_of(number, images, pixels, block)
        seen += few * each
        for group in range(groups):
            sought = False
            for tile in range(tiles):
                given, turns = (read_of(array, *where, group, tile) for array in (words, inverted))
                count, which = found.differ[number, group, tile], found.which[number, group, tile, : few * each]
                start = ((image * groups + group) * tiles + tile) * pixels + pixel
                first = start + found.place[number, group, tile, :count].astype(int)
                assert (flat[first][which] == given).all()
                assert (turned[first][which] == turns).all()
                differ = len(np.unique(np.column_stack([given, turns]), axis=0))
                sought = sought if tile else differ < few * each
                assert count == (differ if sought else few * each)
    assert seen == images * pixels


@pytest.mark.parametrize("kind", [np.uint16, np.uint64])
def test_a_full_block_of_reads_that_all_differ(kind):
    words = np.arange(MOST_VECTORS, dtype=kind).reshape(2, 1, 1, -1, 1)
    found = find_repeats(words, np.zeros(words.shape[:4], np.uint8), block=MOST_VECTORS, worth=ALWAYS)
    assert found.differ == MOST_VECTORS
    assert (found.which.ravel() == np.arange(MOST_VECTORS)).all()


@pytest.mark.parametrize("kind", [np.uint16, np.uint64])
@pytest.mark.parametrize(("worth", "sought"), [(0.9, (False, False)), (1.1, (False, True)), (2.0, (True, True))])
def test_where_few_repeat_all_are_taken_as_different(kind, worth, sought):
    """What is spared must be worth the search, in the first tile of each group: here 90 of 150 reads, and 149."""
    words, inverted = batch_of(kind, 1)
    words[:, 0] = (np.arange(150) % 60).reshape(3, 1, 50, 1)
    words[:, 1], inverted[:] = 7, 0
    found = find_repeats(words, inverted, block=1000, worth=worth)
    for group, (differ, looked) in enumerate(zip((60, 1), sought, strict=True)):
        count = found.differ[0, group]
        assert (count == (differ if looked else 150)).all()
        places = group * 3 * 50 + found.place[0, group, 0, : count[0]].astype(int)
        assert (words.ravel()[places][found.which[0, group, 0]] == words[:, group, 0, :, 0].ravel()).all()


@pytest.mark.parametrize("highest", [0, 7, 31, 32, 63, 100, 255])
@pytest.mark.parametrize("reads", [1, 5, 300])
@pytest.mark.parametrize("width", [64, 3])
def test_codes_are_added_up_whatever_their_size_and_number(highest, reads, width):
    """300 codes of 255 exceed 16 bits; as many as 8 bits hold the sum of are added at once."""
    rng = np.random.default_rng(highest)
    vectors, some = 20, 6
    codes = rng.integers(-highest, highest + 1, (reads, some, COLUMNS))
    codes[:, 0] = highest
    which = rng.integers(0, some, (reads, vectors)).astype(np.uint16)
    which[:, 0] = 0
    adding = room_to_add(vectors, highest)
    assert len(adding.together) * highest <= LARGEST_CODE or len(adding.together) == 1
    sums = np.full((vectors + 2, COLUMNS + 5), np.nan, np.float32)
    where = 2, 5, vectors, width
    for read in range(reads):
        adding.codes[adding.state[0], :some] = codes[read]
        hand_in(adding, read, which, where, sums)
    finish(adding, which, where, sums)
    expected = sum(codes[read][which[read]] for read in range(reads))
    assert (sums[2:, 5 : 5 + width] == expected[:, :width]).all()
    assert np.isnan(sums[:2]).all()
    assert np.isnan(sums[:, :5]).all()
    assert np.isnan(sums[:, 5 + width :]).all()
