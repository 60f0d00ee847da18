"""Transistor models in ngspice: which of them it runs, which parameters it takes, and a fin in the words of BSIM4.

A level that ngspice cannot run must never reach a deck: some are silently replaced by level 1.

BSIM4 describes a planar bulk transistor. Terms that a fin does not have are switched off: body effect,
narrow-channel and pocket terms, gate and junction leakage.
"""

import functools
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files

from spicekit.devices.sheet import Polarity
from spicekit.errors import BadInput, SpiceFailed
from spicekit.spice.batch import run_batch
from spicekit.spice.simulator import Job, Step, simulate

BSIM4_LEVELS = frozenset({14, 54})  # both names of BSIM4 in ngspice, in every version since 2004
_NAMES = {17: "BSIM-CMG", 72: "BSIM-CMG"}  # in HSPICE and in builds of ngspice


def card_level(text: str) -> int:
    """Level of a `.model` statement; 1 where none is given, as in ngspice.

    >>> card_level(".model n nmos (level = 54 vth0=0.3)")
    54
    """
    match = re.search(r"\blevel\s*=\s*(\d+)", text, re.IGNORECASE)
    return int(match.group(1)) if match else 1


@functools.cache
def supported_levels() -> frozenset[int]:
    """MOS levels that this ngspice runs, as it names them when asked for one that it does not know.

    Raises
    ------
    MissingTool
        If ngspice is not there.
    SpiceFailed
        If it does not name them.
    """
    try:
        simulate(Job(_PROBE, (Step("op"),)))
    except SpiceFailed as error:
        named = re.search(r"levels ([\d,\- ]+) are supported", str(error))
        if named is None:
            raise
        return frozenset(_numbers(named.group(1)))
    raise SpiceFailed("ngspice accepted MOS level 98, which no version has; its levels cannot be told.")


def require_runnable(text: str, *, source: str) -> None:
    """Raise `BadInput`, with the cure, if this ngspice cannot run the card's level."""
    level = card_level(text)
    if level in BSIM4_LEVELS:
        return
    if level in supported_levels():
        if ignored := _ignored(text):
            raise BadInput(
                f"{source}: ngspice leaves {', '.join(ignored)} out: MOS level {level} (1 where a card gives "
                "none) has no such parameters; write the level that the card is of (BSIM4: 14), or drop them."
            )
        return
    name = f"level {level}" + (f" ({_NAMES[level]})" if level in _NAMES else "")
    raise BadInput(
        f"{source}: this ngspice does not run MOS {name}; it runs {sorted(supported_levels())}. Use an ngspice "
        "that has it (BSIM-CMG: through OSDI, with the Verilog-A module as the model's type and, in the card's "
        "sheet, [osdi] file = 'FILE.osdi'), or refit the device as BSIM4 (level 14)."
    )


def require_known(parameters: Mapping[str, str], *, source: str) -> None:
    """Raise `BadInput` if ngspice would leave a parameter of a BSIM4 card out: it warns, and simulates another card."""
    if card_level(f"level={parameters.get('level', 1)}") not in BSIM4_LEVELS:
        return
    known = bsim4_parameters()
    if unknown := [name for name in parameters if name not in known]:
        raise BadInput(
            f"{source}: BSIM4 in ngspice has no model parameter "
            f"{', '.join(repr(name) + near(name, known) for name in unknown)}; correct or drop it: ngspice would leave "
            "it out without a word."
        )


def near(name: str, known: Collection[str]) -> str:
    """What an unknown name may have been meant for; empty if nothing is like it.

    >>> near("vth00", ["vth0", "toxe"])
    " (did you mean 'vth0'?)"
    """
    found = get_close_matches(name, known, 1, cutoff=0.75)
    return f" (did you mean '{found[0]}'?)" if found else ""


@functools.cache
def bsim4_parameters() -> frozenset[str]:
    """Names that can be set on a BSIM4 model, as ngspice itself lists them, and `level`."""
    record = json.loads(files("spicekit.devices").joinpath("parameters.json").read_text())
    return frozenset([*record["bsim4"], "level"])


@functools.cache
def _ignored(text: str) -> tuple[str, ...]:
    """Parameters of a card that ngspice leaves out."""
    deck = f"* a card\n{text}m1 a a 0 0 {text.split()[1]}\nv1 a 0 0\n.op\n.end\n"
    run = run_batch(deck, timeout=60)
    return tuple(dict.fromkeys(re.findall(r"unrecognized parameter \((\w+)\) - ignored", run.output)))


_PROBE = """* ask for a level that does not exist
.model probe nmos (level=98)
m1 a a 0 0 probe
v1 a 0 1
.end
"""


def _numbers(ranges: str) -> list[int]:
    """The numbers in '1-6,8-10,14'."""
    numbers: list[int] = []
    for part in ranges.split(","):
        first, _, last = part.strip().partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


Parameters = dict[str, float]
"""BSIM4 parameters in BSIM4's units; `vth0` as a magnitude."""


@dataclass(frozen=True)
class Free:
    """A fitted parameter: starting value by channel type, scale of a step, bounds."""

    nmos: float
    pmos: float
    scale: float
    low: float
    high: float

    def start(self, polarity: Polarity) -> float:
        return self.nmos if polarity == "nmos" else self.pmos


