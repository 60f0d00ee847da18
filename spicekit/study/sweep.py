"""Run a study: its points cut into jobs, the jobs given to a Dask cluster, each result kept as soon as it is there."""

import functools
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import spicekit
from spicekit.circuits.spec import RAILS
from spicekit.engines.cell_currents import cell_sensitivity
from spicekit.engines.exact.ladder import decides
from spicekit.errors import BadInput, BadTable, MissingTable, SpiceFailed, SpicekitError, require
from spicekit.evaluation.convert import calibration_images
from spicekit.evaluation.reads import probed, reads_key
from spicekit.files import as_path, take_folder, writing
from spicekit.networks.data import Dataset, require_apart
from spicekit.provenance import JsonDict, code_hash, content_hash, provenance
from spicekit.results import accuracy_interval, plain
from spicekit.study.cluster import Cluster, Scheduler, connected
from spicekit.study.jobs import Weights, checkpoint, counted_reads, run_job, software_right
from spicekit.study.plan import Point, Study, calibration_set, chosen_images, cut, read_study
from spicekit.study.results import (
    EARLIER_FILE,
    POINTS_FOLDER,
    PROVENANCE,
    RESULTS_FILE,
    Log,
    PointsWriter,
    StudyResult,
    complete,
)
from spicekit.tables.calibrate import Progress, calibrate
from spicekit.tables.characterise import Characterisation, made_by
from spicekit.tables.store import find_table, user_store
from spicekit.tables.table import IVTable

if TYPE_CHECKING:
    from distributed import Client, Future

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class _Job:
    """Some images of a point, with all that decides the result."""

    point: Point
    weights: Weights
    table: IVTable
    cell: NDArray[np.float64] | None
    """What mismatch does to the point's cell, where it has any; follows from the design and the table."""
    images: Dataset
    calibration: Dataset
    start: int
    """Place of the first of them among the point's."""
    counted: Dataset | None
    """The point's first images, of which the job that has the first of all says what the reads carry."""

    @functools.cached_property
    def key(self) -> str:
        return content_hash(
            {
                "code": code_hash(),
                "design": self.point.design.model_dump(mode="json", exclude={"limits", "costs"}),
                "mitigation": self.point.run.mitigation,
                "weights": self.weights.sha256,
                "columns": decides(self.point.design.tile, self.table),
                "cell": None if self.cell is None else self.cell.tolist(),
                "images": self.images.sha256,
                "calibration": self.calibration.sha256,
                "start": self.start,
                "counted": self.counted.sha256 if self.counted else None,
            }
        )

    def reads_key(self, images: Dataset) -> str:
        """Of what the point's tiles read of some images: points that differ in converters or dies share it."""
        mitigation, weights = self.point.run.mitigation, self.weights.sha256
        return reads_key(images, self.point.design, self.table, mitigation=mitigation, weights=weights)


