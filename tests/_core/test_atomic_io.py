import errno
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from galago._core import atomic_io as files
from galago._core.atomic_io import folder_beside, recover_folder, sha256, write_beside, write_whole

POSIX = pytest.mark.skipif(os.name == "nt", reason="kills, and locks of POSIX systems")


def test_folders_are_made_and_the_content_is_all_there(tmp_path: Path):
    write_whole(tmp_path / "a b/ö/file.bin", b"content")
    assert (tmp_path / "a b/ö/file.bin").read_bytes() == b"content"


def test_an_older_file_is_replaced_and_nothing_else_is_left(tmp_path: Path):
    for content in (b"old", b"new"):
        write_whole(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
def test_the_file_has_the_mode_that_the_user_wants_for_new_files(tmp_path: Path):
    mask = os.umask(0o027)
    try:
        write_whole(tmp_path / "file", b"")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_file_in_place_of_the_folder_is_an_error_that_names_it(tmp_path: Path):
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(NotADirectoryError, match="out is a file, not a folder"):
        write_whole(tmp_path / "out/file", b"content")
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_a_folder_in_place_of_the_file_is_an_error_that_leaves_nothing_behind(tmp_path: Path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError):  # noqa: PT011  # its kind and words are the system's
        write_whole(tmp_path / "file", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_interrupt_keeps_the_old_file_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_whole(tmp_path / "file", b"old")

    def interrupt(path: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_checksum_is_that_of_the_content(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    assert (
        sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )  # FIPS 180-2, appendix B.1


@pytest.mark.parametrize(
    "name", ["x" * 255, "ö" * 127, "x" * 247 + ".png", "a", ".hidden", "[a]*?"]
)
def test_any_name_that_a_file_may_have_can_be_written(tmp_path: Path, name: str):
    for content in (b"old", b"new"):
        write_whole(tmp_path / name, content)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"new"


@pytest.mark.parametrize("name", ["x" * 255, "model"])
def test_any_name_that_a_folder_may_have_can_be_written(tmp_path: Path, name: str):
    for content in ("old", "new"):
        with folder_beside(tmp_path / name) as folder:
            (folder / "file").write_text(content)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "file").read_text() == "new"


HANGING = """
import sys, time
from pathlib import Path
from galago._core.atomic_io import folder_beside, write_beside
with (write_beside if sys.argv[2] == "file" else folder_beside)(Path(sys.argv[1])) as beside:
    print("at it", flush=True)
    time.sleep(60)
"""


def start_writing(path: Path, kind: str) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING, str(path), kind], stdout=subprocess.PIPE
    )
    assert process.stdout
    process.stdout.readline()
    return process


@POSIX
@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("name", ["out", "x" * 255])
def test_what_a_killed_process_left_is_deleted_by_the_next_writer(
    tmp_path: Path, kind: str, name: str
):
    for process in [start_writing(tmp_path / name, kind) for _ in range(2)]:
        with process:
            process.kill()
    assert len(list(tmp_path.iterdir())) == 2
    if kind == "file":
        write_whole(tmp_path / name, b"whole")
    else:
        with folder_beside(tmp_path / name):
            pass
    assert [path.name for path in tmp_path.iterdir()] == [name]


@POSIX
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_another_process_is_writing_stays(tmp_path: Path, kind: str):
    with start_writing(tmp_path / "out", kind) as process:
        beside = next(tmp_path.iterdir())
        for _ in range(2):
            if kind == "file":
                write_whole(tmp_path / "out", b"ours")
            else:
                with folder_beside(tmp_path / "out"):
                    pass
        assert beside.exists()
        process.kill()


def test_files_of_others_with_similar_names_stay(tmp_path: Path):
    for name in (".file.bak", ".file.abcdefgh", ".files.0.galago", ".file.9.galago"):
        (tmp_path / name).write_bytes(b"mine")
    write_whole(tmp_path / "file", b"")
    assert len(list(tmp_path.iterdir())) == 5


@POSIX
def test_a_planted_link_is_not_written_through(tmp_path: Path):
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / ".file.0.galago").symlink_to(tmp_path / "precious")
    write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "precious").read_bytes() == b"mine"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_many_writers_of_one_file_leave_one_whole_file(tmp_path: Path):
    contents = [bytes([number]) * 100_000 for number in range(8)]

    def write(content: bytes) -> None:
        for _ in range(20):
            write_whole(tmp_path / "file", content)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_locks_a_file_of_yesterday_is_deleted_and_one_of_today_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(files, "try_lock", lambda descriptor: None)
    monkeypatch.setattr(files, "lock", lambda descriptor: None)
    for number, age_s in enumerate((2 * files.ABANDONED_S, 60.0)):
        path = tmp_path / f".file.{number}.galago"
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age_s,) * 2)
    write_whole(tmp_path / "file", b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {"file", ".file.1.galago"}


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX systems can")
def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path: Path):
    import resource

    write_whole(tmp_path / "file", b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_whole(tmp_path / "file", b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(tmp_path / "file"))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_an_error_while_a_file_takes_its_place_names_the_file(tmp_path: Path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="Is a directory") as caught:
        write_whole(tmp_path / "file", b"content")
    assert caught.value.filename == str(tmp_path / "file")


def test_an_error_of_another_file_in_the_block_keeps_its_name(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as caught, write_beside(tmp_path / "file"):
        (tmp_path / "source").read_bytes()
    assert caught.value.filename == str(tmp_path / "source")


def test_what_replaces_a_file_reaches_the_disk_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def note_replace(path: Path, target: Path) -> Path:
        done.append("replace")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)
    write_whole(tmp_path / "file", b"old")
    write_whole(tmp_path / "file", b"new")
    write_whole(tmp_path / "other", b"new", lasting=True)
    assert done == ["replace", *(["file", "replace", "folder"] * 2)]


def fill(path: Path, content: str) -> None:
    with folder_beside(path) as folder:
        (folder / "a").write_text(content)
        (folder / "b").write_text(content)


@pytest.mark.parametrize("exchanges", [True, False])
def test_an_error_in_the_middle_keeps_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
):
    if not exchanges:
        monkeypatch.setattr(files, "_exchange", lambda first, second: False)
    fill(tmp_path / "out", "old")

    def rename(path: Path, target: Path) -> Path:
        if path.name.endswith(".0.galago"):
            raise KeyboardInterrupt
        os.rename(path, target)  # noqa: PTH104
        return target

    if exchanges:
        with pytest.raises(KeyboardInterrupt), folder_beside(tmp_path / "out"):
            raise KeyboardInterrupt
    else:
        monkeypatch.setattr(Path, "rename", rename)
        with pytest.raises(KeyboardInterrupt):
            fill(tmp_path / "out", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out/a").read_text() == "old"


def test_a_folder_that_was_put_aside_by_a_killed_process_comes_back(tmp_path: Path):
    fill(tmp_path / "out", "old")
    (tmp_path / "out").rename(files._old(tmp_path / "out"))
    recover_folder(tmp_path / "out")
    assert (tmp_path / "out/a").read_text() == "old"


def test_a_folder_behind_a_link_is_replaced_where_it_lies(tmp_path: Path):
    fill(tmp_path / "elsewhere/out", "old")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere/out")
    fill(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere/out/b").read_text() == "new"


REPLACING = """
import sys
from pathlib import Path
from galago._core.atomic_io import folder_beside
print("at it", flush=True)
while True:
    for content in ("old", "new"):
        with folder_beside(Path(sys.argv[1])) as folder:
            (folder / "a").write_text(content)
            (folder / "b").write_text(content)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="exchanges two folders as Linux can")
def test_a_kill_at_any_moment_leaves_the_old_folder_or_the_new_one(tmp_path: Path):
    rng, out = random.Random(0), tmp_path / "out"
    fill(out, "old")
    for _ in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", REPLACING, str(out)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout
            process.stdout.readline()
            end = time.monotonic() + rng.uniform(0.01, 0.1)
            while time.monotonic() < end:
                assert out.is_dir()  # at every moment
            process.send_signal(signal.SIGKILL)
        assert (out / "a").read_text() == (out / "b").read_text()
    fill(out, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
