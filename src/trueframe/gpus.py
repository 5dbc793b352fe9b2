"""Who has which GPU: trainings and predictions side by side each get their own, and wait where none is free."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from trueframe.errors import UserError

_PAUSE_S = 1.0


@contextmanager
def lease(
    names: Sequence[str], count: int, say: Callable[[str], None], folder: Path | None = None
) -> Iterator[tuple[int, ...]]:
    """Hold `count` of the named GPUs; gives their places in `names`. A process that ends, however it does, holds none.

    Waits until that many are free. folder: where the locks lie, the same for all processes of a user; None: the
    machine's folder of temporary files. Raises UserError when there are fewer.
    """
    if count > len(names):
        raise UserError(f"--devices {count}: torch sees {len(names)} GPUs here; ask for no more than there are")
    folder = folder or Path(tempfile.gettempdir()) / f"trueframe-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    locks = [FileLock(folder / f"{name.replace(os.sep, '_')}.lock") for name in names]
    told = False
    while True:
        with ExitStack() as held:
            found = [number for number, lock in enumerate(locks) if _taken(lock, held)]
            for number in found[count:]:
                locks[number].release()
            if len(found) >= count:
                yield tuple(found[:count])
                return
        if not told:
            say(f"waiting for {count} of {len(names)} GPUs to be free")
            told = True
        time.sleep(_PAUSE_S)


def _taken(lock: FileLock, held: ExitStack) -> bool:
    try:
        held.enter_context(lock.acquire(blocking=False))
    except Timeout:
        return False
    return True


def names() -> list[str]:
    """The names of the GPUs that torch sees, in its order; the same for one that other processes count otherwise."""
    import torch

    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    count = torch.cuda.device_count()
    return visible[:count] if visible else [str(number) for number in range(count)]
