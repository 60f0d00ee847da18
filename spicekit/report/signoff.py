"""Sign-offs on the terminal and as pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from spicekit.evaluate.design import Limits
from spicekit.evaluate.signoff import Deviation
from spicekit.files import write_atomically
from spicekit.report.pictures import literal, png
from spicekit.report.sheets import Sheet

FLOOR = 1e-7  # LSB, left edge of the picture; errors below it are drawn there


class Limited(Protocol):
    """A design, as far as a sign-off shows it."""

    @property
    def limits(self) -> Limits: ...


class Found(Protocol):
    """A sign-off, made or read."""

    @property
    def design(self) -> Limited: ...
    @property
    def passed(self) -> bool: ...
    @property
    def deviations(self) -> Sequence[Deviation]: ...


def sign_off_sheet(result: Found) -> Sheet:
    """Errors against ngspice, a row for each kind of vector and engine."""
    head = ("vectors", "engine", "reads", "worst", "99 %", "rms", "codes")
    rows = tuple(
        (
            deviation.kind,
            deviation.engine,
            f"{deviation.reads:,}",
            f"{deviation.worst:.2g}",
            f"{deviation.p99:.2g}",
            f"{deviation.rms:.2g}",
            f"{deviation.codes_differ:.2%}",
        )
        for deviation in result.deviations
    )
    return Sheet(
        "engines against ngspice on whole tiles: errors in LSB, converter codes that differ", head, rows
    )


def sign_off_picture(result: Found, path: Path) -> None:
    """A PNG: rms, 99 % and worst error of each engine for every kind of vector, beside the limits."""
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(deviation.kind for deviation in result.deviations))
    limits = result.design.limits
    bounds = {"exact": {"worst": limits.exact_worst}}
    bounds["fast"] = {"rms": limits.fast_rms, "worst": limits.fast_worst}
    figure = Figure(figsize=(11, 1.6 + 0.4 * len(kinds)), layout="constrained")
    figure.suptitle(f"against ngspice: {'passed' if result.passed else 'failed'}")
    for axes, (engine, bound) in zip(figure.subplots(1, 2, sharey=True), bounds.items(), strict=True):
        found = [deviation for deviation in result.deviations if deviation.engine == engine]
        places = [kinds.index(deviation.kind) for deviation in found]
        for color, (figure_of_merit, marker) in enumerate((("rms", "o"), ("p99", "|"), ("worst", "x"))):
            values = [max(getattr(deviation, figure_of_merit), FLOOR) for deviation in found]
            axes.plot(values, places, marker, color=f"C{color}", label=figure_of_merit, linestyle="none")
            if figure_of_merit in bound:
                label = f"limit of {figure_of_merit}"
                axes.axvline(bound[figure_of_merit], color=f"C{color}", linestyle="--", label=label)
        axes.set(title=engine, xlabel="error, LSB", xscale="log", xlim=(FLOOR / 2, 2))
        axes.set_yticks(range(len(kinds)), list(map(literal, kinds)))
        axes.set_ylim(len(kinds) - 0.5, -0.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    write_atomically(path, png(figure))
