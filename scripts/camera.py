"""What the scripts that photograph the app share: waiting until all is drawn, pressing, taking the picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hyperperturb.testing import ROOT, script_ended

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTH, LOWEST = 1360, 860


def settle(page: Page, pause: int = 700) -> None:
    """Wait until the script has run and the pictures are drawn; `pause` is in milliseconds."""
    page.wait_for_timeout(300)
    script_ended(page)
    page.wait_for_timeout(pause)


def photograph(page: Page, path: Path, *, start: str = "", end: str = "") -> None:
    """Save the whole page, however long it is; or what lies between two headings, `end` not included."""
    page.set_viewport_size({"width": WIDTH, "height": LOWEST})
    settle(page)
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": WIDTH, "height": max(LOWEST, height)})
    page.mouse.move(2, 2)
    settle(page, 1200)
    if start:
        first = page.get_by_role("heading", name=start).first.bounding_box()
        last = page.get_by_role("heading", name=end).first.bounding_box()
        left, top, gap = first["x"] - 20, first["y"] - 20, 8
        page.screenshot(
            path=path,
            clip={"x": left, "y": top, "width": WIDTH - left - 20, "height": last["y"] - top - gap},
        )
    else:
        page.screenshot(path=path)
    print(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def press(page: Page, name: str, sign: str, *, seconds: float = 60) -> None:
    """Press a button, or a link that looks like one, and wait for the words `sign` that it leads to."""
    button = page.get_by_role("button", name=name, exact=True)
    button.or_(page.get_by_test_id("stMain").get_by_role("link", name=name, exact=True)).first.click()
    page.get_by_text(sign).first.wait_for(timeout=1000 * seconds)
    settle(page)
