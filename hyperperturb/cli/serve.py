"""The command that opens the web app."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from hyperperturb.cli.options import Debug, Json
from hyperperturb.errors import HyperPerturbError

_ROOT = Path(__file__).resolve().parents[2]


def add_commands(app: typer.Typer) -> None:
    """Add this module's command to the command line."""
    app.command(name="app", epilog="Example: hyperperturb app --port 8502")(serve)


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of this machine.")] = 8501,
    address: Annotated[
        str, typer.Option(help="Address to listen on; the default is this machine only.")
    ] = "127.0.0.1",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Serve the web app, with the datasets and runs of the current folder (or HYPERPERTURB_HOME). Ctrl-C stops it."""
    home = _ROOT / "app" / "Home.py"
    if not home.is_file():
        raise HyperPerturbError(
            "The web app's pages are not installed beside the package.",
            hint="Clone the repository and install it with: pip install -e .",
        )
    _check_port(address, port)
    from hyperperturb.runs.workspace import HOME_VARIABLE, Workspace

    url = f"http://{address}:{port}"
    print(
        json.dumps({"url": url, "pid": os.getpid()})
        if as_json
        else f"HyperPerturb at {url} (Ctrl-C stops it)",
        flush=True,
    )
    os.environ[HOME_VARIABLE] = str(Workspace().root)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.chdir(_ROOT)  # Streamlit reads its settings from the folder it is started in
    if as_json:
        os.dup2(sys.stderr.fileno(), 1)
    streamlit = [sys.executable, "-m", "streamlit", "run", str(home), f"--server.port={port}"]
    options = [f"--server.address={address}", "--server.headless=true", "--browser.gatherUsageStats=false"]
    os.execv(sys.executable, streamlit + options)


def _check_port(address: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise HyperPerturbError(
                f"{address}:{port} cannot be used: {error.strerror or error}.", hint="Choose another --port."
            ) from error
