"""Measures gradients that vanish and explode; draws the pictures of docs/vanishing-gradients.md.

    python tools/make_vanishing_gradients.py [--out docs/images]

Needs matplotlib (the extra `plots`). The runs are shared by two processes of one thread each:
three minutes of processor time in all.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import retrograd as rg
from retrograd import losses, nn, optim

STEPS, HIDDEN, SYMBOLS, BATCH = 200, 64, 4, 32
FEATURES = SYMBOLS + 1
NOISE = 0.1
SEEDS = (0, 1, 2)
RADII = (0.5, 0.9, 1.0, 1.5, 2.0, 3.0)
GATE = 5.0
"""A gate with this bias keeps sigmoid(5) = 0.993 in each step."""
CHANCE = float(np.log(SYMBOLS))

# Colours of Okabe and Ito, which the colour-blind tell apart.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, RED, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#777777"


# --- The task


def make_batch(generator: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences whose first step shows a symbol; 199 steps of noise follow.

    Returns:
        Inputs (size, 200, 5) with the noise in the last feature, and the symbols (size,).
    """
    symbols = generator.integers(0, SYMBOLS, size)
    inputs = np.zeros((size, STEPS, FEATURES), "float32")
    inputs[np.arange(size), 0, symbols] = 1.0
    inputs[:, 1:, SYMBOLS] = NOISE * generator.standard_normal((size, STEPS - 1))
    return inputs, symbols


# --- The networks


def make_random_matrix(radius: float, seed: int) -> np.ndarray:
    """Normal numbers, scaled so that the largest absolute eigenvalue is the radius."""
    matrix = np.random.default_rng(seed).standard_normal((HIDDEN, HIDDEN))
    return matrix * (radius / np.abs(np.linalg.eigvals(matrix)).max())


def set_gate_bias(cell: Any, gate: int, value: float) -> None:
    """Sets the bias of one gate; the gates stand side by side."""
    bias = cell.input_bias.numpy().copy()
    bias[gate * HIDDEN : (gate + 1) * HIDDEN] = value
    cell.input_bias = rg.array(bias)


def make_layer(name: str) -> Any:
    """A layer by the name that it has in the pictures."""
    if name == "RNN":
        return nn.RNN(FEATURES, HIDDEN, returns="last")
    if name == "RNN, orthogonal":
        return nn.RNN(FEATURES, HIDDEN, returns="last", recurrent_init="orthogonal")
    if name == "LSTM":
        return nn.LSTM(FEATURES, HIDDEN, returns="last")
    if name == "LSTM, f = 1":
        return nn.LSTM(FEATURES, HIDDEN, returns="last", forget_bias=1.0)
    if name == "LSTM, f = 5":
        return nn.LSTM(FEATURES, HIDDEN, returns="last", forget_bias=GATE)
    if name == "LSTM, f = 5, i = -5":
        layer = nn.LSTM(FEATURES, HIDDEN, returns="last", forget_bias=GATE)
        set_gate_bias(layer.cells[0], 0, -GATE)  # i, f, g, o
        return layer
    if name == "GRU":
        return nn.GRU(FEATURES, HIDDEN, returns="last")
    if name == "GRU, z = 5":
        layer = nn.GRU(FEATURES, HIDDEN, returns="last")
        set_gate_bias(layer.cells[0], 1, GATE)  # r, z, n
        return layer
    raise ValueError(name)


STYLES = {
    "RNN": (BLACK, "-"),
    "RNN, orthogonal": (RED, "-"),
    "LSTM": (SKY, "--"),
    "LSTM, f = 1": (BLUE, ":"),
    "LSTM, f = 5": (PURPLE, "-."),
    "LSTM, f = 5, i = -5": (BLUE, "-"),
    "GRU": (GREEN, "--"),
    "GRU, z = 5": (ORANGE, "-"),
}


# --- Gradients with respect to the states


