"""Characterisation: sweep one cell in a circuit simulator over both terminal voltages, in each of its four states."""

import collections
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spicekit.circuits.cells import load_cell, shipped_cells
from spicekit.circuits.render import cell_deck
from spicekit.circuits.spec import Device, TileSpec, own_path
from spicekit.config import Config, parse, read_toml
from spicekit.decks.simulators import SimulatorName, simulate_all_with
from spicekit.devices.cards import Corner, Process, shipped_devices
from spicekit.devices.reram import load_reram
from spicekit.errors import NotConverged
from spicekit.provenance import JsonDict, content_hash, provenance
from spicekit.spice.simulator import FALLBACKS, Failure, Job, Outcome, Simulator, Step
from spicekit.tables.spread import alters, mismatched, sigmas
from spicekit.tables.table import IVTable

# V. Up to the nominal supply, so that one table serves every read voltage.
V_MAX = 0.70
# 12.5 mV steps: the bicubic spline then stays within 1e-4 of the ON current (tests/tables).
POINTS = 57
# Of the ON current: what may leave a cell elsewhere than at its two terminals. A tile's solvers know no third one.
_ASTRAY = 1e-4


@dataclass(frozen=True)
class Sample:
    """How one cell differs from a nominal one."""

    alters: tuple[str, ...] = ()
    """Thresholds, as ngspice commands."""
    gaps: tuple[float | None, float | None] = (None, None)
    """m, of the ReRAM element by stored bit."""