def sweep(
    study: Study | Path | str,
    out: Path | str,
    *,
    cluster: Cluster | None = None,
    scheduler: Scheduler | None = None,
    store: Path | None = None,
    report_tables: Callable[[Progress], None] = lambda progress: None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> StudyResult:
    """Evaluate the points of a study that an earlier run did not.

    Parameters
    ----------
    study : Study, or path of a TOML file
    out : path
        Folder of the results: a log of finished jobs; `points`, a folder of Parquet files to which the rows of points
        are added as they are finished; in the end `results.parquet`, with a row for each point in the study's order.
        One that is there when something is left to run is kept as `earlier-results.parquet`.
    cluster : Cluster, optional
        Workers to start; by default one a core of this machine.
    scheduler : Scheduler, optional
        A Dask scheduler that runs; nothing is started then.
    store : Path, optional
        Folder of I-V tables; what is missing there is calibrated first.
    report_tables : function
        Called with the progress of that calibration.
    report : function
        Called with the progress in jobs, at the start and after each.

    Raises
    ------
    MissingTool
        If Dask or pyarrow is not installed.
    SpiceFailed
        If a table is missing and cannot be calibrated, or not everywhere.
    BadInput
        If the folder cannot be written, a network or data set is not there, or the scheduler does not answer.
    SpicekitError
        If the scheduler is lost; what was finished is kept.

    Examples
    --------
    >>> import spicekit as sk
    >>> _ = Path("study.toml").write_text('''
    ... [base]
    ... wires = {layer = "M2", pitch_nm = 108}
    ... tile = {rows_active = 16}
    ... run = {network = "vgg-small-quarter", images = 4}
    ... [[grid]]
    ... "run.mitigation" = ["none", "both"]
    ... ''')
    >>> found = sk.sweep("study.toml", "results")  # on all cores of this machine
    >>> [row["run.mitigation"] for row in found.rows() if row["accuracy"] > 0.7], found.failed
    (['both'], 0)
    >>> sk.load("results").rows() == found.rows()
    True
    """
    require("pyarrow")
    study = study if isinstance(study, Study) else read_study(as_path(study, what="sweep: study"))
    out = as_path(out, what="sweep: out")
    for given, kind in ((cluster, Cluster), (scheduler, Scheduler)):
        if not isinstance(given, kind | None):
            raise BadInput(f"sweep: expected a spicekit.study.cluster.{kind.__name__}, got {given!r}.")
    take_folder(out)  # refused here, not after the hours that tables may take
    tables = _tables(study, store, report_tables)
    planned = _plan(study, tables)
    places: dict[str, list[int]] = {}
    for place, own in enumerate(planned):
        for job in own:
            places.setdefault(job.key, []).append(place)
    rows: list[JsonDict | None] = [None] * len(planned)
    faults: dict[str, str] = {}
    sent: set[str] = set()
    waiting: deque[_Job] = deque()
    undecided = {key: len(own) for key, own in places.items()}  # points that may still ask for a job
    spared = 0
    with Log(out) as log, PointsWriter(out / POINTS_FOLDER, [*map(_conditions, planned), _LIKE]) as points:

        def advance(place: int) -> None:
            """Have the jobs run that a point still asks for; keep its row if there are none."""
            nonlocal spared
            if rows[place] is not None:
                return
            asked = _asked(planned[place], log.results, study.accuracy_within)
            lacking = [job for job in asked if job.key not in log.results and job.key not in faults]
            waiting.extend(job for job in lacking if job.key not in sent)
            sent.update(job.key for job in lacking)
            if lacking:
                return
            points.add(row := _row(asked, log.results, faults))
            rows[place] = row
            for job in planned[place][len(asked) :]:
                undecided[job.key] -= 1
                spared += not (undecided[job.key] or job.key in sent or job.key in log.results)

        kept = sum(key in log.results for key in places)
        for place in range(len(planned)):
            advance(place)
        report(Progress(0, kept, 0, len(places) - spared))
        made = 0
        if waiting:
            if (out / RESULTS_FILE).is_file():
                with writing(out):
                    (out / RESULTS_FILE).replace(out / EARLIER_FILE)
            with connected(cluster or Cluster(), scheduler=scheduler) as client:
                for job, outcome in _run(client, waiting):
                    if isinstance(outcome, BaseException):
                        faults[job.key] = f"{type(outcome).__name__}: {outcome}"
                    else:
                        log.add(job.key, outcome)
                        made += 1
                    for place in places[job.key]:
                        advance(place)
                    report(Progress(made, kept, len(faults), len(places) - spared))
    result = StudyResult(
        points=complete([row for row in rows if row is not None]),
        made=made,
        kept=kept,
        failed=len(faults),
        provenance=provenance({"study": study.content_hash()}),
    )
    result.save(out / RESULTS_FILE)
    return result


def _tables(study: Study, store: Path | None, report: Callable[[Progress], None]) -> dict[str, IVTable]:
    """Table of each characterisation that the points need, calibrated if it is not there."""
    every = [Characterisation(point.design.tile) for point in study.points]
    requests = {request.name: request for request in every}
    lacking = []
    for request in requests.values():
        try:
            find_table(request.spec, store=store)
        except (MissingTable, BadTable):
            lacking.append(request)
    if lacking:
        made = calibrate(lacking, store or user_store(), report=report)
        if faults := {**made.failed, **made.incomplete}:
            raise SpiceFailed("; ".join(f"table {name}: {fault}" for name, fault in faults.items()))
    return {name: find_table(request.spec, store=store) for name, request in requests.items()}


def _plan(study: Study, tables: Mapping[str, IVTable]) -> list[list[_Job]]:
    """The jobs of each point; networks and images that points share are read once."""
    weights, chosen = functools.cache(checkpoint), functools.cache(chosen_images)
    part = functools.cache(lambda images, start, stop: images.part(slice(start, stop)))
    calibration = functools.cache(calibration_set)
    plan = []
    for point in study.points:
        run, table = point.run, tables[Characterisation(point.design.tile).name]
        # from ngspice, here: workers need none
        cell = cell_sensitivity(point.design.tile, table) if point.design.variation.mismatch else None
        images = chosen(run.data, run.folder, run.images, run.seed)
        train = calibration(run.data, run.folder, calibration_images(point.design))
        if point.design.converter.reference != "unit" or point.design.mapping.recalibrate:
            require_apart(images, train)
        plan.append(
            [
                _Job(
                    point=point,
                    weights=weights(run.network, run.data),
                    table=table,
                    cell=cell,
                    images=part(images, start, stop),
                    calibration=train,
                    start=start,
                    counted=None if start else part(images, 0, point.design.read.probe_images),
                )
                for start, stop in cut(len(images), study)
            ]
        )
    return plan


def _asked(jobs: Sequence[_Job], results: Mapping[str, JsonDict], within: float | None) -> Sequence[_Job]:
    """Of a point's jobs the first ones that it needs, as far as is known: of more than one the last may not have run.

    Whatever else was run before: a point that is known to `within` has the same result each time.
    """
    if within is None:
        return jobs
    right = count = 0
    for place, job in enumerate(jobs, start=1):
        found = results.get(job.key)
        if found is None:
            return jobs[:place]
        right, count = right + found["right"], count + found["images"]
        low, high = accuracy_interval(right / count, count)
        if (high - low) / 2 <= within:
            return jobs[:place]
    return jobs


def _run(client: "Client", waiting: "deque[_Job]") -> Iterator[tuple[_Job, JsonDict | BaseException]]:
    """Results or failures of jobs that wait, as they come; others may be added to these meanwhile.

    What jobs share is a task of its own: a worker that lacks it asks a peer. Jobs that are added go before others to
    the worker that had the last one: of the same point, it still has its network on tiles. What they share goes with
    them: Dask holds back what it may place anywhere, until workers have less to do.
    """
    from distributed import as_completed

    sent: dict[str, Future] = {}
    near: dict[str, Any] = {}

    def send(key: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> "Future":
        if key not in sent:
            sent[key] = client.submit(function, *arguments, key=key, **options, **near)
        return sent[key]

    def task(job: _Job) -> "Future":
        weights = send(f"weights-{job.weights.sha256}", _itself, job.weights)
        table = send(f"table-{job.table.sha256}", _itself, job.table)
        images = send(f"images-{job.images.sha256}", _itself, job.images)

        def counted(images: Dataset) -> "Future":
            key = f"reads-{job.reads_key(images)}"
            return send(key, counted_reads, job.point, weights, table, images, code=code_hash())

        design, calibration_counted = job.point.design, None
        if job.point.design.converter.reference != "unit":
            calibration_counted = counted(probed(job.calibration, design))
        return client.submit(
            run_job,
            job.point,
            weights,
            table,
            images,
            send(f"images-{job.calibration.sha256}", _itself, job.calibration),
            send(f"software-{job.weights.sha256}-{job.images.sha256}", software_right, weights, images),
            calibration_counted=calibration_counted,
            images_counted=counted(job.counted) if job.counted else None,
            counted=len(job.counted) if job.counted else 0,
            start=job.start,
            code=code_hash(),
            cell=job.cell,
            key=f"job-{job.key}",
            **near,
        )

    tasks: dict[Future, _Job] = {}
    running = as_completed()
    while waiting or tasks:
        while waiting:
            job = waiting.popleft()
            future = task(job)
            tasks[future] = job
            running.add(future)
        future = next(running)
        if future.cancelled():
            raise SpicekitError(
                "sweep: the Dask scheduler was lost; what was finished is kept: repeat the command to go on."
            )
        yield tasks.pop(future), future.exception() or future.result()
        there = client.who_has([future]).get(future.key) if waiting else None
        near = {"workers": there, "allow_other_workers": True, "priority": 1} if there else {}
        future.release()


def _itself(value: T) -> T:
    return value


def _row(jobs: Sequence[_Job], results: Mapping[str, JsonDict], faults: Mapping[str, str]) -> JsonDict:
    """Conditions, results and provenance of a point; without results if one of its jobs failed."""
    fault = next((faults[job.key] for job in jobs if job.key in faults), "")
    found: JsonDict = {}
    if not fault:
        done = [results[job.key] for job in jobs]
        count = sum(result["images"] for result in done)
        found = {
            "images": count,
            "accuracy": sum(result["right"] for result in done) / count,
            "software_accuracy": sum(result["software"] for result in done) / count,
            **done[0]["reads"],
            "layers": json.dumps(done[0]["layers"]),
            "seconds": sum(result["seconds"] for result in done),
        }
    first = jobs[0]
    return {
        **_conditions(jobs),
        **found,
        "fault": fault,
        "key": content_hash([job.key for job in jobs]),
        "table": Characterisation(first.point.design.tile).name,
        "table_sha256": first.table.sha256,
        "ngspice": first.table.origin.get("ngspice") or made_by(first.table.origin),
        "weights_sha256": first.weights.sha256,
        "spicekit": spicekit.__version__,
        "code_sha256": code_hash(),
    }


def _conditions(jobs: Sequence[_Job]) -> JsonDict:
    """What a point was evaluated at, by the names that a study file uses."""
    point = jobs[0].point
    wires, design = point.design.tile.wires, point.design.model_dump(mode="json", exclude={"limits", "costs"})
    return {
        **{".".join(f"design.{name}".split(".")[-2:]): value for name, value in plain(design).items()},
        **{f"wires.{name}": getattr(wires, name) for name in RAILS},
        **{f"run.{name}": value for name, value in point.run.model_dump(mode="json").items()},
    }


_LIKE: JsonDict = {
    **{"images": 0, "accuracy": 0.0, "software_accuracy": 0.0},
    **dict.fromkeys(("reads", "partial_sum", "current", "ideal_current", "energy", "nf"), 0.0),
    **{"layers": "", "seconds": 0.0, "fault": "", "key": ""},
    **dict.fromkeys(PROVENANCE, ""),
}
"""A result and where it comes from: columns, and their types."""
