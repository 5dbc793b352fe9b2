"""Records: what counts as code, what counts as a record, and the one way to write one."""

from __future__ import annotations

import ast
import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trueframe import formats, records
from trueframe.files import canonical_json, partial, publish, sha256_file, sha256_text, write_text
from trueframe.records import Output, Recipe, Record, bare

SOURCES = sorted((Path(__file__).parents[1] / "src").rglob("*.py"))
RECORD = Record(
    "crops",
    "train/part_00",
    Recipe({"margin": 0.3333, "rows": [{"up_to_px": 300}], "none": None}, {"a.py": "sha256:aa"}, {"é.mp4": "md5:bb"}),
    {"data/crops/train/part_00.zip": Output("cc", 10, 2)},
    {"python": "3.11.2"},
)


def _tree(source: str) -> str:
    return ast.dump(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "def f(x):\n    return x\n",
        "# comment\ndef f(x):\n    return x  # why\n",
        "\n\ndef f(x):\n\n    # comment\n    return x\n\n",
        "def f(x):  # def f(y):\n   \t\n    return x\n\f\n",
        "def f(x):\n    return x",
    ],
)
def test_comments_and_blank_lines_are_no_code(source: str) -> None:
    assert bare(source) == "def f(x):\n    return x\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1\n", "x = 2\n"),
        ("if x:\n    y\n    z\n", "if x:\n    y\nz\n"),
        ('x = """a\n\nb"""\n', 'x = """a\nb"""\n'),
        ('x = """a\n  # b\n"""\n', 'x = """a\n"""\n'),
        ('x = f"""{a}\n\n{b}"""\n', 'x = f"""{a}\n{b}"""\n'),
        ('x = "#1"\n', 'x = "#2"\n'),
        ("x = 'a'  # b\n", "x = 'a # b'\n"),
        ('def f():\n    """Say."""\n', 'def f():\n    """Tell."""\n'),
    ],
)
def test_a_change_of_code_or_of_a_string_is_a_change(one: str, other: str) -> None:
    assert bare(one) != bare(other)
    assert _tree(bare(one)) == _tree(one)
    assert _tree(bare(other)) == _tree(other)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_bare_source_means_the_same(path: Path) -> None:
    source = path.read_text()
    assert _tree(bare(source)) == _tree(source)
    assert bare(bare(source)) == bare(source)


_LINES = st.lists(
    st.sampled_from(
        [
            "x = 1",
            "",
            "   ",
            "# comment",
            "y = '#'  # comment",
            'z = """',
            'text # no comment""" # comment',
            "(1,  # one",
            "",
            " 2)",
            "\f",
            "s = 'a\u2028b\x85c\x1cd'  # é",
            "if x:",
            "    pass # é # é",
            "a = \\",
            "'😀'",
        ]
    ),
    max_size=12,
)


@given(_LINES)
def test_bare_source_means_the_same_whatever_stands_together(lines: list[str]) -> None:
    source = "\n".join(lines)
    try:
        tree = _tree(source)
    except SyntaxError:
        return
    assert _tree(bare(source)) == tree


def test_bad_source_is_a_syntax_error() -> None:
    with pytest.raises(SyntaxError):
        bare('x = """never closed\n')


def test_the_digest_of_code_follows_the_code_alone(tmp_path: Path) -> None:
    contents = {"a": "x = 1\n", "b": "# new\nx = 1\n", "c": "x = 2\n"}
    for name, text in contents.items():
        (tmp_path / f"{name}.py").write_text(text)
    a, b, c = (records.code_digest(tmp_path / f"{name}.py") for name in "abc")
    assert a == b == f"sha256:{hashlib.sha256(b'x = 1' + bytes([10])).hexdigest()}"
    assert a != c
    assert records.code_digest(tmp_path / "absent.py") == "missing"


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep/down/r.json"
    RECORD.write(path)
    back = records.read(path)
    assert back == RECORD
    assert back is not None
    assert back.recipe.digest == RECORD.recipe.digest
    assert [file.name for file in path.parent.iterdir()] == ["r.json"]


def test_a_record_is_canonical_json(tmp_path: Path) -> None:
    RECORD.write(tmp_path / "r.json")
    text = (tmp_path / "r.json").read_text()
    value = json.loads(text)
    assert text == canonical_json(value)
    assert text.endswith("}\n")
    assert list(value) == sorted(value)
    assert "é.mp4" in text
    assert value["format"] == formats.FORMAT


