"""The picture of a training's history."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib as mpl
import pytest

import trainings
from trueframe.tracking import history_plot


def test_the_bytes_depend_on_the_rows_and_the_kept_epochs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(name: str, figures: tuple[float, ...], kept: list[int]) -> bytes:
        history_plot.draw(tmp_path / name, trainings.epochs(figures), kept)
        return (tmp_path / name).read_bytes()

    first = drawn("first.png", (0.75, 0.5), [1])
    monkeypatch.setitem(mpl.rcParams, "font.size", 20)
    assert drawn("again.png", (0.75, 0.5), [1]) == first
    assert drawn("other.png", (0.75, 0.25), [1]) != first
    assert drawn("kept.png", (0.75, 0.5), [1, 0]) != first
    assert cv2.imread(str(tmp_path / "first.png")).shape == (540, 900, 3)
