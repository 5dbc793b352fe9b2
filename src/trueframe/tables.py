"""The tables that stages hand on: their columns, and one way to write parquet so that equal rows are equal bytes."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trueframe import formats
from trueframe.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

# Statuses of a video, in the order in which the stages give them. A video is usable when crops can come from it.
OK = "ok"
TRUNCATED = "truncated"  # decoding broke off; the frames before are used
MISSING_ORIGINAL = "missing_original"  # a fake whose original is absent: faces were found on the fake itself
BAD_METADATA = "bad_metadata"
MISSING_FILE = "missing_file"
WITHDRAWN = "withdrawn"  # nobody may use it, or not what it was made from (data/withdrawn.csv): it is not decoded
NOT_A_VIDEO = "not_a_video"
DECODE_ERROR = "decode_error"
TOO_FEW_FRAMES = "too_few_frames"
NO_FACE = "no_face"
USABLE = (OK, TRUNCATED, MISSING_ORIGINAL)

_FORMAT = b"trueframe_format"  # key of the schema's metadata
_TOLD = 3  # wrong columns that a message names
_KIND = "a parquet table"  # for messages
# What a table may hold, so that a small file can't fill the memory. All 36 million frames of DFDC's 120,000 videos,
# with a face in each, would be rows of some 90 bytes, 3.3 GB; what is sampled of them is a tenth.
_MOST_ROWS = 1 << 27
_MOST_BYTES = 1 << 34


def _schema(required: Mapping[str, pa.DataType], optional: Mapping[str, pa.DataType] | None = None) -> pa.Schema:
    fields = [pa.field(name, kind, nullable=False) for name, kind in required.items()]
    metadata = {_FORMAT: str(formats.FORMAT)}
    return pa.schema(fields + [pa.field(name, kind) for name, kind in (optional or {}).items()], metadata)


_FACE = {"video": pa.string(), "frame": pa.int64(), "track": pa.int32()}
_POINTS = ("eye_0", "eye_1", "nose", "mouth_0", "mouth_1")  # in MTCNN's order: left to right in the image
LANDMARK_COLUMNS = tuple(f"{point}_{axis}" for point in _POINTS for axis in "xy")

# A row per video of a part, sorted by name. label: 0 real, 1 fake, null unknown; original: of a fake, else null.
INDEX = _schema(
    {
        "video": pa.string(),
        "sha256": pa.string(),
        "size_bytes": pa.int64(),
        "codec": pa.string(),
        "width_px": pa.int32(),
        "height_px": pa.int32(),
        "fps": pa.float64(),
        "frames": pa.int64(),
        "status": pa.string(),
        "reason": pa.string(),
    },
    {"label": pa.int8(), "original": pa.string()},
)
# A row per video, sorted by name: what became of it in this stage. items: rows or images that it gave.
VIDEOS = _schema({"video": pa.string(), "status": pa.string(), "reason": pa.string(), "items": pa.int64()})
# A row per face, sorted by (video, frame, track). Box in pixels of the full frame; score: the detector's, 0..1.
BBOXES = _schema({**_FACE, **dict.fromkeys(("x0", "y0", "x1", "y1", "score"), pa.float32())})
# A row per crop of a real video. Points in whole pixels of the crop, null where no face was found in it.
LANDMARKS = _schema({**_FACE, "found": pa.bool_()}, dict.fromkeys(LANDMARK_COLUMNS, pa.int32()))
# A row per mask, sorted by (video, frame, track). changed_px: its pixels above images.CHANGED; offset, size: where its
# bytes lie in its archive.
MASKS = _schema({**_FACE, "changed_px": pa.int64(), "offset": pa.int64(), "size": pa.int64()})
# A row per train crop, sorted by (part, video, frame, track), with its fold and where its bytes lie in its archive.
# original: the real video it goes back to (its own name for a real one).
FOLDS = _schema(
    {
        "part": pa.string(),
        **_FACE,
        "label": pa.int8(),
        "original": pa.string(),
        "offset": pa.int64(),
        "size": pa.int64(),
        "fold": pa.int32(),
    }
)
# A row per train video with crops, sorted by (part, video): what a training did with it (training/roles.py). crops: all
# of them; used: those that may train, or that validate; draws: how often one was drawn before the kept weights.
ROLES = _schema(
    {
        "part": pa.string(),
        "video": pa.string(),
        "label": pa.int8(),
        "original": pa.string(),
        "fold": pa.int32(),
        "role": pa.string(),
        "reason": pa.string(),
        "crops": pa.int64(),
        "used": pa.int64(),
        "draws": pa.int64(),
    }
)
# A row per scored crop and epoch whose weights scored it, sorted by (video, frame, track, epoch). score: probability of
# fake, 0..1; held_out: the model did not train on it (true for every crop of a test part).
PREDICTIONS = _schema({**_FACE, "epoch": pa.int32(), "score": pa.float32(), "held_out": pa.bool_()})
# The tables that stages hand on, by stage and output.
HANDED_ON: dict[tuple[str, str], pa.Schema] = {
    ("index", "table"): INDEX,
    ("bboxes", "boxes"): BBOXES,
    ("bboxes", "videos"): VIDEOS,
    ("crops", "videos"): VIDEOS,
    ("landmarks", "points"): LANDMARKS,
    ("masks", "table"): MASKS,
    ("folds", "table"): FOLDS,
    ("models", "videos"): ROLES,
    ("predictions", "scores"): PREDICTIONS,
}


_ROWS = 1 << 16  # of a group in the file


def write(path: Path, rows: Iterable[Mapping[str, Any]] | pd.DataFrame, schema: pa.Schema) -> int:
    """Write rows as parquet with the given columns; returns how many.

    rows: mappings, or a DataFrame, whose NaN are missing values, and whose index and other columns are left out. Raises
    pyarrow.ArrowInvalid when a value does not fit its column, ValueError where a required one is missing, KeyError when
    a DataFrame lacks a column. The settings are fixed, and no metadata but the format is kept, so that equal rows
    give equal bytes whichever way they came.
    """
    table = _table(rows, schema)
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            raise ValueError(f"{path}: column {field.name} has rows without a value")
    pq.write_table(table, path, compression="zstd", version="2.6", row_group_size=_ROWS, write_statistics=True)
    return int(table.num_rows)


def _table(rows: Iterable[Mapping[str, Any]] | pd.DataFrame, schema: pa.Schema) -> pa.Table:
    import pandas as pd  # pyarrow imports it too when it makes a table

    if isinstance(rows, pd.DataFrame):
        table = pa.Table.from_pandas(rows[schema.names], schema=schema, preserve_index=False)
    else:
        # As plain rows, many times as large as in the table, only so many are there at once.
        left = iter(rows)
        groups = iter(lambda: list(itertools.islice(left, _ROWS)), [])
        made = (pa.Table.from_pylist(group, schema=schema) for group in groups)
        table = pa.concat_tables([schema.empty_table(), *made])
    # It comes in chunks, as a joined DataFrame does too, and their ends could show in the file.
    return table.replace_schema_metadata(schema.metadata).combine_chunks()


def require(path: Path, schema: pa.Schema) -> None:
    """Raise UserError unless a file is a table of these very columns, and of the format of now."""
    with _whole(path):
        found = _schema_of(path)
    formats.require_told(path, (found.metadata or {}).get(_FORMAT, b"").decode("latin-1"), "its metadata", _KIND)
    if found.equals(schema):
        return
    wrong = [f"no column {name}" for name in schema.names if name not in found.names]
    wrong += [f"an unknown column {name!r}" for name in found.names if name not in schema.names]
    kinds = {field.name: field for field in found}
    wrong += [
        f"column {field.name} is {kinds[field.name].type}, not {field.type}"
        for field in schema
        if field.name in kinds and kinds[field.name].type != field.type
    ]
    more = f" and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
    raise _refusal(path, ("; ".join(wrong[:_TOLD]) or "columns in another order or with other rules") + more)


def read(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table, or some of its columns, as a DataFrame. Nullable integers stay integers (pandas' own types).

    Raises UserError where the file is no whole table or lacks a column.
    """
    import pandas as pd

    types = {pa.int8(): pd.Int8Dtype(), pa.int32(): pd.Int32Dtype()}
    with _whole(path):
        table = _read(path, columns)
        nullable = {field.type for field in table.schema if field.nullable}
        frame: pd.DataFrame = table.to_pandas(
            types_mapper=lambda kind: types.get(kind) if kind in nullable else None, ignore_metadata=True
        )
    return frame


