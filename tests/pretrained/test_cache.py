import dataclasses
import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from hub_server import Hub, golden_tensors, pickled

from galago.errors import CheckpointError, ConfigError, DownloadError, MissingDependencyError
from galago.models.checkpoint import from_authors, load_checkpoint
from galago.pretrained.cache import model_dir
from galago.pretrained.convert import obtain_checkpoint
from galago.pretrained.table import PUBLISHED, PretrainedModel

pytestmark = pytest.mark.torch

B0 = PUBLISHED["b0-cityscapes"]
KEY = f"{B0.repo}/{B0.file}"


def pinned(content: bytes, published: PretrainedModel = B0) -> PretrainedModel:
    """Return a row whose SHA-256 is that of our own content, as the real file is not here."""
    return dataclasses.replace(published, sha256=hashlib.sha256(content).hexdigest())


UNKNOWN = dataclasses.replace(B0, sha256=None)


@pytest.fixture(scope="session")
def b0_file() -> bytes:
    return pickled(golden_tensors("seg-b0-cityscapes"))


@pytest.fixture(scope="session")
def b0_tensors() -> dict[str, torch.Tensor]:
    return from_authors(golden_tensors("seg-b0-cityscapes"))


def test_a_first_download_becomes_a_checkpoint_and_the_pickle_goes(
    hub: Hub, b0_file: bytes, b0_tensors, store: Path
):
    hub.files[KEY] = b0_file
    seen = []
    checkpoint = obtain_checkpoint(
        pinned(b0_file), on_progress=lambda done, size: seen.append((done, size))
    )
    network, metadata = load_checkpoint(checkpoint)
    assert all(
        torch.equal(tensor, b0_tensors[name]) for name, tensor in network.state_dict().items()
    )
    assert (metadata["variant"], metadata["num_classes"], metadata["head"]) == (
        "b0",
        "19",
        "b0-cityscapes",
    )
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == [
        "checkpoint.safetensors",
        "source.json",
    ]
    assert seen[-1] == (len(b0_file), len(b0_file))


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(
    "name", ["b0-cityscapes", pytest.param("l1-cityscapes", marks=pytest.mark.slow)]
)  # both layouts
def test_a_download_in_each_form_of_the_authors_becomes_the_same_checkpoint(
    hub: Hub, name: str, prefix: str, wrapped: bool
):
    tensors = golden_tensors(f"seg-{name}")
    named = {f"{prefix}{key}": tensor for key, tensor in tensors.items()}
    content = pickled({"state_dict": named, "epoch": 300} if wrapped else named)
    row = pinned(content, PUBLISHED[name])
    hub.files[f"{row.repo}/{row.file}"] = content
    found = load_checkpoint(obtain_checkpoint(row))[0].state_dict()
    expected = from_authors(tensors)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in expected.items())


def test_the_second_time_nothing_is_asked(hub: Hub, b0_file: bytes):
    hub.files[KEY] = b0_file
    first = obtain_checkpoint(pinned(b0_file))
    asked = len(hub.requests)
    assert obtain_checkpoint(pinned(b0_file)) == first
    assert len(hub.requests) == asked


