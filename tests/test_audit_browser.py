"""The audit page in a browser, opened from a file: what is found, by mouse and by keyboard, and what never happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import browser
from trueframe import tables
from trueframe.audit.html import page as pages
from trueframe.audit.html.columns import pack, pack_digests
from trueframe.audit.trail import Auditor
from trueframe.printable import printable
from trueframe.workspace import Workspace

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason="no chromium here: apt-get install chromium")

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
HOSTILE = [
    "<img src=x onerror=alert(1)>.mp4",
    "</script><script>alert(2)</script>.mp4",
    "__proto__",
    "holiday\u202e4pm.exe",
    "'\"`${alert(3)}&lt;\u2028{{data}}.mp4",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as found:
        yield found


@pytest.fixture(scope="module")
def contents(finished_workspace: Path) -> dict[str, Any]:
    """What the page of the finished workspace holds, read as a browser reads it."""
    found: dict[str, Any] = json.loads(json.dumps(pages.contents(Auditor(Workspace(finished_workspace)))))
    return found


def save(path: Path, contents: dict[str, Any]) -> Path:
    path.write_text(pages.document(contents), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def plain(contents: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("page") / "audit.html", contents)


@pytest.fixture(scope="module")
def hostile(contents: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with names, reasons and values from an enemy, and further models that did other things."""
    text = json.dumps(contents)
    for old, new in zip(
        ["train/part_01", *contents["videos"]["names"]], [f"train/{HOSTILE[0]}", *HOSTILE], strict=False
    ):
        text = text.replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1])
    found = json.loads(text)
    found["commit"]["subject"] = HOSTILE[1]
    found["videos"]["states"] = [[stage, status, HOSTILE[0]] for stage, status, _ in found["videos"]["states"]]
    found["stages"][2]["units"][0]["stale"] = [f"params.{HOSTILE[0]}", "no_record", HOSTILE[1]]
    found["stages"][6]["recipes"][0]["params"].append([HOSTILE[2], HOSTILE[0]])
    found["submission"]["reasons"] = [HOSTILE[0] for _ in found["submission"]["reasons"]]
    states = [["unused", HOSTILE[0]] for _ in found["models"][0]["roles"]["states"]]
    for seed in "234567":
        first = found["models"][0]
        found["models"].append(first | {"seed": seed, "roles": first["roles"] | {"states": states}})
        found["stages"][6]["units"].append(found["stages"][6]["units"][0] | {"unit": seed})
    return save(tmp_path_factory.mktemp("page") / "hostile.html", found)


def names(page: Page, caption: str) -> list[str]:
    """The videos of a list, by its caption."""
    browser.settle(page)
    return page.get_by_role("table", name=caption, exact=True).get_by_role("rowheader").all_inner_texts()


def heading(page: Page) -> str:
    browser.settle(page)
    return page.get_by_role("heading", level=1).inner_text()


def test_search_finds_a_video_and_a_click_shows_its_models(
    chromium: Browser, plain: Path, finished_workspace: Path
) -> None:
    rows = tables.read_rows(finished_workspace / "models/1/videos.parquet")
    known = next(row for row in rows if row["role"] == "trained")
    with browser.opened(chromium, plain) as page:
        page.get_by_role("searchbox").fill(known["video"][:6].upper())
        page.get_by_role("link", name=known["video"]).click()
        assert heading(page) == known["video"]
        row = page.get_by_role("table", name="What each model did with it").get_by_role("row").nth(1)
        assert row.get_by_role("cell").all_inner_texts() == [
            "trained",
            *(str(known[key]) for key in ("fold", "used", "draws")),
        ]
        row.get_by_role("link", name="1").click()
        assert heading(page) == "Model 1"


def test_a_video_is_found_by_the_start_of_its_digest_and_by_its_part(
    chromium: Browser, plain: Path, finished_workspace: Path
) -> None:
    first, second = tables.read_rows(finished_workspace / "data/index/test/part_00.parquet")
    with browser.opened(chromium, plain) as page:
        page.get_by_role("searchbox").fill(second["sha256"][:12])
        page.locator(".found", has_text="1 video of").wait_for()
        assert names(page, "Videos") == [second["video"]]
        page.get_by_role("searchbox").fill("test/part_00 .mp4")
        page.locator(".found", has_text="2 videos of").wait_for()
        assert names(page, "Videos") == [first["video"], second["video"]]
        page.get_by_role("searchbox").fill("nothing like that")
        page.get_by_text("No video is like that.").wait_for()


