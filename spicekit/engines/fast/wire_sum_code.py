"""Code of the loops in `wire_sum_kernels`, in vectors: what a plain loop would be compiled to too slowly.

What the bytes of a read add in 64 columns, the sums over them, and the polynomial. How many bytes a read has is known
when the code is made, so that no loop is left in it.

A processor adds whole numbers on other units than it multiplies real ones on, and looks ahead by half a read. So the
sums of a read are written in turn with the polynomial of the read before: functions of steps yield where the other may
go on.
"""

from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

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

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Code that is written step by step; in the end what it found."""
Sums = tuple[Lanes, ...]
"""2 n, u, f, b and e of some columns."""

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
        (sums,) = _in_turn(_sums(builder, half.count, entries.data, first))
        twice = [Lanes(builder, builder.lshr(n.value, n.value.type([1] * n.value.type.count))) for n, *_ in sums]
        _ordered(half.count, [each.narrow(INT16) for each in twice], Lanes.dealt).store(counts.data)
        (found,) = _in_turn(_polynomials(builder, half.count, numbers.data, arguments[4:6], sums, lambda x: x))
        _ordered(half.count, found, Lanes.dealt).store(out.data)
        return context.get_dummy_value()

    return types.void(table, flat, start, coefficients, added, moment, current, on, half), generate


@intrinsic
def set_codes(  # type: ignore[no-untyped-def]
    context, table, words, inverted, asserted, leaks, places, where, coefficients, line, zeros, turn, codes, parts
):
    """Set the signed `codes` (n, 64) of 64 columns, of a converter whose thresholds are equally spaced.

    Of reads at `places` from a start on; `where` is that start, and how many.
    """
    half, flips, leaky = (part.count for part in parts.types)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        entries, bits, turns, ones, leak, own, numbers, scale, offsets, turned, out = _arrays(
            context, builder, signature, arguments, (0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11)
        )
        start, count = (builder.extract_value(arguments[6], k) for k in range(2))
        slope, most = (Lanes.splat(builder, builder.load(_at(builder, scale.data, k)), _SINGLES) for k in range(2))
        nothing = Lanes(builder, ir.Constant(slope.value.type, [0.0] * _SINGLES))
        length = builder.extract_value(bits.shape, 4)
        narrow = out.data.type.pointee
        of_columns = Lanes.load(builder, turned.data, ir.VectorType(INT32, COLUMNS)).narrow(narrow)
        groups, kind = _kind(half)
        each = 1 << (groups * _SUMS - 1).bit_length()  # a power of two: addresses are shifts
        room = cgutils.alloca_once(builder, ir.ArrayType(ir.ArrayType(kind, each), 2))

        def place_of(read: Any) -> Any:
            return builder.add(start, builder.sext(builder.load(builder.gep(own.data, [read])), INT64))

        def kept(read: Any) -> list[Any]:
            """Where its sums are kept while those of the next one are added."""
            own = builder.gep(room, [INT64(0), builder.and_(read, INT64(1))])
            return [builder.gep(own, [INT64(0), INT64(k)]) for k in range(groups * _SUMS)]

        def joined(one: Lanes, other: Lanes) -> Lanes:
            """Codes in turn, in half the bits while `codes` have fewer."""
            return one.joined(other) if one.value.type.element.width > narrow.width else one.dealt(other)

        def keep_sums(read: Any) -> Steps[None]:
            word = builder.gep(bits.data, [builder.mul(place_of(read), length)])
            sums = yield from _sums(builder, half, entries.data, builder.bitcast(word, INT8.as_pointer()))
            for values, there in zip((value for group in sums for value in group), kept(read), strict=True):
                values.store(there)

        def keep_codes(read: Any) -> Steps[None]:
            place = place_of(read)
            asserted = builder.zext(builder.load(builder.gep(ones.data, [place])), INT64)
            zero = Lanes.splat(builder, builder.load(builder.gep(offsets.data, [asserted])), _SINGLES)
            added = None
            if leaky:
                both = builder.gep(leak.data, [builder.shl(place, INT64(1))])
                added = tuple(builder.load(_at(builder, both, k)) for k in range(2))
            values = [Lanes.load(builder, there, kind) for there in kept(read)]
            sums = [tuple(values[k : k + _SUMS]) for k in range(0, len(values), _SUMS)]

            def code_of(current: Lanes) -> Lanes:
                return current.times_plus(slope, zero).clamped(nothing, most).whole()

            found = yield from _polynomials(builder, half, numbers.data, added, sums, code_of)
            code = _ordered(half, found, joined).narrow(narrow)
            if flips:
                inverted = builder.neg(builder.zext(builder.load(builder.gep(turns.data, [place])), narrow))
                mask = of_columns ^ Lanes.splat(builder, inverted, COLUMNS)
                code = (code ^ mask) - mask
            code.store(builder.gep(out.data, [builder.mul(read, INT64(COLUMNS))]))

        last = builder.sub(count, INT64(1))
        with builder.if_then(builder.icmp_signed(">=", last, INT64(0))):
            _in_turn(keep_sums(INT64(0)))
            with cgutils.for_range(builder, count) as loop:
                following = builder.add(loop.index, INT64(1))  # after the last one the last again
                following = builder.select(builder.icmp_signed("<", following, last), following, last)
                _in_turn(keep_sums(following), keep_codes(loop.index))
        return context.get_dummy_value()

    kinds = table, words, inverted, asserted, leaks, places, where, coefficients, line, zeros, turn, codes, parts
    return types.void(*kinds), generate


def _arrays(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any, places: Iterable[int]) -> list[Any]:
    """Some of the arguments."""
    return [context.make_array(signature.args[k])(context, builder, arguments[k]) for k in places]


def _in_turn(*parts: Steps[Any]) -> list[Any]:
    """What parts of code find, written a step of each at a time."""
    found: list[Any] = [None] * len(parts)
    going = dict(enumerate(parts))
    while going:
        for k, part in list(going.items()):
            try:
                next(part)
            except StopIteration as end:
                found[k] = end.value
                del going[k]
    return found


def _at(builder: ir.IRBuilder, pointer: Any, place: int) -> Any:
    return builder.gep(pointer, [INT32(place)])


def _is_narrow(half: int) -> bool:
    return 16 * half <= NARROW_ROWS


def _kind(half: int) -> tuple[int, ir.VectorType]:
    """In how many groups of columns the sums of a read come, and the type of each.

    Of a narrow read those at even and those at odd places, else some neighbours at a time.
    """
    if _is_narrow(half):
        return 2, ir.VectorType(INT16, COLUMNS // 2)
    return COLUMNS // _SINGLES, ir.VectorType(INT32, _SINGLES)


def _sums(builder: ir.IRBuilder, half: int, table: Any, first: Any) -> Steps[list[Sums]]:
    """Sums of each group of 64 columns, as `_kind` has them, for twice `half` bytes from `first` on.

    Bytes are taken from both ends of a column inwards. What exceeds a sum's bits on the way falls away again.
    """
    if _is_narrow(half):
        return (yield from _some_sums(builder, half, table, first, 0, ir.VectorType(INT8, COLUMNS)))
    found: list[Sums] = []
    for column in range(0, COLUMNS, _SINGLES):
        found += yield from _some_sums(builder, half, table, first, column, ir.VectorType(INT8, _SINGLES))
    return found


def _some_sums(
    builder: ir.IRBuilder, half: int, table: Any, first: Any, column: int, kind: ir.VectorType
) -> Steps[list[Sums]]:
    """`_sums` of columns from `column` on."""
    narrow = _is_narrow(half)

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
            yield
            linear = [a + x for a, x in zip(linear, running, strict=True)] if step else list(running)
            square = [a + x for a, x in zip(square, squares, strict=True)] if step else squares
            if step < half - 1:
                before = count if before is None else before + count
            yield
        nothing = Lanes(builder, ir.Constant(count.value.type, None))
        counts.append((count, before or nothing))
        ends.append((linear, square))
    n = (counts[0][0].mean(counts[0][1])).mean(counts[1][0].mean(counts[1][1]))
    middle = counts[0][0] + counts[1][0]
    even = 8 * half // 3
    found: list[Sums] = []
    for k, (twice, e) in enumerate(zip(widened(n), widened(middle), strict=True)):
        yield
        (a, s), (c, t) = ((linear[k], square[k]) for linear, square in ends)
        level = twice * Lanes(builder, ir.Constant(twice.value.type, [even] * twice.value.type.count))
        u = a - c
        yield
        f = twice * ((a << 2) - u - level) - s
        yield
        found.append((twice, u, f, twice * ((c << 2) + u - level) - t, e))
    return found


_SUMS = 5
_SIGNED = False, True, True, True, False
"""Which of the sums may be negative."""


def _polynomials(
    builder: ir.IRBuilder, half: int, numbers: Any, leak: Any, sums: list[Sums], then: Callable[[Lanes], Lanes]
) -> Steps[list[Lanes]]:
    """What `then` makes of the currents of all groups of columns; of a narrow read those that `parted` gives."""
    found = []
    for group in sums:
        parts = [group]
        if _is_narrow(half):
            parts = list(zip(*(x.parted(signed=signed) for x, signed in zip(group, _SIGNED, strict=True)), strict=True))
        lanes = parts[0][0].value.type.count
        if lanes < _SINGLES:
            parts = [tuple(map(Lanes.beside, *parts))]
        for part in parts:
            current = yield from _polynomial(builder, numbers, leak, part)
            value = then(current)
            yield
            found += [value.part(k, lanes) for k in range(_SINGLES // lanes)]
    return found


def _ordered(half: int, parts: list[Lanes], join: Callable[[Lanes, Lanes], Lanes]) -> Lanes:
    """All 64 columns, of groups of them; `join` puts lanes of two in turn."""
    join = join if _is_narrow(half) else Lanes.beside
    while len(parts) > 1:
        parts = [join(*parts[k : k + 2]) for k in range(0, len(parts), 2)]
    return parts[0]


def _polynomial(builder: ir.IRBuilder, numbers: Any, leak: Any, sums: Sums) -> Steps[Lanes]:
    """Current in LSB of sums in 32 bits; `wire_sums.current` is the same in numpy."""

    def number(k: int) -> Lanes:
        return Lanes.splat(builder, builder.load(_at(builder, numbers, k)), _SINGLES)

    half, keep = (number(k) for k in range(2))
    c = [number(2 + k) for k in range(TERMS)]
    n, u, f, b, e = (x.single() for x in sums)
    yield
    if leak is None:
        n, u = n * half, u * keep
    else:
        added, moment = (Lanes.splat(builder, scalar, _SINGLES) for scalar in leak)
        n, u = n.times_plus(half, added), u.times_plus(keep, moment)
    yield
    p = n.times_plus(c[4], c[3])
    r = e.times_plus(c[16], c[1])
    q = n.times_plus(c[7], c[6])
    yield
    p = n.times_plus(p, c[2])
    s = e.times_plus(c[17], c[5])
    yield
    p = n.times_plus(p, r)
    q = n.times_plus(q, s)
    yield
    p = n.times_plus(p, c[0])
    q = n * q
    r = n.times_plus(c[9], c[8])
    yield
    q = u.times_plus(r, q)
    r = n.times_plus(c[12], c[11])
    yield
    q = b.times_plus(c[10], q)
    r = b.times_plus(c[13], r)
    yield
    p = u.times_plus(q, p)
    yield
    p = f.times_plus(r, p)
    r = n.times_plus(c[15], c[14])
    yield
    p = b.times_plus(r, p)
    yield
    return n * n / p
