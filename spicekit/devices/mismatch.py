"""Random mismatch between transistors of one die, for Monte Carlo: thresholds and current factors.

Pelgrom's law (Pelgrom, Duinmaijer and Welbers, IEEE JSSC 24 (1989) 1433): the threshold difference of two equal
transistors is normal with standard deviation AVT / sqrt(area), that of their current factors relative with
ABETA / sqrt(area), both independent; those of one transistor are smaller by sqrt(2).
"""

import numpy as np

from spicekit.devices.cards import Card

# V m. Assumed: no figure for this node was found; see docs/decisions/corners-and-mismatch.md.
AVT = 1.3e-9
# m. Calculated: measured in the same paper are 30 mV um and 2.3 % um for n-channel transistors; assumed that both
# shrink alike, so that the ratio holds.
ABETA = AVT * 0.023 / 0.030


def sigma_vt(card: Card, fins: int) -> float:
    """Standard deviation of the threshold of one transistor of `fins` fins, V.

    The gated area is fins x effective width x length.
    """
    return AVT / _root_of_twice_the_area(card, fins)


def sigma_beta(card: Card, fins: int) -> float:
    """Standard deviation of the current factor of one transistor of `fins` fins, relative."""
    return ABETA / _root_of_twice_the_area(card, fins)


def _root_of_twice_the_area(card: Card, fins: int) -> float:
    return float(np.sqrt(2 * fins * card.width * card.length))
