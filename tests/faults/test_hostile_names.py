"""Names and values that a shell, Snakemake or DVC could take for something else: to them they are names and values."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from trueframe import raw as raw_videos
from trueframe import tables
from trueframe.errors import UserError
from trueframe.printable import printable
from workspaces import REPO, call, clean, edit_params, snakemake

pytestmark = pytest.mark.usefixtures("no_tracking_server")

# Two for each run of `make test`, the others where there is time: a job a part takes seconds.
PARTS = ["$(touch pwned)", "a;b"]
MORE_PARTS = [
    "`touch pwned`",
    ";touch pwned;",
    "&& touch pwned #",
    "|touch pwned",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "$HOME",
    "~",
    "*",
    "-n",
    "--help",
    "a b",
    "a,b=c",
    "a:b",
    "%s",
    "\\",
    "a{b",
    "new\nline",
    "tab\t\x01",
    " lead and trail ",
    "@x",
    "null",
    "#",
    "é\u202e",
]
VIDEOS = [
    "$(touch pwned).mp4",
    ";touch pwned;.mp4",
    "-i.mp4",
    "'`touch pwned`'.mp4",
    "concat:a|b.mp4",
    "%d.mp4",
    "a\nb.mp4",
]


def pwned(folder: Path) -> list[Path]:
    """What an injected command would have made: no name of ours ends so."""
    return [path for path in folder.rglob("pwned*") if path.name in ("pwned", "pwned;", "pwned)")]


def renamed(raw: Path, parts: list[str]) -> None:
    """Give a train part, and a test part with a few videos of any names, each of the names."""
    train, test = raw / "data/raw/train/part_01", raw / "data/raw/test/part_00"
    video = min(test.glob("*.mp4"))
    for name in parts:
        folder = raw / "data/raw/test" / name
        folder.mkdir()
        shutil.copy(video, folder / f"{parts.index(name)}.mp4")
    for number, name in enumerate(VIDEOS):
        shutil.copy(video, raw / "data/raw/test" / parts[0] / name)
        assert number < len(VIDEOS)
    metadata = json.loads((train / "metadata.json").read_text())
    metadata[VIDEOS[0]] = {"label": "REAL"}
    (train / "metadata.json").write_text(json.dumps(metadata))
    shutil.copy(video, train / VIDEOS[0])
    train.rename(train.with_name(parts[1]))


def test_names_of_parts_and_videos_run_nothing_through_both_engines(raw: Path) -> None:
    renamed(raw, PARTS)
    call(raw, "dvc", "add", "--quiet", "data/raw")
    call(raw, "dvc", "repro", "index")
    assert pwned(raw.parent) == []
    for part in ("test/$(touch pwned)", "test/a;b", "train/a;b"):
        assert tables.read_rows(raw / f"data/index/{part}.parquet")
    rows = {row["video"]: row for row in tables.read_rows(raw / "data/index/test/$(touch pwned).parquet")}
    assert {name: rows[name]["status"] for name in VIDEOS} == dict.fromkeys(VIDEOS, "ok")


@pytest.mark.long
def test_a_whole_run_with_names_of_all_kinds_runs_nothing(raw: Path) -> None:
    renamed(raw, PARTS + MORE_PARTS)
    call(raw, "dvc", "add", "--quiet", "data/raw")
    call(raw, "dvc", "repro", "submission", "evaluation")
    assert pwned(raw.parent) == []
    submitted = (raw / "reports/submission.csv").read_text()
    for name in VIDEOS:
        assert name in submitted
    print(f"{len(PARTS) + len(MORE_PARTS)} names of parts, {len(VIDEOS)} of videos")
    snakemake(raw, "submission")
    clean(raw)


@pytest.mark.parametrize("name", ["{part}", "a{b}c", "{wildcards.part}", "{{seed}}", "{a\nb}"])
def test_a_part_that_snakemake_would_take_for_a_pattern_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "data/raw/train" / name).mkdir(parents=True)
    with pytest.raises(UserError, match="takes braces in a name for a wildcard") as caught:
        raw_videos.require(tmp_path)
    assert str(caught.value).startswith(f"data/raw/train/{printable(name)}: ")


def test_every_word_that_a_rule_takes_from_outside_is_quoted() -> None:
    """The run above has one rule, the long one all; that the others are as good is seen in their text."""
    count = 0
    for path in [REPO / "Snakefile", *sorted((REPO / "workflow/rules").glob("*.smk"))]:
        for line in re.findall(r'^ +"python -m trueframe .*"$', path.read_text(), re.MULTILINE):
            for word in re.findall(r"\{(.+?)\}", line):
                count += 1
                assert word.endswith(":q") or word in ("threads", "resources.gpu"), (path.name, line)
    assert count > 20


def test_no_parameters_value_is_in_a_command(finished: Path) -> None:
    (finished / "$(touch pwned)").touch()
    edit_params(finished, {"models.weights": "$(touch pwned)", "models.encoder": "; touch pwned;"})
    told = snakemake(finished, "--dry-run", "--printshellcmds", "models").stdout
    commands = [line for line in told.splitlines() if "python -m" in line]
    assert any("python -m trueframe models 1 --workers" in command for command in commands)
    assert not [command for command in commands if "touch" in command]
    assert pwned(finished.parent) == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("models.weights", "$(touch pwned)"),
        ("models.weights", "; touch pwned"),
        ("models.weights", "../../../../etc/passwd"),
        ("models.encoder", "$(touch pwned)"),
        ("models.encoder", "hf-hub:a/b;touch pwned"),
    ],
)
def test_a_parameters_value_is_no_command(finished: Path, key: str, value: str) -> None:
    edit_params(finished, {key: value})
    done = snakemake(finished, "models", check=False)
    told = done.stdout + done.stderr + "".join(log.read_text() for log in (finished / "logs/models").glob("*.log"))
    assert done.returncode != 0
    assert f"params.yaml: {key}: {value}: " in told
    assert "Traceback" not in told
    assert pwned(finished.parent) == []


# Snakemake reads its configuration by a template engine that runs Python, DVC by one that reads tags.
TEMPLATES = {
    "template": "__use_yte__: true\n__definitions__:\n  - open('pwned', 'w')\n",
    "expression": "__use_yte__: true\nx: ?open('pwned', 'w').close()\n",
    "tag": "x: !!python/object/apply:os.system ['touch pwned']\n",
    "name": "x: !!python/name:os.system\n",
    "aliases": "x0: &x0 [lol]\n" + "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 12)),
}


@pytest.mark.parametrize(
    "name", ["template", *(pytest.param(name, marks=pytest.mark.long) for name in [*TEMPLATES][1:])]
)
def test_what_params_yaml_could_run_is_refused_by_snakemake(raw: Path, name: str) -> None:
    path = raw / "params.yaml"
    path.write_text(path.read_text() + TEMPLATES[name])
    done = snakemake(raw, "--dry-run", "index", check=False)
    told = done.stdout + done.stderr
    assert done.returncode != 0
    assert "params.yaml: " in told
    assert "Traceback" not in told
    assert len(told) < 5000
    assert pwned(raw.parent) == []


@pytest.mark.parametrize(
    "name", ["tag", *(pytest.param(name, marks=pytest.mark.long) for name in ("template", "name"))]
)
def test_what_params_yaml_could_run_is_not_run_by_dvc(raw: Path, name: str) -> None:
    path = raw / "params.yaml"
    path.write_text(path.read_text() + TEMPLATES[name])
    call(raw, "dvc", "repro", "index", check=False)
    assert pwned(raw.parent) == []
