"""What several test folders use."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # several tests at a time share the cores

# how long an example takes says what else the machine does
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real screens, effects and networks beside the checkout."""
    if not SHARED_DATA.parent.exists():
        pytest.skip("the real data are not here: there is no folder ../shared beside the checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def small_simulation():
    """A simulated screen that everything can be tried on in seconds: 120 genes, 1,500 cells, 24 perturbations."""
    from hyperperturb.data.simulate import simulate_screen

    return simulate_screen(
        seed=3, n_genes=120, n_regulators=18, n_single=20, n_double=4, n_cells=1500, n_batches=2
    )


@pytest.fixture(scope="session")
def small_screen(small_simulation, tmp_path_factory) -> Path:
    """That screen as a file; its network and its true effects lie beside it."""
    from hyperperturb.data.simulate import write_simulation

    path = tmp_path_factory.mktemp("simulated") / "screen.h5ad"
    write_simulation(small_simulation, path)
    return path


class FileServer(ThreadingHTTPServer):
    """A server of files on the loopback that supports ranges and can be told to misbehave."""

    daemon_threads = True

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}  # path -> what is there
        self.requests: list[tuple[str, str | None]] = []  # path and Range of every request
        self.drops: Counter[str] = Counter()  # path -> connections to cut half-way
        self.codes: dict[str, list[int]] = {}  # path -> status codes to answer before anything else
        self.more: Counter[str] = Counter()  # path -> bytes that Content-Length claims too many
        self.pause: dict[str, float] = {}  # path -> seconds between two pieces
        self.ranges = True
        self.tags = True  # whether files have an ETag
        super().__init__(("127.0.0.1", 0), _FileHandler)

    @property
    def url(self) -> str:
        """Address of the root."""
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self, path: str) -> list[str | None]:
        """The ranges that were asked for of a path, in order."""
        return [wanted for asked, wanted in self.requests if asked == path]

    def handle_error(self, request, client_address) -> None:
        """A client that went away is no news."""


