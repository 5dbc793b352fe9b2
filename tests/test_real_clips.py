"""Real clips go from raw videos to a submission, and their statuses are right."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from trueframe import archive, tables
from workspaces import REPO, TINY, clean, clone, edit_params, snakemake

CLIPS = REPO.parent / "shared/data/clips"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished workspace of the real clips."""
    if not CLIPS.is_dir():
        pytest.skip(f"the real clips are not here ({CLIPS})")
    workspace = clone(tmp_path_factory.mktemp("clips") / "w")
    shutil.copytree(CLIPS, workspace / "data/raw")
    edit_params(workspace, TINY | {"bboxes.train.every_n_frames": 80, "bboxes.test.frames": 8})
    edit_params(workspace, {"models.validation_every_n_frames": 80})
    snakemake(workspace, "submission")
    return workspace


def _videos(clips: Path, part: str) -> dict[str, dict[str, object]]:
    return {row["video"]: row for row in tables.read_rows(clips / f"data/crops/{part}.videos.parquet")}


def test_every_video_has_its_status(clips: Path) -> None:
    train = _videos(clips, "train/part_00") | _videos(clips, "train/part_01")
    assert {name: row["status"] for name, row in train.items()} == {
        "519.mp4": tables.OK,
        "519_515.mp4": tables.OK,
        "000.mp4": tables.OK,
        "000_reenacted.mp4": tables.OK,
        "aajsqyyjni.mp4": tables.OK,
        "brtujopkby.mp4": tables.MISSING_ORIGINAL,
    }
    assert "gnmmhlbzge.mp4" in str(train["brtujopkby.mp4"]["reason"])
    test = _videos(clips, "test/clips_00")
    assert {row["status"] for row in test.values()} == {tables.OK}


def test_a_portrait_video_is_upright_and_a_tiny_one_is_searched_enlarged(clips: Path) -> None:
    index = {row["video"]: row for part in ("train/part_01", "test/clips_00") for row in _index(clips, part)}
    assert (index["brtujopkby.mp4"]["width_px"], index["brtujopkby.mp4"]["height_px"]) == (1080, 1920)
    assert (index["tiny_124x152.mp4"]["width_px"], index["tiny_124x152.mp4"]["height_px"]) == (124, 152)
    assert _videos(clips, "test/clips_00")["tiny_124x152.mp4"]["items"] == 8


def test_a_dark_video_has_faces_in_some_frames_only(clips: Path) -> None:
    frames = {row["frame"] for row in _faces(clips, "test/clips_00", "abofeumbvv.mp4")}
    assert 0 < len(frames) < 8


def test_several_people_have_tracks_of_their_own(clips: Path) -> None:
    people = _faces(clips, "test/clips_00", "pedestrians.mp4")
    for frame in {row["frame"] for row in people}:
        tracks = [row["track"] for row in people if row["frame"] == frame]
        assert len(tracks) == len(set(tracks))
    assert len({row["track"] for row in people}) > 5


def test_tracks_end_at_a_cut(clips: Path) -> None:
    faces = _faces(clips, "test/clips_00", "stage_cuts.mp4")
    by_frame = {frame: {row["track"] for row in faces if row["frame"] == frame} for frame in (0, 39, 117)}
    assert by_frame[0].isdisjoint(by_frame[39])
    assert by_frame[39].isdisjoint(by_frame[117])


def test_a_shorter_fake_has_crops_as_far_as_it_goes(clips: Path) -> None:
    names = [member.name for member in archive.members(clips / "data/crops/train/part_01.zip")]
    of_fake = [archive.parse_member(name)[1] for name in names if name.startswith("000_reenacted.mp4/")]
    of_original = [archive.parse_member(name)[1] for name in names if name.startswith("000.mp4/")]
    assert max(of_fake) <= 302 < max(of_original)
    assert set(of_fake) <= set(of_original)


def test_masks_light_up_in_the_face_alone(clips: Path) -> None:
    import numpy as np

    from trueframe import images

    for name, data in archive.images(clips / "data/masks/train/part_00.zip"):
        mask = images.decoded(data, grey=True).astype(float)
        height, width = mask.shape
        inner = mask[height // 5 : -height // 5, width // 5 : -width // 5].mean()
        border = np.concatenate([mask[: height // 12].ravel(), mask[:, : width // 12].ravel()]).mean()
        assert inner > 4 * border, name


def test_the_submission_covers_the_test_videos_and_both_engines_agree(clips: Path) -> None:
    with (clips / "reports/submission.csv").open() as file:
        rows = {row["filename"]: float(row["label"]) for row in csv.DictReader(file)}
    assert sorted(rows) == sorted(path.name for path in (CLIPS / "test/clips_00").glob("*.mp4"))
    assert all(0 < score < 1 for score in rows.values())
    clean(clips)


def _index(clips: Path, part: str) -> list[dict[str, object]]:
    return tables.read_rows(clips / f"data/index/{part}.parquet")


def _faces(clips: Path, part: str, video: str) -> list[dict[str, int]]:
    return [row for row in tables.read_rows(clips / f"data/bboxes/{part}.parquet") if row["video"] == video]
