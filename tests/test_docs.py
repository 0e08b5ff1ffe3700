"""The pages in docs/ and examples/: links, and what each example folder holds."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
LEARNING = ("linear-probe",)  # the others are programs for devices
PAGES = sorted([*REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("examples/*/README.md")])


def links_of(page: Path) -> list[str]:
    """Return the files that a page links to."""
    return re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_of_a_page_lead_to_files(page: Path):
    assert [link for link in links_of(page) if not (page.parent / link).exists()] == []


def test_links_are_found():
    assert sum(len(links_of(page)) for page in PAGES) > 20


@pytest.mark.parametrize(
    "example", sorted(REPOSITORY.glob("examples/*")), ids=lambda example: example.name
)
def test_an_example_has_a_page_and_a_smoke_test_and_on_devices_no_torch(example: Path):
    assert (example / "README.md").is_file()
    assert (REPOSITORY / f"tests/examples/test_{example.name.replace('-', '_')}.py").is_file()
    if example.name in LEARNING:
        return
    lines = [
        line
        for program in example.glob("*.py")
        for line in program.read_text(encoding="utf-8").splitlines()
    ]
    assert not [line for line in lines if re.match(r"\s*(import|from) (torch|galago)\b", line)]