@dataclass(frozen=True)
class Characterisation:
    """What decides an I-V table: everything in a tile spec but its size, wires and read voltage, and which cell."""

    spec: TileSpec
    seed: int | None = None
    """Draws the thresholds of the cell's transistors and its ReRAM states (Monte Carlo): one seed is one cell, at
    every corner. None is the nominal cell, which engines take."""

    @classmethod
    def of(cls, conditions: Mapping[str, Any]) -> "Characterisation":
        """The characterisation that has these `conditions`; `BadInput` if there is none."""
        fields = {key: value for key, value in conditions.items() if key not in ("v_max", "points", "seed")}
        # A table does not depend on wires.
        spec = parse(TileSpec, {**fields, "wires": {"r_bl": 0.0, "r_sl": 0.0}}, source="conditions of a table")
        return cls(spec, conditions.get("seed"))

    @cached_property
    def conditions(self) -> JsonDict:
        """The deciding fields, JSON-ready."""
        spec = self.spec
        return {
            "cell": spec.cell,
            "v_wl": spec.v_wl,
            "corner": spec.corner.model_dump(),
            "device": spec.device.model_dump(include=_device_fields(spec)),
            "v_max": V_MAX,
            "points": POINTS,
            **({} if self.seed is None else {"seed": self.seed}),
        }

    @cached_property
    def name(self) -> str:
        """File name of the table, without ending: readable, and unique by hash of the conditions."""
        corner = self.spec.corner
        sample = "" if self.seed is None else f"-mc{self.seed}"
        return (
            f"{cell_label(self.spec.cell)}-{corner.process}-{1e3 * corner.vdd:.0f}mV-{corner.temperature:.0f}K{sample}"
            f"-{content_hash(self.conditions)[:10]}"
        )

    @cached_property
    def sample(self) -> Sample:
        """What the seed drew; nothing for a nominal cell."""
        if self.seed is None:
            return Sample()
        spec, rng = self.spec, np.random.default_rng(self.seed)
        devices = mismatched(spec)
        shifts = alters(devices, "xcell", rng.normal(0.0, sigmas(devices)))
        if not load_cell(spec.cell).sheet.reram:
            return Sample(shifts)
        bits = np.array([0, 1], np.uint8)
        high, low = load_reram(spec.device.reram).gaps(bits, rng.standard_normal(bits.shape)).tolist()
        return Sample(shifts, (high, low))

    @cached_property
    def decks(self) -> tuple[str, str]:
        """Cell decks with weight 0 and weight 1, rendered once; what is no condition has no influence on them."""
        spec = self.of(self.conditions).spec
        high, low = self.sample.gaps
        return cell_deck(spec, weight=0, gap=high), cell_deck(spec, weight=1, gap=low)

    @cached_property
    def deck_hash(self) -> str:
        """Changes with any template, card, compiled model or option that the sweep depends on.

        Comments and layout do not count.
        """
        return self.hash_of(self.decks)

    def hash_of(self, decks: Sequence[str]) -> str:
        """`deck_hash`, were these the decks."""
        cards = map(self.spec.card, load_cell(self.spec.cell).polarities("read-port"))
        compiled = [card.compiled.sha256 for card in cards if card.compiled]
        return content_hash([*map(_substance, decks), *self.sample.alters, *compiled])

    def key(self, simulator: Simulator) -> str:
        """Changes with whatever may change a current: decks, sweep, the simulator's version and start-up state."""
        sweep = [[step.analysis, *step.alters] for step in _steps(self)]
        return content_hash({"decks": self.deck_hash, "sweep": sweep, simulator.name: list(simulator[:2])})


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a simulator gave for a characterisation."""

    voltage: NDArray[np.float64]
    """(k,) V: the axis of both terminal voltages."""
    current: NDArray[np.float64]
    """(2, 2, k, k) A, indexed [w, a, v_bl, v_sl]; NaN where it did not converge."""
    decks: tuple[str, ...]
    """As they were run, with the card, by stored bit."""
    origin: JsonDict
    """What made it: conditions, key, versions, command, and how many sweeps took which fallback."""

    @property
    def converged(self) -> NDArray[np.bool_]:
        """(2, 2, k, k) bool."""
        return np.isfinite(self.current)

    def table(self) -> IVTable:
        """The I-V table.

        `NotConverged` if a point is missing; says how many, and where the first one is; `BadTable` if the axis does not
        rise in equal steps.
        """
        if not self.converged.all():
            w, a, i, j = np.argwhere(~self.converged)[0]
            raise NotConverged(
                f"the simulator did not converge at {np.sum(~self.converged)} of {self.current.size} points, "
                f"the first at w = {w}, a = {a}, v_bl = {self.voltage[i]:g} V, v_sl = {self.voltage[j]:g} V; "
                f"mend the card: such a table is kept for inspection only."
            )
        return IVTable(self.voltage, self.current, self.origin)


def characterise(
    requests: Iterable[Characterisation],
    *,
    simulator: SimulatorName = "ngspice",
    workers: int | None = None,
    timeout: float = 120.0,
) -> Iterator[tuple[Characterisation, Sweep | Failure]]:
    """Sweeps of cells, each as soon as it is there.

    Parameters
    ----------
    requests : iterable of Characterisation
        Drawn from as workers become free.
    simulator : {"ngspice", "vacask"}
    workers : int, optional
        Processes; as many as there are cores by default.
    timeout : float
        Seconds that the sweeps of one stored bit may take.
    """
    drawn: dict[int, Characterisation] = {}
    outcomes: dict[int, dict[int, Outcome | Failure]] = collections.defaultdict(dict)

    def jobs() -> Iterator[Job]:
        for index, request in enumerate(requests):
            drawn[index] = request
            for deck in request.decks:
                yield Job(deck, _steps(request), keep=("vsl#branch", "vbl#branch"), fallbacks=FALLBACKS)

    for job, outcome in simulate_all_with(simulator, jobs(), workers=workers, timeout=timeout):
        index, weight = divmod(job, 2)
        outcomes[index][weight] = outcome
        if len(outcomes[index]) == 2:
            request, both = drawn.pop(index), outcomes.pop(index)
            yield request, _sweep(request, [both[0], both[1]])


def cell_label(cell: str) -> str:
    """Name of a cell for files: that of its folder."""
    return re.sub(r"[^\w-]", "_", Path(cell).parent.name if cell.endswith(".toml") else cell)


def _device_fields(spec: TileSpec) -> set[str]:
    """What of a cell's devices carries read current."""
    cell = load_cell(spec.cell)
    return {"fins", *cell.polarities("read-port"), *(["reram"] if cell.sheet.reram else [])}


