"""A short film of the app for the README: the disk under the hand, a hub, what losing it does, how good that is."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from camera import settle

if TYPE_CHECKING:
    from PIL import Image
    from playwright.sync_api import Page

WIDTH, HEIGHT = 1200, 760
SHOWN = 840  # pixels across in the film
FRAME, STILL = 90, 1600  # milliseconds


class Film:
    """Frames of a page, with how long each is shown."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[Image.Image] = []
        self.durations: list[int] = []

    def take(self, milliseconds: int) -> None:
        """Add the page as it is now."""
        from PIL import Image

        frame = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        self.frames.append(frame.resize((SHOWN, SHOWN * HEIGHT // WIDTH), Image.Resampling.LANCZOS))
        self.durations.append(milliseconds)

    def save(self, path: Path) -> None:
        """Write an endless GIF: the colours of all frames in one palette, so that nothing flickers."""
        from PIL import Image

        kinds = [frame for frame, shown in zip(self.frames, self.durations, strict=True) if shown > FRAME]
        together = Image.new("RGB", (SHOWN, sum(frame.height for frame in kinds)))
        for row, frame in enumerate(kinds):
            together.paste(frame, (0, row * frame.height))
        palette = together.quantize(255)
        first, *rest = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in self.frames)
        first.save(path, save_all=True, append_images=rest, duration=self.durations, loop=0, optimize=True)


def record(page: Page, url: str, run: str, hub: str, path: Path) -> None:
    """Film the demo's run `run`, with the gene `hub`, into the GIF `path`."""
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    film = Film(page)

    page.goto(f"{url}/disk?run={run}")
    page.get_by_text("Choose a gene").first.wait_for(timeout=60_000)
    settle(page, 1500)
    film.take(STILL)
    box = page.locator("canvas >> visible=true").first.bounding_box()
    x, y = box["x"] + 0.62 * box["width"], box["y"] + 0.5 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 15):
        page.mouse.move(x - 13 * step, y - 6 * step)
        page.wait_for_timeout(40)
        film.take(FRAME)
    page.mouse.up()
    film.take(STILL // 2)

    page.goto(f"{url}/disk?run={run}&gene={hub}")
    page.get_by_text("Open in Predict").first.wait_for(timeout=60_000)
    settle(page, 1500)
    film.take(2 * STILL)

    page.get_by_text("Open in Predict").first.click()
    page.get_by_text("All response genes").first.wait_for(timeout=60_000)
    settle(page, 1500)
    film.take(2 * STILL)

    page.goto(f"{url}/evaluate?run={run}")
    page.locator("h1").first.wait_for(timeout=60_000)
    settle(page, 2500)
    film.take(2 * STILL)
    film.save(path)
