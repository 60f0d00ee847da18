"""A few images of an evaluation, small enough to be kept with it."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from spicekit.evaluation.records import Restored
from spicekit.networks.data import Dataset

MOST = 12
"""Images that are kept."""
MOST_PIXELS = 64 * 64
"""Of an image that is kept: a larger one would swell the result."""


def restored(dataset: Dataset, before: Sequence[int], after: Sequence[int]) -> tuple[Restored, ...]:
    """The first images of which `before` has the class wrong and `after` right; none where they are no pictures.

    Parameters
    ----------
    dataset : Dataset
    before, after : sequences of int
        Class of each image by two runs.
    """
    images = dataset.images
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        return ()
    if images.shape[1] * images.shape[2] > MOST_PIXELS:
        return ()
    labels = np.asarray(dataset.labels, int)
    chosen = np.flatnonzero((np.asarray(before) != labels) & (np.asarray(after) == labels))[:MOST]
    return tuple(
        Restored(
            image=int(place),
            label=dataset.classes[labels[place]],
            before=dataset.classes[before[place]],
            png=base64.b64encode(_png(images[place])).decode(),
        )
        for place in chosen
    )


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "PNG")
    return file.getvalue()