def read_rows(
    path: Path, columns: list[str] | None = None, filters: list[tuple[str, str, Any]] | None = None
) -> list[dict[str, Any]]:
    """Read a table as plain rows, null as None. For small tables and code that has no use for pandas.

    filters: pyarrow's, of the rows that are wanted. Raises UserError as `read` does.
    """
    with _whole(path):
        rows: list[dict[str, Any]] = _read(path, columns, filters).to_pylist()
    return rows


def _read(path: Path, columns: list[str] | None, filters: list[tuple[str, str, Any]] | None = None) -> pa.Table:
    import pyarrow.dataset  # noqa: F401 - where memory lacks for it, read_table finds fault with what it was asked

    lacking = sorted(set(columns or ()) - set(_schema_of(path).names))
    if lacking:  # pyarrow leaves such a column out without a word
        raise _refusal(path, f"no column {', '.join(lacking)}")
    return pq.read_table(path, columns=columns, filters=filters)


def _schema_of(path: Path) -> pa.Schema:
    """A table's columns. Raises UserError where it would take more memory than any table of ours."""
    with pq.ParquetFile(path) as file:
        told = file.metadata
        groups = [told.row_group(number) for number in range(told.num_row_groups)]
        size = sum(group.total_byte_size for group in groups)
        if told.num_rows <= _MOST_ROWS and size <= _MOST_BYTES:
            chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
            texts = [chunk for chunk in chunks if chunk.physical_type == "BYTE_ARRAY"]
            # A text that comes again may be there once: each value may be as long as all that its chunk tells.
            if sum(chunk.num_values * chunk.total_uncompressed_size for chunk in texts) > _MOST_BYTES:
                size += _repeated(path, sorted({chunk.path_in_schema for chunk in texts}))
        if told.num_rows > _MOST_ROWS or size > _MOST_BYTES:
            raise _refusal(
                path, f"{told.num_rows} rows of {size} bytes, no table has more than {_MOST_ROWS} and {_MOST_BYTES}"
            )
        return file.schema_arrow


def _repeated(path: Path, texts: list[str]) -> int:
    """Bytes of columns of texts once each row has a text of its own. Takes the memory that the file tells."""
    size = 0
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        for group in range(file.num_row_groups):
            for column in file.read_row_group(group, columns=texts).itercolumns():
                for chunk in column.chunks:
                    if pa.types.is_dictionary(chunk.type):
                        lengths = pc.binary_length(chunk.dictionary).take(chunk.indices)
                        size += pc.sum(lengths.cast(pa.int64())).as_py() or 0
    return size


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Tell by its name of a file that is no table, or not all of one."""
    try:
        yield
    except (FileNotFoundError, MemoryError):
        raise
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: text that is no UTF-8
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            raise  # no fault of the file
        why = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise _refusal(path, f"no whole table ({why})") from error


def _refusal(path: Path, why: str) -> UserError:
    return formats.refusal(path, why, _KIND)