class _FileHandler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        body = server.bodies.get(self.path)
        codes = server.codes.get(self.path, [])
        if body is None or codes:
            self._answer(codes.pop(0) if codes else 404, b"no such file", {})
            return
        tag = f'"{hashlib.md5(body).hexdigest()}"'
        same = self.headers.get("If-Range", tag) == tag
        start = 0
        if server.ranges and same and (m := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))):
            start = int(m[1])
            if start >= len(body):
                self._answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
                return
        part = body[start:]
        headers = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        if server.tags:
            headers["ETag"] = tag
        send = None
        if server.drops[self.path] > 0:
            server.drops[self.path] -= 1
            send = len(part) // 2
        self._answer(206 if start else 200, part, headers, send=send)

    def _answer(self, code: int, body: bytes, headers: dict[str, str], send: int | None = None) -> None:
        self.send_response(code)
        claimed = len(body) + (self.server.more[self.path] if code in (200, 206) else 0)
        self.send_header("Content-Length", str(claimed))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        pause = self.server.pause.get(self.path, 0.0)
        piece = 8192 if pause else max(len(body), 1)
        for at in range(0, len(body) if send is None else send, piece):
            self.wfile.write(body[at : at + piece] if send is None else body[at : min(at + piece, send)])
            self.wfile.flush()
            time.sleep(pause)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def file_server(monkeypatch) -> Iterator[FileServer]:
    """An empty server of files; downloads reach it whatever proxy is set, and do not wait between tries."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HYPERPERTURB_RETRY_DELAY", "0")
    server = FileServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def finished_run() -> Callable:
    """Makes a finished run of effects and a network, without its training."""
    return _finished_run


def _finished_run(runs_dir, measured, network, *, folds: int = 3, cells: bool = False, **config):
    """Write a finished run on these effects whose genes lie where their degree puts them, in random directions.

    No Keras is loaded: a test of a page need not wait for it. With `cells` it also answers about cells, taken to
    scatter alike in all genes; where it places a cell is a random projection.
    """
    from functools import partial

    import numpy as np
    import pandas as pd
    from scipy.stats import rankdata, spearmanr

    from hyperperturb.data.network import network_from_adjacency, save_network
    from hyperperturb.evaluation.cross_validation import cross_validate
    from hyperperturb.evaluation.fidelity import fidelity
    from hyperperturb.evaluation.report import RunMetrics, held_out
    from hyperperturb.evaluation.verdict import MODEL
    from hyperperturb.files import write_json
    from hyperperturb.manifolds import poincare
    from hyperperturb.models.baselines import simple_baselines
    from hyperperturb.models.export import hyperbolic_similarity, save_arrays
    from hyperperturb.models.predictor import fit_head, model_predictor, target_kernels
    from hyperperturb.models.strength import energy_distance
    from hyperperturb.models.universe import build_universe, centralities
    from hyperperturb.runs.config import RunConfig
    from hyperperturb.runs.directory import RunDirectory
    from hyperperturb.runs.fidelity import FILE, DiskFidelity

    targets = sorted({gene for target in measured.targets for gene in target})
    universe = build_universe([network], targets=targets, response_genes=measured.genes, max_genes=2000)
    central = centralities(universe.adjacency, seed=0)
    rank = rankdata(central["degree"]) / len(central)
    direction = np.random.default_rng(0).normal(size=(len(rank), 4))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    points = (0.9 * (1 - rank) + 0.02)[:, None] * direction
    kernels = target_kernels(universe, partial(hyperbolic_similarity, points, 1.0), targets)
    head = fit_head(measured, kernels, 0)
    scores = cross_validate(
        measured, {MODEL: model_predictor(kernels, 0), **simple_baselines(kernels)}, folds=folds
    )

    run = RunDirectory.create(runs_dir, RunConfig(mode=measured.mode, control=measured.control, **config))
    run.begin()
    radius = 2 * np.arctanh(np.linalg.norm(points, axis=1))
    genes = pd.DataFrame({"gene": universe.genes, "x": points[:, 0], "y": points[:, 1], "radius": radius})
    genes = pd.concat([genes, central.reset_index(drop=True)], axis=1).assign(
        support=head.support(universe.genes),
        predicted_strength=0.0,
        is_target=np.isin(universe.genes, targets),
        is_response=np.isin(universe.genes, measured.genes),
        n_perturbations=0,
        control_mean=np.nan,
    )
    genes.to_parquet(run.file("genes.parquet"), index=False)
    measured.save(run.file("effects.parquet"))
    save_network(
        network_from_adjacency(universe.adjacency, universe.genes, name="combined"), run.file("network.npz")
    )
    save_arrays(
        run.file("arrays.npz"),
        points=points,
        curvature=1.0,
        head=head,
        cells=_plain_heads(measured, points) if cells else None,
    )
    run.file("model.keras").touch()
    strength = dict(zip(measured.perturbations, energy_distance(measured).tolist(), strict=True))
    rho, p_value = spearmanr(radius, central["degree"])
    metrics = RunMetrics(
        **held_out(scores, strength=strength).model_dump(),
        hub_radius={"spearman": float(rho), "p_value": float(p_value)},
        curvature=1.0,
        fit=0.5,
    )
    write_json(run.file("metrics.json"), metrics)
    # How true its disk is, so that no page starts to measure it beside UMAP.
    true, shown = (poincare.pairwise_dist(places, c=1.0) for places in (points, points[:, :2]))
    disk = fidelity(true, shown, k=10)
    write_json(run.file(FILE), DiskFidelity(n_genes=len(points), neighbours=10, disk=disk))
    run.file("card.md").write_text(f"# A run\n\n{metrics.verdict}\n")
    run.finish()
    return run


def _plain_heads(measured, points):
    import numpy as np

    from hyperperturb.models.cells import CellInputs, control_spread
    from hyperperturb.models.directions import Confidence, Directions, Discriminants
    from hyperperturb.models.export import CellHeadArrays

    n, (level, spread) = len(measured.perturbations), control_spread(measured, measured.genes)
    effect = measured.effect.astype(np.float64) / spread
    rule = Discriminants(effect, np.eye(len(spread)), np.full(n, -np.log(n)))
    rng = np.random.default_rng(0)
    return CellHeadArrays(
        genes=measured.genes,
        scale=1.0,
        inputs=CellInputs("log", level, spread),
        directions=Directions(1.0 / spread, np.zeros(len(spread)), rule, of_lists=Confidence(8.0, 0.5, 0.1)),
        hidden_kernel=rng.normal(size=(len(spread), 3)) / np.sqrt(len(spread)),
        hidden_bias=np.zeros(3),
        tangent_kernel=rng.normal(size=(3, points.shape[1])),
        tangent_bias=np.zeros(points.shape[1]),
        value_kernel=rng.normal(size=(3, 1)),
        value_bias=np.zeros(1),
        offset=rule.bias,
        evidence_kernel=rule.kernel,
        perturbation_points=np.zeros((n, points.shape[1])),
    )
