"""Vectors in compiled loops: columns of a tile side by side, as lanes of one value.

Numba leaves it to its compiler to find vector code in a loop, and it finds none where a loop reads many arrays. `Lanes`
writes the compiler's vector types down instead. They are of any width and for any processor: what its registers do not
hold at once is cut into parts. No operation is fused with another, so that results are the same everywhere.
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils

Value = Any
"""A value of the compiler's intermediate representation."""
INT8, INT16, INT32, INT64, FLOAT = *(ir.IntType(bits) for bits in (8, 16, 32, 64)), ir.FloatType()


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

    def part(self, index: int, lanes: int) -> "Lanes":
        """Some lanes of many."""
        mask = ir.Constant(ir.VectorType(INT32, lanes), list(range(index * lanes, (index + 1) * lanes)))
        nothing = ir.Constant(self.value.type, ir.Undefined)
        return Lanes(self.builder, self.builder.shuffle_vector(self.value, nothing, mask))

    def single(self) -> "Lanes":
        """Unsigned numbers in single precision."""
        wide = self if self.value.type.element == INT32 else self.widen(INT32)
        kind = ir.VectorType(FLOAT, self.value.type.count)
        return Lanes(self.builder, self.builder.sitofp(wide.value, kind))

    def eighth_of_square(self) -> "Lanes":
        """x^2 / 8 of unsigned numbers, cut to a whole one: exact where it fits and, in 16 bits, x is below 512."""
        b, kind = self.builder, self.value.type
        if kind.element != INT16:
            return (self * self).shifted_right(3)
        wide = ir.VectorType(
            INT32, kind.count
        )  # 2^6 x times 2^7 x, of which the upper half: an instruction of most
        square = b.mul(*(b.zext((self << bits).value, wide) for bits in (6, 7)))
        return Lanes(b, b.trunc(b.lshr(square, ir.Constant(wide, [16] * kind.count)), kind))

    def shifted_right(self, bits: int) -> "Lanes":
        """Unsigned numbers over 2^bits, cut to whole ones."""
        places = ir.Constant(self.value.type, [bits] * self.value.type.count)
        return Lanes(self.builder, self.builder.lshr(self.value, places))

    def whole(self) -> "Lanes":
        """Single-precision numbers as whole ones, cut towards zero."""
        return Lanes(
            self.builder, self.builder.fptosi(self.value, ir.VectorType(INT32, self.value.type.count))
        )

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
