import errno
import os
from pathlib import Path

import pytest

from galago._core.write_errors import advice, cannot_write, naming, stops_all
from galago.errors import ImageError


def raised_from(code: int, path: str | None = None) -> ImageError:
    error = ImageError("no")
    error.__cause__ = OSError(code, os.strerror(code), path)
    return error


@pytest.mark.parametrize(
    "code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENOTDIR]
)
def test_a_full_or_read_only_disk_stops_all(code: int):
    assert stops_all(OSError(code, os.strerror(code)))
    assert stops_all(raised_from(code))


@pytest.mark.parametrize(
    "code", [errno.ENAMETOOLONG, errno.EISDIR, errno.EINVAL, errno.EFBIG, errno.EIO, errno.EEXIST]
)
def test_one_bad_name_stops_itself_alone(code: int):
    assert not stops_all(raised_from(code))


def test_an_error_that_is_none_of_the_file_system_stops_nothing_else():
    assert not stops_all(ImageError("damaged"))


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
def test_a_forbidden_file_in_a_folder_that_can_be_written_stops_itself_alone(
    tmp_path: Path, code: int
):
    assert not stops_all(raised_from(code, str(tmp_path / "a.png")))


def test_advice_suits_the_error():
    assert advice(OSError(errno.ENOSPC, "")) == "Free space or choose another folder."
    assert advice(OSError(errno.ENAMETOOLONG, "")) == "Give it a shorter name."
    assert "Free space" not in advice(OSError(errno.EISDIR, ""))
    reason = os.strerror(errno.EROFS)
    expected = f"Cannot write a.png: {reason}. The disk can only be read: choose another folder."
    assert cannot_write("a.png", OSError(errno.EROFS, reason)) == expected


def test_an_error_of_writing_gets_the_name_that_the_user_knows():
    with pytest.raises(OSError, match="No space") as caught, naming(Path("out/a.json")):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(Path("out/a.json"))