def test_requests_say_nothing_about_this_machine_and_carry_no_token(
    hub: Hub, b0_file: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.files[KEY] = b0_file
    obtain_checkpoint(pinned(b0_file))
    for *_, headers in hub.requests:
        sent = {name.lower(): value for name, value in headers.items()}
        assert sent["user-agent"].startswith("galago/")
        assert "torch" not in sent["user-agent"]
        assert "authorization" not in sent


def test_a_cut_connection_is_taken_up_where_it_broke(
    hub: Hub, b0_file: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.files[KEY], hub.cuts = b0_file, [1_000_000]
    obtain_checkpoint(pinned(b0_file))
    assert hub.downloads() == [None, "bytes=786432-"]  # three whole pieces of 2**18 bytes


def test_a_download_that_was_given_up_goes_on_the_next_time(
    hub: Hub, b0_file: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.files[KEY], hub.cuts = b0_file, [1_000_000] + 5 * [0]
    message = r"The download of http.*/efficientvit_seg_b0_cityscapes.pt to .* stopped: .* Try again; it goes on after the 786,432 b"
    with pytest.raises(DownloadError, match=message):
        obtain_checkpoint(pinned(b0_file))
    hub.requests.clear()
    checkpoint = obtain_checkpoint(pinned(b0_file))
    assert hub.downloads() == ["bytes=786432-"]
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == [
        "checkpoint.safetensors",
        "source.json",
    ]


def test_half_a_file_of_an_older_content_is_not_gone_on_with(
    hub: Hub, b0_file: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.files[KEY], hub.cuts = b"an older file" * 100_000, [300_000] + 5 * [0]
    with pytest.raises(DownloadError, match="stopped"):
        obtain_checkpoint(UNKNOWN)
    hub.files[KEY] = b0_file
    hub.requests.clear()
    obtain_checkpoint(UNKNOWN)
    assert hub.downloads() == [None]


def test_a_hub_that_is_not_there_is_a_clear_error(store: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        DownloadError,
        match=r"Cannot get b0-cityscapes from http://127.0.0.1:9/.*HF_ENDPOINT names a mirror",
    ):
        obtain_checkpoint(B0)


def test_a_file_that_the_hub_does_not_have_is_a_clear_error(hub: Hub):
    with pytest.raises(DownloadError, match=r"Cannot get b0-cityscapes from http.*404"):
        obtain_checkpoint(B0)


def test_offline_what_is_not_here_is_an_error_and_nothing_is_asked(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        DownloadError,
        match=r"b0-cityscapes is not on this machine, and --offline or HF_HUB_OFFLINE forbids",
    ):
        obtain_checkpoint(B0)
    assert hub.requests == []


def test_offline_what_is_here_is_found(hub: Hub, b0_file: bytes, monkeypatch: pytest.MonkeyPatch):
    hub.files[KEY] = b0_file
    checkpoint = obtain_checkpoint(pinned(b0_file))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert obtain_checkpoint(pinned(b0_file)) == checkpoint


def test_another_file_than_the_known_one_is_refused_before_it_is_downloaded(
    hub: Hub, b0_file: bytes, store: Path
):
    hub.files[KEY] = b0_file
    with pytest.raises(
        DownloadError,
        match=r"is not the file that galago knows: .* expected 923d6fdd5e93... Nothing was downloaded",
    ):
        obtain_checkpoint(B0)  # the real file's SHA-256
    assert hub.downloads() == []


def test_another_file_behind_an_etag_that_is_no_checksum_is_deleted_unopened(
    hub: Hub, b0_file: bytes, store: Path
):
    hub.files[KEY], hub.etags[KEY] = b0_file, "1234"
    with pytest.raises(
        DownloadError, match=r"is not the file that galago knows: .* It was deleted unopened"
    ):
        obtain_checkpoint(B0)
    assert list(model_dir(B0).iterdir()) == []


def test_bytes_that_changed_on_the_way_are_deleted_unopened(hub: Hub, b0_file: bytes, store: Path):
    hub.etags[KEY] = hashlib.sha256(b0_file).hexdigest()
    hub.files[KEY] = b0_file[:1_000_000] + b"\x00\xff" + b0_file[1_000_002:]
    for published in (pinned(b0_file), UNKNOWN):
        with pytest.raises(
            DownloadError, match=r"arrived damaged from http.* It was deleted unopened. Try again."
        ):
            obtain_checkpoint(published)
    assert list(model_dir(B0).iterdir()) == []


def test_a_file_of_unknown_checksum_is_trusted_on_first_use_and_that_is_said(
    hub: Hub, b0_file: bytes, store: Path
):
    hub.files[KEY] = b0_file
    said = []
    obtain_checkpoint(UNKNOWN, on_notice=said.append)
    digest = hashlib.sha256(b0_file).hexdigest()
    assert said == [
        f"The SHA-256 of {KEY} was not known: trusted on first use and recorded, {digest}. Another "
        "file will be refused."
    ]
    assert json.loads((store / "trusted.json").read_text()) == {KEY: digest}


def test_another_file_than_the_one_trusted_first_is_refused(hub: Hub, b0_file: bytes, store: Path):
    hub.files[KEY] = b0_file
    checkpoint = obtain_checkpoint(UNKNOWN)
    for path in checkpoint.parent.iterdir():
        path.unlink()
    hub.files[KEY] = pickled({"other": torch.zeros(1)})
    message = rf"{KEY} is not the file that was recorded on first use: .* remove {KEY} from .*trusted.json"
    with pytest.raises(DownloadError, match=message):
        obtain_checkpoint(UNKNOWN)
    hub.files[KEY] = b0_file
    said = []
    obtain_checkpoint(UNKNOWN, on_notice=said.append)
    assert said == []  # the same file again


def test_a_new_checksum_in_the_table_gets_the_file_anew(hub: Hub, b0_file: bytes):
    hub.files[KEY] = b0_file
    obtain_checkpoint(pinned(b0_file))
    newer = pickled({"state_dict": golden_tensors("seg-b0-cityscapes")})
    hub.files[KEY] = newer
    obtain_checkpoint(pinned(newer))
    assert len(hub.downloads()) == 2


def test_a_kept_checkpoint_that_changed_is_refused(hub: Hub, b0_file: bytes):
    hub.files[KEY] = b0_file
    checkpoint = obtain_checkpoint(pinned(b0_file))
    content = bytearray(checkpoint.read_bytes())
    content[-1] ^= 1
    checkpoint.write_bytes(content)
    with pytest.raises(
        DownloadError,
        match=r"checkpoint.safetensors is damaged: .* Delete .*b0-cityscapes and get b0-cityscapes again",
    ):
        obtain_checkpoint(pinned(b0_file))


def test_another_network_is_refused_and_not_trusted(hub: Hub, store: Path):
    hub.files[KEY] = pickled(golden_tensors("cls-b0"))
    with pytest.raises(
        CheckpointError,
        match=r"efficientvit_seg_b0_cityscapes.pt do not fit the network: missing head.inputs.0",
    ):
        obtain_checkpoint(UNKNOWN)
    assert list(model_dir(B0).iterdir()) == []
    assert not (store / "trusted.json").exists()


class Attack:
    """Becomes a call of os.system when it is unpickled.

    It would leave a file, and do no other harm.
    """

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"echo harm > {self.trace}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_wants_to_run_code_is_refused_and_nothing_runs(
    hub: Hub, store: Path, tmp_path: Path, zipped: bool
):
    trace = tmp_path / "trace"
    hub.files[KEY] = pickled(
        {"state_dict": golden_tensors("seg-b0-cityscapes"), "more": Attack(trace)}, zipped=zipped
    )
    with pytest.raises(
        CheckpointError,
        match=r"is a pickle that wants to run (posix|nt).system. Nothing of it was run.",
    ):
        obtain_checkpoint(UNKNOWN)
    assert not trace.exists()
    assert list(model_dir(B0).iterdir()) == []
    assert not (store / "trusted.json").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX systems can")
def test_a_full_disk_is_a_clear_error_and_the_download_goes_on_later(hub: Hub, b0_file: bytes):
    import resource

    hub.files[KEY], before = b0_file, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))  # bytes that a file may have
    try:
        with pytest.raises(
            DownloadError,
            match=r"stopped: File too large. Free space; it goes on after the [\d,]+ bytes",
        ):
            obtain_checkpoint(pinned(b0_file))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert obtain_checkpoint(pinned(b0_file)).is_file()


def test_without_huggingface_hub_the_error_names_the_extra(
    store: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        MissingDependencyError,
        match=r"huggingface_hub is missing. Run: pip install 'galago\[hub\]'",
    ):
        obtain_checkpoint(B0)


def test_without_a_cache_folder_the_error_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GALAGO_CACHE", "")
    with pytest.raises(ConfigError, match="GALAGO_CACHE forbids one"):
        obtain_checkpoint(B0)
