"""What stands behind an evaluation: the exact engine on its images, ngspice on its reads, and sign-offs that are kept.

The exact engine solves and converts every read of every layer, so that errors have every chance to grow.

For ngspice column reads are drawn from all that the layers make, and each read's column, as it was stored and driven,
is solved. Its current goes through the same converter: same scale, thresholds and clipping. A code differs if the two
integers do. A uniform sample gives the rate; reads whose current lies close to a threshold, where codes differ if they
do anywhere, are drawn and counted apart.
"""

import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.cell_currents import cell_currents_of
from spicekit.engines.converter import Thresholds, convert
from spicekit.engines.exact.codes import ExactCodes
from spicekit.engines.fast.model import Codes
from spicekit.engines.spice import sensed, tile_job
from spicekit.engines.tile import Tile, read_currents
from spicekit.engines.words import Applied, Stored, layout_of, one_read, unpack
from spicekit.errors import BadInput
from spicekit.evaluation.design import Design
from spicekit.evaluation.records import Fidelity, SpiceEvidence
from spicekit.evaluation.signoff import SignOff, fast_reads
from spicekit.evaluation.vectors import NETWORK
from spicekit.files import read_json
from spicekit.results import Record
from spicekit.spice.simulator import Failure, simulate_all
from spicekit.tables.characterise import Characterisation
from spicekit.tables.inventory import stores
from spicekit.tables.store import user_store
from spicekit.tables.table import IVTable

if TYPE_CHECKING:
    from spicekit.evaluation.convert import TiledNetwork
    from spicekit.networks.data import Dataset


def fidelity(tiled: "TiledNetwork", dataset: "Dataset") -> Fidelity:
    """Run a network through both engines, seconds for an image of CIFAR's size; `BadInput` as `check_comparable`."""
    from spicekit.evaluation.reads import cells_read
    from spicekit.networks.inference import predict_logits

    check_comparable(tiled.design)
    exact_codes = ExactCodes(tiled.design.tile, cells_read(tiled.design, tiled.table), tiled.thresholds)
    network, compared = tiled.with_codes(partial(_Compared, exact_codes))
    exact, fast = predict_logits(network, dataset), predict_logits(tiled.network, dataset)
    if exact.min() == exact.max() or fast.min() == fast.max():
        raise BadInput("fidelity: all logits are alike, and correlate with nothing; take more images or classes.")
    return Fidelity(
        images=len(dataset),
        correlation=float(np.corrcoef(exact.ravel(), fast.ravel())[0, 1]),
        worst_logit=float((exact - fast).abs().max() / exact.std()),
        predictions_differ=int((exact.argmax(1) != fast.argmax(1)).sum()),
        codes=sum(both.codes for both in compared.values()),
        codes_differ=sum(both.differ for both in compared.values()),
    )


def check_comparable(design: Design) -> None:
    """`BadInput` if the design's converters have faults, or its cells are not all alike."""
    if design.converter.flawed:
        raise BadInput("fidelity: the exact engine's converters have no faults; leave out offset, inl and noise.")
    if design.variation.mismatch:
        raise BadInput("fidelity: whole networks run in the exact engine with all cells alike; set mismatch = 0.")


@dataclass(eq=False)
class _Compared:
    """The exact engine's codes; counts those that the fast engine makes otherwise."""

    exact: ExactCodes
    fast: Codes
    codes: int = 0
    differ: int = 0

    @property
    def step(self) -> float:
        return self.exact.step

    def sums(self, stored: Stored, applied: Applied) -> NDArray[np.float32]:
        sums = np.zeros((applied.vectors, stored.words.shape[-1]), np.float32)
        for group, tiles in enumerate(stored.tiles):
            for tile in range(tiles):
                exact = self.exact.signed_codes(stored, applied, group=group, tile=tile).astype(np.float32)
                fast = self.fast.sums(*one_read(stored, applied, group=group, tile=tile))
                self.codes += exact.size
                self.differ += int((exact != fast).sum())
                sums += exact
        return sums


POOL = 20
"""Reads that are looked at for each one of the uniform sample, to find those close to a threshold."""


def spice_evidence(
    tiled: "TiledNetwork",
    dataset: "Dataset",
    *,
    reads: int,
    rng: np.random.Generator,
    workers: int | None = None,
) -> SpiceEvidence:
    """Draw so many reads of an evaluation, and half as many near thresholds; run their columns in ngspice.

    As many images of `dataset`, what the evaluation classifies, are looked at; `rng` chooses both. `BadInput`
    for fewer than one read; for converters with faults, mismatch and linear cells, which no deck has.
    """
    from spicekit.evaluation.reads import cells_read
    from spicekit.networks.inference import predict_logits

    if reads < 1:
        raise BadInput(f"spice_evidence: reads = {reads}; draw one at least.")
    design = tiled.design
    check_solvable(design)
    chosen = np.sort(rng.choice(len(dataset), size=min(reads, len(dataset)), replace=False))
    images = dataclasses.replace(dataset, images=dataset.images[chosen], labels=dataset.labels[chosen])
    network, by_layer = tiled.with_codes(partial(_Recorder, design.tile))
    recorders = list(by_layer.values())
    predict_logits(network, images)  # counts the reads
    totals = np.array([recorder.count for recorder in recorders])
    drawn = rng.integers(totals.sum(), size=POOL * reads)
    starts = np.cumsum(totals) - totals
    owner = np.searchsorted(starts, drawn, side="right") - 1
    for index, recorder in enumerate(recorders):
        mine = np.flatnonzero(owner == index)
        recorder.collect({int(place): int(drawn[place] - starts[index]) for place in mine})
    predict_logits(network, images)
    found = {place: read for recorder in recorders for place, read in recorder.found.items()}
    return _compare(
        [found[place] for place in range(len(drawn))],
        reads,
        tiled.thresholds,
        design.tile,
        cells_read(design, tiled.table),
        workers,
    )


