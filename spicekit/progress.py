"""How a long job says how far it is."""

from typing import Protocol


class Report(Protocol):
    """Takes the name of what begins, then how much of it is done; `total` is 0 where that is not known."""

    def __call__(self, stage: str, /, done: int = 0, total: int = 0) -> None: ...


def silent(stage: str, /, done: int = 0, total: int = 0) -> None:
    """The report that goes nowhere."""


def prefixed(report: Report, prefix: str) -> Report:
    """A report whose stages have a prefix."""

    def told(stage: str, /, done: int = 0, total: int = 0) -> None:
        report(f"{prefix}: {stage}", done, total)

    return told
