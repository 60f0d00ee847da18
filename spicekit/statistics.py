"""What a number of images says about an accuracy."""

import math

NORMAL_95 = 1.959964  # standard deviations: 95 % of a normal distribution lie within


def accuracy_interval(accuracy: float, images: int) -> tuple[float, float]:
    """95 % confidence interval of an accuracy, a fraction, measured on so many images drawn at random.

    Wilson's score interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927): good for few images and near 0 and 1, too.

    >>> [round(end, 3) for end in accuracy_interval(0.9, 100)]
    [0.826, 0.945]
    >>> accuracy_interval(1.0, 100)[1]
    1.0
    """
    z2 = NORMAL_95**2 / images
    middle = (accuracy + z2 / 2) / (1 + z2)
    half = NORMAL_95 / (1 + z2) * math.sqrt(accuracy * (1 - accuracy) / images + z2 / images / 4)
    return max(0.0, middle - half), min(1.0, middle + half)
