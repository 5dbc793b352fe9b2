"""The audit page: one HTML file with everything in it, which opens without a network and without this program.

Whatever comes from videos, files or records is data in it, never markup: the script makes text of it, and the page's
own policy lets nothing run or load but what is written here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

from trueframe import tables
from trueframe.audit import output
from trueframe.audit.html import facts
from trueframe.audit.html.faces import dealt, faces
from trueframe.audit.html.videos import roles, submission, videos
from trueframe.audit.trail import Auditor
from trueframe.errors import UserError
from trueframe.workspace import Workspace

# In the order in which they run, as one script.
_SCRIPTS = (
    "data.js",
    "text.js",
    "table.js",
    "videos.js",
    "video.js",
    "parts.js",
    "folds.js",
    "graph.js",
    "overview.js",
    "stages.js",
    "curves.js",
    "models.js",
    "main.js",
)
_SLOT = re.compile(r"\{\{(\w+)\}\}")
# HTML ends a script at "</script"; the others end a line in JavaScript.
_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def write(workspace: Workspace, out: Path, with_faces: bool = True) -> Path:
    """Write the page to `out`, in one step; the same workspace gives the same bytes. Returns `out`.

    with_faces: whether thumbnails of crops go into it, without which it shows nobody. Raises UserError where there are
    no records, or where `out` is no place for it.
    """
    output.refuse(workspace.root, out)
    return output.write(workspace.root, out, document(contents(Auditor(workspace), with_faces)))


def contents(auditor: Auditor, with_faces: bool = True) -> dict[str, Any]:
    """All that the page knows, as JSON has it. Raises UserError where there are no records."""
    snapshot, ledger = auditor.snapshot, auditor.ledger
    if not snapshot.records:
        raise UserError(
            f"{auditor.workspace.root}: expected records beside the artifacts; run `dvc pull`, or snakemake"
        )
    middles = dealt(snapshot)
    folds = {key: one.fold for key, one in middles.items()}
    told, places = videos(snapshot, ledger, folds)
    return {
        "commit": facts.commit(auditor),
        "stages": facts.stages(auditor),
        "usable": tables.USABLE,
        "videos": told,
        "models": [
            {"seed": seed, **facts.model(snapshot, seed), "roles": roles(ledger, seed, places, folds)}
            for seed in ledger.seeds
        ],
        "submission": submission(snapshot, places),
        "figures": facts.figures(snapshot),
        "faces": faces(snapshot, [part for part, *_ in told["parts"]], places, middles) if with_faces else None,
    }


def document(value: dict[str, Any]) -> str:
    """The page that shows `contents`."""
    style = _asset("page.css")
    script = '"use strict";\n' + "\n".join(map(_asset, _SCRIPTS))
    data = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    slots = {
        "style": style,
        "script": script,
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        "data": data.translate(_ESCAPES),
    }
    return _SLOT.sub(lambda found: slots[found[1]], _asset("page.html"))


def _asset(name: str) -> str:
    return (resources.files("trueframe.audit.html") / "assets" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What a content security policy has for an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
