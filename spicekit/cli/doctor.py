"""`spicekit doctor`: what works here."""

import typer


def doctor() -> None:
    """What is installed and works here; each problem with its cure."""
    from rich.console import Console

    from spicekit.evaluate.doctor import examine

    console = Console()
    findings = examine()
    for finding in findings:
        mark = "[green]ok[/]  " if finding.cure is None else "[red]no[/]  "
        console.print(f"{mark}{finding.what}" + (f"\n    -> {finding.cure}" if finding.cure else ""))
    if any(finding.cure for finding in findings if finding.required):
        raise typer.Exit(1)
