"""Where a function's time goes: shares of its time by library and function, by cProfile."""

from __future__ import annotations

import cProfile
import pstats
import re
import sysconfig
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

_SHOWN = 6
_PACKAGES = Path(sysconfig.get_path("purelib"))
_OURS = Path(__file__).parents[1] / "src"


def shares(action: Callable[[], object]) -> dict[str, float]:
    """Name to share of the time that is spent in that function itself, of the largest few; then the others' sum.

    What a compiled library does without Python's notice (Numba, Cython) counts for the function that called it. The
    profiler's own cost is in the figures, and falls on what is called often.
    """
    profile = cProfile.Profile()
    profile.runcall(action)
    times: dict[str, float] = defaultdict(float)
    for (file, _, name), (_, _, own, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        times[_named(file, name)] += own
    whole = sum(times.values())
    largest = sorted(times.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
    found = {name: own / whole for name, own in largest}
    return found | {"all else": 1 - sum(found.values())}


def _named(file: str, name: str) -> str:
    """A function's name with its module's; a built-in's as Python tells it, without addresses."""
    if file == "~":
        method = re.fullmatch(r"<method '(\w+)' of '([\w.]+)' objects>", name)
        if method:
            return f"{method[2]}.{method[1]}"
        return re.sub(r" at 0x[0-9a-f]+|<built-in method |[<>{}]|builtins\.", "", name).strip()
    path = Path(file)
    for root in (_OURS, _PACKAGES):
        if path.is_relative_to(root):
            return f"{'.'.join(path.relative_to(root).with_suffix('').parts)}.{name}"
    return f"{path.stem}.{name}"
