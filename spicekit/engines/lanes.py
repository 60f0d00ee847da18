"""Vectors in compiled loops: columns of a tile side by side, as lanes of one value.

Numba leaves it to its compiler to find vector code in a loop, and it finds none where a loop reads many arrays. `Lanes`
writes the compiler's vector types down instead. They are of any width and for any processor: what its registers do not
hold at once is cut into parts. Operations are fused where it says so and nowhere else, so that results are the same
everywhere.
"""

from typing import Any

import llvmlite.binding  # type: ignore[import-untyped]
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

from spicekit.compiled import compiled

Value = Any
"""A value of the compiler's intermediate representation."""
INT8, INT16, INT32, INT64, FLOAT = *(ir.IntType(bits) for bits in (8, 16, 32, 64)), ir.FloatType()


def register_bits() -> int:
    """Bits of a vector register of the processor that code is compiled for."""
    features = config.CPU_FEATURES
    if features is None:
        features = llvmlite.binding.get_host_cpu_features().flatten()
    return 512 if "+avx512f" in features else 256 if "+avx2" in features else 128


def target() -> str:
    """The processor that code is compiled for, as LLVM calls it, and its widest vectors."""
    return f"{config.CPU_NAME or llvmlite.binding.get_host_cpu_name()}, vectors of {register_bits()} bits"


class Lanes:
    """Numbers of one type, one for each lane, in code under construction."""

    def __init__(self, builder: ir.IRBuilder, value: Value) -> None:
        self.builder = builder
        self.value = value

    @classmethod
    def load(cls, builder: ir.IRBuilder, pointer: Value, kind: ir.VectorType) -> "Lanes":
        """Neighbours in memory."""
        return cls(builder, builder.load(builder.bitcast(pointer, kind.as_pointer()), align=1))

    @classmethod
    def splat(cls, builder: ir.IRBuilder, scalar: Value, lanes: int) -> "Lanes":
        """One number in every lane."""
        kind = ir.VectorType(scalar.type, lanes)
        first = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, INT32(0))
        zeros = ir.Constant(ir.VectorType(INT32, lanes), None)
        return cls(builder, builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros))

    def store(self, pointer: Value) -> None:
        """Write to neighbours in memory."""
        where = self.builder.bitcast(pointer, self.value.type.as_pointer())
        self.builder.store(self.value, where, align=1)

    def widen(self, kind: ir.IntType) -> "Lanes":
        """Unsigned numbers in more bits."""
        return Lanes(self.builder, self.builder.zext(self.value, ir.VectorType(kind, self.value.type.count)))

    def narrow(self, kind: ir.IntType) -> "Lanes":
        """The lower bits of numbers, where these have more."""
        own = self.value.type
        if own.element == kind:
            return self
        return Lanes(self.builder, self.builder.trunc(self.value, ir.VectorType(kind, own.count)))

    def parted(self, *, signed: bool) -> "tuple[Lanes, Lanes]":
        """Those at even and those at odd places, in twice as many bits: quicker than lower and upper half."""
        b, kind = self.builder, self.value.type
        bits = kind.element.width
        double = ir.VectorType(ir.IntType(2 * bits), kind.count // 2)
        both = b.bitcast(self.value, double)  # little-endian, as all processors that Numba knows
        places = ir.Constant(double, [bits] * double.count)
        if signed:
            return Lanes(b, b.ashr(b.shl(both, places), places)), Lanes(b, b.ashr(both, places))
        mask = ir.Constant(double, [(1 << bits) - 1] * double.count)
        return Lanes(b, b.and_(both, mask)), Lanes(b, b.lshr(both, places))

    def joined(self, other: "Lanes") -> "Lanes":
        """What `parted` parts, of unsigned numbers that half the bits hold."""
        b, kind = self.builder, self.value.type
        bits = kind.element.width // 2
        both = b.or_(self.value, (other << bits).value)
        return Lanes(b, b.bitcast(both, ir.VectorType(ir.IntType(bits), 2 * kind.count)))

    def dealt(self, other: "Lanes") -> "Lanes":
        """These lanes and as many others, of each in turn."""
        places = [place for half in _dealt(self.value.type.count) for place in half]
        mask = ir.Constant(ir.VectorType(INT32, len(places)), places)
        return Lanes(self.builder, self.builder.shuffle_vector(self.value, other.value, mask))

    def beside(self, other: "Lanes") -> "Lanes":
        """These lanes, then as many others."""
        mask = ir.Constant(ir.VectorType(INT32, 2 * self.value.type.count), list(range(2 * self.value.type.count)))
        return Lanes(self.builder, self.builder.shuffle_vector(self.value, other.value, mask))

    def part(self, index: int, lanes: int) -> "Lanes":
        """Some lanes of many."""
        mask = ir.Constant(ir.VectorType(INT32, lanes), list(range(index * lanes, (index + 1) * lanes)))
        nothing = ir.Constant(self.value.type, ir.Undefined)
        return Lanes(self.builder, self.builder.shuffle_vector(self.value, nothing, mask))

    def single(self) -> "Lanes":
        """Signed numbers of 32 bits in single precision."""
        return Lanes(self.builder, self.builder.sitofp(self.value, ir.VectorType(FLOAT, self.value.type.count)))

    def times_plus(self, factor: "Lanes", added: "Lanes") -> "Lanes":
        """Single-precision `self` x `factor` + `added`, rounded once."""
        kind = self.value.type
        name = f"llvm.fma.v{kind.count}f32"
        fused = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(kind, [kind] * 3), name)
        return Lanes(self.builder, self.builder.call(fused, [self.value, factor.value, added.value]))

    def mean(self, other: "Lanes") -> "Lanes":
        """Half the sum of unsigned numbers, rounded up: an instruction of most processors."""
        b, kind = self.builder, self.value.type
        wide = ir.VectorType(ir.IntType(2 * kind.element.width), kind.count)
        one = ir.Constant(wide, [1] * kind.count)
        total = b.add(b.add(b.zext(self.value, wide), b.zext(other.value, wide)), one)
        return Lanes(b, b.trunc(b.lshr(total, one), kind))

    def whole(self) -> "Lanes":
        """Single-precision numbers as whole ones, cut towards zero."""
        return Lanes(self.builder, self.builder.fptosi(self.value, ir.VectorType(INT32, self.value.type.count)))

    def ones(self) -> "Lanes":
        """How many bits are one."""
        kind = self.value.type
        name = f"llvm.ctpop.v{kind.count}{kind.element}"
        count = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(kind, [kind]), name)
        return Lanes(self.builder, self.builder.call(count, [self.value]))

    def clamped(self, low: "Lanes", high: "Lanes") -> "Lanes":
        """Not below `low`, not above `high`."""
        b = self.builder
        compare = b.fcmp_ordered if self._floating else b.icmp_signed
        above = b.select(compare(">", self.value, low.value), self.value, low.value)
        return Lanes(b, b.select(compare("<", above, high.value), above, high.value))

    def upper_half(self, other: "Lanes") -> "Lanes":
        """The upper 16 of the 32 bits of a product of signed 16-bit numbers."""
        b, wide = self.builder, ir.VectorType(INT32, self.value.type.count)
        product = b.mul(b.sext(self.value, wide), b.sext(other.value, wide))
        half = b.ashr(product, ir.Constant(wide, [16] * wide.count))
        return Lanes(b, b.trunc(half, self.value.type))

    def __and__(self, other: "Lanes") -> "Lanes":
        return Lanes(self.builder, self.builder.and_(self.value, other.value))

    def __xor__(self, other: "Lanes") -> "Lanes":
        return Lanes(self.builder, self.builder.xor(self.value, other.value))

    def __add__(self, other: "Lanes") -> "Lanes":
        b = self.builder
        return Lanes(b, (b.fadd if self._floating else b.add)(self.value, other.value))

    def __sub__(self, other: "Lanes") -> "Lanes":
        b = self.builder
        return Lanes(b, (b.fsub if self._floating else b.sub)(self.value, other.value))

    def __mul__(self, other: "Lanes") -> "Lanes":
        b = self.builder
        return Lanes(b, (b.fmul if self._floating else b.mul)(self.value, other.value))

    def __truediv__(self, other: "Lanes") -> "Lanes":
        return Lanes(self.builder, self.builder.fdiv(self.value, other.value))

    def __lshift__(self, bits: int) -> "Lanes":
        places = ir.Constant(self.value.type, [bits] * self.value.type.count)
        return Lanes(self.builder, self.builder.shl(self.value, places))

    def __rshift__(self, bits: "Lanes") -> "Lanes":
        return Lanes(self.builder, self.builder.ashr(self.value, bits.value))

    @property
    def _floating(self) -> bool:
        return bool(self.value.type.element == FLOAT)


