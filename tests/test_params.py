"""params.yaml: what is valid, and one message for each mistake that names file, key, value and what fits."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trueframe import params, reference
from trueframe.errors import UserError

REPO = Path(__file__).parents[1]
DEMO, DFDC = REPO / "params.yaml", REPO / "presets/dfdc.yaml"
VALUES = yaml.safe_load(DEMO.read_text())


def _with(*path: Any, value: Any) -> str:
    """The text of params.yaml with another value at a place."""
    values = copy.deepcopy(VALUES)
    place = values
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return yaml.safe_dump(values)


def _without(section: str, key: str | None = None) -> str:
    values = copy.deepcopy(VALUES)
    if key is None:
        del values[section]
    else:
        del values[section][key]
    return yaml.safe_dump(values)


def _leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {key: leaf for name, child in value.items() for key, leaf in _leaves(child, f"{prefix}.{name}").items()}
    return {prefix[1:]: value}


@pytest.mark.parametrize("path", [DEMO, *sorted((REPO / "presets").glob("*.yaml"))], ids=lambda path: path.name)
def test_each_file_of_parameters_that_we_ship_is_valid_and_says_every_value(path: Path) -> None:
    found = params.load(path)
    text = yaml.safe_load(path.read_text())
    assert found.model_dump(mode="json") == text
    assert _leaves(text).keys() == _leaves(VALUES).keys()


def test_the_preset_has_the_recipes_numbers() -> None:
    values = yaml.safe_load(DFDC.read_text())
    faces = values["bboxes"]
    assert faces["train"] == {"every_n_frames": 10, "thresholds": [0.85, 0.95, 0.95]}
    assert faces["test"] == {"frames": 32, "thresholds": [0.7, 0.8, 0.8]}
    assert [(row["up_to_px"], row["scale"]) for row in faces["scales"]] == [(300, 2), (1000, 1), (1900, 0.5)]
    assert faces["scale_above"] == 0.33
    assert values["crops"]["margin"] == pytest.approx(1 / 3, abs=1e-4)
    assert values["landmarks"]["thresholds"] == [0.65, 0.75, 0.75]
    assert values["folds"]["count"] == 16
    assert values["folds"]["method"] == "part"
    expected = {"seeds": [111, 555, 777, 888, 999], "encoder": "tf_efficientnet_b7.ns_jft_in1k", "weights": "hub"}
    expected |= {"size_px": 380, "holdout_fold": 0, "epochs": 40, "batches_per_epoch": 2500, "batch_size": 48}
    expected |= {"lr": 0.01, "lr_power": 0.9, "schedule_batches": 100500, "momentum": 0.9, "weight_decay": 1e-4}
    expected |= {"clip_norm": 1, "drop_path": 0.2, "label_smoothing": 0.01, "precision": "16-mixed"}
    expected |= {"validation_every_n_frames": 20, "choice_fake_weight": 1.4}
    assert {key: values["models"][key] for key in expected} == expected
    changes = {"erase_landmarks": 0.7, "erase_eyes": 0.5, "erase_mouth": 0.5, "erase_nose": 0.5, "erase_hull": 0.2}
    changes |= {"erase_half": 0.1, "jpeg": 0.5, "jpeg_quality_min": 60, "noise": 0.1, "blur": 0.05, "flip": 0.5}
    changes |= {"colour": 0.7, "grey": 0.2, "move": 0.5, "shift": 0.1, "scale": 0.2, "rotate_deg": 10}
    assert values["models"]["augmentation"] == changes
    # More than n // 2.5 and more than 11 above 0.8; more than 0.9 n below 0.2; 0.5 where nothing is known.
    pooling = {"rule": "confident", "high": 0.8, "high_share": 0.4, "high_count": 11, "low": 0.2, "low_share": 0.9}
    pooling["trim"] = 0.1
    assert values["models"]["pooling"] == pooling | {"rule": "mean"}
    for section in ("submission", "evaluation"):
        assert values[section]["pooling"] == pooling
        assert values[section]["unknown_score"] == 0.5


MISTAKES: dict[str, tuple[str, list[str]]] = {
    "unknown_key": (
        _with("crops", "marign", value=0.3),
        ["crops.marign: unknown; allowed here: margin, webp_method"],
    ),
    "unknown_section": (_with("crop", value={}), ["crop: unknown; allowed here: index, bboxes, crops, "]),
    "unknown_key_deep": (
        _with("submission", "pooling", "hihg", value=1),
        ["submission.pooling.hihg: unknown; allowed here: rule, high, high_share, high_count, low, low_share, trim"],
    ),
    "unknown_key_in_a_row": (
        _with("bboxes", "scales", 1, "size", value=1),
        ["bboxes.scales.1.size: unknown; allowed here: up_to_px, scale"],
    ),
    "missing_section": (_without("masks"), ["masks: missing; docs/params.md"]),
    "missing_key": (_without("models", "lr"), ["models.lr: missing; docs/params.md"]),
    "text_for_a_number": (
        _with("crops", "margin", value="a third"),
        ["crops.margin: 'a third': input should be a valid number"],
    ),
    "number_as_text": (
        _with("models", "weight_decay", value="1e-4"),
        ["models.weight_decay: '1e-4': input should be a valid number (YAML reads this as text: write 1.0e-4 "],
    ),
    "part_of_a_whole": (
        _with("index", "min_frames", value=2.5),
        ["index.min_frames: 2.5: input should be a valid integer"],
    ),
    "yes_for_a_number": (
        _with("index", "min_frames", value=True),
        ["index.min_frames: True: input should be a valid integer"],
    ),
    "above_the_range": (
        _with("models", "augmentation", "flip", value=1.5),
        ["models.augmentation.flip: 1.5: input should be less than or equal to 1"],
    ),
    "below_the_range": (
        _with("bboxes", "min_face_px", value=19),
        ["bboxes.min_face_px: 19: input should be greater than or equal to 20"],
    ),
    "infinite": (_with("models", "clip_norm", value=float("inf")), ["models.clip_norm: inf: input should be a finite"]),
    "not_a_choice": (
        _with("folds", "method", value="random"),
        ["folds.method: 'random': input should be 'part' or 'original'"],
    ),
    "too_few": (
        _with("bboxes", "train", "thresholds", value=[0.5, 0.5]),
        ["bboxes.train.thresholds: [0.5, 0.5]: list should have at least 3 items"],
    ),
    "rows_that_do_not_grow": (
        _with("bboxes", "scales", 0, "up_to_px", value=1000),
        ["bboxes: scales: up_to_px must grow from row to row, not [1000, 1000, 1900]"],
    ),
    "even_window": (_with("masks", "window_px", value=8), ["masks: window_px: 8 must be odd"]),
    "seed_twice": (_with("models", "seeds", value=[1, 1]), ["models: seeds: [1, 1] must differ"]),
    "no_such_fold": (
        _with("models", "holdout_fold", value=3),
        ["models.holdout_fold: 3 must be below folds.count, here 3"],
    ),
    "section_of_no_keys": (_with("crops", value=None), ["crops: None: input should be a valid dictionary"]),
    "number_for_a_key": (_with(1, value=2), ["1: ", "keys should be strings"]),
    "no_yaml": ("index: [1, 2", ["not YAML"]),
    "tab": ("index:\n\tmin_frames: 1", ["not YAML"]),
    "date_that_is_none": (
        DEMO.read_text().replace("none", "2024-99-99"),
        ["not YAML: month must be"],
    ),
    "deep": ("[" * 10_000, ["not YAML"]),
    "list": ("[1, 2]", ["expected a mapping of sections (index, bboxes, ", "found [1, 2]"]),
    "empty": ("", ["expected a mapping of sections (index, bboxes, ", "found None"]),
    "tag": ("index: !!python/object/apply:os.getcwd []", ["not YAML"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_a_message_with_file_key_value_and_what_fits(tmp_path: Path, name: str) -> None:
    text, parts = MISTAKES[name]
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        params.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    for part in parts:
        assert part in message


def test_all_mistakes_are_told_at_once() -> None:
    values = copy.deepcopy(VALUES)
    values["crops"]["margin"] = -1
    values["folds"]["seed"] = "x"
    del values["index"]["min_frames"]
    with pytest.raises(UserError) as caught:
        params.parse(yaml.safe_dump(values), "p.yaml")
    first, *others = str(caught.value).splitlines()
    assert first == "p.yaml: 3 wrong; mend and run again:"
    assert [line.split(":")[0] for line in others] == ["  index.min_frames", "  crops.margin", "  folds.seed"]


def test_a_file_that_is_absent_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: not there; run trueframe in the folder"):
        params.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_bytes(b"index: \xff")
    with pytest.raises(UserError, match=r"params\.yaml: not a text in UTF-8 \(invalid start byte at byte 7\)"):
        params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "change",
    [
        _with("models", "batches_per_epoch", value=5),
        _with("models", "lr", value=1),
        _with("models", "min_changed_pixels", value=None),
        _with("models", "holdout_fold", value=2),
        _with("bboxes", "scales", value=[{"up_to_px": 1, "scale": 4}]),
        "# comment\n" + DEMO.read_text(),
    ],
)
def test_what_fits_is_taken(change: str) -> None:
    assert params.parse(change, "p.yaml").model_dump(mode="json") == yaml.safe_load(change)


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=5,
)
_PLACES = st.sampled_from([tuple(key.split(".")) for key in _leaves(VALUES)] + [(section,) for section in VALUES])


@given(_PLACES, _ANYTHING)
def test_whatever_stands_at_a_place_is_taken_or_told_by_name(place: tuple[str, ...], anything: Any) -> None:
    _check(lambda: params.parse(_with(*place, value=anything), "p.yaml"))


@given(st.text())
def test_whatever_the_text_is_it_is_no_crash(text: str) -> None:
    _check(lambda: params.parse(text, "p.yaml"))


def _check(parse: Callable[[], params.Params]) -> None:
    message = ""
    try:
        parse()
    except UserError as error:
        message = str(error)
    assert not message or message.startswith("p.yaml: ")


def test_the_reference_page_is_in_step_with_the_code() -> None:
    page = reference.document()
    assert (REPO / "docs/params.md").read_text() == page, "run `trueframe params > docs/params.md`"
    for key in _leaves(VALUES):
        if key != "bboxes.scales":
            assert f"| `{key}` |" in page
    assert "| `bboxes.scales[].up_to_px` | whole number ≥ 1 |" in page
    assert "| `bboxes.train.thresholds` | 3 × number ≥ 0, ≤ 1 |" in page
    assert "| `models.batches_per_epoch` | whole number ≥ 1 or null |" in page
    assert "| `folds.method` | `part`, `original` |" in page


def test_the_command_prints_the_reference_page() -> None:
    done = subprocess.run([sys.executable, "-m", "trueframe", "params"], capture_output=True, text=True, check=True)
    assert done.stdout == reference.document()
