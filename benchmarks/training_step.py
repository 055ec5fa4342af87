#!/usr/bin/env python3
"""What XLA does for training: step times with and without it, the time it takes to compile, and the default training.

Three tables. *Layers*: forward and backward pass of each layer at a fixed size, and a step of Riemannian Adam on an
embedding. *Steps*: a whole step (forward, backward, optimizer) of the gene points and of the cell heads at the default
settings, data ready in memory. *Training*: the default training of the demo screen, from the start of its process to
the usable run, with the process's largest memory. "First call" is tracing and, with XLA, compiling; the step times
are the median of the calls after it.

Run: python benchmarks/training_step.py [--repeats 30] [--without-runs]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks._report import header  # noqa: E402  (the path above comes first)


def timed(function: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Seconds of the first call, and milliseconds of a later one (median)."""
    start = time.perf_counter()
    function()
    first = time.perf_counter() - start
    later = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        later.append(time.perf_counter() - start)
    return first, 1e3 * statistics.median(later)


def layer_cases() -> dict[str, Callable[[bool], Callable[[], object]]]:
    """For each layer, what makes its compiled forward and backward pass, without or with XLA."""
    import keras
    import numpy as np
    import tensorflow as tf

    from hyperperturb.manifolds import PoincareBall, poincare
    from hyperperturb.nn import (
        FermiDirac,
        HyperbolicAttention,
        HyperbolicDense,
        HyperbolicEmbedding,
        HyperbolicGraphConv,
        RiemannianAdam,
    )

    rng = np.random.default_rng(0)

    def points(*shape: int) -> tf.Tensor:
        return tf.constant(poincare.expmap0(0.3 * rng.normal(size=shape).astype(np.float32), c=1.0))

    def backward(
        layer: keras.layers.Layer, *inputs: object, several: bool = False
    ) -> Callable[[bool], Callable[[], object]]:
        def call() -> object:
            return layer(*inputs) if several else layer(inputs[0])

        call()  # builds it

        def make(jit: bool) -> Callable[[], object]:
            @tf.function(jit_compile=jit, autograph=False)
            def step() -> object:
                with tf.GradientTape() as tape:
                    loss = tf.reduce_sum(tf.square(call()))
                return tape.gradient(loss, layer.trainable_weights)

            return lambda: [g.numpy() for g in step()]

        return make

    nodes, edges = points(2000, 16), tf.constant(rng.integers(0, 2000, size=(20_000, 2)).astype(np.int32))
    sequence = points(16, 64, 16)
    pair = [points(100_000, 16), points(100_000, 16)]

    def adam(jit: bool) -> Callable[[], object]:
        model = keras.Sequential([HyperbolicEmbedding(20_000, 16, manifold=PoincareBall(1.0))])
        model.build((1024,))
        optimizer = RiemannianAdam(1e-2)
        optimizer.build(model.trainable_variables)
        rows, goal = tf.constant(rng.integers(0, 20_000, size=1024).astype(np.int32)), points(1024, 16)

        @tf.function(jit_compile=jit, autograph=False)
        def step() -> tf.Tensor:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(poincare.dist(model(rows), goal, c=1.0))
            optimizer.apply(tape.gradient(loss, model.trainable_variables))
            return loss

        return lambda: step().numpy()

    return {
        "HyperbolicDense 16 → 32, 20,000 points": backward(HyperbolicDense(32), points(20_000, 16)),
        "HyperbolicGraphConv 16 → 32, tangent, 2,000 nodes, 20,000 edges": backward(
            HyperbolicGraphConv(32), (nodes, edges)
        ),
        "the same, midpoint with attention": backward(
            HyperbolicGraphConv(32, aggregation="midpoint", attention=True), (nodes, edges)
        ),
        "HyperbolicAttention, 4 heads of 8, 16 sequences of 64": backward(
            HyperbolicAttention(4, 8), sequence, sequence, several=True
        ),
        "FermiDirac, 100,000 pairs": backward(FermiDirac(learnable=True), pair),
        "HyperbolicEmbedding 20,000 x 16 and RiemannianAdam, 1,024 rows": adam,
    }


