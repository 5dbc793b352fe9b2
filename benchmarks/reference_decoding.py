"""Some frames of a video, by the plain use of public libraries, with one thread."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray


def by_opencv(path: Path, wanted: Collection[int]) -> int:
    """How many of the wanted frames came: every frame is grabbed, the wanted ones retrieved, up to the last of them."""
    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    found = 0
    for number in range(max(wanted) + 1):
        if not capture.grab():
            break
        if number in wanted:
            found += capture.retrieve()[0]
    capture.release()
    return found


def by_pyav(path: Path, wanted: Collection[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Number and RGB pixels of the wanted frames: every frame is decoded."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                yield number, np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90) % 4)
