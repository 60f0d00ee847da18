"""`spicekit doctor`: what works here."""

import typer


def doctor() -> None:
    """What is installed and works here; each problem with its cure."""
    from rich.console import Console
    from rich.markup import escape

    from spicekit.evaluate.doctor import examine

    console = Console()
    findings = examine()
    for finding in findings:
        colour, mark = (
            ("green", "ok") if finding.cure is None else ("red" if finding.required else "yellow", "no")
        )
        console.print(f"[{colour}]{mark}[/]  {escape(finding.what)}", soft_wrap=True)
        if finding.cure:
            console.print(f"    -> {escape(finding.cure)}", soft_wrap=True)
    if any(finding.cure for finding in findings if finding.required):
        raise typer.Exit(1)
