"""Compiled loop over the cells of a die: what each draws of a normal variable."""

from typing import Any

from spicekit.compiled import compiled

_kernel: Any = compiled(nogil=True)


@_kernel
def add_normals(rng, bits, deviations, cell, log):  # type: ignore[no-untyped-def]
    """Add a z + b z^2 to `log` (n,), where z are normal variables from `rng`, times `deviations`.

    `cell` (2, 2) is a and b by the `bits` (n,). In a compiled loop NumPy's generator gives the numbers that it gives
    elsewhere, in a third of the time.
    """
    for k in range(len(bits)):
        z = deviations * rng.standard_normal()
        log[k] += z * (cell[bits[k], 0] + z * cell[bits[k], 1])
