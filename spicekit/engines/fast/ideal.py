"""Codes of ideal tiles: the number of ON cells of every read, exactly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spicekit.engines.fast.kernels import count_on_cells
from spicekit.engines.words import Applied, Stored


@dataclass(frozen=True)
class IdealCodes:
    """A code is a read's number of ON cells."""

    step: float = 1.0
    """Partial sum that one code stands for."""

    def sums(self, stored: Stored, applied: Applied) -> NDArray[np.float32]:
        """(p, c_out) signed codes of all reads of each dot product, added."""
        turned = -stored.inverted.astype(np.int64)
        return np.asarray(count_on_cells(stored.words, turned, stored.tiles, applied.words, applied.inverted))
