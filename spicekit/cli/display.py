"""What the verbs share on the terminal: stages under way, tables of evaluations."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spicekit.evaluate.evaluation import Evaluation


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


def evaluations_table(evaluations: Mapping[tuple[str, str], "Evaluation"]) -> None:
    """Print evaluations, a row for each run; keys are network and design point."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for head in ("network", "design point", "software", "ideal tiles", "BinSparX", "accuracy", "NF"):
        table.add_column(head, justify="left" if head in ("network", "design point", "BinSparX") else "right")
    for head in ("partial sum", "reduction", "energy change"):
        table.add_column(head, justify="right")
    for (network, point), evaluation in evaluations.items():
        plain = evaluation.runs[0].total
        for run in evaluation.runs:
            first = run is evaluation.runs[0]
            total = run.total
            table.add_row(
                network if first else "",
                point if first else "",
                f"{evaluation.software:.1%}" if first else "",
                f"{evaluation.ideal:.1%}" if first else "",
                run.mitigation,
                f"{run.accuracy:.1%}",
                f"{total.nf:.1%}",
                f"{total.partial_sum:.2f}",
                "" if first else f"{1 - total.partial_sum / plain.partial_sum:.1%}",
                ""
                if first
                else f"{total.energy(evaluation.design) / plain.energy(evaluation.design) - 1:+.1%}",
            )
        table.add_section()
    Console().print(table)
