"""What the machine offers, asked without loading anything."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hyperperturb import machine


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """A machine with two graphics processors, as its driver's program tells it."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100'\necho 'NVIDIA H100'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    machine.gpus.cache_clear()
    yield
    machine.gpus.cache_clear()


@pytest.mark.parametrize(("visible", "n"), [(None, 2), ("0", 1), ("", 0), ("-1", 0), ("1,0", 2)])
def test_graphics_processors_are_those_a_training_may_use(smi, monkeypatch, visible, n):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.gpus() == ("NVIDIA H100",) * n
    assert len(machine.devices()) == max(n, 1)


def test_without_them_the_cpu_is_one_device_or_as_many_as_are_asked_for(monkeypatch, tmp_path):
    machine.gpus.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(machine.CPU_DEVICES, raising=False)
    (only,) = machine.devices()
    assert f"{machine.cores()} cores" in only
    monkeypatch.setenv(machine.CPU_DEVICES, "2")
    assert machine.devices() == (only, only)
    machine.gpus.cache_clear()


def test_peak_memory_is_that_of_the_process_and_not_of_who_started_it():
    held = bytearray(200_000_000)
    held[::4096] = b"x" * len(held[::4096])
    code = "from hyperperturb.machine import peak_memory; print(peak_memory())"
    child = int(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )
    assert child < 100_000_000 < len(held) < machine.peak_memory()


def test_free_memory_is_less_than_there_is():
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < machine.free_memory() <= total
    assert machine.busy() >= 0
