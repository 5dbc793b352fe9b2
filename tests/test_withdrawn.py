"""data/withdrawn.csv: what was written reads back, what can't be meant is refused, and what a part's lines come to."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trueframe import claims, withdrawn
from trueframe.errors import UserError
from trueframe.withdrawn import Withdrawn

HEADER = "sha256,md5,video,reason\n"
SHA, MD5 = "a" * 64, "b" * 32
LINE = Withdrawn(SHA, MD5, "v.mp4", "consent")


def _line(number: int, video: str = "v.mp4", reason: str = "consent") -> Withdrawn:
    return Withdrawn(f"{number:064x}", f"{number:032x}", video, reason)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data/withdrawn.csv"


def test_without_the_file_nobody_is_withdrawn(path: Path) -> None:
    assert withdrawn.read(path) == ()


def test_the_file_is_these_bytes_in_the_order_of_the_digests(path: Path) -> None:
    assert withdrawn.add(path, [_line(2, reason='wrong label, "fake"')]) == (_line(2, reason='wrong label, "fake"'),)
    withdrawn.add(path, [_line(1, "=b,c.mp4", "=1+1")])
    assert path.read_text() == (
        f'{HEADER}{1:064x},{1:032x},"=b,c.mp4",=1+1\n{2:064x},{2:032x},v.mp4,"wrong label, ""fake"""\n'
    )


def test_a_line_that_is_there_stays_as_it_is(path: Path) -> None:
    withdrawn.add(path, [LINE])
    before = path.read_bytes()
    assert withdrawn.add(path, [Withdrawn(SHA, MD5, "v.mp4", "another reason")]) == ()
    assert path.read_bytes() == before
    twin = Withdrawn(SHA, MD5, "twin.mp4", "another reason")
    assert withdrawn.add(path, [LINE, twin]) == (twin,)
    assert withdrawn.read(path) == (twin, LINE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.builds(
            Withdrawn,
            st.text("0123456789abcdef", min_size=64, max_size=64),
            st.text("0123456789abcdef", min_size=32, max_size=32),
            st.text(st.characters(codec="utf-8"), min_size=1),
            st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), min_size=1).filter(str.strip),
        ),
        unique_by=lambda line: (line.sha256, line.video),
    )
)
@example([Withdrawn(SHA, MD5, 'a\r"b\nc,\r\n\x1b[2J.mp4', "=cmd|'/c calc'!A1; <b>é</b> ☺")])
def test_any_name_and_any_line_of_text_reads_back_as_it_was(path: Path, lines: list[Withdrawn]) -> None:
    path.unlink(missing_ok=True)
    withdrawn.add(path, lines)
    assert withdrawn.read(path) == tuple(sorted(lines))
    if lines:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [tuple(row.values()) for row in csv.DictReader(file)]
        assert rows == sorted((line.sha256, line.md5, line.video, line.reason) for line in lines)


def test_a_spreadsheet_may_have_saved_it(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\n{SHA},{MD5},v.mp4,consent\n".replace("\n", "\r\n").encode())
    assert withdrawn.read(path) == (LINE,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: '': expected the columns sha256,md5,video,reason"),
        ("sha256,video\n", "line 1: 'sha256,video': expected the columns"),
        (f"{HEADER}{SHA},{MD5},v.mp4\n", f"line 2: '{SHA},{MD5},v.mp4': expected the 4 values"),
        (f"{HEADER}{SHA},{MD5},v.mp4,a, b\n", "line 2: "),
        (f"{HEADER}\n{SHA[1:]},{MD5},v.mp4,x\n", f"line 3: sha256 '{SHA[1:]}': expected 64 digits"),
        (f"{HEADER}{SHA.upper()},{MD5},v.mp4,x\n", "line 2: sha256 'AAAA"),
        (f"{HEADER}{SHA},{MD5}0,v.mp4,x\n", f"line 2: md5 '{MD5}0': expected 32 digits"),
        (f"{HEADER}{SHA},{MD5},,x\n", "line 2: video '': expected the name of its file"),
        (f"{HEADER}{SHA},{MD5},v.mp4, \n", "line 2: reason ' ': expected a text on one line"),
        (f'{HEADER}{SHA},{MD5},v.mp4,"a\nb"\n', "line 3: reason 'a\\nb': expected a text on one line"),
        (f"{HEADER}{SHA},{MD5},v.mp4,\x1b[2J\n", "line 2: reason '\\x1b[2J': expected a text on one line"),
        (f'{HEADER}{SHA},{MD5},v.mp4,"x\n', "line 2: not a CSV"),
        (f"{HEADER}{SHA},{MD5},v.mp4,x\n{SHA},{MD5},v.mp4,y\n", "line 3: 'v.mp4': expected each video once"),
        (b"\xff\xfe", "expected a text in UTF-8, found byte 0xff"),
    ],
)
def test_what_cannot_be_meant_is_told_by_file_line_and_value(path: Path, text: str | bytes, message: str) -> None:
    path.parent.mkdir()
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        withdrawn.read(path)
    assert str(caught.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize("reason", ["", " ", "a\nb", "a\rb", "a\x1b[31mb", "a\u2028b", "a\x00b", "\udcff"])
def test_a_reason_that_is_no_line_of_text_is_refused_and_nothing_is_written(path: Path, reason: str) -> None:
    with pytest.raises(UserError, match=r"reason .*: expected a text on one line"):
        withdrawn.add(path, [Withdrawn(SHA, MD5, "v.mp4", reason)])
    assert not path.exists()


def test_a_reason_may_be_in_any_language(path: Path) -> None:
    withdrawn.add(path, [Withdrawn(SHA, MD5, "v.mp4", "retiré\u00a0: «\u202fnon\u202f»")])
    assert withdrawn.read(path)[0].reason == "retiré\u00a0: «\u202fnon\u202f»"


def test_names_are_those_of_equal_content_and_of_originals_that_are_elsewhere() -> None:
    lines = [_line(1, "a.mp4"), _line(2, "b.mp4"), _line(3, "c.mp4"), _line(4, "folder.mp4")]
    files = {
        "renamed.mp4": f"md5:{1:032x}",
        "b.mp4": f"md5:{9:032x}",  # another video of this name
        "v.mp4": f"md5:{8:032x}",
        "folder.mp4": "not a file",
    }
    assert withdrawn.names(lines, files, []) == {"renamed.mp4"}
    assert withdrawn.names(lines, files, ["b.mp4", "c.mp4", "x.mp4", "folder.mp4"]) == {
        "renamed.mp4",
        "c.mp4",
        "folder.mp4",
    }
    assert withdrawn.names([], files, ["c.mp4"]) == frozenset()


_NAMES = st.sampled_from("abcdef")


@given(st.sets(_NAMES), st.dictionaries(_NAMES, _NAMES))
def test_made_from_is_whoever_has_one_of_them_among_its_ancestors(names: set[str], originals: dict[str, str]) -> None:
    def ancestors(name: str) -> set[str]:
        found: set[str] = set()
        while name in originals and originals[name] not in found:
            name = originals[name]
            found.add(name)
        return found

    found = claims.made_from(names, originals)
    assert found.keys() == {name for name in originals if ancestors(name) & names} - names
    assert all(original == originals[fake] and original in names | found.keys() for fake, original in found.items())
