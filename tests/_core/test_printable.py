from galago._core.printable import printable, printable_lines


def test_escape_sequences_are_shown_not_sent():
    assert printable("\x1b[31mred\x07") == r"\x1b[31mred\x07"


def test_one_line_stays_one_line():
    assert printable("a\nb\r\u2028c") == r"a\x0ab\x0d\u2028c"
    assert printable_lines("a\nb\x1b") == "a\nb\\x1b"


def test_marks_that_turn_the_direction_of_writing_are_shown():
    assert printable("a\u202egpj.exe") == r"a\u202egpj.exe"


def test_a_byte_that_is_no_utf8_is_shown_as_that_byte():
    assert printable(b"caf\xe9.jpg".decode("utf-8", "surrogateescape")) == r"caf\xe9.jpg"
    assert printable("\ud800") == r"\ud800"


def test_other_alphabets_stay():
    assert printable("树 дерево [thin] é") == "树 дерево [thin] é"
