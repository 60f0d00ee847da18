"""What the verbs share on the terminal: results on stdout; progress, chatter and advice on stderr."""

import json
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar

import typer
from typer import Option
from typer.core import TyperGroup

from spicekit.errors import BadInput

if TYPE_CHECKING:
    from rich.console import Console

    from spicekit.evaluation.records import Evaluation
    from spicekit.report.page import Table
    from spicekit.results import Report
    from spicekit.tables.calibrate import Progress as Jobs

T = TypeVar("T")
Json = Annotated[bool, Option("--json", help="Print the result as JSON instead of text.")]
Data = Annotated[
    str, Option(help="digits, cifar10, cifar100, an .npz file, a folder of class folders or of idx files.")
]
Folder = Annotated[Path | None, Option(help="Where CIFAR-10 lies, in any of its layouts.")]
Weights = Annotated[Path, Option(help="Stored bits, .npy (rows, columns) uint8.")]
Store = Annotated[Path | None, Option(help="Folder of I-V tables; default: yours, then shipped.")]


class _Verbs(TyperGroup):
    """Says of each verb all that it is for, where typer would cut it."""

    def get_command(self, context: Any, name: str) -> Any:
        command = super().get_command(context, name)
        if command is not None:
            command.short_help = command.help
        return command


def verbs(help: str) -> typer.Typer:
    """A command of several verbs. Its help is plain text, which loses no word on a narrow terminal."""
    return typer.Typer(
        cls=_Verbs,
        help=help,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


class _State:
    quiet = False


def set_quiet(quiet: bool) -> None:
    """Whether the command that runs says nothing but results and errors."""
    _State.quiet = quiet


def print_json(data: Any) -> None:
    """A result for programs, on stdout."""
    print(json.dumps(data, indent=1))


def print_paths(*paths: Path, as_json: bool) -> None:
    """Files that a verb wrote, a line each or as a list."""
    if as_json:
        print_json([str(path) for path in paths])
    else:
        print(*paths, sep="\n")


def require_folder(out: Path, verb: str) -> None:
    """Refuse a file to write whose folder is not there, before anything is computed."""
    if not out.parent.is_dir():
        raise BadInput(f"{verb}: there is no folder {out.parent} for --out {out}; make it first.")


def check_png(path: Path) -> None:
    """Refuse a picture's name that ends in anything else."""
    if path.suffix != ".png":
        raise BadInput(f"{path}: pictures are PNG; pass a name that ends in .png.")


def say(text: str) -> None:
    """A line that is no result, on stderr; none with --quiet."""
    if not _State.quiet:
        print(fitted(text), file=sys.stderr)


def fitted(text: str, *, to: TextIO | None = None) -> str:
    """Text whose lines end between words, where a terminal, by default that of stderr, would end them within one."""
    columns = shutil.get_terminal_size((0, 0)).columns if (to or sys.stderr).isatty() else 0
    lines = text.splitlines()
    wrapper = textwrap.TextWrapper(columns or 1, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrapper.fill(line) if 0 < columns < len(line) else line for line in lines)


def next_step(command: str) -> None:
    """The last line of a verb: what to do with its result."""
    if not _State.quiet:
        print(f"next: {command}", file=sys.stderr)  # in one line: it is copied


@contextmanager
def stages(title: str = "", *, kept: str = "nothing was kept: repeat the command") -> Iterator["Report"]:
    """Show how far a job is: bars with percentage and time left on a terminal, else a line for each stage.

    Yields the function to report with. A stage lasts until another is named, or until all of it is done. Where Ctrl-C
    ends the block, say how far it was, what was kept and how to go on; exit status 130.
    """
    prefix, screen = f"{title}: " if title else "", console(stderr=True)
    show = _Lines(prefix) if _State.quiet or not screen.is_terminal else _Bars(prefix, screen)
    at = ""

    def report(stage: str, /, done: int = 0, total: int = 0, *, note: str = "") -> None:
        nonlocal at
        at = f" at {prefix}{stage}" + (f", {done:,} of {total:,}" if total else "")
        show(stage, done, total, note=note)

    try:
        with show:
            yield report
    except KeyboardInterrupt:
        print(f"spicekit: stopped{at}; {kept}", file=sys.stderr)
        raise typer.Exit(130) from None


@contextmanager
def stage(name: str) -> Iterator[None]:
    """`stages` of a job that is one step."""
    with stages() as report:
        report(name)
        yield


class _Bars:
    """Progress on a terminal: a bar for each stage."""

    def __init__(self, prefix: str, screen: "Console") -> None:
        from rich import progress
        from rich.table import Column
        from rich.text import Text

        bar = 16 if screen.width >= 80 else 8

        class _Times(progress.ProgressColumn):
            """How long a stage has taken and, once its pace is known, how long it will."""

            def render(self, task: progress.Task) -> Text:
                left = "" if task.finished or task.time_remaining is None else f", {task.time_remaining:,.0f} s left"
                return Text(f"{task.elapsed or 0:,.0f} s{left}", no_wrap=True)

        self.bars = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}", markup=False, table_column=Column()),  # alone is broken
            progress.BarColumn(bar, table_column=Column(width=bar)),
            progress.TaskProgressColumn(table_column=Column(no_wrap=True)),
            _Times(table_column=Column(no_wrap=True)),
            console=screen,
        )
        self.prefix = prefix
        self.tasks: dict[str, progress.TaskID] = {}

    def __enter__(self) -> None:
        self.bars.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._finish()
        self.bars.stop()

    def _finish(self, but: str = "") -> None:
        for name, task in self.tasks.items():
            if name != but and not self.bars.tasks[task].finished:
                total = self.bars.tasks[task].total or 1
                self.bars.update(task, total=total, completed=total)

    def __call__(self, stage: str, /, done: int = 0, total: int = 0, *, note: str = "") -> None:
        self._finish(but=stage)
        if stage not in self.tasks:
            self.tasks[stage] = self.bars.add_task(self.prefix + stage, total=None)
        text = self.prefix + stage + note
        self.bars.update(self.tasks[stage], description=text, completed=done, total=total or None)


