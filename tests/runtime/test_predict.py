import pytest

from galago.runtime import predict
from galago.runtime.predict import RunningStats


def test_areas_are_averaged_over_frames_and_times_give_their_median():
    stats = RunningStats()
    for share, time_ms in ((1.0, 3.0), (0.5, 1.0), (0.0, 8.0)):
        stats.add({"road": share, "sky": 1 - share, "car": 0.2}, {"infer": time_ms})
    assert stats.count == 3
    assert stats.areas() == {
        "road": pytest.approx(0.5),
        "sky": pytest.approx(0.5),
        "car": pytest.approx(0.2),
    }
    assert stats.speed() == {"infer": 3.0}


def test_times_are_kept_of_the_latest_frames_only(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(predict, "LATEST", 3)
    stats = RunningStats()
    for time_ms in (100.0, 100.0, 100.0, 1.0, 2.0, 3.0):
        stats.add({}, {"infer": time_ms})
    assert stats.speed() == {"infer": 2.0}


def test_nothing_gives_nothing():
    assert (RunningStats().areas(), RunningStats().speed()) == ({}, {})
