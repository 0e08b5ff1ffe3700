import dataclasses
import hashlib
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from hub_server import Hub, golden_tensors, pickled  # noqa: E402

from galago.export.published import obtain_checkpoint  # noqa: E402
from galago.models.checkpoint import from_authors, load_checkpoint  # noqa: E402
from galago.weights import PUBLISHED, Published  # noqa: E402

pytestmark = pytest.mark.torch

B0 = PUBLISHED["b0-cityscapes"]
KEY = f"{B0.repo}/{B0.file}"


def pinned(content: bytes, published: Published = B0) -> Published:
    """Return a row whose SHA-256 is that of our own content, as the real file is not here."""
    return dataclasses.replace(published, sha256=hashlib.sha256(content).hexdigest())


UNKNOWN = dataclasses.replace(B0, sha256=None)


@pytest.fixture(scope="session")
def b0_file() -> bytes:
    return pickled(golden_tensors("seg-b0-cityscapes"))


@pytest.fixture(scope="session")
def b0_tensors() -> dict[str, torch.Tensor]:
    return from_authors(golden_tensors("seg-b0-cityscapes"))


def test_a_first_download_becomes_a_checkpoint_and_the_pickle_goes(hub: Hub, b0_file: bytes, b0_tensors, store: Path):
    hub.files[KEY] = b0_file
    seen = []
    checkpoint = obtain_checkpoint(pinned(b0_file), progress=lambda done, size: seen.append((done, size)))
    network, metadata = load_checkpoint(checkpoint)
    assert all(torch.equal(tensor, b0_tensors[name]) for name, tensor in network.state_dict().items())
    assert (metadata["variant"], metadata["num_classes"], metadata["head"]) == ("b0", "19", "b0-cityscapes")
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == ["checkpoint.safetensors", "source.json"]
    assert seen[-1] == (len(b0_file), len(b0_file))


def test_the_second_time_nothing_is_asked(hub: Hub, b0_file: bytes):
    hub.files[KEY] = b0_file
    first = obtain_checkpoint(pinned(b0_file))
    asked = len(hub.requests)
    assert obtain_checkpoint(pinned(b0_file)) == first
    assert len(hub.requests) == asked


def test_requests_say_nothing_about_this_machine_and_carry_no_token(hub: Hub, b0_file: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.files[KEY] = b0_file
    obtain_checkpoint(pinned(b0_file))
    for *_, headers in hub.requests:
        sent = {name.lower(): value for name, value in headers.items()}
        assert sent["user-agent"].startswith("galago/")
        assert "torch" not in sent["user-agent"]
        assert "authorization" not in sent