def _steps(request: Characterisation) -> tuple[Step, ...]:
    """For each level of the word line and each v_sl a sweep of v_bl: if one fails, the others stand."""
    step = V_MAX / (POINTS - 1)
    sweep = f"dc vbl 0 {V_MAX!r} {step!r}"
    first, *others = [
        Step(sweep, (f"vwl dc {v_wl!r}", f"vsl dc {k * step!r}"))
        for v_wl in (0.0, request.spec.v_wl)
        for k in range(POINTS)
    ]
    return Step(first.analysis, (*request.sample.alters, *first.alters)), *others


def _sweep(request: Characterisation, outcomes: Sequence[Outcome | Failure]) -> Sweep | Failure:
    current, into = np.full((2, 2, 2 * POINTS, POINTS), np.nan)
    fallbacks: collections.Counter[str] = collections.Counter()
    seconds, simulator = 0.0, Simulator("", "")
    for weight, outcome in enumerate(outcomes):
        if isinstance(outcome, Failure):
            return Failure(f"weight {weight}: {outcome.reason}")
        seconds, simulator = seconds + outcome.seconds, outcome.simulator
        for row, run in enumerate(outcome.runs):
            # A source's branch current flows into its plus node: that of vsl is what leaves the cell.
            branch = run.waves.get("vsl#branch", np.empty(0))
            current[weight, row, : branch.size] = branch
            branch = run.waves.get("vbl#branch", np.empty(0))
            into[weight, row, : branch.size] = -branch
            fallbacks.update([run.fallback] if run.fallback else [])
    astray, on = np.nanmax(abs(into - current), initial=0.0), np.nanmax(abs(current), initial=0.0)
    if astray > _ASTRAY * on:
        return Failure(
            f"cell {request.spec.cell!r}: {astray:.2g} A enter at the bit line and do not leave at the source line; "
            f"that is {astray / on:.1%} of its largest current; a cell's read current must flow between these two, to "
            f"{_ASTRAY:.2%}: let its supplies feed gates alone."
        )
    by_state = np.ascontiguousarray(current.reshape(2, 2, POINTS, POINTS).swapaxes(2, 3))
    one, zero = by_state[1, 1, POINTS // 2, 0], by_state[0, 1, POINTS // 2, 0]
    if one <= zero:
        return Failure(
            f"cell {request.spec.cell!r}: asserted, it carries {one:.2g} A for a stored 1 and {zero:.2g} A for a 0, at "
            f"{V_MAX / 2} V; the former must be the larger: exchange what the sheet says of 0 and 1, or mend the card."
        )
    return Sweep(
        voltage=np.linspace(0.0, V_MAX, POINTS),
        current=by_state,
        decks=request.decks,
        origin=provenance(
            {
                "conditions": request.conditions,
                "key": request.key(simulator),
                "deck_sha256": request.deck_hash,
                **simulator.facts(),
                f"{simulator.name}_seconds": round(seconds, 3),
                "fallbacks": dict(fallbacks),
                **({} if request.seed is None else {"alters": request.sample.alters}),
            }
        ),
    )


def _substance(deck: str) -> str:
    """What ngspice takes from a deck: no comments, continuations joined, one space between tokens."""
    code = "\n".join(line for line in deck.splitlines() if line.strip() and not line.startswith("*"))
    joined = code.replace("\n+", " ")
    return "\n".join(" ".join(_TOKEN.findall(line)) for line in joined.splitlines())


_TOKEN = re.compile(r"[^\s()=,]+|[()=,]")


def made_by(origin: Mapping[str, Any]) -> str:
    """Which simulator made a table, in words; or where it was imported from."""
    if "imported" in origin:
        return f"imported: {origin['imported']['source']}"
    return next((f"{name} {origin[name]}" for name in get_args(SimulatorName) if name in origin), "a formula")


# Plans: grids of conditions, from a TOML file or by default.

MOST_TABLES = 100_000
"""Of a plan: each takes a second at least, and all are held in memory."""
T = TypeVar("T")
Values = Annotated[tuple[T, ...], Field(min_length=1)]

DEFAULT_CELLS = ("8t-sram", "1t1r")
"""Those whose tables ship."""
_DEVICE = Device()
_NOMINAL = Corner()


class Grid(Config):
    """Conditions of which every combination gets a table."""

    cell: Values[str] = DEFAULT_CELLS
    """Folders in `cells/`, or paths of cells' sheets, in a file from its folder."""
    nmos: Values[str] = (_DEVICE.nmos,)
    """Flavours: folders in `device_models/`, or paths of cards, likewise."""
    fins: Values[int] = (_DEVICE.fins,)
    reram: Values[str] = (_DEVICE.reram,)
    """Presets; an 8T cell has none, and gets one table for all of them."""
    process: Values[Process] = ("tt", "ff", "ss")
    vdd: Values[float] = (_NOMINAL.vdd,)
    """V; the word line is at the supply unless `v_wl` says otherwise."""
    temperature: Values[float] = (233.15, _NOMINAL.temperature, 398.15)
    """K; by default both ends and the reference of the range in which the cards hold."""
    v_wl: Values[float] | None = None
    """V."""
    seed: Values[Annotated[int, Field(ge=0)]] | None = None
    """Monte Carlo: each is a cell with thresholds and ReRAM states of its own; by default the nominal cell."""

    @property
    def values(self) -> list[tuple[Any, ...]]:
        """Of each field."""
        return [given or (None,) for given in dict(self).values()]

    def characterisations(self) -> list[Characterisation]:
        """One for each combination; `BadInput` if a value is out of range."""
        return [
            Characterisation.of(
                {
                    "cell": cell,
                    "device": {"nmos": nmos, "fins": fins, "reram": reram},
                    "corner": {"process": process, "vdd": vdd, "temperature": temperature},
                    "v_wl": vdd if v_wl is None else v_wl,
                    "seed": seed,
                }
            )
            for cell, nmos, fins, reram, process, vdd, temperature, v_wl, seed in itertools.product(*self.values)
        ]


class Plan(Config):
    """Grids one after the other; what two of them share is made once."""

    grid: Values[Grid] = (Grid(),)

    @model_validator(mode="after")
    def _countable(self) -> Self:
        count = sum(math.prod(map(len, grid.values)) for grid in self.grid)
        if count > MOST_TABLES:
            raise ValueError(f"asks for {count:,} tables; a plan has at most {MOST_TABLES:,}")
        return self

    def characterisations(self) -> list[Characterisation]:
        """Without repetition."""
        listed = itertools.chain.from_iterable(grid.characterisations() for grid in self.grid)
        return list({request.name: request for request in listed}.values())


def default_plan() -> list[Characterisation]:
    """Both cells with their default devices, at three process corners, cold, at 25 degrees Celsius and hot."""
    return Plan().characterisations()


def read_plan(path: Path) -> list[Characterisation]:
    """Plan from a TOML file with tables [[grid]].

    `BadInput` if the file cannot be read, a key is unknown, or a value is out of range.
    """
    tables = read_toml(path)
    grids = tables.get("grid")
    for grid in filter(lambda each: isinstance(each, dict), grids if isinstance(grids, list) else []):
        for key, shipped in (("cell", shipped_cells()), ("nmos", shipped_devices())):
            if isinstance(names := grid.get(key), list):
                grid[key] = [own_path(name, path.parent, shipped) for name in names]
    return parse(Plan, tables, source=str(path)).characterisations()
