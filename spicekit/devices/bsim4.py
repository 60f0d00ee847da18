"""A fin in the words of BSIM4: what is switched off, what the sheet states, and how a card is written.

BSIM4 describes a planar bulk transistor. Terms that a fin does not have are switched off: body effect,
narrow-channel and pocket terms, gate and junction leakage.
"""

from spicekit.devices.cards import Speed
from spicekit.devices.corners import Corner
from spicekit.devices.sheet import FullSheet, Polarity

Parameters = dict[str, float]
"""BSIM4 parameters in BSIM4's units; `vth0` as a magnitude."""

NOMINAL = Corner()  # TT, 25 degrees Celsius, 0.7 V: the corner of the targets

# Corners: three standard deviations of the die-to-die spread, sigma(Vt) = 10 mV and 1.7 % of mobility and
# velocity; assumed, see docs/decisions/corners-and-mismatch.md.
CORNER_VT = 0.030  # V
CORNER_DRIVE = 0.05
SKEW: dict[Speed, int] = {"tt": 0, "ff": 1, "ss": -1}


# Switches and terms that a fin does not have.
_FIXED: Parameters = {
    "level": 14,
    "version": 4.8,
    "tnom": 25,
    "mobmod": 0,
    "capmod": 2,
    "rdsmod": 0,  # series resistance inside the current equation: no extra nodes
    "igcmod": 0,  # no gate leakage
    "igbmod": 0,
    "paramchk": 0,
    "ndep": 1e18,  # with k1 = k2 = 0 it only sets lengths and the swing's scale; assumed
    "k1": 0,  # an undoped fin has no body effect
    "k2": 0,
    "k3": 0,
    "lpe0": 0,
    "lpeb": 0,
    "dvt0": 0,
    "dvt0w": 0,
    "dvtp0": 0,
    "etab": 0,
    "dsub": 1,  # scales eta0, which is fitted
    "ua": 0,  # fall of mobility with the gate's field is left to rdsw and vsat
    "ub": 0,
    "uc": 0,
    "prwg": 0,
    "a0": 0,
    "ags": 0,
    "keta": 0,
    "b0": 0,
    "cit": 0,
    "cdsc": 0,  # the swing is nfactor's alone
    "cdscd": 0,
    "cdscb": 0,
    "voff": 0,
    "voffl": 0,
    "pdiblc1": 0,
    "pdiblc2": 0,
    "pscbe1": 0,
    "pscbe2": 0,
    "delta": 0.01,
    "kt1l": 0,  # temperature moves what the sheet says, and nothing else
    "kt2": 0,
    "ua1": 0,
    "ub1": 0,
    "uc1": 0,
    "cf": 0,  # fringing is part of the overlap capacitance
    "jss": 1e-30,  # no junction leakage; ngspice rejects 0
    "jsws": 0,
    "jswgs": 0,
    "cjs": 0,  # a fin's junction to the substrate is small against its overlap; assumed
    "cjsws": 0,
    "cjswgs": 0,
}


def parameters(sheet: FullSheet, fitted: Parameters) -> Parameters:
    """All parameters of the typical card: fixed ones, those that the sheet states, and the fitted ones."""
    gate, temperature = sheet.gate, sheet.temperature
    return {
        **_FIXED,
        "toxe": gate.eot,
        "toxp": gate.eot,
        "toxm": gate.eot,
        "cgso": gate.overlap,
        "cgdo": gate.overlap,
        "ute": temperature.mobility,
        # BSIM4: vsat(T) = vsat - at (T/Tnom - 1)
        "at": fitted["vsat"] * temperature.velocity * NOMINAL.temperature,
        **fitted,
    }


def at_corner(typical: Parameters, speed: Speed) -> Parameters:
    """The typical card's parameters moved to a process corner."""
    drive = 1 + SKEW[speed] * CORNER_DRIVE
    return {
        **typical,
        "vth0": typical["vth0"] - SKEW[speed] * CORNER_VT,
        **{name: typical[name] * drive for name in ("u0", "vsat", "at")},
    }


def model_statement(polarity: Polarity, model: str, values: Parameters) -> str:
    """A `.model` statement, six parameters a line."""
    if polarity == "pmos":
        values = {**values, "vth0": -values["vth0"]}
    pairs = [f"{name}={value:.7g}" for name, value in values.items()]
    lines = [" ".join(pairs[start : start + 6]) for start in range(0, len(pairs), 6)]
    return "\n+ ".join([f".model {model} {polarity} (", *lines]) + ")\n"