def measure_gradients(cell: Any, head: Any, inputs: np.ndarray, symbols: np.ndarray) -> np.ndarray:
    """|dL/dh_t| for t = 1 to 200, in float64.

    A shift of 0 is added to the state after each step: the gradient with respect to shift t is
    dL/dh_t. The state of an LSTM is h and c together.
    """
    cell, head = cell.astype("float64"), head.astype("float64")
    steps = np.swapaxes(inputs, 0, 1).astype("float64")
    projected = cell.project(rg.array(steps))

    def loss_of(shifts: tuple[Any, ...]) -> Any:
        def step(state: Any, now: Any) -> tuple[Any, None]:
            projection, shift = now
            after = cell.advance(projection, state)
            return tuple(a + s for a, s in zip(after, shift, strict=True)), None

        start = tuple(rg.zeros(shift.shape[1:], "float64") for shift in shifts)
        end, _ = rg.scan(step, start, (projected, shifts))
        return losses.cross_entropy(head(end[0]), symbols)

    shape = (STEPS, len(symbols))
    shifts = tuple(rg.zeros((*shape, size), "float64") for size in cell.sizes)
    gradients = rg.grad(loss_of)(shifts)
    return np.sqrt(sum((g.numpy() ** 2).sum(axis=(1, 2)) for g in gradients))


def measure_radii() -> dict[float, tuple[np.ndarray, float]]:
    """For each spectral radius: the norms over time, and the largest singular value of U."""
    inputs, symbols = make_batch(np.random.default_rng(0), BATCH)
    found = {}
    for radius in RADII:
        rg.seed(0)
        cell, head = nn.RNNCell(FEATURES, HIDDEN), nn.Linear(HIDDEN, SYMBOLS)
        matrix = make_random_matrix(radius, seed=0)
        cell.hidden_weight = rg.array(matrix.astype("float32"))
        norms = measure_gradients(cell, head, inputs, symbols)
        found[radius] = norms, float(np.linalg.norm(matrix, 2))
    return found


def measure_layers() -> dict[str, np.ndarray]:
    """The norms over time of each network before training."""
    inputs, symbols = make_batch(np.random.default_rng(0), BATCH)
    found = {}
    for name in STYLES:
        rg.seed(0)
        layer, head = make_layer(name), nn.Linear(HIDDEN, SYMBOLS)
        found[name] = measure_gradients(layer.cells[0], head, inputs, symbols)
    return found


# --- Training


def make_optimizer(rule: str) -> Any:
    if rule == "SGD":
        return optim.SGD(0.3)
    if rule == "SGD, clipped":
        return optim.chain(optim.clip_by_global_norm(1.0), optim.SGD(0.3))
    if rule == "Adam":
        return optim.Adam(1e-3)
    return optim.chain(optim.clip_by_global_norm(1.0), optim.Adam(1e-3))


