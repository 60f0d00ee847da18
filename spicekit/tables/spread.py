"""Monte Carlo of one cell's read current: mismatch of its transistors, spread of its ReRAM element."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.cells import load_cell
from spicekit.circuits.render import cell_deck
from spicekit.circuits.spec import TileSpec
from spicekit.devices.cards import Card
from spicekit.devices.reram import load_reram
from spicekit.errors import SpiceFailed
from spicekit.spice.simulator import Job, Step, Waves, simulate, simulate_all

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mismatched:
    """A transistor of a cell's read path that differs from cell to cell."""

    name: str
    """In the subcircuit, without its letter."""
    card: Card
    fins: int


def mismatched(spec: TileSpec) -> tuple[Mismatched, ...]:
    """Those that the cell's sheet names."""
    cell = load_cell(spec.cell)
    by_name = {each.name: each for each in cell.transistors("read-port")}
    named = [by_name[name] for name in cell.sheet.mismatch]
    return tuple(Mismatched(each.name, spec.card(each.polarity), each.count(spec.device.fins)) for each in named)


# Pelgrom's law (Pelgrom, Duinmaijer and Welbers, IEEE JSSC 24 (1989) 1433): the threshold difference of two equal
# transistors of one die is normal with standard deviation AVT / sqrt(area), that of their current factors relative with
# ABETA / sqrt(area), both independent; those of one transistor are smaller by sqrt(2).
# V m. Assumed: no figure for this node was found; see docs/decisions/corners-and-mismatch.md.
AVT = 1.3e-9
# m. Assumed: no figure of a fin's current factor was found in public text. The ratio to AVT is that of the n-channel
# transistors measured in the same paper, 2.3 % um to 30 mV um, as if both had shrunk alike since.
ABETA = AVT * 0.023 / 0.030


def pelgrom(card: Card, fins: int) -> Array:
    """(2,) standard deviations of one transistor of `fins` fins: of its threshold, V, and current factor, relative.

    The gated area is fins x effective width x length.
    """
    return np.asarray(np.array([AVT, ABETA]) / np.sqrt(2 * fins * card.width * card.length))


def sigmas(devices: Sequence[Mismatched]) -> Array:
    """(2 k,) standard deviations of k transistors: of their thresholds, V, then of their current factors, relative."""
    return np.array([pelgrom(each.card, each.fins) for each in devices]).reshape(-1, 2).T.ravel()


@dataclass(frozen=True, eq=False)
class Spread:
    """Read currents of cells of one die, word line asserted, terminals at `v_read` and 0 V."""

    nominal: float
    """A."""
    current: Array
    """(n,) A."""

    @property
    def relative(self) -> float:
        """Standard deviation over mean."""
        return float(self.current.std() / self.current.mean())


def read_spread(spec: TileSpec, samples: int, *, weight: int, rng: np.random.Generator) -> Spread:
    """Simulate cells with random thresholds and current factors and, for 1T-1ReRAM, random gaps.

    Each transistor of the read path is shifted on its own, by its card's instance parameter (BSIM4: `delvto`).
    `SpiceFailed` if a sample does not converge: none is left out.
    """
    devices = mismatched(spec)
    draws = rng.normal(0.0, sigmas(devices), (samples, 2 * len(devices)))
    steps = [Step("op", alters(devices, "xcell", draw)) for draw in draws]
    if load_cell(spec.cell).sheet.reram:
        bits = np.full(samples, weight, np.uint8)
        gaps = load_reram(spec.device.reram).gaps(bits, rng.standard_normal(bits.shape))
        decks = [cell_deck(spec, weight=weight, gap=gap) for gap in gaps.tolist()]
        jobs = [Job(deck, (step,), _KEEP) for deck, step in zip(decks, steps, strict=True)]
    else:
        jobs = [Job(cell_deck(spec, weight=weight), tuple(steps), _KEEP)]
    nominal = Job(cell_deck(spec, weight=weight), (Step("op"),), _KEEP)
    first, *sampled = all_waves([nominal, *jobs], what="read_spread")
    return Spread(_currents(first)[0], np.concatenate([_currents(runs) for runs in sampled]))


