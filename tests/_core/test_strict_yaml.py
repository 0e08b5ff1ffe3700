import time

import pytest

from galago._core.strict_yaml import parse_yaml, read_yaml


def refusal(text: str) -> str:
    with pytest.raises(ValueError, match="is not readable as YAML") as error:
        parse_yaml(text, name="data.yaml")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "'a'"),
        ("names:\n  0: road\n  1: car\n  1: tree\n", 4, "1"),
        ("x: [{y: {1: a,\n  1: b}}]\n", 2, "1"),
        ("1: a\ntrue: b\n", 2, "True"),  # equal in Python: one would go
        ("!!set {a, a}", 1, "'a'"),
    ],
)
def test_a_key_that_stands_twice_is_refused_at_every_depth(text, line, key):
    said = refusal(text)
    assert f"line {line}" in said
    assert f"the key {key} stands twice" in said


def test_equal_keys_of_two_mappings_are_read():
    assert parse_yaml("[{a: 1}, {a: 2}]", name="x") == [{"a": 1}, {"a": 2}]


def test_aliases_and_merge_keys_are_refused_before_they_grow():
    bomb = "a: &a [x, x, x]\n" + "".join(
        f"{new}: &{new} [*{old}, *{old}, *{old}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    start = time.monotonic()
    assert "aliases as *a" in refusal(bomb)
    assert "merge keys" in refusal("<<: {a: 1}")
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(
    "text", ["[" * 5000, "{" * 5000, "- " * 3000 + "1", "? " * 3000, "[" * 20 + "]" * 20]
)
def test_deep_nesting_is_refused_in_one_sentence(text):
    assert "within each other" in refusal(text)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("9" * 5000, "a number of 5,000 characters"),
        ("0x" + "f" * 30, "beyond 64 bits"),
        ("1:2" + ":59" * 400, "a number of 1,203 characters"),
        ("2020-99-99", "'2020-99-99' is no date"),
        ("!!int x", "'x' is no int"),
        ("!!int ''", "is no int"),
        ("!!bool x", "'x' is no bool"),
        ("!!map x", "where keys and values should be"),
        ("!!timestamp x", "'x' is no date"),
        ("!!python/object:os.system x", "could not determine a constructor"),
        ("\x01", "not allowed"),
        ("\ud800", "not allowed"),
    ],
)
def test_values_that_crash_the_usual_loader_are_refused_in_one_sentence(value, word):
    assert word in refusal(f"a: {value}")


def test_lists_and_mappings_as_keys_are_refused():
    assert "a key that is a list or a mapping" in refusal("? [1]\n: 2")


def test_usual_values_are_read_as_they_stand():
    text = "names: {0: Straße, 1: '1'}\npalette: [[1, 2, 3]]\nshare: 0.5\nno: null\n"
    expected = {"names": {0: "Straße", 1: "1"}, "palette": [[1, 2, 3]], "share": 0.5, False: None}
    assert parse_yaml(text, name="x") == expected


def test_a_file_with_byte_order_mark_is_read_and_utf_16_refused(tmp_path):
    file = tmp_path / "data.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_yaml(file) == {"a": 1, "b": 2}
    file.write_bytes("a: 1".encode("utf-16"))
    with pytest.raises(ValueError, match="UTF-16"):
        read_yaml(file)


def test_a_file_too_large_for_yaml_is_refused_unread(tmp_path):
    file = tmp_path / "data.yaml"
    file.write_bytes(b"a: " + b"x" * (1 << 21))
    with pytest.raises(ValueError, match="more than 1,048,576 bytes"):
        read_yaml(file)
