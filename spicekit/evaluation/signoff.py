"""Sign-off: the engines against ngspice on whole tiles, held to the limits of a design; and the evidence, kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import computed_field

from spicekit.circuits.spec import TileSpec
from spicekit.decks.simulators import SimulatorName, simulate_all_with, simulator_at_hand
from spicekit.engines.cell_currents import cell_currents_of
from spicekit.engines.converter import LayerReads, Thresholds, convert, set_thresholds
from spicekit.engines.spice import sensed, tile_job
from spicekit.engines.tile import EngineName, Tile, one_read_each, read_currents
from spicekit.errors import BadInput
from spicekit.evaluation.design import Design, as_design
from spicekit.evaluation.vectors import ADVERSARIAL, HARVEST_IMAGES, Bits, Case, adversarial_cases, cases_for
from spicekit.provenance import JsonDict, provenance
from spicekit.results import Fraction, Lsb, Record, Report, Result, new_axes, silent, units_of
from spicekit.spice.simulator import Failure, Outcome
from spicekit.tables.store import table_for
from spicekit.tables.table import IVTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import nn

    from spicekit.networks.data import Data

Array = NDArray[np.float64]

ENGINES: tuple[EngineName, ...] = ("exact", "fast")


class EngineError(Record):
    """How far an engine, or a second simulator, is from the first simulator on one kind of vector."""

    kind: str
    """Kind of vector."""
    engine: str
    """Engine, or second simulator, whose currents are compared."""
    reads: int
    """Column reads compared."""
    worst: Lsb
    """Largest error."""
    p99: Lsb
    """Error that 99 % of the errors stay below."""
    rms: Lsb
    """Root mean square of the errors."""
    codes_differ: Fraction
    """Share of converter codes that differ."""
    histogram: tuple[int, ...] = ()
    """Column reads by the size of their error: between neighbours of `BINS`, those beyond at the ends."""


BINS: tuple[float, ...] = tuple(10 ** (k / 4) for k in range(-28, 5))
"""LSB, edges of `EngineError.histogram`: four a decade, from 1e-7 to 10."""


class SignOff(Result):
    """What a design's tile was found to be.

    >>> import spicekit as sk
    >>> found = sk.sign_off(sk.design(rows=4, columns=1, layer="M2", pitch_nm=108), vectors=1)
    >>> found.save("signoff.json")
    >>> print(sk.load("signoff.json"))  # doctest: +ELLIPSIS
    Sign-off of ... vectors: passed
    """

    kind: Literal["sign-off"] = "sign-off"
    """Which kind of result this is."""
    design: Design
    """The design whose tile it is. Its limits decide."""
    table: str
    """SHA-256 of the I-V table."""
    errors: tuple[EngineError, ...]
    """Errors by kind of vector and engine."""
    vectors: int
    """Reads of a whole tile that were asked of each simulator."""
    failures: tuple[str, ...]
    """Reads that a simulator did not give, each with the reason."""
    fast_reads: tuple[float, ...]
    """`fast_reads` of the tile, LSB, by which a change of the fast engine is found."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def faults(self) -> list[str]:
        """What keeps the tile from being signed off, a line each; empty if it passes."""
        limits = self.design.limits
        faults = []
        for error in self.errors:
            bounds = {"codes_differ": limits.codes_differ}
            if error.engine == "fast":
                bounds |= {"worst": limits.fast_worst, "rms": limits.fast_rms}
            else:  # a second simulator solves the same circuit, as the exact engine does
                bounds["worst"] = limits.exact_worst
            for name, bound in bounds.items():
                value = getattr(error, name)
                if not value <= bound:
                    faults.append(f"{error.kind}, {error.engine}: {name} {value:.3g}, limit {bound:g}")
        if self.failures:
            faults.append(f"simulation failed on {len(self.failures)} of {self.vectors} vectors: {self.failures[0]}")
        return faults

    @computed_field  # type: ignore[prop-decorator]
    @property
    def passed(self) -> bool:
        """Whether every vector was simulated and every limit is kept."""
        return not self.faults

    @property
    def simulator(self) -> str:
        """What the engines are held to."""
        return str(self.provenance.get("simulators", ["ngspice"])[0])

    def rows(self) -> list[JsonDict]:
        """One for each kind of vector and engine."""
        return [error.model_dump(exclude={"histogram"}) for error in self.errors]

    def units(self) -> dict[str, str]:
        """Units of the columns."""
        return units_of(EngineError)

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Worst error of each engine for every kind of vector, and the limits."""
        axes = new_axes(axes)
        kinds = list(dict.fromkeys(error.kind for error in self.errors))
        limits = {"exact": self.design.limits.exact_worst, "fast": self.design.limits.fast_worst}
        for color, (engine, limit) in enumerate(limits.items()):
            found = [error for error in self.errors if error.engine == engine]
            places = [kinds.index(error.kind) for error in found]
            worst = [max(error.worst, FLOOR) for error in found]
            axes.plot(worst, places, "x", color=f"C{color}", label=engine)
            axes.axvline(limit, color=f"C{color}", linestyle="--", label=f"limit of {engine}")
        axes.set(xlabel="worst error, LSB", xscale="log")
        axes.set_yticks(range(len(kinds)), [kind.replace("$", r"\$") for kind in kinds])
        axes.legend(frameon=False, fontsize=8)
        return axes

    def __str__(self) -> str:
        return f"Sign-off of {self.vectors:,} vectors: {'passed' if self.passed else 'NOT passed'}"


FLOOR = 1e-7
"""LSB; smaller errors are drawn there."""


def sign_off(
    design: Design,
    table: IVTable | None = None,
    cases: Sequence[Case] | None = None,
    *,
    network: "nn.Module | None" = None,
    images: "Data | None" = None,
    vectors: int = 8,
    seed: int = 0,
    simulators: Sequence[SimulatorName] = ("ngspice",),
    store: Path | None = None,
    workers: int | None = None,
    timeout: float = 600.0,
    report: Report = silent,
) -> SignOff:
    """Run the cases in a circuit simulator and in the engines, and compare.

    Parameters
    ----------
    design : Design
        A fitted converter reference is fitted on the cases that are not adversarial.
    table : IVTable, optional
        Of the design's cell and corner; by default the one that the stores have.
    cases : sequence of Case, optional
        By default `cases_for` the tile, from what follows.
    network, images : Module, and images as in `evaluate`, optional
        Also tiles of this network, and the vectors that the first images apply to them.
    vectors : int
        For each random or network tile.
    seed : int
        Of the bits drawn.
    simulators : sequence of {"ngspice", "vacask"}
        The first is what everything is held to; a second one is compared with it as the engines are.
    store : Path, optional
        Folder of I-V tables; by default the user's, then those that ship.
    workers : int, optional
        Processes; as many as there are cores by default.
    timeout : float
        Seconds that a simulator may take for one case.
    report : function, optional
        Called with what is about to be done.

    Raises
    ------
    BadInput
        If an engine refuses the tile, or a network comes without images.
    MissingTable
        If there is no I-V table for the design.
    MissingTool
        If a simulator is not there.
    NotConverged
        If the exact engine does not converge.

    Examples
    --------
    >>> import spicekit as sk
    >>> found = sk.sign_off(sk.design(rows=8, columns=2, layer="M2", pitch_nm=108), vectors=1)
    >>> found.passed, sorted({error.engine for error in found.errors})
    (True, ['exact', 'fast'])
    """
    design = as_design(design)
    if vectors < 1:
        raise BadInput(f"sign_off: vectors = {vectors}; pass 1 at least.")
    spec = design.tile
    table = table_for(spec, table, store=store)
    if (network is None) != (images is None):
        raise BadInput("sign_off: pass a network and its images together.")
    if not simulators or len({*simulators}) < len(simulators):
        raise BadInput(f"sign_off: pass simulators, each once; got {', '.join(simulators) or 'none'}.")
    builds = [simulator_at_hand(simulator) for simulator in simulators]
    harvest = None
    if network is not None and images is not None:
        from spicekit.networks.adopt import check_binary
        from spicekit.networks.data import as_dataset

        network, images = check_binary(network), as_dataset(images)
        harvest = network, images.first(min(HARVEST_IMAGES, len(images)))
    if cases is None:
        cases = cases_for(spec, vectors, rng=np.random.default_rng(seed), harvest=harvest)
    if not cases:
        raise BadInput("sign_off: there are no cases; pass one at least.")
    found: dict[str, list[Array]] = {}
    for name in ENGINES:
        report(f"{name} engine")
        found[name] = [
            read_currents(Tile(spec, table, case.weights), case.bits, engine=name).reshape(-1, spec.columns)
            for case in cases
        ]
    reads = [one_read_each(spec, case.bits) for case in cases]
    asked = sum(map(len, reads))
    jobs = [tile_job(spec, case.weights, applied) for case, applied in zip(cases, reads, strict=True)]
    failures: list[str] = []
    for simulator in simulators:
        stage = f"{simulator}, {asked} vectors on tiles of {spec.rows} x {spec.columns}"
        report(stage, 0, asked)
        measured: dict[int, Array] = {}
        for index, outcome in simulate_all_with(simulator, jobs, workers=workers, timeout=timeout):
            measured[index], troubles = _measured(outcome, len(reads[index]), spec)
            failures += [f"{cases[index].kind}: {trouble}" for trouble in troubles]
            report(stage, sum(len(reads[done]) for done in measured), asked)
        found[simulator] = [measured[index] for index in range(len(cases))]
    cells = cell_currents_of(spec, table)
    zeros = [cells.zeros(applied.sum(axis=1, dtype=float))[:, None] for applied in reads]
    signals = {
        name: [current - zero for current, zero in zip(currents, zeros, strict=True)]
        for name, currents in found.items()
    }
    thresholds = _thresholds(design, cells.lsb, cases, reads, signals["exact"])
    errors = []
    for kind in dict.fromkeys(case.kind for case in cases):
        chosen = [index for index, case in enumerate(cases) if case.kind == kind]
        seen = {name: np.concatenate([parts[index] for index in chosen]) for name, parts in signals.items()}
        true = seen[simulators[0]]
        good = np.isfinite(true).all(axis=1)
        for engine in [*ENGINES, *simulators[1:]] if good.any() else ():
            good &= np.isfinite(seen[engine]).all(axis=1)
            sides = seen[engine][good], true[good]
            errors.append(_error(kind, engine, *sides, thresholds=thresholds, lsb=cells.lsb))
    facts = {
        "seed": seed,
        "network": network and type(network).__name__,
        "data": images and images.source,
        "simulators": list(simulators),
        **{key: value for build in builds for key, value in build.facts().items()},
        "table_origin": table.origin,
    }
    return SignOff(
        design=design,
        table=table.sha256,
        errors=tuple(errors),
        vectors=asked,
        failures=tuple(sorted(failures)),
        fast_reads=fast_reads(spec, table),
        provenance=provenance(facts),
    )


def fast_reads(spec: TileSpec, table: IVTable) -> tuple[float, ...]:
    """What the fast engine reads of the adversarial tile, LSB: by vector, its reads added, the mean of its columns."""
    case = adversarial_cases(spec)[-1]
    current = read_currents(Tile(spec, table, case.weights), case.bits, engine="fast")
    return tuple((current.sum(axis=1).mean(axis=1) / cell_currents_of(spec, table).lsb).tolist())


def _measured(outcome: Outcome | Failure, vectors: int, spec: TileSpec) -> tuple[Array, list[str]]:
    """(b, c) A, NaN where the simulator failed, and why it did."""
    if isinstance(outcome, Failure):
        return np.full((vectors, spec.columns), np.nan), [outcome.reason] * vectors
    none = np.full(spec.columns, np.nan)
    rows = [none if run.trouble else sensed(run.waves, spec) for run in outcome.runs]
    return np.array(rows), [run.trouble for run in outcome.runs if run.trouble]


def _error(kind: str, engine: str, current: Array, true: Array, *, thresholds: Thresholds, lsb: float) -> EngineError:
    """Of the signals (n, c) in A that the converters see."""
    error = np.abs(current - true) / lsb
    return EngineError(
        kind=kind,
        engine=engine,
        reads=error.size,
        worst=float(error.max()),
        p99=float(np.quantile(error, 0.99)),
        rms=float(np.sqrt((error**2).mean())),
        codes_differ=float((convert(thresholds, current) != convert(thresholds, true)).mean()),
        histogram=tuple(np.histogram(np.clip(error, BINS[0], BINS[-1]), BINS)[0].tolist()),
    )


def _thresholds(
    design: Design, lsb: float, cases: Sequence[Case], reads: Sequence[Bits], signals: Sequence[Array]
) -> Thresholds:
    """The design's converter, fitted on the signals in A of the cases that are not adversarial."""
    layers = []
    for case, bits, signal in zip(cases, reads, signals, strict=True):
        if case.kind != ADVERSARIAL:
            count = (bits.astype(np.int64) @ case.weights).ravel()
            layers.append(LayerReads(signal.ravel(), count, np.ones(count.size), reads=design.tile.groups))
    return set_thresholds(design.converter, layers, rows=design.tile.rows_active, lsb=lsb)
