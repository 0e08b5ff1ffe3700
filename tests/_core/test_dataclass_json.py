from dataclasses import dataclass
from time import perf_counter

import pytest

from galago._core.dataclass_json import from_json, to_json
from galago._core.strict_json import parse_json


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
        (
            '{"schema_version": 1, "words": [], "place": [1]}',
            r"The note has place = \[1\], expected tuple\[int, int\].",
        ),
        (
            '{"schema_version": 1, "words": [], "weight": true}',
            "The note has weight = True, expected float.",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(text: str, message: str):
    with pytest.raises(ValueError, match=f"^{message}"):
        read(text)


def note(**values: str) -> str:
    return (
        '{"schema_version": 1, '
        + ", ".join(f'"{key}": {value}' for key, value in values.items())
        + "}"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "more than 32 brackets inside brackets"),
        (note(words="[" * 5000 + "]" * 5000), "more than 32 brackets inside brackets"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "more than 32 brackets inside brackets"),
        (note(words="[]", weight="NaN"), "NaN is no number in JSON"),
        (note(words="[]", weight="-Infinity"), "-Infinity is no number in JSON"),
        (note(words="[]", weight="1e400"), "the number '1e400' is too large"),
        (note(words="[]", weight="1" + "0" * 400), "the number '10000.*' is too large"),
        (note(words="[]", weight="9" * 5000), "the number '9999.*' is too large"),
        (note(words="[]", place=f"[1, {'9' * 5000}]"), "the number '9999.*' is too large"),
        ('{"schema_version": 1, "words": ["a"], "words": ["b"]}', "the key 'words' occurs twice"),
        (note(words=r'["\ud800"]'), "half of a character"),
        (note(words='["a'), "Unterminated string"),
    ],
)
def test_odd_json_is_one_short_sentence(text: str, message: str):
    with pytest.raises(ValueError, match=rf"^The note is not JSON: .*{message}.*\.$") as caught:
        read(text)
    assert len(str(caught.value)) < 300


def test_a_document_without_end_is_refused(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match="it has 101 characters, expected at most 100"):
        parse_json(" " * 101, max_chars=100)


def test_quotes_without_end_take_no_time():
    start = perf_counter()
    with pytest.raises(ValueError, match="not JSON"):
        read('"' + '\\"' * 500_000)
    assert perf_counter() - start < 5  # each quote would look for its end alone else, 10^11 steps


def test_a_pair_of_surrogates_is_one_character():
    assert read(note(words=r'["\ud83d\ude00"]')).words == ("\U0001f600",)


def test_a_bracket_within_text_counts_as_text():
    assert read(note(words='["' + "[" * 100 + r"\"]]" + '"]')).words == ("[" * 100 + '"]]',)


@pytest.mark.parametrize("version", ["true", "1.0", '"1"', "[1]"])
def test_a_version_of_another_type_is_another_version(version: str):
    with pytest.raises(ValueError, match="This galago reads a note of schema version 1, got"):
        read('{"words": [], "schema_version": ' + version + "}")


def test_an_object_is_no_pair_of_numbers():
    with pytest.raises(
        ValueError, match=r"The note has place = \{'a': 1, 'b': 2\}, expected tuple"
    ):
        read(note(words="[]", place='{"a": 1, "b": 2}'))


def test_an_unknown_key_with_a_line_separator_is_shown_in_one_line():
    with pytest.raises(ValueError, match=r"Unknown keys in the note: m\\u2028l\."):
        read(note(words="[]", **{r"m\u2028l": "1"}))


def test_a_wrong_value_is_not_shown_in_whole():
    with pytest.raises(ValueError, match="has words = ") as caught:
        read(note(words='"' + "x" * 100_000 + '"'))
    assert len(str(caught.value)) < 300
    with pytest.raises(ValueError, match="Unknown keys in the note: ") as caught:
        read(
            note(
                words="[]", **{f"key{number}": "1" for number in range(1000)}, **{"y" * 10_000: "1"}
            )
        )
    assert len(str(caught.value)) < 1000
