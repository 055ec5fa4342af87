"""One side of the comparison in ``geometry_speed.py``: runs in the interpreter of HyperPerturb or in that of geoopt.

It reads one JSON request a line from standard input and answers each with one line. Requests name an operation, a
way to run it (``eager``, ``xla``; for geoopt ``eager``, ``compiled``) and a device; the answers are times, peak
memory or the result itself. The points come from a file, so that both sides work on the same numbers.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FRACTION = 0.3  # of geodesics, and the factor of scalar products


def our_operations() -> dict[str, tuple[Callable[..., Any], str]]:
    """Return our operations: a function and the names of the arrays it takes."""
    from hyperperturb.manifolds import Lorentz, PoincareBall, poincare

    ball, hyperboloid = PoincareBall(1.0), Lorentz(1.0)
    return {
        "nothing": (lambda x: 2.0 * x, "one"),
        "copy": (lambda x: 2.0 * x, "x"),
        "ball dist": (ball.dist, "x y"),
        "ball dist, near": (ball.dist, "x near"),
        "ball dist0": (ball.dist0, "x"),
        "ball expmap": (ball.expmap, "x v"),
        "ball logmap": (ball.logmap, "x y"),
        "ball expmap0": (ball.expmap0, "v"),
        "ball logmap0": (ball.logmap0, "y"),
        "ball ptransp": (ball.ptransp, "x y v"),
        "ball ptransp0": (ball.ptransp0, "y v"),
        "ball mobius_add": (ball.mobius_add, "x y"),
        "ball mobius_scalar_mul": (lambda x: ball.mobius_scalar_mul(FRACTION, x), "x"),
        "ball mobius_matvec": (ball.mobius_matvec, "matrix x"),
        "ball geodesic": (lambda x, y: ball.geodesic(FRACTION, x, y), "x y"),
        "ball centroid": (ball.centroid, "sets weights"),
        "ball inner": (lambda x, u, v: ball.inner(x, u, v, keepdims=True), "x v y"),
        "ball norm": (ball.norm, "x v"),
        "ball conformal_factor": (lambda x: poincare.conformal_factor(x, c=1.0), "x"),
        "ball projx": (ball.projx, "x"),
        "ball egrad2rgrad": (ball.egrad2rgrad, "x v"),
        "ball retr": (ball.retr, "x v"),
        "hyperboloid dist": (hyperboloid.dist, "X Y"),
        "hyperboloid dist, near": (hyperboloid.dist, "X NEAR"),
        "hyperboloid dist0": (hyperboloid.dist0, "X"),
        "hyperboloid expmap": (hyperboloid.expmap, "X V"),
        "hyperboloid logmap": (hyperboloid.logmap, "X Y"),
        "hyperboloid expmap0": (hyperboloid.expmap0, "V0"),
        "hyperboloid logmap0": (hyperboloid.logmap0, "Y"),
        "hyperboloid ptransp": (hyperboloid.ptransp, "X Y V"),
        "hyperboloid ptransp0": (hyperboloid.ptransp0, "Y V0"),
        "hyperboloid inner": (hyperboloid.inner, "X V W"),
        "hyperboloid norm": (hyperboloid.norm, "X V"),
        "hyperboloid projx": (hyperboloid.projx, "X"),
        "hyperboloid proju": (hyperboloid.proju, "X W"),
        "hyperboloid egrad2rgrad": (hyperboloid.egrad2rgrad, "X W"),
        "hyperboloid retr": (hyperboloid.retr, "X V"),
        "to_lorentz": (ball.to_lorentz, "x"),
        "to_poincare": (hyperboloid.to_poincare, "X"),
    }


def geoopt_operations() -> dict[str, tuple[Callable[..., Any], str]]:
    """Return geoopt's counterparts under our names."""
    import geoopt
    import torch
    from geoopt.manifolds.lorentz import math as lorentz

    ball, hyperboloid = geoopt.PoincareBall(1.0), geoopt.Lorentz(1.0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    fraction = {d: torch.tensor(FRACTION, device=d) for d in {"cpu", device}}
    one = {d: torch.tensor(1.0, device=d) for d in {"cpu", device}}
    return {
        "nothing": (lambda x: 2.0 * x, "one"),
        "copy": (lambda x: 2.0 * x, "x"),
        "ball dist": (ball.dist, "x y"),
        "ball dist, near": (ball.dist, "x near"),
        "ball dist0": (ball.dist0, "x"),
        "ball expmap": (ball.expmap, "x v"),
        "ball logmap": (ball.logmap, "x y"),
        "ball expmap0": (ball.expmap0, "v"),
        "ball logmap0": (ball.logmap0, "y"),
        "ball ptransp": (ball.transp, "x y v"),
        "ball ptransp0": (ball.transp0, "y v"),
        "ball mobius_add": (ball.mobius_add, "x y"),
        "ball mobius_scalar_mul": (lambda x: ball.mobius_scalar_mul(fraction[x.device.type], x), "x"),
        "ball mobius_matvec": (ball.mobius_matvec, "matrix x"),
        "ball geodesic": (lambda x, y: ball.geodesic(fraction[x.device.type], x, y), "x y"),
        "ball centroid": (lambda x, w: ball.weighted_midpoint(x, w, reducedim=[1]), "sets weights"),
        # Without keepdim geoopt 0.5.1 returns a matrix of all pairs of rows here.
        "ball inner": (lambda x, u, v: ball.inner(x, u, v, keepdim=True), "x v y"),
        "ball norm": (ball.norm, "x v"),
        "ball conformal_factor": (lambda x: ball.lambda_x(x, keepdim=True), "x"),
        "ball projx": (ball.projx, "x"),
        "ball egrad2rgrad": (ball.egrad2rgrad, "x v"),
        "ball retr": (ball.retr, "x v"),
        "hyperboloid dist": (hyperboloid.dist, "X Y"),
        "hyperboloid dist, near": (hyperboloid.dist, "X NEAR"),
        "hyperboloid dist0": (hyperboloid.dist0, "X"),
        "hyperboloid expmap": (hyperboloid.expmap, "X V"),
        "hyperboloid logmap": (hyperboloid.logmap, "X Y"),
        "hyperboloid expmap0": (hyperboloid.expmap0, "V0"),
        "hyperboloid logmap0": (hyperboloid.logmap0, "Y"),
        "hyperboloid ptransp": (hyperboloid.transp, "X Y V"),
        "hyperboloid ptransp0": (hyperboloid.transp0, "Y V0"),
        "hyperboloid inner": (hyperboloid.inner, "X V W"),
        "hyperboloid norm": (lambda x, v: hyperboloid.norm(v), "X V"),
        "hyperboloid projx": (hyperboloid.projx, "X"),
        "hyperboloid proju": (hyperboloid.proju, "X W"),
        "hyperboloid egrad2rgrad": (hyperboloid.egrad2rgrad, "X W"),
        "hyperboloid retr": (hyperboloid.retr, "X V"),
        "to_lorentz": (lambda x: lorentz.poincare_to_lorentz(x, one[x.device.type]), "x"),
        "to_poincare": (lambda x: lorentz.lorentz_to_poincare(x, one[x.device.type]), "X"),
    }


class Keras:
    """Our side, on the Keras backend that the environment names."""

    operations = staticmethod(our_operations)

    def __init__(self, points: dict[str, np.ndarray]) -> None:
        sys.path.insert(0, str(ROOT))
        import keras

        self.backend, self.points = keras.backend.backend(), points
        module = __import__("tensorflow" if self.backend == "tensorflow" else "jax")
        self.module, self.label = module, f"{self.backend} {module.__version__}, Keras {keras.__version__}"

    def devices(self) -> list[str]:
        """Return ``cpu`` and, if there is one, ``gpu``."""
        if self.backend == "tensorflow":
            return ["cpu"] + ["gpu"] * bool(self.module.config.list_physical_devices("GPU"))
        return ["gpu" if self.module.default_backend() == "gpu" else "cpu"]

    def prepare(self, operation: str, way: str, device: str) -> Callable[[], Any]:
        """Return a call of the operation that is ready to be timed, and waits for the result."""
        function, names = our_operations()[operation]
        arrays = [self.points[name] for name in names.split()]
        if self.backend == "jax":
            arrays = [self.module.device_put(a) for a in arrays]
            run = self.module.jit(lambda *a: function(*a)) if way == "xla" else function
            return lambda: run(*arrays).block_until_ready()
        tf = self.module
        with tf.device(f"/{device.upper()}:0"):
            arrays = [tf.identity(tf.constant(a)) for a in arrays]
        run = function
        if way == "xla":
            compiled = tf.function(lambda *a: function(*a), jit_compile=True, autograph=False)
            run = compiled.get_concrete_function(*arrays)

        def call() -> Any:
            with tf.device(f"/{device.upper()}:0"):
                result = run(*arrays)
            if device == "gpu":
                tf.test.experimental.sync_devices()
            return result

        return call


class Geoopt:
    """The other side: PyTorch, without recording gradients."""

    operations = staticmethod(geoopt_operations)

    def __init__(self, points: dict[str, np.ndarray]) -> None:
        import geoopt
        import torch

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1))
        torch.set_grad_enabled(False)
        self.torch, self.points = torch, points
        self.label = f"geoopt {geoopt.__version__}, torch {torch.__version__}"

    def devices(self) -> list[str]:
        """Return ``cpu`` and, if there is one, ``gpu``."""
        return ["cpu"] + ["gpu"] * self.torch.cuda.is_available()

    def prepare(self, operation: str, way: str, device: str) -> Callable[[], Any]:
        """Return a call of the operation that is ready to be timed, and waits for the result."""
        function, names = geoopt_operations()[operation]
        kind = "cuda" if device == "gpu" else "cpu"
        arrays = [self.torch.tensor(self.points[name], device=kind) for name in names.split()]
        run = self.torch.compile(lambda *a: function(*a)) if way == "compiled" else function

        def call() -> Any:
            result = run(*arrays)
            if device == "gpu":
                self.torch.cuda.synchronize()
            return result

        return call


