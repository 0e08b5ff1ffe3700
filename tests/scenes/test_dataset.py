import re
from importlib.resources import files

import cv2
import numpy as np
import pytest

from galago.errors import ConfigError
from galago.labels import CAMVID
from galago.scenes.dataset import SAMPLE_SEED, SAMPLE_SIZE, Scenes, render_scene

SMALL = (96, 128)


@pytest.fixture(scope="module")
def shares() -> np.ndarray:
    """Share of each class in 40 scenes: (40, 11)."""
    counts = [
        np.bincount(render_scene(seed, (180, 240)).labels.ravel(), minlength=len(CAMVID))
        for seed in range(40)
    ]
    return np.array(counts) / (180 * 240)


def test_the_same_seed_gives_the_same_bytes():
    first, second = render_scene(5), render_scene(5)
    assert first.name == "scene_000005"
    assert first.image.tobytes() == second.image.tobytes()
    assert first.labels.tobytes() == second.labels.tobytes()


def test_different_seeds_give_different_scenes():
    scenes = [render_scene(seed, SMALL) for seed in range(6)]
    for index, scene in enumerate(scenes):
        for other in scenes[:index]:
            assert (scene.labels != other.labels).mean() > 0.05
            assert np.abs(scene.image.astype(int) - other.image).mean() > 5


@pytest.mark.parametrize("size", [(32, 32), (97, 131), (192, 256), (360, 480), (256, 512)])
def test_a_scene_has_the_size_that_was_asked_for(size: tuple[int, int]):
    scene = render_scene(3, size)
    assert scene.image.shape == (*size, 3)
    assert scene.labels.shape == size
    assert scene.image.dtype == scene.labels.dtype == np.uint8
    assert scene.labels.max() < len(CAMVID)


def test_the_plan_of_a_scene_is_the_same_at_every_size():
    small, large = render_scene(4, (90, 120)).labels, render_scene(4, (360, 480)).labels
    ground = [CAMVID.names.index("road"), CAMVID.names.index("sidewalk")]
    shares = [np.isin(labels, ground).mean() for labels in (small, large)]
    assert shares[0] == pytest.approx(shares[1], abs=0.1)


def test_every_class_occurs(shares: np.ndarray):
    assert (shares.sum(axis=0) > 0).all()
    assert ((shares > 0).sum(axis=0) >= 10).all()  # in at least a quarter of the scenes


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("sky", 0.08, 0.35),
        ("building", 0.1, 0.4),
        ("road", 0.2, 0.45),
        ("sidewalk", 0.02, 0.15),
        ("tree", 0.03, 0.25),
        ("car", 0.02, 0.15),
        ("pole", 0.002, 0.04),
        ("pedestrian", 0.002, 0.04),
        ("bicyclist", 0.0005, 0.02),
    ],
)
def test_classes_have_about_the_share_that_they_have_in_real_streets(
    shares: np.ndarray, name: str, low: float, high: float
):
    assert low < shares.mean(axis=0)[CAMVID.names.index(name)] < high


def test_sky_is_above_the_road():
    for seed in range(10):
        labels = render_scene(seed, SMALL).labels
        rows = {name: np.nonzero(labels == CAMVID.names.index(name))[0] for name in ("sky", "road")}
        if rows["sky"].size:
            assert rows["sky"].max() <= rows["road"].min() + 0.1 * SMALL[0]
            assert rows["sky"].mean() < rows["road"].mean()


def test_scenes_are_a_data_set():
    scenes = Scenes(3, first_seed=123, size=SMALL)
    assert len(scenes) == 3
    assert scenes.names == ["scene_000123", "scene_000124", "scene_000125"]
    assert scenes.label_set is CAMVID
    assert [scene.name for scene in scenes] == scenes.names  # type: ignore[attr-defined]  # a loop ends
    assert scenes[2].image.tobytes() == render_scene(125, SMALL).image.tobytes()


@pytest.mark.parametrize("count", [0, -4])
def test_no_scenes_are_an_error(count: int):
    with pytest.raises(ConfigError, match=f"at least 1 scene, got {count}"):
        Scenes(count)


def test_a_scene_that_is_too_small_is_an_error_that_names_the_size():
    for draw in (lambda: render_scene(0, (20, 480)), lambda: Scenes(1, size=(20, 480))):
        with pytest.raises(
            ConfigError,
            match=re.escape("at least 32 x 32 pixels as (height, width), got (20, 480)"),
        ):
            draw()


def test_a_negative_seed_is_an_error():
    with pytest.raises(ConfigError, match="seed of 0 or more, got -1"):
        render_scene(-1)


def test_the_shipped_sample_is_the_scene_of_its_seed():
    data = files("galago").joinpath("assets/sample_scene.jpg").read_bytes()
    assert len(data) < 300_000
    shipped = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    drawn = render_scene(SAMPLE_SEED, SAMPLE_SIZE)
    assert np.abs(shipped.astype(int) - drawn.image).mean() < 4  # gray levels: the loss of JPEG
    assert len(np.unique(drawn.labels)) >= 9
