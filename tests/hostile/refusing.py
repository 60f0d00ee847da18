"""What a refusal may cost, and what a naive path costs."""

import contextlib
import ctypes
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spicekit.errors import BadInput, BadTable

MUCH = 200e6  # bytes


def cost(action: Callable[[], object]) -> tuple[float, float]:
    """Bytes that an action adds to the process at its peak, and seconds of processor time; refusals count as ends."""
    ctypes.CDLL(None).malloc_trim(0)  # what earlier tests gave back: a naive path could take it without a trace
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, began = resident("VmRSS"), time.process_time()
    with contextlib.suppress(BadInput, BadTable):
        action()
    return resident("VmHWM") - before, time.process_time() - began


def resident(what: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return 1024 * float(line.split()[1])


def refused(action: Callable[[], object], reason: str) -> None:
    """In short, without much memory, by name."""
    with pytest.raises((BadInput, BadTable), match=reason):
        action()
    memory, seconds = cost(action)
    assert memory < MUCH
    assert seconds < 1


def exhausting(naive: Callable[[], object]) -> None:
    """A naive path takes much memory."""
    assert cost(naive)[0] > MUCH