def status(field: str) -> int:
    """Return a memory field of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def peak_memory(call: Callable[[], Any]) -> int:
    """Return by how many bytes the resident memory rises at most during a call, its result included."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
    result = call()
    high = status("VmHWM")
    del result
    return max(high - before, 0)


def answer(
    request: dict[str, Any], side: Any, ready: dict[tuple[str, ...], Callable[[], Any]]
) -> dict[str, Any]:
    """Carry out one request."""
    if request["do"] == "hello":
        return {"label": side.label, "devices": side.devices(), "operations": list(side.operations())}
    key = tuple(request[name] for name in ("operation", "way", "device"))
    if request["do"] == "forget":
        ready.pop(key, None)
        return {}
    if key not in ready:
        ready[key] = side.prepare(*key)
        ready[key]()
    call = ready[key]
    if request["do"] == "memory":
        return {"bytes": peak_memory(call)}
    if request["do"] == "save":
        result = call()
        result = result.detach().cpu().numpy() if hasattr(result, "detach") else np.asarray(result)
        np.save(request["path"], result)
        return {}
    call()
    clock, times = time.process_time if request["processor"] else time.perf_counter, []
    for _ in range(request["calls"]):
        start = clock()
        call()
        times.append(1e3 * (clock() - start))
    return {"ms": times}


def main() -> None:
    """Answer requests until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", choices=["ours", "geoopt"])
    parser.add_argument("points", type=Path)
    arguments = parser.parse_args()
    # What libraries print must not come between the answers.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with np.load(arguments.points) as file:
        points = dict(file)
    side = Keras(points) if arguments.side == "ours" else Geoopt(points)
    ready: dict[tuple[str, ...], Callable[[], Any]] = {}
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line), side, ready)
        except Exception as error:  # noqa: BLE001  told to the other end, which puts a dash into the table
            reply = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[-1][:200]}"}
        print(json.dumps(reply), file=channel, flush=True)


if __name__ == "__main__":
    main()
