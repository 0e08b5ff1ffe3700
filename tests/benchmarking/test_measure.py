import numpy as np
import pytest

from galago.benchmarking.measure import (
    Round,
    RunConfig,
    Timing,
    choose_within,
    count_runs,
    pareto_front,
    time_in_passes,
    time_interleaved,
)
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec


def timing(
    median_ms: float, mean_iou: float | None = None, side: int = 64, engine: str = "openvino"
) -> Timing:
    return Timing(
        config=RunConfig(engine),
        imgsz=(side, side),
        size=(100, 100),
        input_size=(side, side),
        network_ms=(1.0,),
        end_to_end_ms=(median_ms,),
        labels_changed=0.0,
        mean_iou=mean_iou,
    )


def test_the_most_accurate_within_the_budget_is_chosen():
    slow, good, fast = timing(30, 0.7), timing(20, 0.6), timing(10, 0.5)
    assert choose_within([fast, slow, good], 25) is good
    assert choose_within([fast, slow, good], 20) is good  # the budget itself is within
    assert choose_within([fast, slow, good], 19.9) is fast
    assert choose_within([fast, slow, good], 9) is None


def test_a_larger_size_that_is_less_accurate_is_not_chosen():
    larger, smaller = timing(20, 0.5, side=128), timing(10, 0.6)
    assert choose_within([larger, smaller], 25) is smaller


def test_the_fastest_wins_where_scores_are_the_same_to_four_decimals():
    slower, faster = timing(20, 0.60004), timing(10, 0.60001)
    assert choose_within([slower, faster], 25) is faster


def test_the_largest_within_the_budget_is_chosen_where_nothing_is_scored():
    small, large, same = (
        timing(5, side=32),
        timing(20, side=64),
        timing(15, side=64, engine="onnxruntime"),
    )
    assert choose_within([small, large, same], 25) is same
    assert choose_within([small, large, same], 14) is small


def test_the_front_holds_what_nothing_faster_equals():
    first, worse, better, equal = timing(5, 0.5), timing(6, 0.4), timing(7, 0.6), timing(8, 0.6)
    assert pareto_front([equal, better, worse, first]) == [first, better]
    assert pareto_front([timing(1)]) == []


class Counting:
    """Stands for an engine: one class wins everywhere.

    Counts its runs and the shapes that it sees.
    """

    name = "counting"
    input_size = None

    def __init__(self, winner: int) -> None:
        self.winner, self.shapes = winner, []

    def run(self, image: np.ndarray) -> np.ndarray:
        self.shapes.append(image.shape[1:3])
        logits = np.zeros((1, 3, image.shape[1] // 8, image.shape[2] // 8), np.float32)
        logits[0, self.winner] = 1
        return logits


def test_images_take_turns_and_differences_to_the_first_configuration_are_counted(
    tiny_spec: ModelSpec,
):
    engines = [Counting(0), Counting(0), Counting(2)]
    segmenters = {
        RunConfig(f"engine {number}"): Segmenter(engine, tiny_spec, imgsz=(64, 64))
        for number, engine in enumerate(engines)
    }
    images = [np.zeros((height, 100, 3), np.uint8) for height in (100, 50, 80)]
    calls: list[int] = []
    timings = list(
        time_interleaved(segmenters, images, runs=5, warmup=1, on_run=lambda: calls.append(1))
    )
    assert len(calls) == 18
    fitted = [
        (64, 64),
        (32, 64),
        (64, 64),
    ] * 2  # 100 x 100, 50 x 100 and 80 x 100 fitted into 64 x 64
    assert engines[0].shapes == [
        shape for shape in fitted for _ in range(2)
    ]  # the second run of a turn counts
    assert [row.labels_changed for row in timings] == [0, 0, 1]
    assert {(row.size, row.input_size, row.imgsz, len(row.end_to_end_ms)) for row in timings} == {
        ((80, 100), (64, 64), (64, 64), 5)
    }


def test_more_images_than_runs_do_no_harm(tiny_spec: ModelSpec):
    images = [np.zeros((32, 32, 3), np.uint8)] * 4
    (row,) = time_interleaved(
        {RunConfig("a"): Segmenter(Counting(0), tiny_spec)},
        images,
        runs=1,
        warmup=0,
        on_run=lambda: None,
    )
    assert row.labels_changed == pytest.approx(0)


@pytest.mark.parametrize(("runs", "warmup"), [(12, 3), (5, 0), (2, 1), (1, 2), (30, 3)])
def test_sizes_are_measured_in_several_passes(tiny_spec: ModelSpec, runs: int, warmup: int):
    engine, calls = Counting(0), []
    images = [np.zeros((32, 32, 3), np.uint8)]
    rounds = [
        Round({RunConfig("a"): Segmenter(engine, tiny_spec, imgsz=(side, side))}, images)
        for side in (32, 64)
    ]
    timings = time_in_passes(rounds, runs=runs, warmup=warmup, on_run=lambda: calls.append(1))
    assert len(calls) == count_runs(2, 1, runs=runs, warmup=warmup)
    assert [[len(row.end_to_end_ms) for row in rows] for rows in timings] == [[runs], [runs]]
    changes = sum(
        one != other for one, other in zip(engine.shapes, engine.shapes[1:], strict=False)
    )
    assert changes == 2 * min(5, runs) - 1


def test_every_photo_has_its_turn_over_the_passes(tiny_spec: ModelSpec):
    engine = Counting(0)
    images = [np.zeros((32 * (index + 1), 32, 3), np.uint8) for index in range(7)]
    time_in_passes(
        [Round({RunConfig("a"): Segmenter(engine, tiny_spec)}, images)],
        runs=7,
        warmup=0,
        on_run=lambda: None,
    )
    assert [height // 32 for height, _ in engine.shapes] == [1, 2, 3, 4, 5, 6, 7]
