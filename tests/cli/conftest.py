"""The command line, called in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hyperperturb.cli import main


@pytest.fixture
def call(capsys) -> Callable[..., tuple[int, str, str]]:
    """Run the command line with these words: (exit code, stdout, stderr)."""

    def run(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
