"""What a network is and where it comes from: plain records, without weights."""

from typing import Literal

from pydantic import Field

from spicekit.config import Config
from spicekit.provenance import JsonDict

NetworkName = Literal["vgg-small", "resnet18"]


class Architecture(Config):
    """Which network, and its sizes: all that is needed to build it."""

    name: NetworkName
    classes: int = Field(default=10, ge=2, le=1000)
    channels: Literal[1, 3] = 3
    """Colour channels of the input."""
    width: float = Field(default=1.0, gt=0, le=4)
    """Factor on the number of channels of every layer."""
    bits: Literal[1, 4] = 1
    """Of weights and inputs of the layers that run on tiles; 4 is there for comparison."""

    def scaled(self, channels: int) -> int:
        """Channels of the first layer, which has `channels` of them at width 1; the others have multiples."""
        return max(1, round(channels * self.width))


class Card(Config):
    """What a checkpoint holds and where it comes from."""

    architecture: Architecture
    data: str
    """Name of the data set."""
    source: str
    """Whose data it is."""
    classes: tuple[str, ...]
    train_images: int = Field(ge=1)
    train_sha256: str
    test_images: int = Field(ge=1)
    test_sha256: str
    accuracy: float = Field(ge=0, le=1)
    """Fraction of the test images classified rightly; on the recipe's tiles where it names some."""
    recipe: JsonDict
    """How it was trained, seed and epochs included."""
    made_by: JsonDict
    """Versions, command and time."""


def card_text(card: Card, *, sha256: str) -> str:
    """The card as Markdown for people; `sha256` is that of the checkpoint file."""
    kind = card.architecture
    rows: dict[str, object] = {
        "network": f"{kind.name}, width {kind.width:g}, {kind.bits}-bit",
        "inputs and outputs": f"{kind.channels} x 32 x 32 pixels, {kind.classes} classes",
        "data": f"{card.data}: {card.train_images:,} images to train, {card.test_images:,} to test",
        "source of the data": card.source,
        "accuracy (test images)": f"{card.accuracy:.2%}",
        **{f"recipe: {key}": value for key, value in card.recipe.items()},
        **card.made_by,
        "train split SHA-256": card.train_sha256,
        "test split SHA-256": card.test_sha256,
        "checkpoint SHA-256": sha256,
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return (
        f"# {kind.name} on {card.data}\n\n"
        f"All convolutions but the first have {_PRECISION[kind.bits]}; the first, the\n"
        "batch norms and the classifier are float32. Inputs are pixels from 0 to 1; the network normalises\n"
        "them itself.\n\n"
        f"| | |\n|---|---|\n{table}\n"
    )


_PRECISION = {
    1: "binary weights and inputs, and pad with -1",
    4: "weights from -8 to 7, inputs from 0 to 15, and pad with 0",
}