def step_cases() -> dict[str, Callable[[bool], Callable[[], object]]]:
    """For each of the two trainings, what makes a whole step at the default settings."""
    import keras
    import numpy as np
    import tensorflow as tf

    from hyperperturb.models.cell_training import compile_heads
    from hyperperturb.models.graph_points import DiffusionPoints
    from hyperperturb.models.model import CellHeads
    from hyperperturb.models.settings import TrainingSettings
    from hyperperturb.nn import RiemannianAdam

    defaults, rng = TrainingSettings(), np.random.default_rng(0)

    def whole(model: keras.Model, element: tuple, jit: bool) -> Callable[[], object]:
        element = keras.tree.map_structure(tf.constant, element)
        model.optimizer.build(model.trainable_variables)
        step = tf.function(model.train_step, jit_compile=jit, autograph=False)
        return lambda: {k: v.numpy() for k, v in step(element).items()}

    def genes(jit: bool) -> Callable[[], object]:
        n, block = defaults.max_genes, 256
        model = DiffusionPoints(n, defaults.embedding_dim, radius_weight=0.4)
        model.points.embeddings.assign(0.02 * rng.normal(size=(n, defaults.embedding_dim)))
        model.target_radius.assign(rng.uniform(0, 2.5, size=n))
        model.compile(optimizer=RiemannianAdam(defaults.point_learning_rate), jit_compile=jit)
        chosen = rng.choice(n, size=(1, block), replace=False).astype(np.int32)
        return whole(model, (chosen, rng.uniform(size=(1, block, block)).astype(np.float32)), jit)

    def cells(jit: bool) -> Callable[[], object]:
        n_inputs, n_perturbations = 2000, 100
        heads = CellHeads(
            n_inputs, defaults.hidden_dim, defaults.embedding_dim, n_perturbations, curvature=1.0
        )
        heads.perturbation_points.assign(0.2 * rng.normal(size=(n_perturbations, defaults.embedding_dim)))
        strength = rng.uniform(size=n_perturbations).astype(np.float32)
        compile_heads(heads, strength, learning_rate=1e-3, steps=100, epochs=30, jit_compile=jit)
        label = rng.integers(0, n_perturbations, size=defaults.batch_size).astype(np.int32)
        shift = rng.normal(size=(len(label), n_inputs)).astype(np.float32)
        return whole(heads, (shift, {"policy": label, "value": strength[label]}), jit)

    return {
        "gene points: 4,000 genes, block of 256": genes,
        "cell heads: 256 cells x 2,000 genes, 100 perturbations": cells,
    }


def table(title: str, cases: dict[str, Callable[[bool], Callable[[], object]]], repeats: int) -> None:
    """Measure the cases and print them."""
    print(f"\n| {title} | without XLA (ms) | with XLA (ms) | faster | first call without / with XLA (s) |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for name, make in cases.items():
        (first, plain), (compiling, fused) = (timed(make(jit), repeats) for jit in (False, True))
        print(
            f"| {name} | {plain:.2f} | {fused:.2f} | {plain / fused:.2f}x | {first:.1f} / {compiling:.1f} |",
            flush=True,
        )


def one_run(jit: bool, screen: Path) -> None:
    """Train the demo at the default settings in this process; prints seconds of the stages and memory."""
    started = time.perf_counter()
    from hyperperturb.models.settings import TrainingSettings
    from hyperperturb.runs.config import NetworkSource, RunConfig
    from hyperperturb.runs.directory import RunDirectory
    from hyperperturb.runs.worker import execute

    config = RunConfig(
        screen=screen,
        column="perturbation",
        control="non-targeting",
        networks=(NetworkSource(path=screen.with_suffix(".network.csv")),),
        settings=TrainingSettings(jit_compile=jit),
    )
    first: list[float] = []
    run = RunDirectory.create(screen.parent, config, name=f"run-{jit}")
    run.listeners.append(lambda e: first.append(time.perf_counter()) if e["kind"] == "epoch" else None)
    state = execute(run)
    if state != "finished":
        raise SystemExit(run.status.error)
    last = {s: float(h["val_loss"].iloc[-1]) for s, h in run.history().groupby("stage")}
    # VmHWM is this program's own; ru_maxrss would start from that of the process that started it
    status = Path("/proc/self/status")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        peak = int(line.split()[1]) / 1e3
    print(
        f"RESULT | {time.perf_counter() - started:.0f} | {first[0] - started:.0f} | {peak:.0f} | "
        f"{last['genes']:.4f} | {last['cells']:.4f} |"
    )


def runs() -> None:
    """Train the demo twice, each time in a process of its own, and print the table."""
    from hyperperturb.data.simulate import simulate_screen, write_simulation

    print(
        "\n| default training of the demo | start to usable run (s) | to the first loss (s) | memory peak (MB) | last "
        "validation loss, genes | cells |"
    )
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        screen = Path(folder) / "screen.h5ad"
        write_simulation(simulate_screen(), screen)
        for jit in (False, True):
            said = subprocess.run(
                [sys.executable, __file__, "--one-run", str(int(jit)), "--screen", str(screen)],
                capture_output=True,
                text=True,
                check=False,
            )
            result = [x for x in said.stdout.splitlines() if x.startswith("RESULT")]
            if not result:
                raise SystemExit(said.stderr[-2000:])
            print(f"| {'with' if jit else 'without'} XLA {result[0].removeprefix('RESULT')}", flush=True)


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=30, help="steps timed (default: %(default)s)")
    parser.add_argument("--without-runs", action="store_true", help="leave out the two whole trainings")
    parser.add_argument("--one-run", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--screen", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one_run is not None:
        one_run(bool(args.one_run), args.screen)
        return
    print(header("tensorflow", "keras", "numpy"))
    if not args.without_runs:
        runs()
    table("layer, forward and backward", layer_cases(), args.repeats)
    table("whole step", step_cases(), args.repeats)


if __name__ == "__main__":
    main()
