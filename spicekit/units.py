"""Units: floats are SI everywhere; what is not SI at the border is converted here."""

ZERO_CELSIUS = 273.15  # K, by definition of the Celsius scale

MICRO = 1e-6
NANO = 1e-9
PICO = 1e-12


def to_celsius(kelvin: float) -> float:
    """Temperature in degrees Celsius, the unit of ngspice's `.temp`, from kelvin.

    >>> to_celsius(298.15)
    25.0
    """
    return kelvin - ZERO_CELSIUS


def from_celsius(celsius: float) -> float:
    """Temperature in kelvin.

    >>> from_celsius(25.0)
    298.15
    """
    return round(celsius + ZERO_CELSIUS, 9)  # 9 digits: -40 C is 233.15 K, the bound of a corner


def engineering(value: float, unit: str) -> str:
    """A number for people: three significant digits and an SI prefix. Never for decks.

    >>> engineering(1.234e-5, "A")
    '12.3 uA'
    >>> engineering(0.0, "V")
    '0 V'
    """
    if value == 0:
        return f"0 {unit}"
    for scale, prefix in _PREFIXES:
        if abs(value) >= scale * 0.9995:
            return f"{value / scale:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


_PREFIXES = (
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "u"),
    (1e-9, "n"),
    (1e-12, "p"),
    (1e-15, "f"),
    (1e-18, "a"),
)
