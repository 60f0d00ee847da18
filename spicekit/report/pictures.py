"""What pictures drawn by matplotlib share."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def literal(text: str) -> str:
    """Text that matplotlib shows as it is, whatever is in it."""
    return text.replace("$", r"\$")


def png(figure: "Figure", *, dpi: int = 150) -> bytes:
    """A figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()
