"""FAST engine on a GPU: on CUDA in kernels of our own, on any device that torch knows in its operations.

The kernels work on packed words (`gpu_kernels`). What follows is the form in torch's operations, slower and plain:
reads counted by matrix products, the compiled engine's codes made of them.

What the surrogate wants of a read is linear in the bits applied to it. For up to 16 rows it is the pattern of ON cells
as a number, the bits times powers of two where the column stores a one; for more, the number of ON cells and the sums
of their running numbers over each byte. One matrix product gives it for all columns of a tile. All are whole numbers
below 2^24, or in half precision up to 2^11, hence exact in whatever order they are added. A pattern's code stands in a
table, which the factored form has filled where it is in use; for more rows, what follows are the operations of
`wire_sum_kernels` in their order. So codes are the compiled engine's, bit for bit.
"""

import importlib.util
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from spicekit.engines.fast.factored import FactoredCodes
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.engines.fast.kernels import HEADROOM, UNIT
from spicekit.engines.fast.model import Codes
from spicekit.engines.fast.patterns import PatternCodes, tabulated
from spicekit.engines.fast.wire_sums import WireSumCodes
from spicekit.engines.words import Applied, Stored, layout_of, unpack
from spicekit.errors import BadInput, MissingTool

Form = Literal["kernels", "torch"]


@dataclass(frozen=True, eq=False)
class DeviceCells:
    """What the cells of a layer hold, on a device."""

    weights: Tensor
    """(groups, tiles, m, f c): what a read's bits are multiplied with, to give f features of each column."""
    sign: Tensor
    """(groups, tiles, c) int32: -1 where a column is stored inverted, else 1."""
    tiles: tuple[int, ...]
    """Tiles in which each group has rows in use."""


@dataclass(frozen=True, eq=False)
class DeviceWords:
    """What the cells of a layer hold, on a device, as words of 32 rows."""

    stored: Tensor
    """(groups, tiles, halves, c) int32."""
    mask: Tensor
    """(groups tiles, halves) int32: ones in the rows in use."""
    sign: Tensor
    """(groups, tiles, c) int32: -1 where a column is stored inverted, else 1."""
    tiles: Tensor
    """(groups,) int32: tiles in which each group has rows in use."""


