"""The estimate under the settings: what it says, and what may stand in its way; the choice of devices."""

from __future__ import annotations

import pytest

from app.ui import estimate, settings
from hyperperturb.models.settings import TrainingSettings
from hyperperturb.runs.cost import Estimate, Workload

WORK = Workload(
    genes=3000, cells=9000, perturbations=100, targets=80, response_genes=600, edges=2217, epochs=30
)


@pytest.mark.parametrize(
    ("earlier", "source"),
    [
        (0, "trainings on another machine"),
        (1, "1 earlier training here"),
        (3, "3 earlier trainings here"),
    ],
)
def test_the_estimate_says_time_memory_device_and_its_source(earlier, source):
    found = Estimate(seconds=41, memory=1_230_000_000, earlier=earlier)
    assert estimate.sentence(found, WORK, device="CPU (x86_64, 2 cores)") == (
        f"About 40 s and 1.23 GB of memory for 3\u202f000 genes on CPU (x86_64, 2 cores), going by {source}."
    )


def test_what_may_stand_in_the_way_is_said():
    found = Estimate(seconds=41, memory=2_000_000_000, earlier=0)
    assert estimate.doubts(found, free=10**10, busy=0.5, before=0) == []
    assert estimate.doubts(found, free=None, busy=0.5, before=0) == []
    (short,) = estimate.doubts(found, free=10**9, busy=0.5, before=0)
    assert "Only 1.00 GB of memory are free" in short
    (busy,) = estimate.doubts(found, free=10**10, busy=2.5, before=0)
    assert "busy" in busy
    (after,) = estimate.doubts(found, free=10**10, busy=2.5, before=1)  # it is busy with that
    assert after == "It begins when 1 other training has ended."


def test_every_setting_can_be_changed_in_the_form_once():
    shown = [name for labels in settings.FORM.values() for name in labels]
    assert sorted([*shown, "strategy"]) == sorted(TrainingSettings.model_fields)


def test_devices_are_offered_where_there_is_a_choice():
    cpu, gpu = "CPU (x86_64, 2 cores)", "NVIDIA H100"
    assert settings.strategies([cpu], gpus=False, workers=False) == {"auto": cpu}
    assert settings.strategies([gpu], gpus=True, workers=False) == {"auto": gpu}
    assert settings.strategies([gpu] * 2, gpus=True, workers=False) == {
        "auto": "2 GPUs (NVIDIA H100), mirrored",
        "default": gpu,
    }
    assert settings.strategies([cpu] * 2, gpus=False, workers=True) == {
        "auto": cpu,
        "mirrored": "2 devices made of the CPU, mirrored",
        "multiworker": "Machines in TF_CONFIG",
    }
