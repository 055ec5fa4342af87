"""What serves the app for tests; that it serves is what every browser test shows."""

from __future__ import annotations

import socket

import pytest

from hyperperturb.testing import Server, free_port


def test_what_ends_instead_of_serving_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="does not exist"):
        Server(tmp_path, tmp_path / "nowhere.py")


def test_a_free_port_can_be_listened_at():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = free_port()
        assert port != taken.getsockname()[1]
        with socket.socket() as free:
            free.bind(("127.0.0.1", port))
