"""Make the pictures of docs/user-guide.md: ``python scripts/user_guide.py SCREEN.h5ad NETWORK.csv``.

Drives the real app through a whole analysis of the Papalexi screen, from the file to the interferon pathway: registers
the files, confirms the controls, trains the standard preset, and photographs what the guide talks about into
``assets/guide``. Nothing is drawn by hand.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from camera import LOWEST, WIDTH, photograph, press, settle

from hyperperturb.testing import ROOT, Server, chromium


def run(screen: Path, network: Path, folder: Path, home: Path) -> None:
    """Go through the analysis with a camera."""
    folder.mkdir(parents=True, exist_ok=True)
    with Server(home) as server, chromium() as opened:
        page = opened.new_page(viewport={"width": WIDTH, "height": LOWEST}, color_scheme="light")

        def show(address: str, name: str, sign: str, *, start: str = "", end: str = "") -> None:
            page.goto(f"{server.url}/{address}")
            page.get_by_text(sign).first.wait_for(timeout=60_000)
            photograph(page, folder / f"{name}.png", start=start, end=end)

        page.goto(f"{server.url}/data")
        page.get_by_role("textbox", name="Or a path on the server", exact=True).fill(str(screen))
        press(page, "Register file", "Repair list")
        dataset = page.url.split("dataset=")[-1].split("&")[0]
        show(f"controls?dataset={dataset}", "controls", "Confirm controls")
        press(page, "Confirm controls", "Controls confirmed.")
        show(
            f"data?dataset={dataset}",
            "quality",
            "Beyond chance",
            start="Quality of the screen",
            end="Cells per perturbation",
        )

        page.goto(f"{server.url}/train?dataset={dataset}")
        page.get_by_text("Start training").first.wait_for()
        page.get_by_role("button", name="Add a network").click()
        page.get_by_role("textbox", name="Or a path on the server", exact=True).fill(str(network))
        press(page, "Use this file", "perturbed genes are in it")
        page.keyboard.press("Escape")
        settle(page)
        press(page, "Start training", "Cancel")
        name = page.url.split("run=")[-1].split("&")[0]
        page.get_by_role("link", name="Explore the genes").wait_for(timeout=400_000)
        show(f"train?run={name}", "verdict", "Scores on held-out genes")

        for gene in ("JAK2", "SPI1"):
            show(
                f"evaluate?run={name}&perturbation={gene}",
                f"{gene.lower()}-unseen",
                f"{gene}, predicted from the others",
                start="Predicted against measured",
                end="Do hubs sit in the middle?",
            )
        show(f"disk?run={name}&gene=JAK1", "jak1-disk", "Predicted effect")
        show(f"predict?run={name}&genes=JAK1", "jak1-predicted", "was never perturbed")
        show(f"predict?run={name}&genes=SOCS1", "socs1-predicted", "was never perturbed")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("screen", type=Path, help="the Papalexi screen")
    parser.add_argument("network", type=Path, help="STRING's links, high confidence")
    parser.add_argument("--out", type=Path, default=ROOT / "assets" / "guide", help="folder for the pictures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        run(arguments.screen.resolve(), arguments.network.resolve(), arguments.out.resolve(), Path(home))


if __name__ == "__main__":
    main()