@dataclass(frozen=True, eq=False)
class DeviceCodes:
    """The compiled engine's tables on a device."""

    codes: IdealCodes | PatternCodes | WireSumCodes
    rows: int
    """m, rows that a read asserts."""
    device: torch.device
    form: Form
    """Whether dot products come from kernels of our own or from torch's operations."""

    @property
    def step(self) -> float:
        """Partial sum that one code stands for."""
        return self.codes.step

    @property
    def dtype(self) -> torch.dtype:
        """Of the matrix products: half precision where it is exact and a GPU has units for it."""
        small = self.device.type != "cpu" and not isinstance(self.codes, PatternCodes)
        return torch.float16 if small else torch.float32

    def cells(self, stored: Stored) -> DeviceCells:
        """The cells of a layer, ready for `read_sums`."""
        bits = unpack(stored.words.transpose(0, 1, 3, 2), layout_of(self.rows)).swapaxes(2, 3)  # (g, t, m, c)
        weights = bits[:, :, :, None, :] * self._features[:, :, None]  # (g, t, m, f, c)
        return DeviceCells(
            torch.from_numpy(weights.reshape(*bits.shape[:3], -1)).to(self.device, self.dtype),
            self._put(1 - 2 * stored.inverted.astype(np.int32)),
            tuple(stored.tiles.tolist()),
        )

    def read_sums(self, cells: DeviceCells, bits: Tensor, inverted: Tensor, asserted: Tensor) -> Tensor:
        """Signed codes of all reads of each dot product, added.

        Parameters
        ----------
        cells : DeviceCells
        bits : (p, groups, tiles, m) tensor of `dtype`
            Applied, after inversion.
        inverted : (p, groups, tiles) bool tensor
        asserted : (p, groups, tiles) int64 tensor
            Ones applied.

        Returns
        -------
        (p, c) float32 tensor
        """
        total = torch.zeros(len(bits), cells.sign.shape[-1], dtype=torch.int32, device=self.device)
        for group, tiles in enumerate(cells.tiles):
            for tile in range(tiles):
                given = bits[:, group, tile]
                product = given @ cells.weights[group, tile]
                features = product.to(torch.int32).reshape(len(bits), -1, total.shape[1])
                code = self._codes(features, given, asserted[:, group, tile, None], group)
                flip = 1 - 2 * inverted[:, group, tile, None].to(torch.int32)
                total += code * (cells.sign[group, tile] * flip)
        return total.to(torch.float32)

    def sums(self, stored: Stored, applied: Applied) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
        """(p, c_out) signed codes of all reads of each dot product, added; from and to the processor's memory."""
        words, inverted, asserted = applied.by_vector()
        bits = torch.from_numpy(unpack(words, layout_of(self.rows)))
        sums = self.read_sums(
            self.cells(stored),
            bits.to(self.device, self.dtype),
            self._put(inverted.astype(bool)),
            self._put(asserted.astype(np.int64)),
        )
        found: np.ndarray[tuple[int, int], np.dtype[np.float32]] = sums.cpu().numpy()
        return found

    @property
    def halves(self) -> int:
        """Words of 32 rows that a read fills."""
        return -(-self.rows // 32)

    def words(self, stored: Stored, mask: "np.ndarray[tuple[int, ...], np.dtype[np.uint64]]") -> DeviceWords:
        """The cells of a layer, ready for `sums_of_words`; `mask` (groups, tiles, q) has ones in the rows in use."""
        halves = stored.words.transpose(0, 1, 3, 2).copy().view(np.int32)[..., : self.halves]
        masked = np.ascontiguousarray(mask).view(np.int32)[..., : self.halves]
        return DeviceWords(
            self._put(halves.swapaxes(2, 3)),
            self._put(masked.reshape(-1, self.halves)),
            self._put(1 - 2 * stored.inverted.astype(np.int32)),
            self._put(stored.tiles.astype(np.int32)),
        )

    def sums_of_words(self, cells: DeviceWords, words: Tensor, inverted: Tensor, asserted: Tensor) -> Tensor:
        """Signed codes of all reads of each dot product, added.

        Parameters
        ----------
        cells : DeviceWords
        words : (groups tiles, halves, p) int32 tensor
            Applied, before inversion.
        inverted, asserted : (groups tiles, p) int32 tensors
            1 where a read is inverted; ones applied, after inversion.

        Returns
        -------
        (p, c) float32 tensor
        """
        from spicekit.engines.fast.gpu_kernels import add_codes

        sums = torch.empty(words.shape[2], cells.sign.shape[2], dtype=torch.int32, device=self.device)
        add_codes(sums, words, inverted, asserted, cells.mask, cells.stored, cells.sign, cells.tiles, **self._tables)
        return sums.to(torch.float32)

    @cached_property
    def _tables(self) -> dict[str, Any]:
        """What the kernel wants of the codes."""
        from spicekit.engines.fast import gpu_kernels as kernels

        codes, nothing = self.codes, torch.zeros(1, dtype=torch.float32, device=self.device)
        if isinstance(codes, IdealCodes):
            table, form = nothing, kernels.COUNT
            numbers, scale, size, leak = nothing, nothing, 0, 0.0
        elif isinstance(codes, PatternCodes):
            table, form = self._pattern_table, kernels.PATTERNS
            numbers, scale, size, leak = nothing, nothing, 0, float(codes.by_ones)
        else:
            table = self._put(codes.lookup) if len(codes.lookup) else nothing
            form = kernels.LOOKUP if len(codes.lookup) else kernels.LINE
            numbers, scale = self._put(codes.coefficients), self._put(codes.scale)
            size, leak = codes.size, float(codes.leak)
        parts = {"table": table, "coefficients": numbers, "scale": scale}
        return {**parts, "form": form, "rows": self.rows, "size": size, "leak": leak}

    def _codes(self, features: Tensor, given: Tensor, asserted: Tensor, group: int) -> Tensor:
        """(p, c) int32 codes of features (p, f, c), for bits applied (p, m) and their numbers of ones (p, 1)."""
        if isinstance(self.codes, IdealCodes):
            return features[:, 0]
        if isinstance(self.codes, PatternCodes):
            index = features[:, 0].to(torch.int64)
            if self.codes.by_ones:
                index = index + (asserted << self.rows)
            return self._pattern_table[group][index]
        current = self._wire_sum_current(features, given, group)
        line = self._put(self.codes.scale)
        if not len(self.codes.lookup):
            code = _times_plus(current, line[0, 0], line[1 + asserted, 1]).floor()
            return code.clamp(min=0).minimum(line[0, 1]).to(torch.int32)
        level = (UNIT * (current - line[1 + asserted, 0]) + 0.5).floor().to(torch.int64) + HEADROOM * UNIT
        return self._put(self.codes.lookup)[level.clamp(0, len(self.codes.lookup) - 1)].to(torch.int32)

    def _wire_sum_current(self, features: Tensor, given: Tensor, group: int) -> Tensor:
        """(p, c) float32 LSB, of features (p, bytes + 2, c) and bits (p, m).

        The features are sums of running numbers, numbers of ON cells and of those in the middle. The operations are
        those of `wire_sum_kernels`, in its order.
        """
        assert isinstance(self.codes, WireSumCodes)
        inside, count, middle = features[:, :-2], features[:, -2:-1], features[:, -1]
        half, twice = self.codes.size // 2, 2 * count[:, 0]
        rows = 8 * self.codes.size
        taken = inside * (8 * count - inside)
        level = 4 * (4 * self.codes.size // 3) * count[:, 0] ** 2
        u = inside.sum(dim=1) - rows // 2 * count[:, 0]
        f, b = taken[:, :half].sum(dim=1) - twice * u - level, taken[:, half:].sum(dim=1) + twice * u - level
        n, u, f, b, e = (x.to(torch.float32) for x in (twice, u, f, b, 8 * middle))
        ones = given.to(torch.float32)
        below = (ones * self._put(rows // 2 - np.arange(self.rows))).sum(dim=1, keepdim=True)
        added, moment = (float(self.codes.leak) * part for part in (ones.sum(dim=1, keepdim=True), below))
        keep, whole, *c = self._put(self.codes.coefficients[group])
        n, u = _times_plus(n, keep, added), _times_plus(u, whole, moment)
        p = _times_plus(n, _times_plus(n, _times_plus(n, c[4], c[3]), c[2]), _times_plus(e, c[16], c[1]))
        p = _times_plus(n, p, c[0])
        q = n * _times_plus(n, _times_plus(n, c[7], c[6]), _times_plus(e, c[17], c[5]))
        q = _times_plus(b, c[10], _times_plus(u, _times_plus(n, c[9], c[8]), q))
        p = _times_plus(u, q, p)
        p = _times_plus(f, _times_plus(b, c[13], _times_plus(n, c[12], c[11])), p)
        p = _times_plus(b, _times_plus(n, c[15], c[14]), p)
        current: Tensor = n * n / p
        return current

    @cached_property
    def _features(self) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
        """(m, f) what an ON cell of a row adds to each feature."""
        row = np.arange(self.rows)
        if isinstance(self.codes, IdealCodes):
            return np.ones((self.rows, 1), np.float32)
        if isinstance(self.codes, PatternCodes):
            return (2.0**row)[:, None].astype(np.float32)
        end = 8 * np.arange(1, self.codes.size + 1)
        inside = np.clip(end - row[:, None], 0, 8)  # rows of each byte that count the cell
        middle = np.abs(2 * row + 1 - 8 * self.codes.size) < 16
        return np.hstack([inside, np.ones((self.rows, 1)), middle[:, None]]).astype(np.float32)

    @cached_property
    def _pattern_table(self) -> Tensor:
        """(groups, ones 2^m) codes without sign, in as few bits as hold them."""
        assert isinstance(self.codes, PatternCodes)
        table = self.codes.table
        unsigned = table.reshape(len(table), -1, 2, 1 << self.rows)[:, :, 0]
        return self._put(unsigned.reshape(len(table), -1))

    def _put(self, array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def _times_plus(x: Tensor, factor: Tensor, added: Tensor) -> Tensor:
    """Single-precision x `factor` + `added`, rounded once as in `lanes`; in double precision the product is exact."""
    return (x.double() * factor + added).float()


def codes_on(device: torch.device | str, codes: Codes, *, rows: int, form: Form | None = None) -> DeviceCodes:
    """The codes on a device.

    Parameters
    ----------
    device : device
    codes : Codes
    rows : int
        m, rows that a read asserts.
    form : {"kernels", "torch"}, optional
        By default kernels of our own on CUDA, and torch's operations elsewhere.

    Raises
    ------
    BadInput
        If converters or cells are not all alike, or columns share rails: only the compiled engine knows such dies.
    MissingTool
        If kernels are wanted and Triton is not there.
    """
    if isinstance(codes, FactoredCodes):
        codes = tabulated(codes)
    if not isinstance(codes, IdealCodes | PatternCodes | WireSumCodes):
        raise BadInput(
            "mismatch, offset, INL, noise and shared rails are in the processor's engine alone; evaluate on the "
            "processor."
        )
    device = torch.device(device)
    form = form or ("kernels" if device.type == "cuda" else "torch")
    if form == "kernels" and importlib.util.find_spec("triton") is None:
        raise MissingTool("the kernels for CUDA need Triton, which torch for CUDA brings along: pip install triton")
    return DeviceCodes(codes, rows, device, form)
