"""`trueframe export`: what outsiders read of a workspace, in their own formats."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trueframe.dag import ONE
from trueframe.errors import UserError
from trueframe.printable import printable

if TYPE_CHECKING:
    from trueframe.audit.export.source import Source
    from trueframe.audit.snapshot import Node

app = typer.Typer(help="Describe a workspace to outsiders, in formats of theirs.", no_args_is_help=True)

_FOLDER = Path("reports/exports")
_KEY = "TRUEFRAME_KEY_PASSPHRASE"
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9.+-]*:[^\s<>\"{}|\\^`]+")
Licence = Annotated[
    str, typer.Option("--license", help="A URL, or an SPDX identifier such as CC-BY-4.0.", show_default=False)
]


@app.command("ro-crate")
def ro_crate(licence: Licence) -> None:
    """Write ro-crate-metadata.json, which makes the workspace an RO-Crate: each unit, what it read and what it made."""
    from trueframe.audit.export import crate
    from trueframe.audit.export.source import needed

    with needed("ro-crate"):
        _write(crate.NAME, crate.text(_source(), _uri(licence)), own=True)


@app.command()
def prov(
    path: Annotated[
        str, typer.Argument(help="An artifact, a seed, a SHA-256, or a copy of a file from anywhere.")
    ] = "submission",
    videos: Annotated[bool, typer.Option("--videos", help="Tell of each raw video too.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="The file to write.", show_default="reports/exports/<unit>.prov.json")
    ] = None,
) -> None:
    """Write where a file came from as W3C PROV-JSON."""
    from trueframe.audit.export import provenance
    from trueframe.audit.export.source import needed

    with needed("prov"):
        source = _source()
        node = source.find(path)
        _write(out or _FOLDER / f"{_name(node)}.prov.json", provenance.text(source, node, videos))


@app.command()
def statement(
    model: Annotated[str, typer.Argument(help="A seed, or one of its model's files.", metavar="SEED|PATH")],
    sign: Annotated[
        Path | None,
        typer.Option(
            metavar="PRIVATE.pem",
            help=f"Sign it with an Ed25519 key; if that has a passphrase, {_KEY} has it, or it is asked for.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write.", show_default="reports/exports/<unit>.statement.json or .intoto.json"),
    ] = None,
) -> None:
    """Write how a model was made as an in-toto statement with SLSA provenance; signed, in a DSSE envelope."""
    from trueframe.audit.export import envelope
    from trueframe.audit.export import statement as statements
    from trueframe.audit.export.source import needed

    with needed("statement"):
        source = _source()
        node = source.find(model)
        text = statements.text(source, node)
        if sign:
            text = envelope.sign(text, sign, _passphrase)
    _write(out or _FOLDER / f"{_name(node)}.{'intoto' if sign else 'statement'}.json", text)


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="A signed statement.", metavar="STATEMENT")],
    key: Annotated[Path, typer.Option(metavar="PUBLIC.pem", help="Whose signature it must have.", show_default=False)],
) -> None:
    """Check a signed statement, and the files here that it is about; the exit status is 1 when one is wrong."""
    from trueframe.audit.export import envelope
    from trueframe.audit.export.source import needed

    with needed("verify"):
        compared = envelope.verify(path, key, Path.cwd())
    print(f"signed with {printable(str(key))}")
    for one in compared:
        print(f"{printable(one.name)}: {one.trouble or 'as stated'}")
    raise typer.Exit(1 if any(one.trouble for one in compared) else 0)


@app.command()
def croissant(
    name: Annotated[str, typer.Option(help="What the data set is called.", show_default=False)],
    description: Annotated[str, typer.Option(help="What it is.", show_default=False)],
    licence: Licence,
    creator: Annotated[str | None, typer.Option(help="Whose it is.", show_default=False)] = None,
    url: Annotated[str | None, typer.Option(help="Where it is told of.", show_default=False)] = None,
    version: Annotated[str | None, typer.Option(help="Which one it is: 1.0.0.", show_default=False)] = None,
) -> None:
    """Write croissant.json, which describes the data set: its tables, and what their columns mean."""
    from trueframe.audit.export import croissant as croissants
    from trueframe.audit.export.source import needed

    with needed("croissant"):
        about = croissants.About(name, description, _uri(licence), creator, url, version)
        _write(croissants.NAME, croissants.text(_source(), about), own=True)


@app.command()
def card(
    seed: Annotated[str | None, typer.Argument(help="Of which model.", show_default="of the ensemble")] = None,
    intended_use: Annotated[str | None, typer.Option(help="What it is meant for.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file to write.", show_default="reports/exports/card[-SEED].md")
    ] = None,
) -> None:
    """Write a model card in Markdown, with every figure read from the artifacts."""
    from trueframe.audit.export import card as cards

    text = cards.text(_source(), seed, intended_use)
    _write(out or _FOLDER / f"card{'' if seed is None else f'-{seed}'}.md", text)


def _source() -> Source:
    from trueframe import workspace
    from trueframe.audit.export.source import Source

    return Source(workspace.here())


def _write(path: Path, text: str, own: bool = False) -> None:
    from trueframe.audit import output

    print(printable(str(output.write(Path.cwd(), path, text, own))))


def _name(node: Node) -> str:
    """A unit's name as a file may have it."""
    stage, unit = node
    return stage if unit == ONE else f"{stage}-{unit.replace('/', '-')}"


def _uri(licence: str) -> str:
    """A licence as a URI. Raises UserError for what is none and no SPDX identifier."""
    if _URI.fullmatch(licence):
        return licence
    if _SPDX.fullmatch(licence):
        return f"https://spdx.org/licenses/{licence}"
    raise UserError(f"--license {licence}: expected a URL, or an SPDX identifier such as CC-BY-4.0")


def _passphrase() -> str:
    """The key's passphrase. Raises UserError where nobody can tell."""
    told = os.environ.get(_KEY)
    if told is not None:
        return told
    if not sys.stdin.isatty():
        raise UserError(f"--sign: the key has a passphrase; expected it in the environment variable {_KEY}")
    answer: str = typer.prompt("passphrase of the key", hide_input=True, err=True)
    return answer
