"""Writes the tables of benchmarks/README.md and docs/performance.md from results.json; none is typed by hand.

`python benchmarks/pages.py` renews both. A table stands between `<!-- name -->` and `<!-- end -->`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results.json")
PAGES = (REPO / "benchmarks/README.md", REPO / "docs/performance.md")
NOT_MEASURED = "not measured here"

Results = Mapping[str, Any]


def results() -> dict[str, Any]:
    """Section to the machine that it was measured on and what was found; empty where nothing was."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def clips() -> Path | None:
    """The folder of real clips, laid out as data/raw; None where it is not."""
    found = REPO.parent / "shared/data/clips"
    return found if found.is_dir() else None


def write() -> None:
    """Renew both pages."""
    for page in PAGES:
        page.write_text(rendered(page.read_text(), results()))


def rendered(text: str, found: Results) -> str:
    """A page's text with its tables renewed. Raises KeyError for a table that nobody makes."""
    return re.sub(
        r"(<!-- (\w+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{TABLES[match[2]](found)}{match[3]}",
        text,
        flags=re.DOTALL,
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, after an empty line and before another."""
    if not rows:
        return f"\n{NOT_MEASURED}\n\n"
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def machines(found: Results) -> str:
    """What the sections were measured on."""
    by_machine: dict[str, list[str]] = {}
    for name, section in found.items():
        by_machine.setdefault(section["machine"], []).append(name)
    if len(by_machine) == 1:
        return f"\nOn {next(iter(by_machine))}.\n\n"
    return "\n" + "".join(f"- {', '.join(names)}: on {machine}\n" for machine, names in by_machine.items()) + "\n"


def comparisons(found: Results) -> str:
    """Ours beside the reference, section by section."""
    rows = [
        (
            name.replace("_", " "),
            one["what"],
            duration(one["ours_s"]),
            duration(one["reference_s"]),
            f"{one['times_faster']:.2f}",
            _promise(one["times_faster"], one["at_least"]),
        )
        for name, section in found.items()
        for one in (section["found"] if isinstance(section["found"], list) else ())
        if "times_faster" in one
    ]
    return table(("subject", "what", "ours", "reference", "times faster", "promised"), rows)


def _promise(times_faster: float, at_least: float | None) -> str:
    if at_least is None:
        return ""
    return f"≥ {at_least:.2g}" + ("" if times_faster >= at_least else ", **not reached**")


def figures(found: Results) -> str:
    """What has no reference beside it but a bound."""
    rows: list[tuple[str, str, str]] = []
    for name, told in _FIGURES.items():
        if name in found:
            rows += told(found[name]["found"])
    return table(("what", "measured", "promised"), rows)


def _demo(found: Any) -> list[tuple[str, str, str]]:
    return [
        ("`make demo` from a fresh clone, set-up included", f"{found['all_s']:.0f} s", "≤ 360 s"),
        ("… of that, set-up", f"{found['set_up_s']:.0f} s", ""),
        (f"… its ensemble's AUC on {found['test_videos']} test videos", f"{found['test_auc']:.3f}", "≥ 0.8"),
        ("`snakemake -n submission` with nothing to do, the demo", _beside(found["dry_run"]), "≤ 3 s"),
        *_questions(found["audits"], "the demo", "≤ 2 s"),
    ]


def _audits(found: Any) -> list[tuple[str, str, str]]:
    return _questions(found["audits"], f"{found['parts']} parts, {found['videos']:,} videos", "≤ 10 s")


def _questions(found: Any, where: str, limit: str) -> list[tuple[str, str, str]]:
    return [
        (f"{question}, {where}", f"{one['seconds']:.1f} s, {one['memory_mb']:.0f} MB", limit)
        for question, one in found.items()
    ]


def _many_parts(found: Any) -> list[tuple[str, str, str]]:
    return [
        (f"`{question}` with nothing to do, {found['parts']} parts", _beside(found[question]), "≤ 30 s, 1 GB")
        for question in ("snakemake -n", "trueframe status")
    ]


def _beside(found: Any) -> str:
    return f"{found['ours_s']:.1f} s, {found['memory_mb']:.0f} MB (a bare start {found['reference_s']:.1f} s)"


def _memory(found: Any) -> list[tuple[str, str, str]]:
    rows = []
    for grows, videos, limit in (("video", "1080p", "≤ 1500 MB"), ("part", "short videos", "grows by tables' rows")):
        for stage, peaks in found.items():
            of_kind = {name.removeprefix(f"{grows}_of_"): mb for name, mb in peaks.items() if name.startswith(grows)}
            told = ", ".join(f"{mb:.0f} MB ({name.replace('_', ' ')})" for name, mb in of_kind.items())
            if told:
                rows.append((f"peak memory of `{stage}`, {videos}", told, limit))
    return rows


def _crop(found: Any) -> list[tuple[str, str, str]]:
    told = f"{found['bytes'] / 1000:.0f} kB, {found['read_ms']:.1f} ms to read, {found['change_ms']:.1f} ms to change"
    rates = [
        (f"training crops a second of {name.removeprefix('crops_per_s of ')}, one core", f"{rate:.0f}", "")
        for name, rate in found.items()
        if name.startswith("crops_per_s")
    ]
    return [("a crop of 400 × 320 pixels, by the winner's augmentations", told, ""), *rates]


def _training(found: Any) -> list[tuple[str, str, str]]:
    return [
        (
            f"training {one['what']}, beside bare forward and backward passes",
            f"{one['ratio']:.2f} of its images/s ({one['images_per_s']:.2g}), {one['waiting']:.1%} of it waiting",
            "≥ 0.95",
        )
        for one in found
    ]


_FIGURES: dict[str, Callable[[Any], list[tuple[str, str, str]]]] = {
    "demo": _demo,
    "audits": _audits,
    "many_parts": _many_parts,
    "memory": _memory,
    "crop": _crop,
    "training": _training,
}


def formats(found: Results) -> str:
    """Bytes and time of each way to store a crop or a mask."""
    rows = [
        (
            kind,
            name,
            f"{one['bytes'] / 1000:.1f} kB",
            f"{one['write_ms']:.1f} ms ({one['write_of_png']:.2f})",
            f"{one['read_ms']:.1f} ms ({one['read_of_png']:.2f})",
        )
        for kind, of_kind in found.get("formats", {}).get("found", {}).items()
        for name, one in of_kind.items()
    ]
    return table(("images", "format", "bytes", "to write (× the first)", "to read (× the first)"), rows)


def duration(seconds: float) -> str:
    """Three digits, in seconds or milliseconds."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def laws(scale: Any) -> str:
    """What each stage's CPU seconds and bytes are made of, how well that fits, and how it fares on real clips."""
    rows = []
    for stage, law in scale["seconds"].items():
        row = [
            f"`{stage}`",
            " + ".join(f"{number(cost * 1000)} per {term}" for term, cost in law["costs"].items() if cost > 0),
            f"{scale['starts_s'][stage]:.1f} s",
            f"{law['r2']:.3f}",
            f"{law['worst']:.0%}",
        ]
        for kind in ("1080p", "other"):
            one = scale["real"].get(kind, {}).get(stage)
            row.append(f"{one['measured_s'] / one['law_s']:.2f}" if one else "")
        rows.append(row)
    heads = ("CPU milliseconds", "a job's start", "R²", "largest residual", "real 1080p clips", "other real clips")
    return table(("stage", *heads), rows)


def size_laws(scale: Any) -> str:
    """The same for bytes."""
    rows = [
        (
            f"`{stage}`",
            " + ".join(f"{number(cost)} per {term}" for term, cost in law["costs"].items() if cost > 0),
            f"{law['r2']:.3f}",
            f"{law['worst']:.0%}",
        )
        for stage, law in scale["bytes"].items()
    ]
    return table(("stage", "bytes", "R²", "largest residual"), rows)


def projection(scale: Any, gpu_images_per_s: float | None = None) -> str:
    """Full DFDC: core-hours, GPU-hours and bytes, and the measured rates that they come from.

    gpu_images_per_s: of the winner's network in training, where it is known.
    """
    dfdc, rates = scale["dfdc"], scale["rates"]
    models, scored, of = dfdc["models"], dfdc["predictions"], dfdc["collection"]
    videos = of["real"] + of["fake"]
    size = f"{of['raw_bytes'] / 1e9:.0f} GB"
    rows = [("raw videos", "", "", "", size, f"{videos:,} videos in {of['parts']} parts")]
    stages = dfdc["stages"].values()
    for stage, one in dfdc["stages"].items():
        told = f"{number(3600 * one['core_hours'] / videos)} CPU s a video by the law; bytes of {one['bytes_by']} clips"
        real = number(one["core_hours_as_real"])
        rows.append((f"`{stage}`", number(one["core_hours"]), real, "", gigabytes(one["bytes"]), told))
    whole = sum(one["core_hours"] for one in stages)
    as_real = [one["core_hours_as_real"] for one in stages]
    real = number(None if None in as_real else sum(as_real))
    rows.append(("the face stages", number(whole), real, "", gigabytes(sum(one["bytes"] for one in stages)), ""))
    gpu_hours = number(None if gpu_images_per_s is None else models["images"] / gpu_images_per_s / 3600)
    told = f"{models['images']:,} images; {rates['training_images_per_s']:.2g} a second on one core"
    rows.append(("`models`, training", number(models["core_hours"]), "", gpu_hours, "", told))
    told = f"{models['validated']:,} crops, at the rate of `predictions`"
    rows.append(("`models`, validation", number(models["validation_core_hours"]), "", NOT_MEASURED, "", told))
    told = f"{scored['crops']:,} held-out crops, {scored['networks']} networks; {rates['score_s']:.2g} CPU s each"
    rows.append(("`predictions`", number(scored["core_hours"]), "", NOT_MEASURED, "", told))
    return table(("", "core-hours by the law", "as real clips go", "GPU-hours", "bytes", "from"), rows)


def number(value: float | None) -> str:
    """Three digits, with commas; what nobody measured is told as such."""
    return NOT_MEASURED if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def gigabytes(size: float) -> str:
    """In GB, or MB where it is less than one."""
    return f"{number(size / 1e9)} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def profiles(scale: Any) -> str:
    """Where each stage's time goes."""
    rows = []
    for stage, shares in scale["profiles"].items():
        told = (f"{name if name == 'all else' else f'`{name}`'} {share:.0%}" for name, share in shares.items())
        rows.append((f"`{stage}`", ", ".join(told)))
    return table(("stage", "share of its time"), rows)


def _of_scale(told: Callable[[Any], str]) -> Callable[[Results], str]:
    return lambda found: told(found["scale"]["found"]) if "scale" in found else f"\n{NOT_MEASURED}\n\n"


TABLES: dict[str, Callable[[Results], str]] = {
    "machines": machines,
    "comparisons": comparisons,
    "figures": figures,
    "formats": formats,
    "projection": _of_scale(projection),
    "laws": _of_scale(laws),
    "size_laws": _of_scale(size_laws),
    "profiles": _of_scale(profiles),
}


if __name__ == "__main__":
    write()
