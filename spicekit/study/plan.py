"""What a study evaluates: points of a design space, from a TOML file."""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from spicekit.circuits.spec import rooted
from spicekit.config import Config, parse, read_toml
from spicekit.errors import BadInput
from spicekit.evaluation.design import Design
from spicekit.mapping.binsparx import Mitigation
from spicekit.networks.data import Dataset, load_dataset
from spicekit.networks.inference import BATCH

Tables = dict[str, Any]
_IMAGES_PER_JOB: Any = Field(default=256, ge=1)
_ACCURACY_WITHIN: Any = Field(default=None, gt=0, lt=0.5)
_FILLED = Field(min_length=1)
MOST_POINTS = 100_000
"""Of a study: each takes seconds at least, and all are held in memory."""


class Run(Config):
    """What runs on a design."""

    network: str = "vgg-small"
    """Name of a network that ships, a checkpoint, or an ONNX file."""
    data: str = "digits"
    folder: str | None = None
    """Where CIFAR-10 lies."""
    images: int | None = Field(default=None, ge=1)
    """How many of the test split; by default all."""
    seed: int | None = Field(default=None, ge=0)
    """Draws the images at random; by default the first are taken."""
    mitigation: Mitigation = "none"


class Point(Config):
    """One row of a study's results."""

    design: Design
    run: Run


class Study(Config):
    """The points of a study, each once, in the order of the file."""

    points: tuple[Point, ...]
    images_per_job: int = _IMAGES_PER_JOB
    """Images that one job classifies; a point with more has several jobs. With `accuracy_within` that is the first."""
    accuracy_within: float | None = _ACCURACY_WITHIN
    """A point gets jobs until the 95 % interval of its accuracy reaches no farther either way; by default all."""


_DECIDE_NOTHING = "costs", "limits"
"""Tables of a design that what a study finds does not depend on."""


def _flat(grid: Any) -> Any:
    """`tile.rows = [..]`, which TOML takes for a table of that name, as `"tile.rows" = [..]`."""
    if not isinstance(grid, dict):
        return grid
    return {
        f"{name}.{field}" if field else name: values
        for name, value in grid.items()
        for field, values in (value.items() if isinstance(value, dict) else [("", value)])
    }


class _File(Config):
    images_per_job: int = _IMAGES_PER_JOB
    accuracy_within: float | None = _ACCURACY_WITHIN
    base: dict[str, Tables] = Field(default_factory=dict)
    grid: tuple[Annotated[dict[str, Annotated[list[Any], _FILLED]], _FILLED, BeforeValidator(_flat)], ...] = ()
    point: tuple[Tables, ...] = ()


def read_study(path: Path) -> Study:
    """Study from a TOML file.

    `[base]` holds the tables of a design (`tile`, `wires`, `corner`, `device`, `converter`, `variation`, `read`,
    `mapping`, `ablation`, `limits`, `costs`, `ends`, `discharge`; docs/design.md has their fields) and `run`; each
    `[[grid]]` lists values by key, `"tile.rows_active" = [16, 64]`, or of whole tables,
    `wires = [{layer = "M2"}, {layer = "M6"}]`, and every combination is a point; each `[[point]]` is one. Paths of
    cards, cells and ends count from the study's folder. `BadInput` if the file cannot be read, a key is unknown, or a
    value is out of range.
    """
    file = parse(_File, read_toml(path), source=str(path))
    count = sum(math.prod(map(len, grid.values())) for grid in file.grid) + len(file.point)
    if count > MOST_POINTS:
        raise BadInput(f"{path}: asks for {count:,} points; a study has at most {MOST_POINTS:,}.")
    changes = [
        *(dict(zip(grid, at, strict=True)) for grid in file.grid for at in itertools.product(*grid.values())),
        *file.point,
    ] or [{}]
    points = [_point(file.base, change, path) for change in changes]
    unique = {point.content_hash(): point for point in points}
    return Study(
        points=tuple(unique.values()), images_per_job=file.images_per_job, accuracy_within=file.accuracy_within
    )


def _point(base: Tables, change: Tables, path: Path) -> Point:
    source = str(path)
    tables = {name: dict(table) for name, table in base.items()}
    for key, value in change.items():
        name, _, field = key.partition(".")
        if bool(field) == isinstance(value, dict):
            raise BadInput(
                f"{source}: {key!r} = {value!r}; expected a value for a key such as 'tile.rows_active', "
                f"or a table for 'tile'."
            )
        if name in _DECIDE_NOTHING:
            raise BadInput(
                f"{source}: {key!r}: no result of a study depends on it, so points would be alike; give it in [base]."
            )
        tables.setdefault(name, {}).update({field: value} if field else value)
    run = parse(Run, tables.pop("run", {}), source=f"{source} [run]")
    return Point(design=Design.from_tables(rooted(tables, path.parent), source=source), run=run)


def chosen_images(data: str, folder: str | None, images: int | None, seed: int | None) -> Dataset:
    """A run's images, in the order in which they count."""
    test = load_dataset(data, "test", folder=folder)
    count = images or len(test)
    if count > len(test):
        raise BadInput(f"run.images = {count}: {data} has {len(test)} test images.")
    if seed is None:
        return test.first(count)
    drawn = np.sort(np.random.default_rng(seed).choice(len(test), count, replace=False))
    return dataclasses.replace(test, images=test.images[drawn], labels=test.labels[drawn])


def cut(images: int, study: Study) -> Iterator[tuple[int, int]]:
    """Where the jobs of a point with so many images begin and end.

    Where its accuracy may spare it the later ones, these are a quarter of what came before, or a batch: it then has few
    images more than it needs. What would be left for less than half a batch joins the job before.
    """
    start, size = 0, study.images_per_job
    least = min(BATCH, size)
    while start < images:
        stop = min(start + size, images)
        if study.accuracy_within is not None:
            stop = images if images - stop < least // 2 else stop
            size = max(stop // 4, least)
        yield start, stop
        start = stop


def calibration_set(data: str, folder: str | None, count: int) -> Dataset:
    """So many images to calibrate on, or as many as there are: a fit that needs more says so."""
    train = load_dataset(data, "train", folder=folder)
    return train.first(min(count, len(train)))
