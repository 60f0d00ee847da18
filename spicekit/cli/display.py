"""What the verbs share on the terminal: stages under way, tables of evaluations."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from spicekit.evaluate.evaluation import Evaluation
    from spicekit.report.sheets import Sheet
    from spicekit.tables.calibrate import Progress


@contextmanager
def stages(title: str) -> Iterator[Callable[[str], None]]:
    """Show which stage of a job runs, and for how long; yields the function that names the next one."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns) as progress:
        current = None

        def report(stage: str) -> None:
            nonlocal current
            if current is not None:
                progress.update(current, total=1, completed=1)
            current = progress.add_task(f"{title}: {stage}", total=None)

        yield report
        if current is not None:
            progress.update(current, total=1, completed=1)


@contextmanager
def jobs_bars() -> Iterator[Callable[[str], Callable[["Progress"], None]]]:
    """Show how many jobs are done and failed, and the time left.

    Yields a function that takes a title and returns the function that reports progress; a bar appears with its first.
    """
    with ExitStack() as stack:
        bars = functools.cache(lambda: stack.enter_context(_bars()))

        def add(title: str) -> Callable[["Progress"], None]:
            task = functools.cache(lambda: bars().add_task(title))

            def report(now: "Progress") -> None:
                failed = f", {now.failed} failed" if now.failed else ""
                done = now.made + now.kept + now.failed
                bars().update(task(), description=f"{title}{failed}", total=now.total, completed=done)

            return report

        yield add


def _bars() -> "Bars":
    from rich import progress

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left:"),
        progress.TimeRemainingColumn(),
    )


def evaluations_table(evaluations: Mapping[tuple[str, str], "Evaluation"]) -> None:
    """Print evaluations, a row each; keys are network and design point.

    Reduction and change are those of the last run against the first.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="accuracy and reads", caption="partial sum, energy: last mitigation against none")
    names = {"none": "real tiles", "static": "static flips", "dynamic": "dynamic flips", "both": "BinSparX"}
    runs = next(iter(evaluations.values())).runs
    for head in ("network", "design point"):
        table.add_column(head)
    for head in (
        "software",
        "ideal tiles",
        *(names[run.mitigation] for run in runs),
        "NF",
        "partial sum",
        "energy",
    ):
        table.add_column(head, justify="right")
    for (network, point), evaluation in evaluations.items():
        plain, last = evaluation.runs[0].total, evaluation.runs[-1].total
        energy = last.energy(evaluation.design) / plain.energy(evaluation.design) - 1
        table.add_row(
            escape(network),
            escape(point),
            f"{evaluation.software:.1%}",
            f"{evaluation.ideal:.1%}",
            *(f"{run.accuracy:.1%}" for run in evaluation.runs),
            " > ".join(f"{nf:.1%}" for nf in dict.fromkeys((plain.nf, last.nf))),
            f"{last.partial_sum / plain.partial_sum - 1:+.1%}",
            f"{energy:+.1%}",
        )
    console = Console()
    console = console if console.is_terminal else Console(width=120)
    console.print(table)


def print_sheets(sheets: Sequence["Sheet"]) -> None:
    """Print tables of text, each under its title: text as it is, no markup."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    console = console if console.is_terminal else Console(width=120)
    for sheet in sheets:
        table = Table(*map(escape, sheet.head))
        table.columns[0].no_wrap = True
        for row in sheet.rows:
            table.add_row(*map(escape, row))
        console.print(f"\n{escape(sheet.title)}", table)