def test_a_click_on_a_model_shows_its_videos_by_role(chromium: Browser, plain: Path, finished_workspace: Path) -> None:
    table = tables.read(finished_workspace / "models/1/videos.parquet")
    with browser.opened(chromium, plain) as page:
        page.get_by_role("navigation").get_by_role("link", name="Models").click()
        page.get_by_role("link", name="Model 1").click()
        for role in ("trained", "validated"):
            page.get_by_role("link", name=f"{role} (").click()
            assert names(page, f"Videos {role} in 1") == list(table[table["role"] == role]["video"])


def test_the_same_way_goes_by_keyboard_alone_with_a_focus_that_is_seen(chromium: Browser, plain: Path) -> None:
    def tab_to(page: Page, selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            outline = page.evaluate("getComputedStyle(document.activeElement).outline")
            assert outline.endswith("solid 3px"), page.evaluate("document.activeElement.outerHTML")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"{selector} was not reached")

    with browser.opened(chromium, plain) as page:
        tab_to(page, ".skip")
        tab_to(page, "#query")
        page.keyboard.type("train/part_01")
        page.keyboard.press("Enter")
        video = page.evaluate("document.activeElement.innerText")
        assert video == names(page, "Videos")[0]
        page.keyboard.press("Enter")
        assert heading(page) == video
        tab_to(page, 'a[href="#/model/1"]')
        page.keyboard.press("Enter")
        browser.settle(page)
        tab_to(page, "#role-validated")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "role-validated"
        assert names(page, "Videos validated in 1")


def test_filters_and_the_address_say_the_same(chromium: Browser, plain: Path) -> None:
    with browser.opened(chromium, plain, "#/videos") as page:
        page.get_by_label("Label").select_option("fake")
        page.get_by_label("Part", exact=True).select_option("train/part_00")
        shown = names(page, "Videos")
        assert page.evaluate("location.hash") == "#/videos?label=fake&part=train%2Fpart_00"
        assert page.evaluate("document.activeElement.id") == "by-part"
        page.reload()
        assert names(page, "Videos") == shown
        assert set(page.get_by_role("table", name="Videos").locator(".badge.fake, .badge.real").all_inner_texts()) == {
            "fake"
        }


def test_a_list_is_sorted_by_a_column_and_back(chromium: Browser, plain: Path) -> None:
    with browser.opened(chromium, plain, "#/videos") as page:
        before = names(page, "Videos")
        sort = page.get_by_role("button", name="Video", exact=True)
        sort.click()
        assert names(page, "Videos") == sorted(before)
        sort.click()
        assert names(page, "Videos") == sorted(before, reverse=True)
        assert page.get_by_role("columnheader", name="Video").get_attribute("aria-sort") == "descending"


def test_hostile_names_are_shown_as_text_everywhere(chromium: Browser, hostile: Path) -> None:
    with browser.opened(chromium, hostile, "#/videos") as page:
        assert names(page, "Videos")[: len(HOSTILE)] == [printable(name) for name in HOSTILE]
        for name in HOSTILE:
            page.get_by_role("link", name=printable(name), exact=True).first.click()
            assert heading(page) == printable(name)
            page.go_back()
            assert heading(page) == "Videos"
        for view in browser.views(page):
            assert page.locator("script").count() == 2
            assert page.locator("img:not([src^='data:image/webp;base64,'])").count() == 0, view
            assert page.locator("[onerror], [onclick], iframe, a[href^=javascript]").count() == 0
            assert heading(page) != "Not here", view


def test_no_view_scrolls_sideways_on_a_phone_or_is_hard_to_read(chromium: Browser, plain: Path, hostile: Path) -> None:
    for file, scheme in ((plain, "light"), (plain, "dark"), (hostile, "light")):
        with browser.opened(chromium, file, color_scheme=scheme, **PHONE) as page:
            for view in browser.views(page):
                page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
                assert page.evaluate("document.documentElement.scrollWidth") <= 390, view
                assert browser.faint(page) == [], (view, scheme)


