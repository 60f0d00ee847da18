"""Sign-off: the engines against ngspice on whole tiles, held to the limits of a design; and the evidence, kept."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.cell_currents import Bias, bias_of
from spicekit.engines.converter import Reference, convert, set_reference
from spicekit.engines.spice import sensed, tile_job
from spicekit.engines.tile import EngineName, Tile, one_read_each, read_currents
from spicekit.evaluate.design import Design
from spicekit.evaluate.evaluation import Report
from spicekit.evaluate.vectors import ADVERSARIAL, NETWORK, Case, adversarial_cases
from spicekit.provenance import JsonDict
from spicekit.spice.simulator import Failure, Outcome, simulate_all
from spicekit.tables.characterise import Characterisation
from spicekit.tables.inventory import stores
from spicekit.tables.table import IVTable

Array = NDArray[np.float64]

ENGINES: tuple[EngineName, ...] = ("exact", "fast")
MOVED = 1e-3
"""LSB, by which the fast engine's reads may differ from those at sign-off: a fiftieth of the default `fast_rms`.
Assumed: the same fit on another machine differs by rounding only."""


@dataclass(frozen=True)
class Deviation:
    """How far an engine is from ngspice on one kind of vector."""

    kind: str
    engine: str
    reads: int
    """Column reads compared."""
    worst: float
    """Largest error, LSB."""
    p99: float
    """That 99 % of the errors stay below, LSB."""
    rms: float
    """LSB."""
    codes_differ: float
    """Fraction of converter codes that differ."""


@dataclass(frozen=True)
class SignOff:
    """What a design's tile was found to be."""

    design: Design
    table: str
    """SHA-256 of the I-V table."""
    deviations: tuple[Deviation, ...]
    vectors: int
    """Reads of a whole tile that were asked of ngspice."""
    failures: tuple[str, ...]
    """One for each of them that it did not give, and why."""
    fast_reads: tuple[float, ...]
    """`fast_reads` of the tile, by which a change of the fast engine is found."""

    @property
    def faults(self) -> list[str]:
        """What keeps the tile from being signed off, a line each; empty if it passes."""
        limits = self.design.limits
        faults = []
        for deviation in self.deviations:
            bounds = {"codes_differ": limits.codes_differ}
            if deviation.engine == "exact":
                bounds["worst"] = limits.exact_worst
            else:
                bounds |= {"worst": limits.fast_worst, "rms": limits.fast_rms}
            for name, bound in bounds.items():
                value = getattr(deviation, name)
                if not value <= bound:
                    faults.append(
                        f"{deviation.kind}, {deviation.engine}: {name} {value:.3g}, limit {bound:g}"
                    )
        if self.failures:
            faults.append(
                f"ngspice failed on {len(self.failures)} of {self.vectors} vectors: {self.failures[0]}"
            )
        return faults

    @property
    def passed(self) -> bool:
        """Whether every vector was simulated and every limit is kept."""
        return not self.faults

    def record(self) -> JsonDict:
        """Everything, JSON-ready."""
        return {
            "design": self.design.model_dump(mode="json"),
            "table": self.table,
            "passed": self.passed,
            "faults": self.faults,
            "vectors": self.vectors,
            "failures": list(self.failures),
            "fast_reads": list(self.fast_reads),
            "deviations": [asdict(deviation) for deviation in self.deviations],
        }


@dataclass(frozen=True)
class Standing:
    """Whether results lie within what was signed off."""

    outside: str
    """Why they do not; empty if they do."""
    network: bool = False
    """Whether vectors of a network were among those compared."""


def sign_off(
    design: Design,
    table: IVTable,
    cases: Sequence[Case],
    *,
    workers: int | None = None,
    timeout: float = 600.0,
    report: Report = lambda text: None,
) -> SignOff:
    """Run the cases in ngspice and in the engines, and compare.

    Parameters
    ----------
    design : Design
        A fitted converter reference is fitted on the cases that are not adversarial.
    table : IVTable
        Of the design's cell and corner.
    cases : sequence of Case
    workers : int, optional
        ngspice processes; as many as there are cores by default.
    timeout : float
        Seconds that ngspice may take for one case.
    report : function, optional
        Called with what is about to be done.

    Raises
    ------
    BadInput
        If an engine refuses the tile.
    NotConverged
        If the exact engine does not converge.
    """
    spec = design.tile
    found: dict[str, list[Array]] = {}
    for engine in ENGINES:
        report(f"{engine} engine")
        found[engine] = [
            read_currents(Tile(spec, table, case.weights), case.bits, engine=engine).reshape(-1, spec.columns)
            for case in cases
        ]
    reads = [one_read_each(spec, case.bits) for case in cases]
    vectors = sum(map(len, reads))
    report(f"ngspice, {vectors} vectors on tiles of {spec.rows} x {spec.columns}")
    jobs = (tile_job(spec, case.weights, applied) for case, applied in zip(cases, reads, strict=True))
    spice: dict[int, Array] = {}
    failures: list[str] = []
    for index, outcome in simulate_all(jobs, workers=workers, timeout=timeout):
        spice[index], troubles = _measured(outcome, len(reads[index]), spec.columns)
        failures += [f"{cases[index].kind}: {trouble}" for trouble in troubles]
    bias = bias_of(spec, table)
    reference = _reference(design, bias, cases, reads, found["exact"])
    deviations = []
    for kind in dict.fromkeys(case.kind for case in cases):
        chosen = [index for index, case in enumerate(cases) if case.kind == kind]
        true = np.concatenate([spice[index] for index in chosen])
        zeros = bias.zeros(np.concatenate([reads[index].sum(axis=1, dtype=float) for index in chosen]))
        good = np.isfinite(true).all(axis=1)
        for engine in ENGINES if good.any() else ():
            current = np.concatenate([found[engine][index] for index in chosen])
            sides = (current - zeros[:, None])[good], (true - zeros[:, None])[good]
            deviations.append(_deviation(kind, engine, *sides, reference=reference, lsb=bias.lsb))
    failed = tuple(sorted(failures))
    return SignOff(design, table.sha256, tuple(deviations), vectors, failed, fast_reads(spec, table))


