"""A decoder that computes without end is given up and told; one that only waits for its turn or its disk is not."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import parts
import videos
from trueframe import tables, video, watch
from trueframe.errors import UserError
from trueframe.watch import Alive

REAL = {"label": "REAL", "split": "train"}
_LOOP_S = 1.5  # of what stands for a decoder's endless loop; not endless, since nothing can end it


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LIMIT_S", 0.4)
    monkeypatch.setattr(watch, "_LOOK_EVERY_S", 0.05)


def _compute(seconds: float) -> None:
    """As a decoder does: in C, where neither signals nor exceptions reach it, and other threads may run."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 20_000)


def _stuck(alive: Alive) -> Generator[int, None, None]:
    yield 1
    yield 2
    _compute(_LOOP_S)
    yield 3


def test_what_came_before_an_endless_loop_is_given_and_the_loop_is_left_behind() -> None:
    items = watch.watched(_stuck)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(watch.StuckError):
        next(items)
    assert list(items) == []


def test_signs_of_life_and_waiting_are_no_loop() -> None:
    def slow(alive: Alive) -> Generator[int, None, None]:
        for _ in range(3):
            _compute(0.3)
            alive()
        yield 1
        time.sleep(0.8)
        yield 2

    assert list(watch.watched(slow)) == [1, 2]


def _asleep(awake: threading.Event, alive: Alive) -> Generator[int, None, None]:
    yield 1
    awake.wait()


def test_silence_of_a_disk_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SILENCE_S", 0.3)
    items = watch.watched(partial(_asleep, awake := threading.Event()))
    assert next(items) == 1
    with pytest.raises(watch.SilentError):
        next(items)
    awake.set()


def test_ctrl_c_does_not_wait_for_a_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LIMIT_S", 60.0)
    items = watch.watched(partial(_asleep, awake := threading.Event()))
    assert next(items) == 1
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are deaf to it
    try:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            next(items)
    finally:
        signal.signal(signal.SIGINT, before)
        awake.set()


def test_nothing_is_made_before_it_is_asked_for_and_a_thread_ends_with_its_user() -> None:
    made: list[int] = []
    thread: list[Path] = []

    def counting(alive: Alive) -> Generator[int, None, None]:
        thread.append(Path(f"/proc/self/task/{threading.get_native_id()}"))
        try:
            for number in range(5):
                made.append(number)
                yield number
        finally:
            made.append(-1)

    items: Any = watch.watched(counting)
    assert next(items) == 0
    time.sleep(0.1)
    assert made == [0]
    assert thread[0].exists()
    items.close()
    assert made == [0, -1]
    end = time.monotonic() + 10
    while thread[0].exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not thread[0].exists()


def test_an_error_keeps_its_kind_and_its_place() -> None:
    def failing(alive: Alive) -> Generator[int, None, None]:
        yield 1
        raise KeyError("two")

    items = watch.watched(failing)
    assert next(items) == 1
    with pytest.raises(KeyError, match="two") as caught:
        next(items)
    assert "failing" in [entry.name for entry in caught.traceback]


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """File names to the moment, in seconds, from which on their decoder is caught in a loop."""
    at: dict[str, float] = {}
    decoded = video._decoded

    def decode(packet: Any) -> Any:
        from_s = at.get(Path(packet.stream.container.name).name)
        if from_s is not None and packet.dts is not None and packet.dts * packet.time_base >= from_s:
            _compute(_LOOP_S)
        return decoded(packet)

    monkeypatch.setattr(video, "_decoded", decode)
    return at


def test_a_part_with_stuck_videos_is_finished_and_tells_which(tmp_path: Path, caught: dict[str, float]) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    names = ["first.mp4", "later.mp4", "whole.mp4"]
    for name in names:
        videos.write(raw / name, codec="mpeg4")
    caught |= {"first.mp4": 0, "later.mp4": 0.7}
    made = parts.run(raw, dict.fromkeys(names, REAL), tmp_path / "made")
    reason = "can't be decoded: computed for 0.4 s without getting on"
    told = {name: (row["status"], row["reason"]) for name, row in made.crops_status.items()}
    assert told["first.mp4"] == (tables.DECODE_ERROR, reason)
    assert told["later.mp4"][0] == tables.TRUNCATED
    assert told["later.mp4"][1].endswith(reason)
    assert made.of("later.mp4")["crops"]
    assert told["whole.mp4"] == (tables.OK, "")
    assert made.crops_status["whole.mp4"]["items"] == 3


def test_a_disk_that_does_not_answer_is_no_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SILENCE_S", 0.3)

    answer = threading.Event()

    def waiting(*words: Any, **known: Any) -> Any:
        answer.wait()
        raise FileNotFoundError

    monkeypatch.setattr(video.av, "open", waiting)
    with pytest.raises(UserError, match=r"v\.mp4: nothing could be read for 0\.3 s; see whether its disk answers"):
        video.probe(tmp_path / "v.mp4")
    answer.set()
