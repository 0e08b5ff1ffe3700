"""galago data: check a data set before training, or convert one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from galago.cli._options import JSON_HELP, Command

if TYPE_CHECKING:
    from galago.data.check import Report

KINDS = "colors, coco, voc, cityscapes, ade20k or roboflow"
PALETTE_HELP = (
    "For colors and voc: file of names and colors, where SOURCE has none: YAML, labelmap.txt or "
    "CSV."
)
IMAGES_HELP = "For coco and voc: folder of the photos, where they are not found automatically."
UNKNOWN_HELP = (
    "How to treat colors and ids without a name, and COCO entries with a fault: error or ignore."
)
IGNORE_HELP = "Class whose pixels are ignored, for example background; can be given several times."

app = typer.Typer(no_args_is_help=True)


@app.callback()
def data() -> None:
    """Check data sets before training, and bring them into the layout that galago reads."""


@app.command(cls=Command)
def check(
    data: Annotated[str, typer.Argument(help="Data set: folder or YAML file.", metavar="DATA")],
    out: Annotated[Path, typer.Option(help="Folder for report.html and check.json.")] = Path(
        "runs/data"
    ),
    json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Find all that is wrong with a data set before training: files, masks, ids, classes, splits.

    Exit code 1 if there are errors; warnings alone leave it at 0.
    """
    from json import dumps

    from galago._core.atomic_io import write_whole
    from galago.cli._console import print_json, say
    from galago.cli._pages import write_page
    from galago.cli._progress import counting_bar
    from galago.data.check import check as look
    from galago.data.check import read_layout
    from galago.data.check.page import draw_page

    layout = read_layout(data)
    with counting_bar("Checking", sum(map(len, layout.items.values()))) as (advance, _):
        report = look(layout, data, on_item=advance)
    write_whole(out / "check.json", (dumps(report.summary(whole=True), indent=2) + "\n").encode())
    pages = write_page(out / "report.html", lambda: draw_page(report))
    show(report, to_stderr=json)
    say(f"Saved: {', '.join(map(str, (*pages, out / 'check.json')))}", err=json)
    if json:
        print_json(report.summary() | {"out": str(out)})
    if report.errors:
        raise typer.Exit(1)


@app.command()
def convert(
    kind: Annotated[str, typer.Argument(help=f"What SOURCE is: {KINDS}.", metavar="KIND")],
    source: Annotated[
        Path,
        typer.Argument(help="Folder of the data set; for coco a JSON file, too.", metavar="SOURCE"),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for images/, masks/ and data.yaml; new or empty.")
    ],
    palette: Annotated[Path | None, typer.Option(help=PALETTE_HELP)] = None,
    images: Annotated[Path | None, typer.Option(help=IMAGES_HELP)] = None,
    ignore: Annotated[list[str] | None, typer.Option(help=IGNORE_HELP)] = None,
    unknown: Annotated[str, typer.Option(help=UNKNOWN_HELP)] = "error",
    json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Bring a data set into the layout that galago reads: images/, masks/ and data.yaml.

    Photos are hard links to the originals where the disk allows it, else copies. The folder is
    there when all of it is.
    """
    from collections import Counter

    from galago.cli._console import print_json, say
    from galago.cli._progress import counting_bar
    from galago.data.convert import Options, check_out, describe_turns, read, write

    check_out(out)
    found = read(
        kind,
        source,
        Options(palette=palette, images=images, ignore=tuple(ignore or ()), unknown=unknown),
    )
    with counting_bar("Converting", len(found.items)) as (advance, _):
        made_by = f"galago data convert {kind}"
        write(found, out, made_by=made_by, accept_unknown=unknown == "ignore", on_item=advance)
    if found.unknown and found.unknown.pixels:
        unknown_count = f"{len(found.unknown.pixels)} {found.unknown.what} without a name"
        lost = f"{found.unknown.pixels.total():,} pixels of {unknown_count}"
        say(f"Ignored: {lost}.", err=True)
    turns = describe_turns(found.items)
    notes = [*found.notes, *([turns] if turns else [])]
    for note in notes:
        say(f"Note: {note}", err=True)
    splits = Counter(item.split for item in found.items)
    photos = ", ".join(f"{count:,} photos of {split}" for split, count in splits.items())
    say(
        f"Saved: {out}: {photos}, {len(found.label_set)} classes. Look at them: galago data check "
        f"{out}",
        err=json,
    )
    if json:
        facts = {
            "kind": kind,
            "source": str(source),
            "out": str(out),
            "photos": splits,
            "classes": found.label_set.names,
        }
        facts["notes"] = notes
        print_json(facts)


def show(report: "Report", *, to_stderr: bool) -> None:
    """Print the classes of each split, the label_mapping, the findings and the verdict."""
    from galago._core.printable import printable
    from galago.cli._console import Table, say

    table = Table(title=printable(report.data))
    table.add_column("class")
    for name, split in report.splits.items():
        table.add_column(f"{name}, pixels", right=True)
        table.add_column(f"photos of {split.files:,}", right=True)
    for index, name in enumerate(report.layout.label_set.names):
        cells = [
            (f"{split.shares[index]:.3%}", f"{split.images[index]:,}")
            for split in report.splits.values()
        ]
        table.add_row(name, *(cell for pair in cells for cell in pair))
    if any(len(found.classes) > 1 for found in report.layout.label_set.sets):
        cells = [(f"{split.set_share:.3%}", "") for split in report.splits.values()]
        table.add_row("several classes", *(cell for pair in cells for cell in pair))
    table.show(err=to_stderr)
    if report.mapping:
        mapping = Table(title="label_mapping")
        for heading in ("id in the masks", "becomes", "pixels"):
            mapping.add_column(heading)
        for source, target, pixels in report.shown_mapping:
            mapping.add_row(source, target, f"{pixels:,}")
        mapping.show(err=to_stderr)
    for finding in report.findings:
        style = "red" if finding.severity == "error" else "yellow"
        say(f"{finding.severity} {finding.kind}: {finding.message}", err=to_stderr, style=style)
        say(f"  {finding.advice}", err=to_stderr)
        for example in finding.examples:
            say(f"  - {example}", err=to_stderr, style="dim")
        if finding.num_more:
            say(f"  - and {finding.num_more:,} more", err=to_stderr, style="dim")
    say(report.verdict, err=to_stderr, style="bold red" if report.errors else "green")