def evidence_path(folder: Path, spec: TileSpec) -> Path:
    """Where a store keeps the sign-off of a tile: beside the table, by the tile's content hash."""
    return folder / f"{Characterisation(spec).name}-{spec.content_hash()[:10]}.signoff.json"


def standing(design: Design, table: IVTable, *, store: Path | None = None) -> Standing:
    """Whether results of a design lie within what was signed off.

    What was found of the tile is held to the limits that the design has now, whatever they were then. It is void for
    another tile, I-V table or converter scale, for cells that are not nominal, and if the fast engine reads otherwise
    by now.

    Parameters
    ----------
    design : Design
    table : IVTable
    store : Path, optional
        Look for evidence here only; by default in the user's store, then in the one that ships.
    """
    spec = design.tile
    if design.variation.mismatch or design.ablation.linear_cells:
        return Standing("a sign-off is of nominal cells: it covers neither mismatch nor linear cells")
    paths = [evidence_path(folder, spec) for folder in ([store] if store else stores())]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return Standing("no sign-off of this tile")
    reads = fast_reads(spec, table)
    try:
        record = json.loads(path.read_text())
        deviations = tuple(Deviation(**deviation) for deviation in record["deviations"])
        found = SignOff(
            design, record["table"], deviations, record["vectors"], record["failures"], record["fast_reads"]
        )
        converter = record["design"]["converter"]
        other = [name for name in _SCALE if converter[name] != getattr(design.converter, name)]
        moved = float(np.abs(np.subtract(found.fast_reads, reads)).max())
        faults = found.faults
        if found.table != table.sha256 or record["design"]["tile"] != spec.model_dump(mode="json"):
            return Standing(f"{path} is the sign-off of another I-V table or tile")
    except (OSError, ValueError, LookupError, TypeError) as error:
        return Standing(f"{path} is not a readable sign-off ({error!r})")
    if other:
        return Standing(f"{path} is the sign-off of another converter: {', '.join(other)}")
    if not moved <= MOVED:
        return Standing(f"{path}: the fast engine has changed since: reads moved by up to {moved:.2g} LSB")
    if faults:
        return Standing(f"{path}: this tile failed its sign-off: {faults[0]}")
    return Standing("", network=any(deviation.kind.startswith(NETWORK) for deviation in deviations))


def fast_reads(spec: TileSpec, table: IVTable) -> tuple[float, ...]:
    """What the fast engine reads of the adversarial tile, LSB: by vector, its reads added, the mean of its columns."""
    case = adversarial_cases(spec)[-1]
    current = read_currents(Tile(spec, table, case.weights), case.bits, engine="fast")
    return tuple((current.sum(axis=1).mean(axis=1) / bias_of(spec, table).lsb).tolist())


def _measured(outcome: Outcome | Failure, vectors: int, columns: int) -> tuple[Array, list[str]]:
    """(b, c) A, NaN where ngspice failed, and why it did."""
    if isinstance(outcome, Failure):
        return np.full((vectors, columns), np.nan), [outcome.reason] * vectors
    rows = [np.full(columns, np.nan) if run.trouble else sensed(run.waves, columns) for run in outcome.runs]
    return np.array(rows), [run.trouble for run in outcome.runs if run.trouble]


def _deviation(
    kind: str, engine: str, current: Array, true: Array, *, reference: Reference, lsb: float
) -> Deviation:
    """Of the signals (n, c) in A that the converters see."""
    error = np.abs(current - true) / lsb
    return Deviation(
        kind,
        engine,
        reads=error.size,
        worst=float(error.max()),
        p99=float(np.quantile(error, 0.99)),
        rms=float(np.sqrt((error**2).mean())),
        codes_differ=float((convert(reference, current) != convert(reference, true)).mean()),
    )


def _reference(
    design: Design,
    bias: Bias,
    cases: Sequence[Case],
    reads: Sequence[NDArray[np.uint8]],
    exact: Sequence[Array],
) -> Reference:
    """The design's converter, fitted on what the exact engine gives for the cases that are not adversarial."""
    usual = [index for index, case in enumerate(cases) if case.kind != ADVERSARIAL]
    current = [exact[index] - bias.zeros(reads[index].sum(axis=1, dtype=float))[:, None] for index in usual]
    count = [reads[index].astype(np.int64) @ cases[index].weights for index in usual]
    return set_reference(
        design.converter,
        rows=design.tile.rows_active,
        lsb=bias.lsb,
        current=np.concatenate([part.ravel() for part in current]),
        count=np.concatenate([part.ravel() for part in count]),
        weight=np.ones(sum(part.size for part in count)),
    )


_SCALE = ("bits", "full_scale", "reference")
"""What of a converter a sign-off depends on: it compares codes of converters without flaws."""