def check_solvable(design: Design) -> None:
    """`BadInput` if decks do not have what the design's tiles have."""
    check_comparable(design)
    if design.ablation.linear_cells:
        raise BadInput("spice_evidence: a deck's cells are not linear; leave out [ablation] linear_cells.")


@dataclass(frozen=True, eq=False)
class _Read:
    """One column of one read, and the code that the evaluation gave it."""

    weights: NDArray[np.uint8]
    """(r, c) of the columns that it takes to solve it."""
    column: int
    """Of these."""
    bits: NDArray[np.uint8]
    """(r,) levels of the word lines, or rows."""
    code: int


class _Recorder:
    """Codes of a layer; counts its column reads, then keeps those that it is told to."""

    def __init__(self, spec: TileSpec, codes: Codes) -> None:
        self._codes, self._spec = codes, spec
        self._wanted: list[tuple[int, int]] | None = None
        self.count = 0
        self.found: dict[int, _Read] = {}

    @property
    def step(self) -> float:
        return self._codes.step

    def collect(self, wanted: dict[int, int]) -> None:
        """Start again; keep the reads of these numbers, each under its key."""
        self._wanted = sorted((number, key) for key, number in wanted.items())
        self.count = 0

    def sums(self, stored: Stored, applied: Applied) -> NDArray[np.float32]:
        reads = [(group, tile) for group, tiles in enumerate(stored.tiles) for tile in range(tiles)]
        outputs = stored.words.shape[-1]
        before = self.count
        self.count += applied.vectors * len(reads) * outputs
        while self._wanted and self._wanted[0][0] < self.count:
            number, key = self._wanted.pop(0)
            vector, rest = divmod(number - before, len(reads) * outputs)
            read, column = divmod(rest, outputs)
            group, tile = reads[read]
            self.found[key] = self._read(stored, applied, vector, group, tile, column)
        return self._codes.sums(stored, applied)

    def _read(self, stored: Stored, applied: Applied, vector: int, group: int, tile: int, column: int) -> _Read:
        spec, layout = self._spec, layout_of(self._spec.rows_active)
        m = spec.rows_active
        image, pixel = divmod(vector, math.prod(applied.shape))
        only = slice(image, image + 1), slice(None), slice(None), slice(pixel, pixel + 1)
        one = Applied(
            np.ascontiguousarray(applied.words[only]),
            np.ascontiguousarray(applied.inverted[only]),
            np.ascontiguousarray(applied.asserted[only]),
            (1, 1),
            applied.first,
        )
        code = self._codes.sums(*one_read(stored, one, group=group, tile=tile))[0, column]
        bits = np.zeros(spec.rows, np.uint8)
        bits[group * m : (group + 1) * m] = unpack(applied.words[image, group, tile, pixel], layout)
        together = spec.drive == "bitline" or spec.wires.railed  # what other columns carry counts
        first = column - column % spec.columns if together else column
        width = spec.columns if together else 1
        cells = unpack(stored.words[:, tile, :, first : first + width].transpose(0, 2, 1), layout)
        weights = cells.transpose(0, 2, 1).reshape(spec.rows, -1)
        return _Read(
            np.pad(weights, ((0, 0), (0, width - weights.shape[1]))),
            column - first,
            bits,
            abs(round(float(code))),
        )


