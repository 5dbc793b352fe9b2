"""Progress: lines in a log, a bar in a terminal, nothing where nobody listens."""

from __future__ import annotations

import re
import time

import pytest

from trueframe.progress import Progress, Quiet


def test_a_log_has_one_line_with_the_count_when_a_task_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("crops train/part_00").task(3, "videos") as advance:
        for _ in range(3):
            advance(1)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"crops train/part_00: 3/3 videos, [\d.]+/s\n", err)


def test_a_log_tells_the_time_left_every_ten_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 105.0, 110.0, 110.0, 110.0, 115.0, 120.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with Progress("index all").task(8, "videos", "epoch 1") as advance:
        advance(1)  # after 5 s: nothing yet
        advance(1)  # after 10 s: 2 of 8 in 10 s
        advance(2)
    first, last = capsys.readouterr().err.splitlines()
    assert first == "index all epoch 1: 2/8 videos, 0.2/s, 30 s left"
    assert last.startswith("index all epoch 1: 4/8 videos")


def test_news_are_a_line_with_the_title(capsys: pytest.CaptureFixture[str]) -> None:
    Progress("folds all").say("2 crops left out")
    assert capsys.readouterr().err == "folds all: 2 crops left out\n"


def test_a_task_that_fails_keeps_its_own_error() -> None:
    with pytest.raises(ZeroDivisionError), Progress("x").task(3, "videos") as advance:
        advance(1 // 0)


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress("crops x").task(2, "videos") as advance:
        advance(1)
        advance(1)
    assert "2/2" in capsys.readouterr().err


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = Quiet()
    quiet.say("news")
    with quiet.task(3, "videos") as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")