def standard_deviations(spec: TileSpec) -> tuple[float, ...]:
    """Of thresholds, V, and current factors; then, with a ReRAM element, relative of LRS and of ln of HRS currents."""
    of_transistors = tuple(sigmas(mismatched(spec)).tolist())
    if not load_cell(spec.cell).sheet.reram:
        return of_transistors
    preset = load_reram(spec.device.reram)
    return *of_transistors, preset.sigma_lrs, preset.sigma_hrs


def sensitivity(spec: TileSpec) -> Array:
    """By how much each source of spread moves a cell's read current, word line asserted.

    Simulated with each source one standard deviation up and down: the thresholds of the read path's transistors, their
    current factors, then, for 1T-1ReRAM, the element's state.

    Returns
    -------
    (2, k, 2) float64 array
        By stored bit and source: a and b of ln(I / I nominal) = a z + b z^2, with z in standard deviations.

    Raises
    ------
    SpiceFailed
        If an operating point does not converge.
    """
    devices = mismatched(spec)
    of_state = standard_deviations(spec)[2 * len(devices) :]
    draws = [signed * row for row in np.diag(sigmas(devices)) for signed in (1, -1)]
    steps = (Step("op"), *(Step("op", alters(devices, "xcell", draw)) for draw in draws))
    jobs = [Job(cell_deck(spec, weight=weight), steps, _KEEP) for weight in (0, 1)]
    if of_state:
        gaps = load_reram(spec.device.reram).gaps(np.array([[0], [1]], np.uint8), np.array([1.0, -1.0]))
        jobs += [
            Job(cell_deck(spec, weight=weight, gap=gap), (Step("op"),), _KEEP)
            for weight in (0, 1)
            for gap in gaps[weight].tolist()
        ]
    by_bit = [_currents(runs) for runs in all_waves(jobs, what="sensitivity")]
    nominal, moved = np.split(np.stack(by_bit[:2]), [1], axis=1)
    if of_state:
        moved = np.hstack([moved, np.concatenate(by_bit[2:]).reshape(2, 2)])
    up, down = np.log(moved / nominal).reshape(2, -1, 2).transpose(2, 0, 1)
    return np.stack([(up - down) / 2, (up + down) / 2], axis=-1)


def alters(devices: Sequence[Mismatched], cell: str, draw: Array) -> tuple[str, ...]:
    """What gives a cell instance's transistors the thresholds and current factors of a `draw` (2 k,), for ngspice."""
    k = len(devices)
    return tuple(
        f"@{each.card.letter.lower()}.{cell}.{each.card.letter.lower()}{each.name.lower()}[{name}]={value!r}"
        for each, shift, excess in zip(devices, draw[:k].tolist(), draw[k:].tolist(), strict=True)
        for name, value in each.card.altered(each.fins, shift, excess).items()
    )


_KEEP = ("vsl#branch",)


def read_current(spec: TileSpec, weight: int) -> float:
    """A, of one cell between ideal terminals, its word line asserted, by ngspice."""
    return float(_currents(simulate(Job(cell_deck(spec, weight=weight), (Step("op"),), _KEEP)))[0])


def all_waves(jobs: Iterable[Job], *, what: str) -> list[list[Waves]]:
    """Waves of each job's steps, in order; `SpiceFailed`, which says what they are for, if one failed."""
    found: dict[int, list[Waves]] = {}
    for place, outcome in simulate_all(jobs):
        try:
            found[place] = outcome.waves()
        except SpiceFailed as error:
            raise SpiceFailed(f"{what}: {error}") from None
    return [found[place] for place in sorted(found)]


def _currents(waves: Sequence[Waves]) -> Array:
    return np.array([wave["vsl#branch"][0] for wave in waves])
