"""What a simulator is asked to do and what it answers, as plain data that crosses process borders."""

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Waves = dict[str, NDArray[np.float64]]
"""Vectors by ngspice's lower-case names; node voltages by node, source currents as `name#branch`."""


@dataclass(frozen=True)
class Step:
    """One analysis of a loaded deck, after some `alter` commands."""

    analysis: str
    """ngspice command: `op`, `dc vbl 0 0.7 0.01`, `tran 1p 1n`."""
    alters: tuple[str, ...] = ()
    """What to change first, without the word: `vwl_3 dc 0.7`. Changes stay for later steps."""


@dataclass(frozen=True)
class Fallback:
    """Options under which a step that did not converge is tried again."""

    name: str
    options: str
    """ngspice options, `reltol=1e-3 itl1=500`."""


# Ways out that ngspice's manual names ("Simulation options"): its adaptive gmin stepping alone, its adaptive source
# stepping alone, both with ten times the iterations that it has by default, then SPICE's default tolerances.
FALLBACKS = (
    Fallback("gmin stepping", "gminsteps=1 srcsteps=0 itl1=1000 itl2=1000"),
    Fallback("source stepping", "gminsteps=0 srcsteps=1 itl1=1000 itl2=1000"),
    Fallback(
        "looser tolerances", "gminsteps=1 srcsteps=1 itl1=1000 itl2=1000 reltol=1e-3 abstol=1e-12 vntol=1e-6"
    ),
)


@dataclass(frozen=True)
class Job:
    """A deck (text without a `.control` section) and the analyses to run on it, in order."""

    deck: str
    steps: tuple[Step, ...]
    keep: tuple[str, ...] | None = None
    """Names of the vectors to return; None returns all."""
    fallbacks: tuple[Fallback, ...] = ()
    """Tried in this order on the steps that did not converge."""

    @property
    def compiled(self) -> tuple[str, ...]:
        """Files in compiled Verilog-A that the deck loads."""
        return tuple(dict.fromkeys(_LOADS.findall(self.deck)))


_LOADS = re.compile(r"^pre_osdi (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """What one step gave."""

    waves: Waves
    """As far as the analysis came."""
    trouble: str = ""
    """Why it stopped short of its end; empty if it did not."""
    fallback: str = ""
    """Name of the fallback that it took; empty for none."""


class Simulator(NamedTuple):
    """What of a simulator decides a number, beside the deck."""

    version: str
    """`39`."""
    state: str
    """SHA-256 of how it was built, the variables that it starts with, and the options that follow."""
    name: str = "ngspice"

    def facts(self) -> dict[str, str]:
        """For the provenance of a result."""
        return {self.name: self.version, f"{self.name}_state": self.state}


@dataclass(frozen=True)
class Outcome:
    """What a job gave."""

    runs: tuple[Run, ...]
    """One for each step."""
    seconds: float
    """That the simulator took, s."""
    simulator: "Simulator"
    """Which one."""


@dataclass(frozen=True)
class Failure:
    """A job that gave nothing, and why."""

    reason: str
