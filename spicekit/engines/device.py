"""FAST engine on a GPU, in torch: reads counted by matrix products, codes looked up as in the compiled engine.

What the surrogate wants of a read is linear in the bits applied to it. For up to 16 rows it is the pattern of ON cells
as a number, the bits times powers of two where the column stores a one; for more, the counts of the blocks and the sums
of positions in them. One matrix product gives it for all columns of a tile. All are whole numbers below 2^24, in half
precision below 2^11, hence exact in whatever order they are added; what follows is the fixed-point arithmetic of
`kernels`. So codes are the compiled engine's, bit for bit.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from spicekit.engines.blocks import BlockCodes
from spicekit.engines.fast import Codes
from spicekit.engines.kernels import CODE_ENTRIES, LEAK_UNIT, UNIT
from spicekit.engines.patterns import PatternCodes
from spicekit.engines.words import BLOCKS, Applied, Stored, layout_of, unpack
from spicekit.errors import BadInput

_SHIFT = (LEAK_UNIT // UNIT).bit_length() - 1
_HALF = LEAK_UNIT // UNIT // 2


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
class DeviceCodes:
    """The compiled engine's tables on a device."""

    codes: PatternCodes | BlockCodes
    rows: int
    """m, rows that a read asserts."""
    device: torch.device

    @property
    def step(self) -> float:
        """Partial sum that one code stands for."""
        return self.codes.step

    @property
    def dtype(self) -> torch.dtype:
        """Of the matrix products: half precision where it is exact and a GPU has units for it."""
        small = self.device.type != "cpu" and isinstance(self.codes, BlockCodes)
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
                product = bits[:, group, tile] @ cells.weights[group, tile]
                features = product.to(torch.int32).reshape(len(bits), -1, total.shape[1])
                code = self._codes(features, asserted[:, group, tile, None], group)
                flip = 1 - 2 * inverted[:, group, tile, None].to(torch.int32)
                total += code * (cells.sign[group, tile] * flip)
        return total.to(torch.float32)

    def sums(self, stored: Stored, applied: Applied) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
        """(p, c_out) signed codes of all reads of each dot product, added; from and to the processor's memory."""
        bits = torch.from_numpy(unpack(applied.words, layout_of(self.rows)))
        sums = self.read_sums(
            self.cells(stored),
            bits.to(self.device, self.dtype),
            self._put(applied.inverted.astype(bool)),
            self._put(applied.asserted.astype(np.int64)),
        )
        found: np.ndarray[tuple[int, int], np.dtype[np.float32]] = sums.cpu().numpy()
        return found

    def _codes(self, features: Tensor, asserted: Tensor, group: int) -> Tensor:
        """(p, c) int32 codes of features (p, f, c) and numbers of asserted rows (p, 1)."""
        if isinstance(self.codes, PatternCodes):
            index = features[:, 0].to(torch.int64)
            if self.codes.by_ones:
                index = index + (asserted << self.rows)
            return self._pattern_table[group][index]
        counts = features[:, :BLOCKS]
        side = self.codes.length + 1
        index = counts[:, 0] + side * (counts[:, 1] + side * (counts[:, 2] + side * counts[:, 3]))
        base, slopes, leak = (table[group] for table in self._block_tables)
        steep = slopes[index.to(torch.int64)]  # (p, c, 4)
        inside = (steep * features[:, BLOCKS:].movedim(1, -1)).sum(dim=-1, dtype=torch.int32)
        current = base[index.to(torch.int64)] + ((inside + _HALF) >> _SHIFT)
        on = counts.sum(dim=1)  # int64, as what it indexes
        extra = (asserted - on) * leak[on] - self._reference[asserted]
        place = (current + ((extra + _HALF) >> _SHIFT)).clamp(0, CODE_ENTRIES - 1)
        return self._code_table[place]

    @cached_property
    def _features(self) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
        """(m, f) what an ON cell of a row adds to each feature."""
        row = np.arange(self.rows)
        if isinstance(self.codes, PatternCodes):
            return (2.0**row)[:, None].astype(np.float32)
        s = self.codes.length
        block = row[:, None] // s == np.arange(BLOCKS)
        return np.hstack([block, block * (row % s)[:, None]]).astype(np.float32)

    @cached_property
    def _pattern_table(self) -> Tensor:
        """(groups, ones 2^m) int32 codes without sign."""
        assert isinstance(self.codes, PatternCodes)
        table = self.codes.table
        unsigned = table.reshape(len(table), -1, 2, 1 << self.rows)[:, :, 0]
        return self._put(unsigned.reshape(len(table), -1).astype(np.int32))

    @cached_property
    def _block_tables(self) -> tuple[Tensor, Tensor, Tensor]:
        """int32: (groups, n) currents, (groups, n, 4) slopes, from the words of `BlockCodes`; (groups, m + 1) leak."""
        assert isinstance(self.codes, BlockCodes)
        entries = self.codes.entries
        slopes = np.stack([entries << (36 - 12 * block) >> 52 for block in range(BLOCKS)], axis=-1)
        tables = entries & 0xFFFF, slopes, self.codes.leak
        base, steep, leak = (self._put(table.astype(np.int32)) for table in tables)
        return base, steep, leak

    @cached_property
    def _reference(self) -> Tensor:
        assert isinstance(self.codes, BlockCodes)
        return self._put(self.codes.reference)

    @cached_property
    def _code_table(self) -> Tensor:
        assert isinstance(self.codes, BlockCodes)
        return self._put(self.codes.codes.astype(np.int32))

    def _put(self, array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def codes_on(device: torch.device | str, codes: Codes, *, rows: int) -> DeviceCodes:
    """The codes on a device.

    Raises
    ------
    BadInput
        If converters or cells are not all alike: only the compiled engine knows such dies.
    """
    if not isinstance(codes, PatternCodes | BlockCodes):
        raise BadInput(
            "mismatch, offset, INL and noise are in the processor's engine alone; evaluate on the processor."
        )
    return DeviceCodes(codes, rows, torch.device(device))
