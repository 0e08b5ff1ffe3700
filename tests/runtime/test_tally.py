import pytest

from galago.runtime import tally
from galago.runtime.tally import RunningStats


def test_areas_are_averaged_over_frames_and_times_give_their_median():
    told = RunningStats()
    for share, time_ms in ((1.0, 3.0), (0.5, 1.0), (0.0, 8.0)):
        told.add({"road": share, "sky": 1 - share, "car": 0.2}, {"infer": time_ms})
    assert told.count == 3
    assert told.areas() == {
        "road": pytest.approx(0.5),
        "sky": pytest.approx(0.5),
        "car": pytest.approx(0.2),
    }
    assert told.speed() == {"infer": 3.0}


def test_times_are_kept_of_the_latest_frames_only(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tally, "LATEST", 3)
    told = RunningStats()
    for time_ms in (100.0, 100.0, 100.0, 1.0, 2.0, 3.0):
        told.add({}, {"infer": time_ms})
    assert told.speed() == {"infer": 2.0}


def test_nothing_gives_nothing():
    assert (RunningStats().areas(), RunningStats().speed()) == ({}, {})
