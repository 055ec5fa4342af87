"""Make the screenshots of the documentation by driving the real app on the demo: ``python scripts/screenshots.py``.

Starts the app on an empty workspace, loads the demo, confirms its controls, trains a quick model, and photographs every
page, light and dark, into ``assets/screenshots``; a short film of them is ``tour.gif`` there. Another simulated screen,
with antibodies, shows what the pages say of proteins. Nothing is drawn by hand, so the pictures show what the app does.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from camera import LOWEST, WIDTH, photograph, press, settle
from tour import record

from hyperperturb.testing import ROOT, Server, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


class Photographer:
    """Two readers of the same address, one by day and one by night."""

    def __init__(self, opened: Browser, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.pages = {
            theme: opened.new_page(viewport={"width": WIDTH, "height": LOWEST}, color_scheme=theme)
            for theme in ("light", "dark")
        }

    @property
    def light(self) -> Page:
        """The page that does the work."""
        return self.pages["light"]

    def show(self, address: str, name: str, *, sign: str) -> None:
        """Photograph an address in both themes, once the words `sign` are on the page."""
        for theme, page in self.pages.items():
            page.goto(f"{self.url}/{address}")
            page.get_by_text(sign).first.wait_for(timeout=60_000)
            photograph(page, self.folder / f"{name}-{theme}.png")

    def press(self, name: str, sign: str, *, seconds: float = 60) -> None:
        """Press a button of the light page and wait for what it leads to."""
        press(self.light, name, sign, seconds=seconds)


def screen_with_proteins(home: Path) -> tuple[str, str]:
    """Bring a simulated screen with antibodies and train on it; returns the names of dataset and run."""
    from hyperperturb.data.simulate import simulate_screen, write_simulation
    from hyperperturb.models.settings import PRESETS
    from hyperperturb.runs.config import RunConfig
    from hyperperturb.runs.datasets import confirm_controls, register_dataset
    from hyperperturb.runs.directory import RunDirectory
    from hyperperturb.runs.launcher import LocalLauncher
    from hyperperturb.runs.proteins import attach_proteins
    from hyperperturb.runs.workspace import Workspace

    workspace = Workspace(home)
    simulated = simulate_screen(seed=3, n_cells=4000, n_proteins=12)
    files = write_simulation(simulated, home / "files" / "cite.h5ad")
    name = register_dataset(workspace, files["screen"], title="Simulated screen with antibodies").name
    confirm_controls(workspace, name, column="perturbation", control="non-targeting", mode="knockdown")
    dataset = attach_proteins(workspace, name, files["proteins"])
    config = RunConfig.for_dataset(dataset, networks=[files["network"]], settings=PRESETS["quick"]).checked()
    made = RunDirectory.create(workspace.runs_dir, config)
    LocalLauncher().submit(made)
    return name, made.name


def run(folder: Path, home: Path) -> None:
    """Go through the app as a newcomer does, with a camera."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    with Server(home) as server, chromium() as opened:
        camera = Photographer(opened, server.url, folder)
        camera.show("", "home", sign="Load the demo screen")
        camera.press("Load the demo screen", "Which cells are the controls?")
        camera.show("controls?dataset=demo", "controls", sign="Confirm controls")
        camera.press("Confirm controls", "Controls confirmed.")
        camera.show("data?dataset=demo", "data", sign="Beyond chance")  # the quality of the screen, judged
        camera.light.goto(f"{server.url}/train?dataset=demo")
        camera.light.get_by_text("Start training").wait_for()
        camera.light.get_by_test_id("stButtonGroup").get_by_text("Quick", exact=True).click()
        settle(camera.light)
        camera.press("Start training", "Cancel")
        name = camera.light.url.split("run=")[-1].split("&")[0]
        camera.light.get_by_text("Learning from the cells").wait_for(timeout=240_000)
        camera.show(f"train?run={name}", "train-live", sign="Log")
        camera.light.get_by_role("link", name="Explore the genes").wait_for(timeout=240_000)
        camera.show(f"train?run={name}", "train", sign="Scores on held-out genes")
        genes = pd.read_parquet(home / "models" / "saved" / name / "genes.parquet")
        hub = genes.loc[genes["degree"].idxmax(), "gene"]
        camera.show(f"disk?run={name}", "disk", sign="How true is the picture")
        camera.show(f"disk?run={name}&gene={hub}", "disk-gene", sign="Predicted effect")
        camera.show(f"predict?run={name}&genes={hub}", "predict", sign="Predicted against measured")
        hubs = genes[genes["is_target"]].nlargest(40, "degree")["gene"].tolist()
        question = f"predict?run={name}&genes={{}}".format
        camera.show(question(hub) + "&picture=network", "predict-network", sign="Click a gene")
        camera.show(question(",".join(hubs)) + "&view=many", "predict-many", sign="Every perturbation")
        camera.show(
            f"{question(hubs[0])}&versus={hubs[1]}&view=compare", "predict-compare", sign="All response genes"
        )
        camera.light.goto(f"{server.url}/evaluate?run={name}")
        camera.light.get_by_role("button", name="Evaluate thoroughly").wait_for()
        camera.press("Evaluate thoroughly", "Halved for the ceiling", seconds=900)
        camera.show(f"evaluate?run={name}", "evaluate", sign="Halved for the ceiling")
        camera.light.goto(f"{server.url}/cells?run={name}")
        camera.press("Draw the cells", "Which cells escaped their perturbation?", seconds=240)
        for page in camera.pages.values():
            page.goto(f"{server.url}/cells?run={name}")
            page.get_by_text("Which cells escaped their perturbation?").wait_for(timeout=60_000)
            page.get_by_role("button", name="Rank perturbations").click()
            page.get_by_text("What explains the cells").wait_for(timeout=60_000)
        for theme, page in camera.pages.items():
            photograph(page, folder / f"cells-{theme}.png")
        record(camera.light, server.url, name, hub, folder / "tour.gif")
        camera.show("glossary", "glossary", sign="Measures of a prediction")
        dataset, name = screen_with_proteins(home)
        camera.light.goto(f"{server.url}/train?run={name}")
        camera.light.get_by_role("link", name="Explore the genes").wait_for(timeout=300_000)
        camera.show(f"data?dataset={dataset}", "data-proteins", sign="antibodies in")
        camera.show(f"predict?run={name}&genes=REG001", "predict-proteins", sign="All response genes")
        camera.show(f"evaluate?run={name}", "evaluate-proteins", sign="On proteins")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=ROOT / "assets" / "screenshots", help="folder for the pictures"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        run(arguments.out.resolve(), Path(home))


if __name__ == "__main__":
    main()
