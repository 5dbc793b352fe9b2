"""What the command line does for the questions of an audit. Exit status 1 says that something is missing or wrong."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trueframe.errors import UserError
from trueframe.printable import printable

if TYPE_CHECKING:
    from trueframe.audit.trail import Auditor
    from trueframe.workspace import Workspace

Json = Annotated[bool, typer.Option("--json", help="For machines.")]


def audit(
    path: Annotated[
        str | None,
        typer.Argument(
            help="An artifact, a crop in an archive, a seed, a SHA-256, or a copy of a file from anywhere.",
            show_default="the submission; for --verify, everything",
        ),
    ] = None,
    video: Annotated[
        str | None,
        typer.Option(metavar="NAME_OR_SHA256", help="The other way: what became of a video.", show_default=False),
    ] = None,
    videos: Annotated[bool, typer.Option("--videos", help="List every video that it comes from.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash it and all that it comes from, beside the records and DVC's.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all of it as one page to look at.", show_default=False)
    ] = None,
    faces: Annotated[bool, typer.Option("--faces/--no-faces", help="Whether the page has thumbnails of crops.")] = True,
    json: Json = False,
) -> None:
    """Tell where a file came from, or where a video went. The exit status is 1 when a link is missing or stale."""
    from trueframe import workspace

    modes = {"--video": video is not None, "--verify": verify, "--html": html is not None}
    asked = [name for name, given in modes.items() if given]
    if len(asked) > 1 or (asked and asked != ["--verify"] and path is not None):
        raise UserError(f"{' '.join(asked)}: expected one question at a time; ask them one after the other")
    here = workspace.here()
    if verify:
        raise typer.Exit(_verify(here, path, json))
    if html is not None:
        from trueframe.audit.html import page

        print(printable(str(page.write(here, html, faces))))
        return
    from trueframe.audit.trail import Auditor

    auditor = Auditor(here)
    if video is not None:
        problems = _video(auditor, video, json)
    else:
        problems = _path(auditor, "submission" if path is None else path, videos, json)
    raise typer.Exit(1 if problems else 0)


def diff(
    a: Annotated[
        str, typer.Argument(help="A model or another artifact, a commit, a workspace, or <commit>:<artifact>.")
    ],
    b: Annotated[str, typer.Argument(help="What to compare it with.")],
    json: Json = False,
) -> None:
    """Tell why two models, two commits or two workspaces are not the same: videos, parameters, code, packages."""
    from trueframe.audit import difference, difference_text

    found = difference.between(Path.cwd(), a, b)
    if json:
        _print(asdict(found))
    else:
        difference_text.show(found)


def _path(auditor: Auditor, asked: str, with_videos: bool, json: bool) -> bool:
    from trueframe.audit import subject, trail_text

    about = subject.find(auditor.workspace.root, auditor.graph, asked)
    trail = auditor.trail(asked, about)
    found = auditor.videos(about.node) if with_videos else None
    roles = {seed: auditor.ledger.roles(seed) for seed in trail.seeds} if with_videos else {}
    if json:
        rows = [
            vars(one)
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
    return any(one.problems or (one.withdrawal and not one.withdrawal.done) for one in journeys)


def _verify(here: Workspace, asked: str | None, json: bool) -> int:
    from trueframe.audit import verify, verify_text

    report = verify.verify(here, asked)
    if json:
        _print(report.as_dict())
    else:
        verify_text.show(report)
    return 1 if report.wrong else 0


def purge(workspace: Workspace, asked: str, yes: bool) -> None:
    """Remove what older commits have of a withdrawn video from DVC's cache, after showing it and asking.

    The exit status is 1 where not all of the history could be looked into.
    """
    from trueframe.audit import purge as purging
    from trueframe.audit import purge_text

    plan = purging.plan(workspace, asked)
    for line in purge_text.planned(plan):
        print(line)
    if plan.remove and not yes:
        if not sys.stdin.isatty():
            raise UserError("--purge: expected --yes where there is no terminal to ask; nothing was removed")
        typer.confirm("Remove them for good?", abort=True)
    purging.carry_out(workspace, plan)
    for line in purge_text.done(workspace, plan):
        print(line)
    if not plan.complete:
        raise typer.Exit(1)


def _print(value: Any) -> None:
    from trueframe.files import canonical_json

    sys.stdout.buffer.write(canonical_json(value).encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()
