"""Random threshold mismatch between transistors of one die, for Monte Carlo.

Pelgrom's law (Pelgrom, Duinmaijer and Welbers, IEEE JSSC 24 (1989) 1433): the threshold difference of two equal
transistors is normal with standard deviation AVT / sqrt(area), so that of one transistor is smaller by sqrt(2).
"""

import numpy as np
from numpy.typing import NDArray

from spicekit.devices.cards import Card

# V m. Assumed: no figure for this node was found; see docs/decisions/corners-and-mismatch.md.
AVT = 1.3e-9


def sigma_vt(card: Card, fins: int) -> float:
    """Standard deviation of the threshold of one transistor of `fins` fins, V.

    The gated area is fins x effective width x length.
    """
    return AVT / float(np.sqrt(2 * fins * card.width * card.length))


def sample_vt(
    card: Card, fins: int, shape: tuple[int, ...], *, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Threshold shifts of transistors of `fins` fins; float64 array of `shape`, V.

    A deck takes one as the BSIM4 instance parameter `delvto`.
    """
    return rng.normal(0.0, sigma_vt(card, fins), shape)