def train(name: str, rule: str, seed: int, count: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Losses and gradient norms (before clipping) of each update, and the accuracy at the end."""
    rg.seed(seed)
    model = nn.Sequential(make_layer(name), nn.Linear(HIDDEN, SYMBOLS))
    optimizer = make_optimizer(rule)

    @rg.compile
    def update(model: Any, optimizer: Any, inputs: Any, symbols: Any) -> Any:
        def loss_of(model: Any) -> Any:
            return losses.cross_entropy(model(inputs), symbols)

        loss, gradients = rg.value_and_grad(loss_of)(model)
        norm = optim.global_norm(gradients)
        optimizer.update(model, gradients)
        return loss, norm

    generator = np.random.default_rng(seed)
    batches = (make_batch(generator, BATCH) for _ in range(count))
    curves = np.array([[float(v) for v in update(model, optimizer, *b)] for b in batches])
    inputs, symbols = make_batch(np.random.default_rng(1_000), 1_000)
    accuracy = float((model(inputs).numpy().argmax(-1) == symbols).mean())
    return curves[:, 0], curves[:, 1], accuracy


Run = tuple[str, str, int, int]


def train_all(runs: Sequence[Run]) -> dict[Run, tuple[np.ndarray, np.ndarray, float]]:
    """Trains in two processes; each has one thread, so that both keep to their core."""
    os.environ["RETROGRAD_THREADS"] = "1"
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(train, *zip(*runs, strict=True)))
    return dict(zip(runs, results, strict=True))


# --- Pictures


def smooth(values: np.ndarray, width: int = 20) -> np.ndarray:
    """Means over windows of so many updates."""
    return np.convolve(values, np.ones(width) / width, mode="valid")


def make_figure(columns: int = 1) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for part in axes:
        part.grid(alpha=0.3)
        part.spines[["top", "right"]].set_visible(False)
    return figure, axes


def draw_norms(
    curves: dict[str, tuple[np.ndarray, Any, str]], lowest: float, highest: float, file: Path
) -> None:
    """Norms over time; what lies beyond the axis is cut off."""
    figure, (axes,) = make_figure()
    for label, (norms, colour, line) in curves.items():
        axes.semilogy(np.arange(1, STEPS + 1), norms, line, color=colour, label=label)
    axes.set_ylim(lowest, highest)
    axes.set_xlim(1, STEPS)
    axes.set_xlabel("time step t (the loss is measured after step 200)")
    axes.set_ylabel("norm of dL/dh at step t")
    figure.legend(loc="outside right center", frameon=False)
    figure.savefig(file)


def draw_clipping(results: dict[Run, Any], runs: Sequence[Run], file: Path) -> None:
    figure, (left, right) = make_figure(2)
    for rule, colour in (("SGD", RED), ("SGD, clipped", BLUE)):
        for run in (run for run in runs if run[1] == rule):
            loss, norm, _ = results[run]
            label = {"SGD": "as they are", "SGD, clipped": "clipped to norm 1"}[rule]
            first = run[2] == SEEDS[0]
            style = {"color": colour, "lw": 1.0, "label": label if first else None}
            left.plot(smooth(loss), **style)
            right.semilogy(norm, color=colour, lw=0.5, alpha=0.8)
    left.axhline(CHANCE, color=GREY, ls=":", label="guessing")
    left.set_ylim(0, 4)
    left.set_ylabel("loss (mean of 20 updates)")
    right.set_ylabel("global norm of the gradient, before clipping")
    for part in (left, right):
        part.set_xlabel("updates")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(file)


def draw_training(results: dict[Run, Any], runs: Sequence[Run], file: Path) -> None:
    figure, (axes,) = make_figure()
    for name, _, seed, _ in (run for run in runs if run[1] == "Adam, clipped"):
        colour, line = STYLES[name]
        loss = results[next(r for r in runs if r[:3] == (name, "Adam, clipped", seed))][0]
        label = name if seed == SEEDS[0] else None
        axes.plot(smooth(loss), line, color=colour, lw=1.2, label=label)
    axes.axhline(CHANCE, color=GREY, ls=":", label="guessing")
    axes.set_ylim(0, 1.8)
    axes.set_xlabel("updates")
    axes.set_ylabel("loss (mean of 20 updates)")
    figure.legend(loc="outside right center", frameon=False)
    figure.savefig(file)


# --- The whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()

    radii = measure_radii()
    print("| spectral radius | largest singular value | t = 200 | t = 100 | t = 1 | bound, t = 1 |")
    print("|---|---|---|---|---|---|")
    for radius, (norms, largest) in radii.items():
        bound = norms[-1] * largest ** (STEPS - 1)
        cells = (norms[-1], norms[99], norms[0], bound)
        print(f"| {radius} | {largest:.2f} | " + " | ".join(f"{v:.1e}" for v in cells) + " |")
    from matplotlib import colormaps

    shades = colormaps["plasma"](np.linspace(0.0, 0.85, len(RADII)))
    draw_norms(
        {f"radius {r}": (radii[r][0], shades[n], "-") for n, r in enumerate(RADII)},
        1e-30,
        1e30,
        folder / "gradients-plain.png",
    )

    layers = measure_layers()
    print("\n| network | t = 200 | t = 100 | t = 1 |\n|---|---|---|---|")
    for name, norms in layers.items():
        print(f"| {name} | {norms[-1]:.1e} | {norms[99]:.1e} | {norms[0]:.1e} |")
    draw_norms(
        {name: (norms, *STYLES[name]) for name, norms in layers.items()},
        1e-45,
        1e5,
        folder / "gradients-cures.png",
    )

    orthogonal = "RNN, orthogonal"
    runs: list[Run] = [(n, "Adam, clipped", s, 1_000) for n in STYLES for s in SEEDS]
    runs += [(orthogonal, "Adam", s, 1_000) for s in SEEDS]
    runs += [(orthogonal, rule, s, 600) for rule in ("SGD", "SGD, clipped") for s in SEEDS]
    results = train_all(runs)
    print("\n| network | optimizer | accuracy, three seeds | lowest loss (20) | largest norm |")
    print("|---|---|---|---|---|")
    for name, rule in dict.fromkeys(run[:2] for run in runs):
        found = [results[run] for run in runs if run[:2] == (name, rule)]
        accuracy = ", ".join(f"{100 * a:.0f} %" for _, _, a in found)
        lowest = ", ".join(f"{smooth(loss).min():.3f}" for loss, _, _ in found)
        largest = ", ".join(f"{norm.max():.0e}" for _, norm, _ in found)
        print(f"| {name} | {rule} | {accuracy} | {lowest} | {largest} |")
    draw_clipping(results, runs, folder / "training-clipping.png")
    draw_training(results, runs, folder / "training-cures.png")
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
