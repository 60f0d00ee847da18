"""Write a fitted device: its cards, and the record of how they came about."""

from pathlib import Path

from spicekit.devices.bsim4 import FREE, FREE_TEMPERATURE, model_statement
from spicekit.devices.cards import Speed
from spicekit.devices.fit import Fit
from spicekit.files import write_atomically
from spicekit.spice.simulator import ngspice_version


def write_device(fit: Fit, folder: Path) -> None:
    """Write a card for each corner, `tt.sp` and so on, and `fit.md` into a folder."""
    for speed in fit.cards:
        write_atomically(folder / f"{speed}.sp", _card_text(fit, speed))
    write_atomically(folder / "fit.md", _record(fit))


def _card_text(fit: Fit, speed: Speed) -> str:
    name = Path(fit.device).name
    return (
        f"* {name} at {speed}: one fin of the 7 nm node as a BSIM4 card for stock ngspice.\n"
        f"* Written by `spicekit devices fit` from device.toml and its curves; errors in fit.md.\n"
        + model_statement(fit.sheet.polarity, f"{name.replace('-', '_')}_{speed}", fit.cards[speed])
    )


def _record(fit: Fit) -> str:
    errors = [
        f"| {speed} | {celsius:g} | {row.rms:.2%} | {row.worst:.2%} | {row.idsat:+.2%} | {row.ieff:+.2%} "
        f"| {row.idlin:+.2%} | {row.subthreshold:.0%} |"
        for speed, rows in fit.errors.items()
        for celsius, row in zip(fit.curves.celsius, rows, strict=True)
    ]
    fitted = [
        f"| {name} | "
        + " | ".join(f"{values[name]:.5g}" for values in fit.cards.values())
        + f" | {free.low:g} to {free.high:g} |"
        for name, free in (FREE | FREE_TEMPERATURE).items()
    ]
    corners = " | ".join(fit.cards)
    return f"""# How {Path(fit.device).name} was fitted

`spicekit devices fit {Path(fit.device).name}`: least squares on {len(fitted)} BSIM4 parameters against ngspice
{ngspice_version()}, {fit.steps} steps for {len(fit.cards)} cards. Curves and their source: `device.toml`; fixed
parameters and starting values: `spicekit/devices/bsim4.py`; method: `spicekit/devices/fit.py`,
docs/decisions/cards.md.

Errors over the whole surface: rms and worst in fractions of the largest current; Idsat, Ieff and Idlin in fractions
of their own; subthreshold the worst of a current between 0.1 pA and 100 nA.

| corner | C | rms | worst | Idsat | Ieff | Idlin | subthreshold |
|---|---|---|---|---|---|---|---|
{_lines(errors)}

| parameter | {corners} | bounds |
{_RULE * (len(fit.cards) + 2)}|
{_lines(fitted)}

vth0 is given as a magnitude.
"""


def _lines(rows: list[str]) -> str:
    return "\n".join(rows)


_RULE = "|---"
