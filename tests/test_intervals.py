from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations import params
from trueframe.figures import metrics
from trueframe.figures.intervals import draws, intervals, weighted_figures


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def some(videos: int, seed: int = 0) -> tuple[metrics.Labels, metrics.Scores]:
    """Labels in turn, and scores that lean to them."""
    labels = np.arange(videos) % 2
    return labels, np.clip(np.random.default_rng(seed).normal(0.35 + 0.3 * labels, 0.2), 0.01, 0.99)


def names(numbers: Any) -> Any:
    return np.array([f"part/{number:04}" for number in numbers])


@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0, 0.1, 0.3, 0.5, 0.7, 1]), st.integers(0, 3)), min_size=1)
)
def test_weighted_figures_are_those_of_the_videos_repeated(videos: list[tuple[int, float, int]]) -> None:
    labels, scores, counts = (np.array(column) for column in zip(*videos, strict=True))
    if not counts.sum():
        counts = counts + 1
    found = weighted_figures(labels, scores.astype(float), counts[None, :].astype(float), params())
    expected = metrics.figures(np.repeat(labels, counts), np.repeat(scores.astype(float), counts), params())
    for name, value in zip(metrics.FIGURES, found[0], strict=True):
        assert (None if np.isnan(value) else value) == pytest.approx(expected[name], abs=1e-6), name


def test_a_sample_draws_as_many_clusters_as_there_are_and_each_whole() -> None:
    clusters = names([0, 1, 1, 2, 2, 2])
    weights = np.concatenate(list(draws(clusters, samples=120, seed=1)))
    assert weights.shape == (120, 6)
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert (weights[:, 1] == weights[:, 2]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    # a cluster is in a sample once on average
    assert weights[:, [0, 1, 3]].mean(axis=0) == pytest.approx([1, 1, 1], abs=0.25)
    assert (np.concatenate(list(draws(clusters, samples=60, seed=1))) == weights[:60]).all()


def test_the_interval_of_a_mean_is_nearly_the_normal_one() -> None:
    labels, scores = some(400)
    found = intervals(labels, scores, {1: scores}, names(range(400)), params(bootstrap_samples=2000))
    losses = metrics.losses(labels, scores)
    half = 1.96 * losses.std() / math.sqrt(400)
    assert found["ensemble"]["log_loss"]["low"] == pytest.approx(losses.mean() - half, abs=half / 8)
    assert found["ensemble"]["log_loss"]["high"] == pytest.approx(losses.mean() + half, abs=half / 8)
    assert (found["samples"], found["clusters"]) == (2000, 400)
    assert all(ends == {"low": 0, "high": 0} for ends in found["gain"].values())


def test_copies_of_a_video_in_its_cluster_do_not_narrow_the_interval() -> None:
    labels, scores = some(40)
    once = intervals(labels, scores, {1: scores}, names(range(40)), params())
    twice = np.repeat(labels, 2), np.repeat(scores, 2)
    clustered = intervals(*twice, {1: twice[1]}, names(np.repeat(range(40), 2)), params())
    alone = intervals(*twice, {1: twice[1]}, names(range(80)), params())
    for name in metrics.FIGURES:
        assert clustered["ensemble"][name] == pytest.approx(once["ensemble"][name], abs=2e-6), name
    widths = [found["ensemble"]["log_loss"]["high"] - found["ensemble"]["log_loss"]["low"] for found in (alone, once)]
    assert widths[0] < 0.85 * widths[1]


def test_one_cluster_has_no_width_and_is_the_figure_itself() -> None:
    labels, scores = some(20)
    found = intervals(labels, scores, {1: scores}, names([7] * 20), params())
    figures = metrics.figures(labels, scores, params())
    for name in metrics.FIGURES:
        assert found["seeds"]["1"][name] == pytest.approx({"low": figures[name], "high": figures[name]}, abs=2e-6), name


def test_samples_of_one_class_are_left_out_where_both_are_needed_and_counted() -> None:
    labels, scores, clusters = np.array([0, 1]), np.array([0.25, 0.75]), names([0, 1])
    found = intervals(labels, scores, {1: scores}, clusters, params(bootstrap_samples=100))["ensemble"]
    weights = np.concatenate(list(draws(clusters, 100, 0)))
    one_class = int((weights == 2).any(axis=1).sum())
    assert 30 < one_class < 70
    assert found["auc"] == {"low": 1, "high": 1, "left_out": one_class}
    assert found["log_loss"] == pytest.approx({"low": -math.log(0.75), "high": -math.log(0.75)}, abs=1e-6)


def test_a_figure_that_no_sample_defines_has_no_ends() -> None:
    scores = np.array([0.25, 0.75])
    found = intervals(np.array([1, 1]), scores, {1: scores}, names([0, 1]), params(bootstrap_samples=5))
    assert found["gain"]["auc"] == {"low": None, "high": None, "left_out": 5}


def test_the_gain_is_of_the_same_samples_and_positive_where_the_ensemble_is_always_better() -> None:
    labels, scores = some(60)
    worse = {seed: np.clip(scores + (0.1 - 0.2 * labels), 0.001, 0.999) for seed in (2, 1)}
    found = intervals(labels, scores, worse, names(range(60)), params())
    assert list(found["seeds"]) == ["1", "2"]
    losses = metrics.losses(labels, worse[1]) - metrics.losses(labels, scores)
    assert 0 < found["gain"]["log_loss"]["low"] < losses.mean() < found["gain"]["log_loss"]["high"]
    # The ensemble's own interval is wider: what all models share drops out of the gain.
    widths = [ends["log_loss"]["high"] - ends["log_loss"]["low"] for ends in (found["gain"], found["ensemble"])]
    assert widths[0] < widths[1] / 2


@pytest.mark.parametrize("seed", range(5))
def test_ends_are_ordered_in_range_and_the_same_in_any_order_of_the_videos(seed: int) -> None:
    labels, scores = some(31, seed)
    clusters = names(np.arange(31) // 3)
    found = intervals(labels, scores, {1: scores}, clusters, params(bootstrap_seed=seed))
    for name, ends in found["ensemble"].items():
        assert 0 <= ends["low"] <= ends["high"] <= (math.inf if "loss" in name else 1)
    order = np.random.default_rng(seed).permutation(31)
    again = intervals(labels[order], scores[order], {1: scores[order]}, clusters[order], params(bootstrap_seed=seed))
    for name in metrics.FIGURES:
        assert again["ensemble"][name] == pytest.approx(found["ensemble"][name], abs=2e-6)


def test_without_samples_or_videos_there_are_no_intervals_and_a_reason() -> None:
    labels, scores = some(4)
    found = intervals(labels, scores, {1: scores}, names(range(4)), params(bootstrap_samples=0))
    assert found == {"undefined": "evaluation.bootstrap_samples is 0"}
    assert intervals(labels[:0], scores[:0], {}, names([]), params()) == {"undefined": "no videos"}
