"""The guide: the step that comes next follows from what there is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from app.ui import guide
from app.ui.routes import ROUTES

NEW = SimpleNamespace(confirmed=False)
CONFIRMED = SimpleNamespace(confirmed=True)
RUN = SimpleNamespace(usable=True)
HALF = SimpleNamespace(usable=False)


@pytest.mark.parametrize(
    ("dataset", "run", "seen", "done"),
    [
        (None, None, {}, 0),
        (NEW, None, {}, 1),
        (CONFIRMED, None, {}, 2),
        (CONFIRMED, HALF, {"explored": True}, 2),
        (CONFIRMED, RUN, {}, 3),
        (None, RUN, {}, 3),
        (CONFIRMED, RUN, {"explored": True}, 4),
        (CONFIRMED, RUN, {"asked": True}, 5),
    ],
)
def test_the_steps_behind_follow_from_what_there_is(dataset, run, seen, done):
    assert guide.steps_done(SimpleNamespace(dataset=dataset, run=run), **seen) == done


def test_there_is_one_next_step_until_the_end():
    assert guide.states(0) == ["next", "later", "later", "later", "later"]
    assert guide.states(3) == ["done", "done", "done", "next", "later"]
    assert guide.states(5) == ["done"] * 5


def test_every_step_has_a_page_and_fits_a_line():
    assert {step.page for step in guide.STEPS} <= set(ROUTES)
    assert all(len(step.task) <= 76 for step in guide.STEPS)
