"""galago data: check a data set before training."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from galago.data.check import Report

app = typer.Typer(no_args_is_help=True)


@app.callback()
def data() -> None:
    """Check data sets before training, and bring them into the layout that galago reads."""


@app.command()
def check(
    data: Annotated[str, typer.Argument(help="Data set: folder or YAML file.", metavar="DATA")],
    out: Annotated[Path, typer.Option(help="Folder for report.html and check.json.")] = Path("runs/data"),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Find all that is wrong with a data set before training: files, masks, ids, classes, splits.

    Exit code 1 if there are errors; warnings alone leave it at 0.
    """
    from json import dumps

    from rich.console import Console
    from rich.progress import Progress

    from galago.data.check import check as look
    from galago.data.check import read_layout
    from galago.data.check.page import draw_page
    from galago.files import write_whole

    layout = read_layout(data)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Checking", total=sum(map(len, layout.items.values())))
        report = look(layout, data, on_item=lambda: progress.advance(task))
    summary = report.summary()
    write_whole(out / "check.json", (dumps(summary, indent=2) + "\n").encode())
    write_whole(out / "report.html", draw_page(report).encode())
    show(report, to_stderr=json)
    typer.echo(f"Saved: {out / 'report.html'}, {out / 'check.json'}", err=json)
    if json:
        typer.echo(dumps(summary | {"out": str(out)}))
    if report.errors:
        raise typer.Exit(1)


def show(report: "Report", *, to_stderr: bool) -> None:
    """Print the classes of each split, the label_mapping, the findings and the verdict."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from galago.data.check.finding import plural

    console = Console(stderr=to_stderr)
    table = Table("class", title=report.data, title_justify="left")
    for name, split in report.splits.items():
        table.add_column(f"{name}, pixels", justify="right")
        table.add_column(f"photos of {split.files:,}", justify="right")
    for index, name in enumerate(report.layout.labels.names):
        cells = [(f"{split.shares[index]:.3%}", f"{split.photos[index]:,}") for split in report.splits.values()]
        table.add_row(name, *(cell for pair in cells for cell in pair))
    console.print(table)
    if report.mapping:
        mapping = Table("id in the masks", "becomes", "pixels", title="label_mapping", title_justify="left")
        for source, target, pixels in report.mapping:
            mapping.add_row(str(source), target, f"{pixels:,}")
        console.print(mapping)
    for finding in report.findings:
        style = "red" if finding.severity == "error" else "yellow"
        lines = [Text(f"{finding.severity} {finding.kind}: {finding.message}", style), Text(f"  {finding.advice}")]
        lines += [Text(f"  - {example}", "dim") for example in finding.examples]
        if rest := len(finding.found) - len(finding.examples):
            lines.append(Text(f"  - and {rest:,} more", "dim"))
        for line in lines:
            console.print(line, soft_wrap=True)
    verdict = f"{plural(len(report.errors), 'errors')}, {plural(len(report.warnings), 'warnings')}."
    console.print(Text(verdict, "bold red" if report.errors else "green"))
