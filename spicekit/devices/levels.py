"""Which transistor models this ngspice can run. A level that it cannot run must never reach a deck: some
are silently replaced by level 1."""

import functools
import json
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from importlib.resources import files

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
