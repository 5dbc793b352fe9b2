"""Overlaps, margins and tracks, by numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueframe.geometry import link, overlap, with_margin


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_overlap_is_intersection_over_union() -> None:
    first = boxes((0, 0, 10, 10), (0, 0, 4, 5))
    second = boxes((0, 0, 10, 10), (5, 0, 15, 10), (10, 0, 20, 10), (2, 3, 6, 8))
    # By rows: 50 of 150; touching edges share nothing; 4 * 5 of 100; 2 * 2 of 20 + 20 - 4.
    expected = [[1, 50 / 150, 0, 20 / 100], [20 / 100, 0, 0, 4 / 36]]
    np.testing.assert_allclose(overlap(first, second), expected, rtol=1e-12)


def test_overlap_of_empty_boxes_is_no_overlap() -> None:
    np.testing.assert_array_equal(overlap(boxes((3, 3, 3, 3)), boxes((3, 3, 3, 3), (0, 0, 9, 9))), [[0, 0]])
    assert overlap(boxes(), boxes((0, 0, 1, 1))).shape == (0, 1)


@pytest.mark.parametrize(
    ("box", "margin", "expected"),
    [
        ((30, 20, 60, 80), 0, (30, 20, 60, 80)),
        ((30, 20, 60, 80), 0.5, (15, 0, 75, 100)),  # 15 at each side, 30 above (cut at 0) and below (cut at 100)
        ((30, 20, 60, 80), 1 / 3, (20, 0, 70, 100)),
        ((10.4, 10.6, 20.4, 20.6), 0.1, (9, 10, 21, 22)),  # 9.4 9.6 21.4 21.6
        ((-8, -4, 12, 16), 0.25, (0, 0, 17, 21)),
        ((190, 90, 210, 110), 0.25, (185, 85, 200, 100)),
        ((250, 10, 270, 30), 0.25, (245, 5, 245, 35)),  # outside: no area
        ((-40, -40, -20, -20), 0.25, (0, 0, 0, 0)),
    ],
)
def test_a_margin_is_added_on_each_side_and_cut_at_the_edge(
    box: tuple[float, ...], margin: float, expected: tuple[int, ...]
) -> None:
    assert with_margin(box, margin, width_px=200, height_px=100) == expected


@given(
    st.tuples(*[st.floats(-500, 1500, width=32)] * 2),
    st.tuples(*[st.floats(0, 800, width=32)] * 2),
    st.floats(0, 2),
    st.integers(1, 900),
    st.integers(1, 900),
)
def test_a_box_with_margin_always_cuts_a_part_of_the_frame(
    corner: tuple[float, float], side: tuple[float, float], margin: float, width: int, height: int
) -> None:
    box = (*corner, corner[0] + side[0], corner[1] + side[1])
    x0, y0, x1, y1 = with_margin(box, margin, width, height)
    assert np.zeros((height, width))[y0:y1, x0:x1].shape == (max(y1 - y0, 0), max(x1 - x0, 0))
    if x0 < x1 and y0 < y1:
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
    assert all(isinstance(value, int) for value in (x0, y0, x1, y1))


LEFT, RIGHT = (0, 0, 10, 10), (50, 0, 60, 10)


def test_a_face_keeps_its_number_whatever_the_order_of_detection() -> None:
    assert link([boxes(LEFT, RIGHT), boxes(RIGHT, LEFT), boxes(RIGHT)], 0.3, 0) == [[0, 1], [1, 0], [1]]


def test_a_face_that_moves_is_compared_with_where_it_was_last() -> None:
    steps = [boxes((x, 0, x + 10, 10)) for x in range(0, 30, 3)]  # each overlaps the one before by 7 / 13
    assert link(steps, 0.5, 0) == [[0]] * 10


def test_an_overlap_of_just_the_least_one_joins_and_less_does_not() -> None:
    half = boxes((0, 0, 10, 5))
    assert link([boxes(LEFT), half], 0.5, 0) == [[0], [0]]
    assert link([boxes(LEFT), half], 0.51, 0) == [[0], [1]]
    assert link([boxes(LEFT), boxes((10, 0, 20, 10))], 0.0, 0) == [[0], [1]]  # edges that touch are no overlap


@pytest.mark.parametrize(("missing", "number"), [(0, 0), (1, 0), (2, 0), (3, 1)])
def test_a_face_may_miss_as_many_sampled_frames_as_the_gap(missing: int, number: int) -> None:
    frames = [boxes(LEFT), *[boxes()] * missing, boxes(LEFT)]
    assert link(frames, 0.3, 2) == [[0], *[[]] * missing, [number]]


def test_numbers_of_lost_tracks_are_not_given_again() -> None:
    assert link([boxes(LEFT), boxes(), boxes(LEFT, RIGHT), boxes(), boxes(RIGHT)], 0.3, 0) == [[0], [], [1, 2], [], [3]]


def test_two_faces_that_cross_keep_their_numbers() -> None:
    # They pass each other at different heights, 10 of 40 pixels apart, and overlap on the way: 30 of 50 at the closest.
    frames = []
    for step in range(21):
        one = (step * 5, 0, step * 5 + 40, 40)
        other = (100 - step * 5, 10, 140 - step * 5, 50)
        frames.append(boxes(one, other) if step % 2 else boxes(other, one))
    numbers = link(frames, 0.3, 2)
    assert numbers == [[1, 0] if step % 2 else [0, 1] for step in range(21)]


def test_the_pair_with_the_larger_overlap_goes_first() -> None:
    # The second face overlaps the only track more than the first does.
    assert link([boxes(LEFT), boxes((4, 0, 14, 10), (1, 0, 11, 10))], 0.3, 0) == [[0], [1, 0]]


def test_equal_overlaps_go_to_the_older_track_and_the_first_face() -> None:
    assert link([boxes(LEFT, LEFT), boxes(LEFT, LEFT), boxes(LEFT)], 0.3, 0) == [[0, 1], [0, 1], [0]]


_box = st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(0, 20)] * 2).map(
    lambda numbers: (numbers[0], numbers[1], numbers[0] + numbers[2], numbers[1] + numbers[3])
)


@given(
    st.lists(st.lists(_box, max_size=5).map(lambda rows: boxes(*rows)), max_size=12), st.floats(0, 1), st.integers(0, 3)
)
def test_every_face_has_one_track_and_no_track_is_twice_in_a_frame(
    frames: list[np.ndarray], least: float, gap: int
) -> None:
    numbers = link(frames, least, gap)
    assert [len(of_frame) for of_frame in numbers] == [len(found) for found in frames]
    last: dict[int, tuple[int, np.ndarray]] = {}
    for position, of_frame in enumerate(numbers):
        assert len(set(of_frame)) == len(of_frame)
        for face, number in enumerate(of_frame):
            box = frames[position][face : face + 1]
            if number in last:
                seen, before = last[number]
                assert position - seen - 1 <= gap
                assert overlap(before, box)[0, 0] >= least
            else:
                assert number == len(last)  # in order of appearance
            last[number] = position, box