class _Lines:
    """Progress where there is no terminal: a line when a stage begins, and at every tenth of a long one."""

    def __init__(self, prefix: str) -> None:
        self.prefix, self.stage, self.tenth, self.start = prefix, "", 0, 0.0

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def __call__(self, stage: str, /, done: int = 0, total: int = 0, *, note: str = "") -> None:
        now = time.monotonic()
        if stage != self.stage:
            self.stage, self.tenth, self.start, self.told = stage, 0, now, now
            say(f"{self.prefix}{stage}{note}")
        tenth = 10 * done // total if total else 0
        if tenth > self.tenth and now - self.told > _PATIENCE:
            self.tenth, self.told = tenth, now
            left = (now - self.start) * (total - done) / done
            say(f"{self.prefix}{stage}{note}: {done / total:.0%}, {left:.0f} s left")


_PATIENCE = 10.0  # s between lines about one stage


def each(report: "Report", stage: str, items: Iterable[T]) -> Iterator[T]:
    """The items one by one; reports which is at hand and how many are done."""
    todo = list(items)
    for done, item in enumerate(todo):
        report(stage, done, len(todo), note=f": {item}")
        yield item


def jobs_done(report: "Report", title: str, jobs: "Jobs") -> None:
    """Report how many jobs of a title are done and failed."""
    failed = f", {jobs.failed} failed" if jobs.failed else ""
    report(title, jobs.made + jobs.kept + jobs.failed, jobs.total, note=failed)


def print_evaluations(evaluations: Mapping[tuple[str, str], "Evaluation"]) -> None:
    """Print evaluations, a table each with a row for every mitigation; keys are network and design point."""
    from rich.markup import escape

    from spicekit.report.evaluation import headline, short_table

    for (network, point), evaluation in evaluations.items():
        console().print(f"{escape(network)} on {escape(point)}, {evaluation.images:,} images", highlight=False)
        _print_table(short_table(evaluation), numbers=True)
        console().print(escape(headline(evaluation)), highlight=False)
    say(
        "95 % CI: what the number of images leaves open of the accuracy. NF: share of the ideal current that is lost.\n"
        "ON cells: of a read, mean. energy: of the bit lines for an image; change: against the first run on tiles."
    )


def print_tables(tables: Sequence["Table"], files: Sequence[Path] = (), *, as_json: bool = False) -> None:
    """Tables, each under its title, and the files that were written beside them; as one record, if wanted."""
    from rich.markup import escape

    if as_json:
        records = [
            {"title": one.heading, "rows": [dict(zip(one.heads, row, strict=True)) for row in one.texts()]}
            for one in tables
        ]
        print_json({"tables": records, "files": [str(path) for path in files]})
        return
    for table in tables:
        console().print(f"\n{escape(table.heading)}")
        _print_table(table)
    for path in files:
        print(path)


def _print_table(table: "Table", *, numbers: bool = False) -> None:
    """Print a table, or a block for each row where its words do not fit side by side; text as it is, no markup."""
    from rich import box
    from rich.markup import escape
    from rich.padding import Padding
    from rich.table import Table as Grid

    screen, head, rows = console(), table.heads, table.texts()
    for whole, padding in ((len(head), 1), (len(head), 0), (1, 1), (1, 0))[: 2 if numbers else None]:
        room = screen.width - 1 - (padding + 1) * len(head)
        if (widths := _widths(head, rows, room, whole=whole)) is not None:
            grid = Grid(box=box.SIMPLE_HEAD, padding=(0, padding, 0, 0))
            for place, (name, width) in enumerate(zip(head, widths, strict=True)):
                grid.add_column(escape(name), width=width, justify="right" if numbers and place else "left")
            for row in rows:
                grid.add_row(*map(escape, row))
            screen.print(grid)
            return
    for first, *others in rows:
        screen.print(f"\n{escape(first)}", highlight=False)
        for name, cell in zip(head[1:], others, strict=True):
            if cell:
                screen.print(Padding(f"{escape(', '.join(name.splitlines()))}: {escape(cell)}", (0, 0, 0, 2)))


def _widths(head: Sequence[str], rows: Sequence[Sequence[str]], room: int, *, whole: int) -> list[int] | None:
    """Of columns that break no word, the first `whole` ones no line; rich would shrink the widest ones alone."""
    from rich.cells import cell_len

    columns = list(zip(head, *rows, strict=True))
    most = [max(cell_len(line) for cell in cells for line in cell.split("\n")) for cells in columns]
    least = [max((cell_len(word) for cell in cells for word in _WORD.findall(cell)), default=0) for cells in columns]
    least[:whole] = most[:whole]
    spare, wanted = room - sum(least), [high - low for low, high in zip(least, most, strict=True)]
    if spare < 0:
        return None
    for done, place in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):  # who wants little gets all
        more = min(wanted[place], spare // (len(wanted) - done))
        least[place], spare = least[place] + more, spare - more
    return least


_WORD = re.compile(r"\S+(?: (?:[afpnumk]?[AVWJFCK]|[fpnum]?s|k?ohm|%)(?!\S))?")
"""A number and its unit are one."""


def console(*, stderr: bool = False) -> "Console":
    """Of rich; where it cannot ask a terminal for its width, 80 columns."""
    from rich.console import Console

    return Console(stderr=stderr)
