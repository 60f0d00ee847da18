"""Sign-off: the engines against ngspice on whole tiles, held to the limits of a design; and the evidence, kept."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.bias import Bias, bias_of
from spicekit.engines.converter import Reference, convert, set_reference
from spicekit.engines.spice import sensed, tile_job
from spicekit.engines.tile import EngineName, Tile, one_read_each, read_currents
from spicekit.evaluate.design import Design
from spicekit.evaluate.evaluation import Report
from spicekit.evaluate.vectors import ADVERSARIAL, Case
from spicekit.provenance import JsonDict
from spicekit.spice.simulator import Failure, Outcome, simulate_all
from spicekit.tables.characterise import Characterisation
from spicekit.tables.inventory import stores
from spicekit.tables.table import IVTable

Array = NDArray[np.float64]

ENGINES: tuple[EngineName, ...] = ("exact", "fast")


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
            "deviations": [asdict(deviation) for deviation in self.deviations],
        }


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
    return SignOff(design, table.sha256, tuple(deviations), vectors, tuple(sorted(failures)))


def evidence_path(folder: Path, spec: TileSpec) -> Path:
    """Where a store keeps the sign-off of a tile: beside the table, by the tile's content hash."""
    return folder / f"{Characterisation(spec).name}-{spec.content_hash()[:10]}.signoff.json"


def not_signed_off(spec: TileSpec, table: IVTable, *, store: Path | None = None) -> str:
    """Why results on this tile lie outside what was signed off; empty if they lie within.

    Parameters
    ----------
    spec : TileSpec
    table : IVTable
    store : Path, optional
        Look for evidence here only; by default in the user's store, then in the one that ships.
    """
    paths = [evidence_path(folder, spec) for folder in ([store] if store else stores())]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return "no sign-off of this tile"
    try:
        record = json.loads(path.read_text())
        if record["table"] != table.sha256 or record["design"]["tile"] != spec.model_dump(mode="json"):
            return f"{path} is the sign-off of another I-V table or tile"
        return "" if record["passed"] else f"{path}: this tile failed its sign-off: {record['faults'][0]}"
    except (OSError, ValueError, LookupError, TypeError) as error:
        return f"{path} is not a readable sign-off ({error})"


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
