"""Where each product of a linear operator takes its inputs from: one rule for all of them.

A convolution over any number of axes, with any kernel, stride, dilation and padding, a transposed one and a fully
connected layer (no axes, no kernel) differ in three lists of integers alone. An image is laid into a larger one, whose
other places hold no input; each output pixel looks at this from a base; each row of the unrolled weights has an offset
from there.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from spicekit.errors import BadInput

Sides = tuple[int, ...]


@dataclass(frozen=True)
class Geometry:
    """What a linear operator with one group is apart from its weights (c_out, c_in, *kernel)."""

    in_channels: int
    kernel: Sides = ()
    stride: Sides = ()
    dilation: Sides = ()
    padding: tuple[tuple[int, int], ...] = ()
    """Places without an input before and after each axis; negative ones cut."""
    spread: Sides = ()
    """1, or the distance of neighbouring inputs: the stride of a transposed convolution."""

    @classmethod
    def square(cls, in_channels: int, kernel: int, stride: int = 1, padding: int = 0) -> "Geometry":
        """Of a convolution of images, alike along both axes."""
        return cls(in_channels, (kernel,) * 2, (stride,) * 2, (1, 1), ((padding,) * 2,) * 2, (1, 1))

    @property
    def inputs(self) -> int:
        """Of one product: c_in times the places of the kernel."""
        return self.in_channels * math.prod(self.kernel)

    def text(self, outputs: int, groups: int = 1) -> str:
        """For people.

        >>> Geometry(64, (3, 3), (2, 2), (1, 1), ((1, 1), (1, 1)), (1, 1)).text(128)
        '64 -> 128, 3 x 3, stride 2 x 2, padding 1'
        """
        text = f"{self.in_channels * groups} -> {outputs}"
        if self.kernel:
            text += f", {' x '.join(map(str, self.kernel))}"
        for word, values in (("stride", self.stride), ("dilation", self.dilation), ("spread", self.spread)):
            if set(values) - {1}:
                text += f", {word} {' x '.join(map(str, values))}"
        pads = sorted({side for pair in self.padding for side in pair} - {0})
        text += f", padding {'/'.join(map(str, pads))}" if pads else ""
        return text + (f", {groups} groups" if groups > 1 else "")

    def padded(self, shape: Sides) -> Sides:
        """Sides of the larger image, of inputs with sides `shape`."""
        return tuple(
            (side - 1) * spread + 1 + before + after
            for side, spread, (before, after) in zip(shape, self.spread, self.padding, strict=True)
        )

    def output(self, shape: Sides) -> Sides:
        """Sides of the output, of inputs with sides `shape`; `BadInput` if there would be none."""
        sides = tuple(
            (side - (k - 1) * dilation - 1) // stride + 1
            for side, k, dilation, stride in zip(
                self.padded(shape), self.kernel, self.dilation, self.stride, strict=True
            )
        )
        if any(side < 1 for side in sides):
            raise BadInput(f"images of {shape} are too small for a kernel of {self.kernel}.")
        return sides

    def gathering(self, shape: Sides) -> "Gathering":
        """The three lists, of inputs with sides `shape`."""
        return _gathering(self, tuple(shape))


@dataclass(frozen=True, eq=False)
class Gathering:
    """Flat places, in C order, of one channel unless stated."""

    source: NDArray[np.int64]
    """(places,) which input lies in each place of the larger image; -1 none."""
    bases: NDArray[np.int64]
    """(pixels,) where each output pixel's first input lies in the larger image."""
    offsets: NDArray[np.int64]
    """(c_in * kernel,) where each input of a product lies from there on, channels one behind the other."""
    output: Sides

    @cached_property
    def outside(self) -> NDArray[np.bool_]:
        """(pixels, kernel) whether a product's input at each place of the kernel is none."""
        kernel = self.offsets[self.offsets < len(self.source)]  # of the first channel
        return np.asarray(self.source[self.bases[:, None] + kernel] < 0)

    @property
    def border_pixels(self) -> int:
        """Output pixels that look at places without an input."""
        return int(self.outside.any(axis=1).sum())

    @property
    def border_classes(self) -> int:
        """Different sets of places of the kernel without an input, the empty one not counted."""
        return len(np.unique(self.outside[self.outside.any(axis=1)], axis=0))


@lru_cache(maxsize=256)
def _gathering(geometry: Geometry, shape: Sides) -> Gathering:
    padded, output = geometry.padded(shape), geometry.output(shape)
    axes = []
    for side, spread, (before, _), large in zip(shape, geometry.spread, geometry.padding, padded, strict=True):
        along = np.full(large, -1)
        places = before + spread * np.arange(side)
        inside = (places >= 0) & (places < large)
        along[places[inside]] = np.flatnonzero(inside)
        axes.append(along)
    steps = np.array([math.prod(padded[axis + 1 :]) for axis in range(len(padded))], np.int64)
    source = np.zeros(padded, np.int64)
    for axis, along in enumerate(axes):
        source = source * shape[axis] + along.reshape(-1, *(1,) * (len(shape) - axis - 1))
    for axis, along in enumerate(axes):
        source[(slice(None),) * axis + (along < 0,)] = -1
    bases = _flat(output, steps * np.array(geometry.stride, np.int64))
    within = _flat(geometry.kernel, steps * np.array(geometry.dilation, np.int64))
    offsets = np.add.outer(np.arange(geometry.in_channels) * source.size, within).ravel()
    return Gathering(source.ravel(), bases, offsets, output)


def _flat(sides: Sides, steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of all points of a box of some sides, in C order, each axis with its step."""
    places = np.zeros((), np.int64)
    for side, step in zip(sides, steps, strict=True):
        places = np.add.outer(places, np.arange(side) * step)
    return places.ravel()
