import pytest

from galago._core.text_files import read_text


@pytest.mark.parametrize("data", [b"a\nb\n", b"\xef\xbb\xbfa\r\nb\r\n", b"a\rb\r"])
def test_line_ends_and_byte_order_mark_make_no_difference(tmp_path, data):
    (tmp_path / "list.txt").write_bytes(data)
    assert read_text(tmp_path / "list.txt") == "a\nb\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_refused_with_what_to_do(tmp_path, encoding):
    (tmp_path / "list.txt").write_bytes("a.jpg\n".encode(encoding))
    with pytest.raises(
        ValueError, match=r"list\.txt is UTF-16 or no text\. Expected UTF-8; save it again"
    ):
        read_text(tmp_path / "list.txt")


def test_another_encoding_is_refused_with_its_line(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"a.jpg\ncaf\xe9.jpg\n")
    with pytest.raises(ValueError, match=r"list\.txt is no UTF-8 text, in line 2\. Save it again"):
        read_text(tmp_path / "list.txt")


def test_a_file_beyond_the_bound_is_refused_before_all_of_it_is_read(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"a" * 100)
    with pytest.raises(ValueError, match="more than 99 bytes"):
        read_text(tmp_path / "list.txt", max_bytes=99)