def test_the_page_follows_the_readers_scheme_and_wish_for_less_motion(chromium: Browser, plain: Path) -> None:
    def ground(scheme: str) -> int:
        with browser.opened(chromium, plain, color_scheme=scheme, reduced_motion="reduce") as page:
            assert page.evaluate("getComputedStyle(document.querySelector('.box')).transitionProperty") == "none"
            colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
            return sum(int(part) for part in colour.strip("rgb()").split(","))

    assert ground("light") > 3 * 230
    assert ground("dark") < 3 * 40


def test_on_paper_there_is_the_view_and_nothing_to_press(chromium: Browser, plain: Path) -> None:
    with browser.opened(chromium, plain, "#/model/1", color_scheme="dark") as page:
        page.emulate_media(media="print")
        assert page.get_by_role("heading", level=1).is_visible()
        assert not page.get_by_role("searchbox").is_visible()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_no_script_of_the_page_could_make_markup_of_a_text(chromium: Browser, plain: Path) -> None:
    page = chromium.new_page()
    page.goto(plain.as_uri())
    told = page.evaluate("try { document.body.innerHTML = '<i>x</i>'; 'done' } catch (error) { error.name }")
    assert told == "TypeError"
    page.close()


def test_a_workspace_that_is_only_begun_has_its_page(
    chromium: Browser, contents: dict[str, Any], tmp_path: Path
) -> None:
    begun = json.loads(json.dumps(contents))
    begun |= {"commit": None, "models": [], "submission": None, "figures": {}, "faces": None}
    nothing = pack([None] * len(begun["videos"]["names"]))
    begun["videos"]["columns"] |= {"crops": nothing, "fold": nothing}
    for stage in begun["stages"][1:]:
        missing = {"stale": ["no_record"], "items": None, "files": [], "recipe": None}
        stage |= {"recipes": [], "units": [unit | missing for unit in stage["units"]]}
    with browser.opened(chromium, save(tmp_path / "begun.html", begun)) as page:
        assert {view: heading(page) for view in browser.views(page) if heading(page) == "Not here"} == {}


def test_a_hundred_and_twenty_thousand_videos_stay_in_hand(
    chromium: Browser, contents: dict[str, Any], tmp_path: Path
) -> None:
    count, parts = 120_000, 50
    random = np.random.default_rng(0)
    digests = [random.bytes(32).hex() for _ in range(count)]
    small, large = random.integers(0, 60, count).tolist(), random.integers(0, 3_000_000, count).tolist()
    columns = {"label": [1] * count, "original": list(range(count)), "state": [0] * count, "frames": [300] * count}
    columns |= {"size": large, "crops": small, "fold": small}
    many = json.loads(json.dumps(contents)) | {"faces": [], "submission": None}
    many["videos"] |= {
        "parts": [[f"train/part_{part:02d}", count // parts, 1] for part in range(parts)],
        "names": [f"{digest[:10]}.mp4" for digest in digests],
        "sha256": pack_digests(digests),
        "strays": [],
        "columns": {name: pack(values) for name, values in columns.items()},
    }
    roles = {"states": [["trained", ""]], "state": columns["state"], "used": small, "draws": [300] * count}
    roles = {name: pack(values) if name != "states" else values for name, values in roles.items()}
    many["models"] = [
        many["models"][0] | {"seed": seed, "roles": roles | {"fold": None, "gone": 0}} for seed in "12345"
    ]
    many["stages"][6]["units"] = [many["stages"][6]["units"][0] | {"unit": seed} for seed in "12345"]
    file = save(tmp_path / "many.html", many)
    assert file.stat().st_size < 15_000_000
    with browser.opened(chromium, file, "#/model/3") as page:
        pager = page.locator(".pager", has_text="of 120,000")
        assert "1–25 of 120,000" in pager.inner_text()
        pager.get_by_role("button", name="Last").click()
        assert "119,976–120,000 of 120,000" in pager.inner_text()
        assert page.evaluate("document.activeElement.innerText") == "First"
        page.get_by_role("searchbox").fill(digests[77_777][:20])
        page.locator(".found", has_text="1 video of 120,000").wait_for(timeout=5_000)
        assert names(page, "Videos") == [f"{digests[77_777][:10]}.mp4"]
