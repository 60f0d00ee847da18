"""`spicekit doctor`: what works here."""

from dataclasses import asdict

import typer

from spicekit.cli.display import Json, console, next_step, print_json


def doctor(as_json: Json = False) -> None:
    """What is installed and works here; each problem with its cure."""
    from rich.markup import escape

    from spicekit.evaluation.doctor import examine

    screen = console()
    findings = examine()
    if as_json:
        print_json([asdict(finding) for finding in findings])
    for finding in () if as_json else findings:
        colour, mark = (
            ("green", "ok") if finding.cure is None else ("red" if finding.required else "yellow", "no")
        )
        screen.print(f"[{colour}]{mark}[/]  {escape(finding.what)}", soft_wrap=True)
        if finding.cure:
            screen.print(f"    -> {escape(finding.cure)}", soft_wrap=True)
    if any(finding.cure for finding in findings if finding.required):
        raise typer.Exit(1)
    next_step("spicekit demo")