@compiled(error_model="numpy", nogil=True)
def transpose(source, start, stride, target, place, step, rows, columns):  # type: ignore[no-untyped-def]
    """Set `target[place + c step + r]` to `source[start + r stride + c]` for all r < `rows`, c < `columns`.

    Both arrays are flat and of one type. A number at a time would take ten times as long.
    """
    side = 8 if source.itemsize == 8 else 16
    whole_rows, whole_columns = rows - rows % side, columns - columns % side
    # along the side whose lines are farther apart: of a cache's lines that share a place there are then a few at a time
    along, across = (whole_columns, whole_rows) if stride > step else (whole_rows, whole_columns)
    for outer in range(0, across, side):
        for inner in range(0, along, side):
            r, c = (outer, inner) if stride > step else (inner, outer)
            transpose_block(source, start + r * stride + c, stride, target, place + c * step + r, step)
    for r in range(rows):
        for c in range(whole_columns if r < whole_rows else 0, columns):
            target[place + c * step + r] = source[start + r * stride + c]


@intrinsic
def transpose_block(context, source, start, stride, target, place, step):  # type: ignore[no-untyped-def]
    """`transpose` of 16 x 16 numbers, 8 x 8 of 64 bits."""
    side = 8 if source.dtype.bitwidth == 64 else 16

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        given, out = (context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in (0, 3))
        kind = ir.VectorType(given.type.pointee, side)

        def at(data: Value, first: Value, apart: Value, line: int) -> Value:
            return builder.gep(data, [builder.add(first, builder.mul(apart, INT64(line)))])

        _, begin, stride, _, place, step = arguments
        lines = [Lanes.load(builder, at(given, begin, stride, k), kind).value for k in range(side)]
        for k, line in enumerate(transposed(builder, lines)):
            Lanes(builder, line).store(at(out, place, step, k))
        return context.get_dummy_value()

    return types.void(source, start, stride, target, place, step), generate


def transposed(builder: ir.IRBuilder, lines: list[Value]) -> list[Value]:
    """Columns of as many lines as each has numbers."""
    side = len(lines)
    for _ in range(side.bit_length() - 1):  # each round deals out two halves of the lines in turn
        pairs = zip(lines[: side // 2], lines[side // 2 :], strict=True)
        lines = [
            builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(INT32, side), places))
            for pair in pairs
            for places in _dealt(side)
        ]
    return lines


def _dealt(side: int) -> tuple[list[int], list[int]]:
    """Which lanes of two lines, one behind the other, make two lines of both in turn."""
    both = [place for k in range(side) for place in (k, side + k)]
    return both[:side], both[side:]