def _compare(
    pool: list[_Read], reads: int, thresholds: Thresholds, spec: TileSpec, table: IVTable, workers: int | None
) -> SpiceEvidence:
    """The first `reads` of a pool, and those of the others whose current is closest to a threshold, in ngspice."""
    cells = cell_currents_of(spec, table)
    specs = [spec.replace(columns=read.weights.shape[1]) for read in pool]
    zeros = cells.zeros(np.array([read.bits.sum(dtype=np.int64) for read in pool]))
    fast = []
    for read, tile in zip(pool, specs, strict=True):
        group = int(np.argmax(read.bits)) // tile.rows_active if read.bits.any() else 0
        current = read_currents(Tile(tile, table, read.weights), read.bits[None], engine="fast")
        fast.append(current[0, group, read.column])
    signals = np.array(fast) - zeros
    distance = np.abs(signals[:, None] - thresholds.current).min(axis=1) / cells.lsb
    near = reads + np.argsort(distance[reads:], kind="stable")[: max(1, reads // 2)]
    asked = [*range(reads), *near.tolist()]
    jobs = (tile_job(specs[place], pool[place].weights, pool[place].bits[None]) for place in asked)
    differs: dict[int, bool] = {}
    within, failures = 0.0, []
    for index, outcome in simulate_all(jobs, workers=workers):
        place = asked[index]
        trouble = outcome.reason if isinstance(outcome, Failure) else outcome.runs[0].trouble
        if isinstance(outcome, Failure) or trouble:
            failures.append(trouble)
            continue
        signal = sensed(outcome.runs[0].waves, specs[place])[pool[place].column] - zeros[place]
        differs[index] = int(convert(thresholds, np.array(signal))) != pool[place].code
        if differs[index]:
            distance_now = np.abs(signal - thresholds.current).min() / cells.lsb
            within = float(np.maximum(within, distance_now))  # NaN if one is
    uniform = [wrong for index, wrong in differs.items() if index < reads]
    close = [wrong for index, wrong in differs.items() if index >= reads]
    low, high = confidence(sum(uniform), len(uniform))
    return SpiceEvidence(
        reads=len(uniform),
        codes_differ=sum(uniform),
        rate_low=low,
        rate_high=high,
        near=len(close),
        near_codes_differ=sum(close),
        near_within=float(distance[near].max()),
        differ_within=within,
        failures=tuple(sorted(failures)),
    )


def confidence(events: int, trials: int, *, level: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval of a rate: it covers the true one at least as often as it says.

    >>> confidence(0, 200)[1] < 0.0183
    True
    """
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = 0.0 if events == 0 else float(beta.ppf(tail, events, trials - events + 1))
    high = 1.0 if events == trials else float(beta.ppf(1 - tail, events + 1, trials - events))
    return low, high


class SignOffStatus(Record):
    """Whether results lie within what was signed off."""

    outside: str
    """Why they do not; empty if they do."""
    network: bool = False
    """Whether vectors of a network were among those compared."""


def keep_evidence(result: SignOff, *, store: Path | str | None = None) -> Path:
    """Put a sign-off where evaluations of its tile look for it: in the user's store by default; the file's path.

    >>> import spicekit as sk
    >>> found = sk.sign_off(sk.design(rows=4, columns=1, layer="M2", pitch_nm=108), vectors=1)
    >>> path = sk.keep_evidence(found, store="evidence")
    >>> sk.load(path) == found
    True
    """
    path = evidence_path(Path(store or user_store()), result.design.tile)
    path.parent.mkdir(parents=True, exist_ok=True)
    result.save(path)
    return path


def evidence_path(folder: Path, spec: TileSpec) -> Path:
    """Where a store keeps the sign-off of a tile: beside the table, by the tile's content hash."""
    return folder / f"{Characterisation(spec).name}-{spec.content_hash()[:10]}.signoff.json"


def sign_off_status(design: Design, table: IVTable, *, store: Path | None = None) -> SignOffStatus:
    """Whether results of a design lie within what was signed off: in `store`, or else in the user's or ours.

    What was found of the tile is held to the limits that the design has now, whatever they were then. It is void for
    another tile, I-V table or converter scale, for cells that are not nominal, and if the fast engine reads otherwise
    by now.
    """
    spec = design.tile
    if design.variation.mismatch or design.ablation.linear_cells:
        return SignOffStatus(outside="a sign-off is of nominal cells: it covers neither mismatch nor linear cells")
    paths = [evidence_path(folder, spec) for folder in ([store] if store else stores())]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return SignOffStatus(outside="no sign-off of this tile")
    reads = fast_reads(spec, table)
    try:
        found = SignOff.from_record(read_json(path), source=str(path))
        moved = float(np.abs(np.subtract(found.fast_reads, reads)).max())
    except ValueError as error:
        return SignOffStatus(outside=f"{path} is not a readable sign-off ({error})")
    if found.table != table.sha256 or found.design.tile != spec:
        return SignOffStatus(outside=f"{path} is the sign-off of another I-V table or tile")
    scales = found.design.converter, design.converter
    other = [name for name in _SCALE if getattr(scales[0], name) != getattr(scales[1], name)]
    faults = found.model_copy(update={"design": design}).faults  # held to today's limits
    if other:
        return SignOffStatus(outside=f"{path} is the sign-off of another converter: {', '.join(other)}")
    if not moved <= MOVED:
        return SignOffStatus(outside=f"{path}: the fast engine has changed since: reads moved by up to {moved:.2g} LSB")
    if faults:
        return SignOffStatus(outside=f"{path}: this tile failed its sign-off: {faults[0]}")
    return SignOffStatus(outside="", network=any(error.kind.startswith(NETWORK) for error in found.errors))


_SCALE = ("bits", "full_scale", "reference")
"""What of a converter a sign-off depends on: it compares codes of converters without flaws."""


MOVED = 1e-3
"""LSB, by which the fast engine's reads may differ from those at sign-off: a fiftieth of the default `fast_rms`.
Assumed: the same fit on another machine differs by rounding only."""
