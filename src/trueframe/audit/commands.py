"""What the command line does for the questions of an audit. Exit status 1 says that something is missing or wrong."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from trueframe.audit.trail import Auditor

Json = Annotated[bool, typer.Option("--json", help="For machines.")]


def audit(
    path: Annotated[
        str,
        typer.Argument(help="An artifact, a crop in an archive, a seed, a SHA-256, or a copy of a file from anywhere."),
    ] = "submission",
    video: Annotated[
        str | None,
        typer.Option(metavar="NAME_OR_SHA256", help="The other way: what became of a video.", show_default=False),
    ] = None,
    videos: Annotated[bool, typer.Option("--videos", help="List every video that it comes from.")] = False,
    json: Json = False,
) -> None:
    """Tell where a file came from, down to the raw videos, or where a video went; the exit status is 1 when a link is
    missing or stale.
    """
    from trueframe import workspace
    from trueframe.audit.trail import Auditor

    auditor = Auditor(workspace.here())
    problems = _video(auditor, video, json) if video is not None else _path(auditor, path, videos, json)
    raise typer.Exit(1 if problems else 0)


def _path(auditor: Auditor, asked: str, with_videos: bool, json: bool) -> bool:
    from trueframe.audit import subject, trail_text

    about = subject.find(auditor.workspace.root, auditor.graph, asked)
    trail = auditor.trail(asked, about)
    found = auditor.videos(about.node) if with_videos else None
    roles = {seed: auditor.ledger.roles(seed) for seed in trail.seeds} if with_videos else {}
    if json:
        rows = [
            asdict(one)
            | {"roles": {seed: vars(role) for seed in roles if (role := roles[seed].get((one.part, one.video)))}}
            for one in found or ()
        ]
        _print(asdict(trail) | ({"videos": rows} if with_videos else {}))
    else:
        trail_text.show(trail, found, roles)
    return bool(trail.problems)


def _video(auditor: Auditor, asked: str, json: bool) -> bool:
    from trueframe.audit import journey, journey_text

    journeys = [journey.follow(auditor, video) for video in journey.find(auditor, asked)]
    if json:
        _print([asdict(one) for one in journeys])
    else:
        for number, one in enumerate(journeys):
            if number:
                print()
            journey_text.show(one)
    return any(one.problems for one in journeys)


def _print(value: Any) -> None:
    from trueframe.files import canonical_json

    sys.stdout.buffer.write(canonical_json(value).encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()
