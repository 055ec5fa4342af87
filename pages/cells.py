"""Cells: what was done to these cells, what would undo it, what would lead them elsewhere."""

from __future__ import annotations

from app.ui import cache, cell_maps, cells
from app.ui.frame import empty_state, guard, no_model, question
from app.ui.state import current, select

with guard():
    now = current()
    question("What was done to these cells?")
    if now.run is None:
        no_model(
            now,
            "A trained model says which perturbation explains cells, undoes it, or leads them to another state.",
            key="cells",
        )
    else:
        select(run=now.run.name)
        inference = cache.inference(now.run)
        if inference.has_cells:
            view = cache.cell_view(now.run)
            drawn = None
            if view is not None:
                drawn = cell_maps.show(inference, view)
            elif inference.config.screen is not None:
                cell_maps.not_drawn(now.run)
            cells.show(now, inference, drawn)
            if view is not None:
                cell_maps.escapers(view)
                cell_maps.files(now.run, view)
        else:
            empty_state(
                "No cells in this model",
                "It was trained on a table of effects. Questions about cells need a model that was trained on the "
                "screen itself.",
                to="data",
                label="Bring a screen",
                key="cells",
            )
