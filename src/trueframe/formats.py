"""The one version of what a workspace's files look like: records, tables, archives and weights all carry it.

Raise FORMAT with any change after which an older trueframe would misread a newer file, or the other way round;
tests/test_formats.py says what else that takes. What a file of another format means is not guessed at: it is refused,
for a record that counted as none would have all of it made anew, or older scores taken for newer ones.
"""

from __future__ import annotations

import re
from pathlib import Path

from trueframe.errors import UserError

FORMAT = 1
MEND = "remove it and run snakemake, which makes it anew, or fetch it with `dvc pull`"  # a file that is none of ours


class OtherFormatError(UserError):
    """A file of trueframe's, but of another format than this one's."""


def require(path: Path, found: int) -> None:
    """Raise OtherFormatError unless a file's format is the one of now."""
    if found == FORMAT:
        return
    if found > FORMAT:
        raise OtherFormatError(
            f"{path}: format {found}, expected {FORMAT}: a newer trueframe made it; update this one (`git pull`, "
            "`make .venv/ready`), then run again"
        )
    raise OtherFormatError(
        f"{path}: format {found}, expected {FORMAT}: an older trueframe made it; go on with the commit that did "
        "(`git log dvc.lock`), or remove what it made (models/, reports/, and data/ but for data/raw and "
        "data/withdrawn.csv) and run again"
    )


def require_told(path: Path, number: str, where: str, kind: str) -> None:
    """As `require` of a number that a file tells as text; UserError where that is none.

    where: in the file it stands; kind: what the file should be. Both for the message.
    """
    if not re.fullmatch("[0-9]{1,9}", number):
        raise refusal(path, f"{where} does not tell trueframe's format", kind)
    require(path, int(number))


def refusal(path: Path, why: str, kind: str) -> UserError:
    """The message that a file is not what trueframe writes; kind: what it should be, such as "an archive"."""
    return UserError(f"{path}: {why}; expected {kind} as trueframe writes it: {MEND}")
