"""A process that asks one of DVC's remotes, by DVC's own means: exit status 0 where it answers, else why not."""

from __future__ import annotations

import sys
from pathlib import Path


def ask(root: Path, name: str) -> None:
    """Raise what DVC raises where the remote can't be reached or its plugin is not installed."""
    from dvc.config import Config
    from dvc.fs import get_cloud_fs

    kind, settings, path = get_cloud_fs(Config(str(root / ".dvc")), name=name)
    kind(**settings).exists(path)


if __name__ == "__main__":
    ask(Path(sys.argv[1]), sys.argv[2])
