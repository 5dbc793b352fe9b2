"""The graph of records and the search for code in git, on records and commits made by hand."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueframe import records
from trueframe.audit.code import History
from trueframe.audit.graph import Graph
from trueframe.audit.snapshot import Commit, Folder, Node
from trueframe.errors import UserError
from trueframe.records import Output, Recipe, Record
from workspaces import commit, git

MODULE, LOCK = "src/trueframe/a.py", "requirements.lock"


def record(stage: str, unit: str, outputs: dict[str, str], inputs: dict[str, str]) -> Record:
    made = {path: Output(digest, 1, 1) for path, digest in outputs.items()}
    read = {path: f"sha256:{digest}" for path, digest in inputs.items()}
    return Record(stage, unit, Recipe({}, {}, read), made, {})


def chain() -> dict[Node, Record]:
    """Two parts, one of which alone trains the model."""
    made = [
        record("index", "train/a", {"a": "1"}, {}),
        record("index", "test/b", {"b": "2"}, {}),
        record("folds", "all", {"f": "3"}, {"a": "1"}),
        record("models", "7", {"m": "4"}, {"f": "3", "a": "1"}),
        record("submission", "all", {"s": "5"}, {"m": "4", "b": "2"}),
    ]
    return {(one.stage, one.unit): one for one in made}


def test_what_is_above_and_below_follows_what_was_read() -> None:
    graph = Graph(chain())
    assert graph.above(("models", "7")) == [("index", "train/a"), ("folds", "all"), ("models", "7")]
    assert graph.below(("index", "test/b")) == [("index", "test/b"), ("submission", "all")]
    assert graph.below(("folds", "all")) == [("folds", "all"), ("models", "7"), ("submission", "all")]
    assert not any(graph.broken(node) for node in graph.records)


def test_a_link_to_no_record_or_to_another_digest_is_broken() -> None:
    made = chain()
    del made["folds", "all"]
    assert Graph(made).broken(("models", "7")) == ["f: no record says what made it"]
    made = chain()
    made["index", "train/a"] = record("index", "train/a", {"a": "9"}, {})
    broken = {node: Graph(made).broken(node) for node in made if Graph(made).broken(node)}
    told = ["a: its record has another digest than was read"]
    assert broken == {("folds", "all"): told, ("models", "7"): told}


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=40))
def test_below_is_the_inverse_of_above(edges: list[tuple[int, int]]) -> None:
    inputs: dict[int, dict[str, str]] = {number: {} for number in range(12)}
    for low, high in edges:
        if low < high:
            inputs[high][str(low)] = str(low)
    made = {
        ("crops", str(number)): record("crops", str(number), {str(number): str(number)}, read)
        for number, read in inputs.items()
    }
    graph = Graph(made)
    above = {(high, low) for high in made for low in graph.above(high)}
    assert above == {(high, low) for low in made for high in graph.below(low)}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Four commits: a module, a comment in it, its next version, a file that is none of ours."""
    (tmp_path / "src/trueframe").mkdir(parents=True)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "config", "user.name", "test")
    git(tmp_path, "config", "user.email", "test@example.org")
    for message, name, text in (
        ("first", MODULE, "A = 1\n"),
        ("comment", MODULE, "A = 1  # one\n"),
        ("lock", LOCK, "b==1\n"),
        ("second", MODULE, "A = 2\n"),
        ("else", "README.md", "hello\n"),
    ):
        (tmp_path / name).write_text(text)
        commit(tmp_path, message)
    return tmp_path


def sha(root: Path, message: str) -> str:
    return git(root, "log", "--all", "--format=%H", f"--grep=^{message}$").strip()


def test_the_commits_that_hold_a_module_are_those_with_its_digest_whatever_its_comments(repository: Path) -> None:
    history = History(repository)
    old = history.holding({MODULE: records.source_digest("A = 1\n")})
    assert (old.newest, old.first) == (sha(repository, "comment"), sha(repository, "first"))
    assert old.described is not None
    assert old.described[1] == "first"
    new = history.holding({MODULE: records.source_digest("A = 2\n")})
    assert (new.newest, new.first) == (sha(repository, "second"),) * 2
    lock = f"sha256:{hashlib.sha256(b'b==1' + bytes([10])).hexdigest()}"
    assert history.holding({LOCK: lock}).first == sha(repository, "lock")


def test_files_that_no_commit_has_are_named_and_files_never_together_are_told(repository: Path) -> None:
    history = History(repository)
    strange = history.holding({MODULE: records.source_digest("A = 3\n")})
    assert (strange.newest, strange.absent) == (None, (MODULE,))
    (repository / LOCK).write_text("b==2\n")
    commit(repository, "later")
    lock = f"sha256:{hashlib.sha256((repository / LOCK).read_bytes()).hexdigest()}"
    apart = history.holding({MODULE: records.source_digest("A = 1\n"), LOCK: lock})
    assert (apart.newest, apart.absent) == (None, ())


def test_another_branch_is_searched_when_this_one_has_it_not(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", "other")
    (repository / MODULE).write_text("A = 9\n")
    commit(repository, "branched")
    git(repository, "checkout", "--quiet", "main")
    found = History(repository).holding({MODULE: records.source_digest("A = 9\n")})
    assert found.first == sha(repository, "branched")


def test_a_folder_that_is_no_repository_has_no_history(tmp_path: Path) -> None:
    found = History(tmp_path).holding({MODULE: "sha256:1"})
    assert (found.newest, found.absent) == (None, (MODULE,))


def test_an_older_commit_is_read_like_the_working_tree(finished_workspace: Path) -> None:
    now, before = Folder(finished_workspace), Commit(finished_workspace, "HEAD")
    assert before.records == now.records
    assert before.params == now.params
    assert before.tracked.unlisted == ()
    path = "models/1/videos.parquet"
    table, other = now.table(path), before.table(path)
    assert table is not None
    assert table == other
    first = Commit(finished_workspace, git(finished_workspace, "rev-list", "--max-parents=0", "HEAD").strip())
    assert first.records == {}
    with pytest.raises(UserError, match="nowhere: expected a commit"):
        Commit(finished_workspace, "nowhere")
