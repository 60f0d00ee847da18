"""Process, supply and temperature at which a device, cell or tile is simulated."""

from typing import Literal

from pydantic import Field

from spicekit.config import Config

Process = Literal["tt", "ff", "ss", "fs", "sf"]


class Corner(Config):
    """A process corner with its supply and temperature.

    >>> Corner(process="ff", temperature=398.15).vdd
    0.7
    """

    process: Process = "tt"
    """NMOS letter first: `fs` is fast NMOS, slow PMOS."""
    vdd: float = Field(default=0.70, gt=0, le=1.2)
    """V; 0.7 V is the nominal supply of the 7 nm targets (ASAP7, Clark et al. 2016)."""
    temperature: float = Field(default=298.15, ge=233.15, le=398.15)
    """K; the cards are valid from -40 to 125 degrees Celsius."""