def test_the_digest_of_a_recipe_is_that_of_its_canonical_text() -> None:
    recipe = Recipe({"b": 1, "a": 0.1}, {}, {})
    text = '{\n  "code": {},\n  "inputs": {},\n  "params": {\n    "a": 0.1,\n    "b": 1\n  }\n}\n'
    assert recipe.digest == hashlib.sha256(text.encode()).hexdigest()
    assert Recipe({"a": 0.1, "b": 1}, {}, {}).digest == recipe.digest


def _without(key: str) -> dict[str, Any]:
    return {name: value for name, value in _value().items() if name != key}


def _value(**changed: Any) -> dict[str, Any]:
    recipe = {"params": {}, "code": {}, "inputs": {}}
    record = {"format": 1, "stage": "crops", "unit": "u", "recipe": recipe, "outputs": {}, "environment": {}}
    return record | changed


GARBAGE = {
    "nothing": "",
    "no_json": "{",
    "deep": "[" * 100_000,
    "long_number": '{"format": ' + "1" * 5000 + "}",
    "list": "[]",
    "text": '"format"',
    "number": "1",
    "empty": "{}",
    "format_text": json.dumps(_value(format="1")),
    "format_true": json.dumps(_value(format=True)),
    **{f"no_{key}": json.dumps(_without(key)) for key in _value()},
    "recipe_text": json.dumps(_value(recipe="x")),
    "recipe_short": json.dumps(_value(recipe={"params": {}, "code": {}})),
    "inputs_list": json.dumps(_value(recipe={"params": {}, "code": {}, "inputs": []})),
    "params_null": json.dumps(_value(recipe={"params": None, "code": {}, "inputs": {}})),
    "code_numbers": json.dumps(_value(recipe={"params": {}, "code": {"a.py": 1}, "inputs": {}})),
    "outputs_list": json.dumps(_value(outputs=[1])),
    "output_text": json.dumps(_value(outputs={"a": "b"})),
    "output_short": json.dumps(_value(outputs={"a": {"sha256": "b", "size": 1}})),
    "output_size": json.dumps(_value(outputs={"a": {"sha256": "b", "size": "big", "items": 1}})),
    "stage_number": json.dumps(_value(stage=5)),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_record_counts_as_none(tmp_path: Path, name: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(GARBAGE[name])
    assert records.read(path) is None


@pytest.mark.parametrize(("number", "message"), [(0, "an older trueframe made it"), (2, "a newer trueframe made it")])
def test_a_record_of_another_format_is_refused_and_not_taken_for_none(
    tmp_path: Path, number: int, message: str
) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(_value(format=number)))
    with pytest.raises(formats.OtherFormatError, match=rf"r\.json: format {number}, expected 1: {message}"):
        records.read(path)


def test_the_smallest_record_is_one(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(_value()))
    assert records.read(path) == Record("crops", "u", Recipe({}, {}, {}), {}, {})


def test_absent_records_bytes_and_folders_count_as_none(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "folder").mkdir()
    for place in ("absent", "bytes", "folder", "bytes/below.json"):
        assert records.read(tmp_path / place) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(_value())), _JSON)
def test_a_record_with_anything_in_it_is_a_whole_one_or_none(tmp_path: Path, key: str, anything: Any) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(_value(**{key: anything})))
    if key == "format" and type(anything) is int and anything != formats.FORMAT:
        with pytest.raises(formats.OtherFormatError):
            records.read(path)
        return
    record = records.read(path)
    if record is not None:
        record.write(path)  # whole enough to be written and read again
        assert records.read(path) == record
        assert isinstance(record.unit, str)
        assert all(isinstance(output.sha256, str) for output in record.outputs.values())


def test_the_environment_tells_the_lock_and_the_kind_of_machine(tmp_path: Path) -> None:
    assert records.environment(tmp_path)["lock"] == "missing"
    (tmp_path / records.LOCK).write_text("numpy==2\n")
    found = records.environment(tmp_path)
    assert found["lock"] == f"sha256:{hashlib.sha256(b'numpy==2' + bytes([10])).hexdigest()}"
    assert found["python"] == platform.python_version()
    assert platform.node() not in json.dumps(found)


def test_canonical_json_sorts_and_refuses_what_json_has_no_word_for() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "é"}) == '{\n  "a": "é",\n  "b": [\n    1,\n    2.5\n  ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": float("nan")})


def test_digests_are_sha256(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000  # more than a chunk
    (tmp_path / "f").write_bytes(data)
    assert sha256_file(tmp_path / "f") == hashlib.sha256(data).hexdigest()
    assert sha256_text("é") == hashlib.sha256("é".encode()).hexdigest()


def test_a_text_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")
    assert path.read_text() == "old"
    partial(path).write_text("new")
    assert path.read_text() == "old"
    publish(path)
    assert path.read_text() == "new"
    assert not partial(path).exists()
    assert partial(path).parent == path.parent