# Starting values are assumed: rounded from a first fit of the SRAM flavours, begun at the constants of the ASAP7 cards.
FREE = {
    "vth0": Free(0.42, 0.32, 0.05, -0.3, 0.7),  # V; of the SRAM flavours: a fit moves it to its own device's threshold
    "nfactor": Free(0, 0, 0.3, -3, 3),
    "eta0": Free(0.055, 0.16, 0.05, 0, 1),
    "u0": Free(0.016, 0.05, 0.01, 0.001, 0.3),  # m^2/(V s)
    "vsat": Free(2.6e5, 8e4, 5e4, 2e4, 1e6),  # m/s
    "pclm": Free(0.06, 0.8, 0.3, 0.001, 5),
    "minv": Free(-0.53, 1.3, 0.5, -3, 3),
    "rdsw": Free(95, 500, 100, 0, 800),  # ohm um
    "ua": Free(2.7e-9, -2.6e-9, 3e-10, -5e-9, 1e-8),  # m/V
    "ub": Free(2e-18, 4e-18, 1e-18, -2e-17, 5e-17),  # m^2/V^2
    "prwg": Free(-0.45, 1.3, 0.5, -0.5, 5),
    "delta": Free(0.011, 0.035, 0.01, 5e-4, 0.2),
    "pvag": Free(-0.7, -0.16, 1, -2, 10),
    "cdscd": Free(1.5e-3, 0, 1e-3, -0.01, 0.05),
    "voff": Free(-0.11, -0.03, 0.03, -0.3, 0.2),
    "a2": Free(0.85, 0.3, 0.3, 0.1, 2),
    "vtl": Free(1.5e5, 8e4, 2e5, 3e4, 2e6),  # m/s
    "xn": Free(3.1, 3.6, 1, 3, 30),
}
# What moves with temperature.
FREE_TEMPERATURE = {
    "ute": Free(-1.1, -1.2, 0.5, -3, 2),
    "kt1": Free(-0.034, -0.17, 0.05, -0.6, 0.3),
    "at": Free(-1.2e5, 0, 2e4, -2e5, 3e5),
    "ua1": Free(-4e-10, 0, 3e-10, -1e-8, 1e-8),
    "ub1": Free(0, 0, 1e-18, -5e-17, 5e-17),
    "prt": Free(-40, 0, 100, -800, 800),
    "tvoff": Free(3.5e-3, 0, 1e-3, -0.02, 0.02),
    "tnfactor": Free(0, 0, 0.01, -0.3, 0.3),
    "teta0": Free(0, 0, 1e-4, -0.01, 0.01),
}

# Switches and terms that a fin does not have.
FIXED: Parameters = {
    "level": 14,
    "version": 4.8,
    "tnom": 25,
    "capmod": 2,
    "rdsmod": 0,  # series resistance inside the current equation: no extra nodes
    "igcmod": 0,  # no gate leakage
    "igbmod": 0,
    "paramchk": 0,
    "ndep": 1e18,  # with k1 = k2 = 0 it only sets lengths and the swing's scale; assumed
    **dict.fromkeys(("k1", "k2", "k3"), 0),  # an undoped fin has no body effect
    **dict.fromkeys(("lpe0", "lpeb", "dvt0", "dvt0w", "dvtp0", "etab"), 0),
    "dsub": 1,  # scales eta0, which is fitted
    **dict.fromkeys(("uc", "a0", "ags", "a1", "keta", "b0"), 0),  # a0: without body effect it has none either
    **dict.fromkeys(("cit", "cdsc", "cdscb", "voffl"), 0),
    **dict.fromkeys(("pdiblc1", "pdiblc2"), 0),  # fits set both to 0
    **dict.fromkeys(("pscbe1", "pscbe2", "kt1l", "kt2", "uc1"), 0),
    "cf": 0,  # fringing is part of the overlap capacitance
    "jss": 1e-30,  # no junction leakage; ngspice rejects 0
    **dict.fromkeys(("jsws", "jswgs"), 0),
    # a fin's junction to the substrate is small against its overlap; assumed
    **dict.fromkeys(("cjs", "cjsws", "cjswgs"), 0),
}


# Mobility: 4 is 0 with a field that does not know the threshold, so that mismatch shifts curves and does no more. The
# p-channel cards are not in the read path, and fit better with 0.
MOBILITY: dict[Polarity, float] = {"nmos": 4, "pmos": 0}


def parameters(polarity: Polarity, fitted: Parameters, *, eot: float, overlap: float) -> Parameters:
    """All parameters of a card: fixed ones, the oxide (m) and its overlaps (F/m), and the fitted ones."""
    return {
        **FIXED,
        "mobmod": MOBILITY[polarity],
        **dict.fromkeys(("toxe", "toxp", "toxm"), eot),
        **dict.fromkeys(("cgso", "cgdo"), overlap),
        **fitted,
    }


def model_statement(polarity: Polarity, model: str, values: Parameters) -> str:
    """A `.model` statement."""
    if polarity == "pmos":
        values = {**values, "vth0": -values["vth0"]}
    return model_text(model, polarity, [(name, f"{value:.7g}") for name, value in values.items()])


def model_text(model: str, kind: str, parameters: Sequence[tuple[str, str]]) -> str:
    """A `.model` statement, six parameters a line."""
    pairs = [f"{name}={value}" for name, value in parameters]
    lines = [" ".join(pairs[start : start + 6]) for start in range(0, len(pairs), 6)]
    return "\n+ ".join([f".model {model} {kind} (", *lines]) + ")\n"
