"""What evaluations find: records that are written and read back as they are."""

import base64
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pydantic
from pydantic import Field, computed_field

from spicekit.errors import BadInput
from spicekit.evaluation.design import Design, as_design
from spicekit.evaluation.network_costs import NetworkCosts
from spicekit.mapping.binsparx import MITIGATION_LABELS, Mitigation
from spicekit.provenance import JsonDict
from spicekit.results import Ampere, Fraction, Joule, Record, Result, Share, new_axes, units_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from spicekit.networks.data import Dataset


class ReadStatistics(Record):
    """What the column reads of a layer, or of a network, carry. Errors are standard errors over the images counted."""

    reads: float
    """Column reads for one image."""
    partial_sum: float
    """Mean number of ON cells of a read."""
    current: Ampere
    """Mean current of a read."""
    ideal_current: Ampere = pydantic.Field(gt=0)
    """Mean current that a read would have with all terminals of its cells at `v_read` and 0 V."""
    energy: Joule
    """Energy that the bit lines deliver for one image: V_read * I * t over its reads."""
    partial_sum_error: float | None = None
    """Standard error of the mean; none of a single image."""
    current_error: Ampere | None = None
    """Standard error of the mean; none of a single image."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def nf(self) -> Fraction:
        """Non-ideality factor, (ideal - current) / ideal, of the currents' means."""
        return 1 - self.current / self.ideal_current


class TileRun(ReadStatistics):
    """A network on the tiles of a design, with one mitigation; its own figures are those of all layers together."""

    mitigation: Mitigation
    """A name of docs/mitigations.md."""
    accuracy: Share
    """Share of images that are classified rightly."""
    partial_sum_reduction: Fraction = 0.0
    """Share of the first run's ON cells that are gone; 0 if no cell is ON there."""
    energy_change: Fraction = 0.0
    """Change of the bit lines' energy against the first run."""
    layers: dict[str, ReadStatistics]
    """The same figures for each layer, by its name."""
    predictions: tuple[int, ...] = ()
    """Class of each image, an index into the evaluation's `classes`."""
    partial_sums: tuple[float, ...] = ()
    """Column reads for one image by their number of ON cells, 0 and up."""
    code_errors: tuple[float, ...] = ()
    """Column reads for one image by what their code stands for less their ON cells, from minus the rows of a read to
    plus; none for flawed converters, mismatch and stuck cells."""

    @pydantic.field_validator("code_errors")
    @classmethod
    def _has_a_middle(cls, counts: tuple[float, ...]) -> tuple[float, ...]:
        if counts and not len(counts) % 2:
            raise ValueError(f"code_errors: expected an odd number of counts, got {len(counts)}")
        return counts


class Restored(Record):
    """An image that the first run gets wrong and the last one right."""

    image: int
    """Place of the image among those that were classified."""
    label: str
    """Class that the image has."""
    before: str
    """Class that the first run gave."""
    png: str
    """The image, PNG in base64."""

    @pydantic.field_validator("png")
    @classmethod
    def _is_a_picture(cls, text: str) -> str:
        if not base64.b64decode(text, validate=True).startswith(b"\x89PNG"):
            raise ValueError("expected a PNG in base64")
        return text


_MOST = 12
"""Images that are kept."""
_MOST_PIXELS = 64 * 64
"""Of an image that is kept: a larger one would swell the result."""


def restored(dataset: "Dataset", before: Sequence[int], after: Sequence[int]) -> tuple[Restored, ...]:
    """The first images whose class is wrong in `before` and right in `after`; none where they are no pictures."""
    images = dataset.images
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        return ()
    if images.shape[1] * images.shape[2] > _MOST_PIXELS:
        return ()
    labels = np.asarray(dataset.labels, int)
    chosen = np.flatnonzero((np.asarray(before) != labels) & (np.asarray(after) == labels))[:_MOST]
    return tuple(
        Restored(
            image=int(place),
            label=dataset.classes[labels[place]],
            before=dataset.classes[before[place]],
            png=_png(images[place]),
        )
        for place in chosen
    )


