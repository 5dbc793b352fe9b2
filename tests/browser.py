"""A headless Chromium that opens a page from a file and notes whatever a page that only shows things would not do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Dialog, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
]
# Text that stands out less than WCAG 2.2 asks for (AA, 1.4.3): its words, and by how much it does.
_FAINT = """
() => {
  const rgba = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return text.startsWith("color(") ? [r * 255, g * 255, b * 255, a] : [r, g, b, a];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((one, place) => one * a + under[place] * (1 - a));
  const ground = (element) => {
    const chain = [];
    for (let one = element; one; one = one.parentElement) chain.unshift(rgba(getComputedStyle(one).backgroundColor));
    return chain.reduce((under, one) => over(one, under), [255, 255, 255]);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((one) => (one / 255 <= 0.04045 ? one / 3294.6 : ((one / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const words = texts.currentNode.data.trim();
    if (!words || !element.checkVisibility() || element.closest(".hidden, :disabled, script")) continue;
    const style = getComputedStyle(element);
    const under = ground(element);
    const ink = over(rgba(element instanceof SVGElement ? style.fill : style.color), under);
    const [low, high] = [light(ink), light(under)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) found.push(`${words}: ${ratio.toFixed(2)}`);
  }
  return found;
}
"""
# Playwright's own way to wait evaluates text inside the page each time: its policy refuses that from the second on.
_SETTLED = """
() => new Promise((settled, failed) => {
  const until = performance.now() + 30_000;
  const look = () => {
    if (shownHash === location.hash) settled();
    else if (performance.now() > until) failed(new Error(`${location.hash} is not shown, but ${shownHash}`));
    else setTimeout(look, 5);
  };
  look();
})
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser that this machine has."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, file: Path, view: str = "", **options: Any) -> Iterator[Page]:
    """A view of a page in a window of its own; fails if the page logs, throws, asks or fetches anything."""
    context = browser.new_context(**options)
    page = context.new_page()
    troubles: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("console", lambda message: troubles.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on("dialog", dismiss)
    page.on("popup", lambda popup: troubles.append(f"popup: {popup.url}"))
    context.on("request", lambda request: troubles.extend(_foreign(request.url, file)))
    page.goto(file.as_uri() + view)
    yield page
    context.close()
    assert troubles == []


def _foreign(url: str, file: Path) -> list[str]:
    own = url.partition("#")[0] == file.as_uri() or url.startswith("data:image/")
    return [] if own else [f"request: {url}"]


def settle(page: Page) -> None:
    """Waits until the page shows the view of its address: a click changes that first, the view an event later."""
    page.evaluate(_SETTLED)


def faint(page: Page) -> list[str]:
    """Visible text whose contrast is less than 4.5."""
    found: list[str] = page.evaluate(_FAINT)
    return found


def views(page: Page) -> Iterator[str]:
    """Goes from the first view to every other one that a link of some view leads to; yields each one's address."""
    waiting = ["#/"]
    known = set(waiting)
    while waiting:
        view = waiting.pop(0)
        page.evaluate("view => { location.hash = view; }", view)
        settle(page)
        yield view
        links = page.eval_on_selector_all('a[href^="#/"]', "links => links.map((link) => link.getAttribute('href'))")
        new = dict.fromkeys(link for link in links if link not in known)
        waiting += new
        known |= set(new)
