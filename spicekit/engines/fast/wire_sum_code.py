"""Code of the loops in `wire_sum_kernels`, in vectors: what a plain loop would be compiled to too slowly.

What the bytes of a read add in 64 columns, the sums over them, and the polynomial. How many bytes a read has is known
when the code is made, so that no loop is left in it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spicekit.engines.fast.repeats import COLUMNS
from spicekit.engines.lanes import INT8, INT16, INT32, INT64, Lanes, register_bits

NARROW_ROWS = 64
"""Rows up to which running numbers fit 8 bits and sums 16."""
NARROW_RANGE = -30317, 25488
"""The least and the most that sums are, over all patterns of 64 rows: proven in tests/engines/test_sum_bounds.py."""
TERMS = 18
"""Coefficients of the polynomial; before them come two numbers, see `WireSumCodes`."""

_SINGLES = 32 if register_bits() == 512 else 16
"""Single-precision numbers at a time: two registers or more, whose chains of operations overlap, and not too many."""


@intrinsic
def fill_values(context, table, added):  # type: ignore[no-untyped-def]
    """Set the entries of all values of a byte: each adds up what its bits add, `added` (8, 2, 64)."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        entries, more = (
            context.make_array(kind)(context, builder, argument).data
            for kind, argument in zip(signature.args, arguments, strict=True)
        )
        both = 2 * COLUMNS
        kind = ir.VectorType(INT8, register_bits() // 8)

        def at(data: Any, place: Any, lane: int) -> Any:
            return builder.gep(data, [builder.add(builder.mul(place, INT64(both)), INT64(lane))])

        def sums(first: Lanes, bits: list[Lanes]) -> list[Lanes]:
            found = [first]
            for bit in bits:
                found += [each + bit for each in found]
            return found

        for lane in range(0, both, kind.count):
            bits = [Lanes.load(builder, at(more, INT64(bit), lane), kind) for bit in range(8)]
            for upper, base in enumerate(sums(Lanes(builder, ir.Constant(kind, None)), bits[4:])):
                for lower, value in enumerate(sums(base, bits[:4])):
                    value.store(at(entries, INT64(16 * upper + lower), lane))
        return context.get_dummy_value()

    return types.void(table, added), generate


@intrinsic
def find_currents(context, table, flat, start, coefficients, added, moment, current, on, half):  # type: ignore[no-untyped-def]
    """Set `current` (LSB) and `on` (ON cells) of 64 columns for one read, of twice as many bytes as `half` is long."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        entries, bits, numbers, out, counts = _arrays(context, builder, signature, arguments, (0, 1, 3, 6, 7))
        first = builder.gep(bits.data, [arguments[2]])
        narrow = ir.VectorType(INT16, _SINGLES)
        reads = _read(builder, half.count, entries.data, first, numbers.data, arguments[4:6])
        for column, twice, found in reads:
            on_cells = builder.lshr(twice.value, twice.value.type([1] * _SINGLES))
            Lanes(builder, builder.trunc(on_cells, narrow)).store(_at(builder, counts.data, column))
            found.store(_at(builder, out.data, column))
        return context.get_dummy_value()

    return types.void(table, flat, start, coefficients, added, moment, current, on, half), generate


@intrinsic
def set_codes(  # type: ignore[no-untyped-def]
    context, table, words, inverted, asserted, leaks, places, where, coefficients, line, zeros, turn, codes, parts
):
    """Set the signed `codes` (n, 64) of 64 columns, of a converter whose thresholds are equally spaced.

    Of reads at `places` from a start on; `where` is that start, and how many. What they share stays in registers.
    """
    half, flips, leaky = (part.count for part in parts.types)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        entries, bits, turns, ones, leak, own, numbers, scale, offsets, turned, out = _arrays(
            context, builder, signature, arguments, (0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11)
        )
        start, count = (builder.extract_value(arguments[6], k) for k in range(2))
        slope, most = (Lanes.splat(builder, builder.load(_at(builder, scale.data, k)), _SINGLES) for k in range(2))
        nothing = Lanes(builder, ir.Constant(slope.value.type, [0.0] * _SINGLES))
        whole = ir.VectorType(INT32, _SINGLES)
        length = builder.extract_value(bits.shape, 4)
        narrow = ir.VectorType(out.data.type.pointee, _SINGLES)
        with cgutils.for_range(builder, count) as loop:
            place = builder.add(start, builder.sext(builder.load(builder.gep(own.data, [loop.index])), INT64))
            word = builder.gep(bits.data, [builder.mul(place, length)])
            first = builder.bitcast(word, INT8.as_pointer())
            asserted = builder.zext(builder.load(builder.gep(ones.data, [place])), INT64)
            zero = Lanes.splat(builder, builder.load(builder.gep(offsets.data, [asserted])), _SINGLES)
            inverted = builder.neg(builder.zext(builder.load(builder.gep(turns.data, [place])), INT32))
            others = Lanes.splat(builder, inverted, _SINGLES)
            added = None
            if leaky:
                both = builder.gep(leak.data, [builder.shl(place, INT64(1))])
                added = tuple(builder.load(_at(builder, both, k)) for k in range(2))
            row = builder.gep(out.data, [builder.mul(loop.index, INT64(COLUMNS))])
            for column, _, found in _read(builder, half, entries.data, first, numbers.data, added):
                code = found.times_plus(slope, zero).clamped(nothing, most).whole()
                if flips:
                    mask = Lanes.load(builder, _at(builder, turned.data, column), whole) ^ others
                    code = (code ^ mask) - mask
                Lanes(builder, builder.trunc(code.value, narrow)).store(_at(builder, row, column))
        return context.get_dummy_value()

    kinds = table, words, inverted, asserted, leaks, places, where, coefficients, line, zeros, turn, codes, parts
    return types.void(*kinds), generate


def _arrays(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any, places: Iterable[int]) -> list[Any]:
    """Some of the arguments."""
    return [context.make_array(signature.args[k])(context, builder, arguments[k]) for k in places]


def _read(
    builder: ir.IRBuilder, half: int, table: Any, first: Any, numbers: Any, leak: Any
) -> Iterator[tuple[int, Lanes, Lanes]]:
    """Columns, twice their ON cells and their currents, some at a time, of the read whose bytes begin at `first`."""
    narrow = 16 * half <= NARROW_ROWS
    for start in (0,) if narrow else range(0, COLUMNS, _SINGLES):
        for sums in _sums(builder, half, table, first, start, narrow=narrow):
            lanes = sums[0].value.type.count
            for part in range(0, lanes, _SINGLES):
                n, *others = (x.part(part // _SINGLES, _SINGLES) for x in sums)
                found = _polynomial(builder, numbers, leak, *(x.single() for x in (n, *others)))
                yield start, n, found
                start += _SINGLES


def _at(builder: ir.IRBuilder, pointer: Any, place: int) -> Any:
    return builder.gep(pointer, [INT32(place)])


def _sums(
    builder: ir.IRBuilder, half: int, table: Any, first: Any, column: int, *, narrow: bool
) -> Iterator[tuple[Lanes, ...]]:
    """2 n, u, f, b and e of columns from `column` on, for twice `half` bytes from `first` on, in 32 bits.

    Bytes are taken from both ends of a column inwards. What exceeds a sum's bits on the way falls away again.
    """
    kind = ir.VectorType(INT8, COLUMNS if narrow else _SINGLES)

    def widened(x: Lanes) -> tuple[Lanes, ...]:
        """As they are where they are squared and added: running numbers."""
        return x.parted(signed=False) if narrow else (x,)

    counts, ends = [], []
    for order in (range(half), range(2 * half - 1, half - 1, -1)):
        before: Lanes | None = None
        linear: list[Lanes] = []
        square: list[Lanes] = []
        for step, byte in enumerate(order):
            value = builder.zext(builder.load(builder.gep(first, [INT64(byte)])), INT64)
            entry = builder.mul(builder.add(INT64(256 * byte), value), INT64(2 * COLUMNS))
            count, inside = (
                Lanes.load(builder, builder.gep(table, [builder.add(entry, INT64(field + column))]), kind)
                for field in (0, COLUMNS)
            )
            if not narrow:
                count, inside = count.widen(INT32), inside.widen(INT32)
            running = widened(inside if before is None else before + inside)
            squares = [x * x for x in running]
            linear = [a + x for a, x in zip(linear, running, strict=True)] if step else list(running)
            square = [a + x for a, x in zip(square, squares, strict=True)] if step else squares
            if step < half - 1:
                before = count if before is None else before + count
        nothing = Lanes(builder, ir.Constant(count.value.type, None))
        counts.append((count, before or nothing))
        ends.append((linear, square))
    n = (counts[0][0].mean(counts[0][1])).mean(counts[1][0].mean(counts[1][1]))
    middle = counts[0][0] + counts[1][0]
    even = 8 * half // 3
    for k, (twice, e) in enumerate(zip(widened(n), widened(middle), strict=True)):
        (a, s), (c, t) = ((linear[k], square[k]) for linear, square in ends)
        level = twice * twice * Lanes(builder, ir.Constant(twice.value.type, [even] * twice.value.type.count))
        u = a - c
        f, b = twice * ((a << 2) - u) - s - level, twice * ((c << 2) + u) - t - level
        if not narrow:
            yield twice, u, f, b, e
            continue
        wide = [x.parted(signed=signed) for x, signed in ((twice, False), (u, True), (f, True), (b, True), (e, False))]
        yield tuple(low.beside(high) for low, high in wide)


def _polynomial(
    builder: ir.IRBuilder, numbers: Any, leak: Any, n: Lanes, u: Lanes, f: Lanes, b: Lanes, e: Lanes
) -> Lanes:
    """Current in LSB of the sums of `wire_sums.features`, n twice; `wire_sums.current` is the same in numpy."""

    def number(k: int) -> Lanes:
        return Lanes.splat(builder, builder.load(_at(builder, numbers, k)), _SINGLES)

    half, keep = (number(k) for k in range(2))
    c = [number(2 + k) for k in range(TERMS)]
    if leak is None:
        n, u = n * half, u * keep
    else:
        added, moment = (Lanes.splat(builder, scalar, _SINGLES) for scalar in leak)
        n, u = n.times_plus(half, added), u.times_plus(keep, moment)
    p = n.times_plus(n.times_plus(n.times_plus(c[4], c[3]), c[2]), e.times_plus(c[16], c[1]))
    p = n.times_plus(p, c[0])
    q = n * n.times_plus(n.times_plus(c[7], c[6]), e.times_plus(c[17], c[5]))
    q = b.times_plus(c[10], u.times_plus(n.times_plus(c[9], c[8]), q))
    p = u.times_plus(q, p)
    p = f.times_plus(b.times_plus(c[13], n.times_plus(c[12], c[11])), p)
    p = b.times_plus(n.times_plus(c[15], c[14]), p)
    return n * n / p
