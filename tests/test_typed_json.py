from dataclasses import dataclass

import pytest

from galago.typed_json import from_json, to_json


@dataclass(frozen=True)
class Note:
    words: tuple[str, ...]
    place: tuple[int, int] | None = None
    weight: float = 1.0
    schema_version: int = 1


def read(text: str) -> Note:
    return from_json(Note, text, what="note", version=1)


@pytest.mark.parametrize("note", [Note(("a", "b"), (1, 2), 0.5), Note(())])
def test_what_was_written_is_read_back(note: Note):
    assert read(to_json(note)) == note


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "The note is not JSON: "),
        ("3", "Expected the note to be a JSON object, got int."),
        ("{}", "This galago reads a note of schema version 1, got None."),
        ('{"schema_version": 1}', "Missing keys in the note: words."),
        ('{"schema_version": 1, "words": [], "weigth": 2}', "Unknown keys in the note: weigth."),
        ('{"schema_version": 1, "words": [3]}', "The note has words = 3, expected str."),
        ('{"schema_version": 1, "words": [], "place": [1]}', r"The note has place = \[1\], expected tuple\[int, int\]."),
        ('{"schema_version": 1, "words": [], "weight": true}', "The note has weight = True, expected float."),
    ],
)
def test_what_is_wrong_is_one_sentence(text: str, message: str):
    with pytest.raises(ValueError, match=f"^{message}"):
        read(text)