def _png(image: "np.ndarray") -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


class Fidelity(Record):
    """The exact engine against the fast one on the same images."""

    images: int
    """Images that ran through both."""
    correlation: float
    """Pearson's correlation of all logits."""
    worst_logit: float
    """Largest difference of a logit, in standard deviations of the logits."""
    predictions_differ: int
    """Images that the two classify differently."""
    codes: int
    """Reads of real tiles whose codes were compared: of the same inputs, those of the exact run."""
    codes_differ: int
    """Of these codes, those that differ."""


class SpiceEvidence(Record):
    """How many codes of an evaluation ngspice gives otherwise, of column reads drawn from those that it made."""

    reads: int
    """Reads of the uniform sample, over all layers."""
    codes_differ: int
    """Of these, reads with another code, for the same scale, thresholds and clipping."""
    rate_low: Fraction
    """Least rate of differing codes that the sample allows, with 95 % confidence (Clopper and Pearson)."""
    rate_high: Fraction
    """Largest such rate."""
    near: int
    """Further reads: those closest to a threshold among those looked at."""
    near_codes_differ: int
    """Of these further reads, those with another code."""
    near_within: float
    """Largest distance of these reads from their threshold, LSB."""
    differ_within: float
    """Largest distance from a threshold, LSB, of ngspice's currents whose code differs; 0 if none does."""
    failures: tuple[str, ...] = ()
    """Why ngspice gave no current, for each read of which it gave none; these count nowhere else."""


