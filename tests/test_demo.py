"""The demo data: its layout, its special videos, that it is the same every time, and that size does not tell labels."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from trueframe.demo import DemoScale, DemoVideo, plan_demo, specials, write_demo
from trueframe.errors import UserError

TINY = DemoScale(parts=1, originals=1, fakes=(1,), test_videos=2, frames=(6, 8))


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[DemoVideo, ...]]:
    """The whole demo data set, written once."""
    out = tmp_path_factory.mktemp("demo") / "raw"
    return out, write_demo(out)


def _digests(out: Path) -> dict[str, str]:
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _frames(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_the_default_plan_has_the_parts_originals_and_fakes_that_the_readme_promises():
    plan = plan_demo()
    train = [video for video in plan if video.folder.startswith("train/") and video.role == "ordinary"]
    fakes = [[v for v in train if v.label and v.original == real.name] for real in train if not real.label]
    test = [video for video in plan if video.folder == "test/part_00" and video.role == "ordinary"]
    assert {video.folder for video in train} == {"train/part_00", "train/part_01", "train/part_02"}
    assert len(fakes) >= 12
    assert {len(of_one) for of_one in fakes} == {1, 2, 3}
    assert len(test) >= 8
    assert sum(video.label for video in test) * 2 == len(test)
    assert len({video.name for video in plan}) == len(plan)


def test_another_seed_gives_other_names():
    assert not {video.name for video in plan_demo(1)} & {video.name for video in plan_demo(2)}


def test_metadata_and_labels_say_what_the_plan_says(full):
    out, plan = full
    for part in ("train/part_00", "train/part_01", "train/part_02"):
        videos = {video.name: video for video in plan if video.folder == part}
        metadata = json.loads((out / part / "metadata.json").read_text())
        assert set(metadata) == set(videos) == {path.name for path in (out / part).glob("*.mp4")}
        for name, entry in metadata.items():
            label = "FAKE" if videos[name].label else "REAL"
            original = {"original": videos[name].original} if videos[name].label else {}
            assert entry == {"label": label, "split": "train", **original}
    with (out / "test/part_00/labels.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["filename", "label"]
    assert {name: int(label) for name, label in rows[1:]} == {
        video.name: video.label for video in plan if video.folder == "test/part_00"
    }
    assert {name for name, _ in rows[1:]} == {path.name for path in (out / "test/part_00").glob("*.mp4")}


def test_every_fake_lies_beside_its_original_but_the_one_that_is_special(full):
    out, plan = full
    for video in plan:
        if video.original:
            assert (out / video.folder / video.original).exists() == (video.role != "missing_original")
            if video.role == "missing_original":
                assert not list(out.rglob(video.original))


def test_a_fake_follows_its_original_frame_for_frame_and_differs_in_the_face_most(full):
    out, plan = full
    for fake in [video for video in plan if video.original and video.role == "ordinary"][:6]:
        with (
            av.open(str(out / fake.path)) as one,
            av.open(str(out / fake.folder / str(fake.original))) as other,
        ):
            assert one.streams.video[0].average_rate == other.streams.video[0].average_rate
        changed, real = _frames(out / fake.path), _frames(out / fake.folder / str(fake.original))
        assert changed.shape == real.shape
        difference = np.abs(changed.astype(int) - real).mean(axis=(0, 3))
        plain = np.quantile(difference, 0.5)
        assert np.quantile(difference, 0.99) > 2 * plain, fake.path
        assert 0.002 < (difference > 2.5 * plain).mean() < 0.25, fake.path


def test_neither_size_nor_bitrate_nor_length_tells_the_label(full):
    out, plan = full
    videos = [video for video in plan if video.role != "truncated"]
    sizes, bitrates, lengths = [], [], []
    for video in videos:
        with av.open(str(out / video.path)) as container:
            sizes.append((out / video.path).stat().st_size)
            bitrates.append(container.bit_rate)
            lengths.append(container.streams.video[0].frames)
    for kind in ("train", "test"):
        chosen = [i for i, video in enumerate(videos) if video.folder.startswith(kind)]
        labels = [videos[i].label for i in chosen]
        for values in (sizes, bitrates, lengths):
            assert 0.35 <= roc_auc_score(labels, [values[i] for i in chosen]) <= 0.65
    assert sum(sizes) < 8e6


def test_the_truncated_video_opens_and_breaks_midway(full):
    out, plan = full
    (path,) = specials(plan)["truncated"]
    with av.open(str(out / path)) as container:
        frames = container.decode(video=0)
        assert next(frames)
        with pytest.raises(av.FFmpegError):
            list(frames)


def test_all_other_videos_decode_in_full(full):
    out, plan = full
    for video in plan:
        if video.role != "truncated":
            with av.open(str(out / video.path)) as container:
                promised = container.streams.video[0].frames
                assert 40 <= promised == sum(1 for _ in container.decode(video=0))


def test_each_special_is_there(full):
    roles = specials(full[1])
    assert {role: len(paths) for role, paths in roles.items()} == {
        "missing_original": 1, "no_face": 2, "truncated": 1, "two_faces": 2,
    }  # fmt: skip


def test_the_same_seed_gives_the_same_bytes_whatever_was_in_memory_before(tmp_path):
    # glibc fills new memory with this byte: code that reads what it never wrote gives itself away (x264's mbtree did).
    code = "import sys, test_demo as t, pathlib; t.write_demo(pathlib.Path(sys.argv[1]), scale=t.TINY)"
    for name, byte in (("a", "1"), ("b", "200")):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "MALLOC_PERTURB_": byte}
        command = [sys.executable, "-c", code, str(tmp_path / name)]
        subprocess.run(command, cwd=Path(__file__).parent, env=environment, check=True)
    assert _digests(tmp_path / "a") == _digests(tmp_path / "b")


def test_another_seed_gives_other_bytes(tmp_path):
    write_demo(tmp_path / "a", scale=TINY)
    write_demo(tmp_path / "b", scale=TINY, seed=21)
    assert not set(_digests(tmp_path / "a").values()) & set(_digests(tmp_path / "b").values())


def test_progress_counts_every_video(tmp_path):
    told: list[tuple[int, int, str]] = []
    plan = write_demo(tmp_path / "raw", scale=TINY, progress=lambda *step: told.append(step))
    assert told == [(i, len(plan), video.path) for i, video in enumerate(plan, start=1)]


def test_an_identical_demo_is_left_alone_and_a_missing_part_is_added(tmp_path):
    out = tmp_path / "raw"
    write_demo(out, scale=TINY)
    before = _digests(out)
    for path in (out / "test/part_00").iterdir():
        path.unlink()
    (out / "test/part_00").rmdir()
    (out / ".gitignore").write_text("/train\n")
    inode = (out / "train/part_00/metadata.json").stat().st_ino
    write_demo(out, scale=TINY)
    assert (out / "train/part_00/metadata.json").stat().st_ino == inode
    (out / ".gitignore").unlink()
    assert _digests(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize("stranger", ["holiday.mp4", "train/part_07/metadata.json", "train/part_00/mine.mp4"])
def test_a_folder_with_other_data_is_refused_and_left_as_it_was(tmp_path, stranger):
    out = tmp_path / "raw"
    path = out / stranger
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(UserError, match="choose another folder"):
        write_demo(out, scale=TINY)
    assert _digests(out) == {stranger: hashlib.sha256(b"mine").hexdigest()}


def test_a_changed_demo_video_is_named_and_not_overwritten(tmp_path):
    out = tmp_path / "raw"
    plan = write_demo(out, scale=TINY)
    (out / plan[0].path).write_bytes(b"mine")
    with pytest.raises(UserError, match=plan[0].name):
        write_demo(out, scale=TINY)
    assert (out / plan[0].path).read_bytes() == b"mine"