class Evaluation(Result):
    """A network at a design point: what `spicekit evaluate` finds.

    >>> import spicekit as sk
    >>> network, images = sk.load_network("vgg-small-quarter"), sk.load_dataset("digits", "test").first(4)
    >>> result = sk.evaluate(network, images, sk.design(layer="M2", pitch_nm=108, rows_active=16))
    >>> list(result.to_pandas()["mitigation"])
    ['none', 'both']
    >>> result.with_converter(bits=4).ideal == result.ideal  # which is not run again
    True
    """

    kind: Literal["evaluation"] = "evaluation"
    """Which kind of result this is."""
    design: Design
    """What was evaluated; docs/design.md has its fields."""
    images: int = Field(ge=1)
    """Number of images that were classified."""
    software: Share = Field(alias="accuracy_software")
    """Accuracy of the network itself."""
    ideal: Share = Field(alias="accuracy_ideal")
    """Accuracy on ideal tiles, which gave the same logits."""
    runs: tuple[TileRun, ...] = Field(min_length=1)
    """Runs on the design's tiles, one for each mitigation. The others are compared with the first."""
    assumptions: tuple[str, ...]
    """Assumptions that the figures rest on."""
    classes: tuple[str, ...] = ()
    """Names of the classes."""
    labels: tuple[int, ...] = ()
    """Class of each image, an index into `classes`."""
    restored: tuple[Restored, ...] = ()
    """A few images that the first run gets wrong and the last one right."""
    fidelity: dict[Mitigation, Fidelity] = Field(default_factory=dict)
    """Exact against fast engine, by mitigation, where it was asked for."""
    spice: dict[Mitigation, SpiceEvidence] = Field(default_factory=dict)
    """Reads of this very evaluation run in ngspice, by mitigation, where it was asked for."""
    costs: NetworkCosts | None = None
    """Energy, time and area of the whole circuit, where they were asked for."""
    signed_off: bool | None = None
    """Whether the design lies within what was signed off."""
    signed_off_with_network: bool | None = None
    """Whether vectors of a network were among those compared."""
    sign_off_fault: str = ""
    """Why the design lies outside."""

    _again: Callable[[Design, "Evaluation"], "Evaluation"] | None = pydantic.PrivateAttr(default=None)

    @pydantic.model_validator(mode="after")
    def _answers_fit(self) -> Self:
        for indices in (self.labels, *(run.predictions for run in self.runs)):
            whole = len(indices) in (0, self.images) and all(0 <= index < len(self.classes) for index in indices)
            if not whole:
                raise ValueError("labels and predictions name a class for each image")
        return self

    def __getstate__(self) -> dict[Any, Any]:
        """Like one that was read from a file: the network does not go along."""
        return {**super().__getstate__(), "__pydantic_private__": {"_again": None}}

    def with_design(self, design: Design) -> "Evaluation":
        """The same network and images on another design; what both have in common is not computed again.

        Raises
        ------
        BadInput
            For a result that was read from a file or unpickled: it has no network.
        """
        if self._again is None:
            raise BadInput("with_design: this result was read from a file; call spicekit.evaluate with the network.")
        return self._again(as_design(design), self)

    def with_converter(self, **fields: Any) -> "Evaluation":
        """`with_design` of this one with fields of its converter changed: software and ideal tiles do not run again."""
        return self.with_design(self.design.replace(converter=self.design.converter.replace(**fields)))

    def rows(self) -> list[JsonDict]:
        """One for each run."""
        head = {"images": self.images, "software": self.software, "ideal": self.ideal}
        own = {"layers", "mitigation", "predictions", "partial_sums", "code_errors"}
        return [{"mitigation": run.mitigation, **head, **run.model_dump(exclude=own)} for run in self.runs]

    def units(self) -> dict[str, str]:
        """Units of the columns."""
        return units_of(TileRun) | units_of(Evaluation)

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Bars of accuracy: software, then each run on tiles."""
        axes = new_axes(axes)
        names = ["software", *(MITIGATION_LABELS[run.mitigation] for run in self.runs)]
        values = [100 * self.software, *(100 * run.accuracy for run in self.runs)]
        axes.bar_label(axes.bar(names, values, color=["0.75", *(f"C{k}" for k in range(len(self.runs)))]), fmt="%.1f")
        axes.set(ylabel="accuracy, %", ylim=(0, 108))
        return axes

    def __str__(self) -> str:
        runs = ", ".join(f"{run.accuracy:.1%} {MITIGATION_LABELS[run.mitigation]}" for run in self.runs)
        return f"Evaluation of {self.images:,} images: {self.software:.1%} software, {runs}"


class PlacedEvaluation(Evaluation):
    """An evaluation of the demo."""

    network: str
    """Name of the network."""
    point: str
    """Name of the design point: mild or heavy."""


class Demo(Result):
    """What `spicekit demo` finds."""

    kind: Literal["demo"] = "demo"
    """Which kind of result this is."""
    evaluations: tuple[PlacedEvaluation, ...] = Field(min_length=1)
    """An evaluation of each network at each design point."""

    def by_name(self) -> dict[tuple[str, str], Evaluation]:
        """The evaluations by network and design point."""
        return {(one.network, one.point): one for one in self.evaluations}

    def rows(self) -> list[JsonDict]:
        """One for each run of each evaluation."""
        return [{"network": one.network, "point": one.point, **row} for one in self.evaluations for row in one.rows()]

    def units(self) -> dict[str, str]:
        """Units of the columns."""
        return self.evaluations[0].units()

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Accuracy in software and of each run on tiles, for each network at each design point."""
        axes = new_axes(axes)
        bars = [
            {"software": one.software, **{run.mitigation: run.accuracy for run in one.runs}} for one in self.evaluations
        ]
        kinds = list(dict.fromkeys(kind for bar in bars for kind in bar))
        width = 0.8 / len(kinds)
        for place, kind in enumerate(kinds):
            at = [group + width * (place - (len(kinds) - 1) / 2) for group in range(len(bars))]
            axes.bar(at, [100 * bar.get(kind, float("nan")) for bar in bars], width, label=kind)
        axes.set_xticks(range(len(bars)), [f"{one.network}\n{one.point}" for one in self.evaluations])
        axes.set(ylabel="accuracy / %", ylim=(0, 105))
        axes.legend(frameon=False, fontsize=8)
        return axes

    def __str__(self) -> str:
        return f"Demo: {len(self.evaluations)} evaluations"
