"""The side of JAX: one jitted step with donated state, or many of them in one `lax.scan`.

Settings that are tried: both of these forms, and one thread beside all. Runs in an environment
without retrograd. Adam is written out: compiled, it is what a library of optimizers gives.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from functools import partial
from typing import Any

if json.loads(sys.argv[1])["threads"] == 1:  # XLA looks at both when JAX is imported
    if hasattr(os, "sched_setaffinity"):  # the flag alone leaves some of its threads at work
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    flags = [os.environ.get("XLA_FLAGS", ""), "--xla_cpu_multi_thread_eigen=false"]
    os.environ["XLA_FLAGS"] = " ".join(flags).strip()

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.protocol import Session, serve
from benchmarks.rivals.sizes import (
    GATES,
    LEARNING_RATE,
    TOKEN_SPREAD,
    WORKLOADS,
    Workload,
    list_resnet_blocks,
)

Tree = Any


class Draw:
    """Random initial values, each from a key of its own."""

    def __init__(self) -> None:
        self.key = jax.random.key(0)

    def normal(self, *shape: int) -> Any:
        self.key, key = jax.random.split(self.key)
        return jax.random.normal(key, shape, jnp.float32)

    def dense(self, inner: int, outer: int) -> Tree:
        return {"w": self.normal(inner, outer) * inner**-0.5, "b": jnp.zeros(outer)}

    def kernel(self, size: int, inner: int, outer: int) -> Any:
        return self.normal(size, size, inner, outer) * (size * size * inner) ** -0.5

    def block(self, size: int, inner: int, outer: int) -> tuple[Tree, Tree]:
        """A convolution with a BatchNorm: what is trained, and the running statistics."""
        trained = {
            "w": self.kernel(size, inner, outer),
            "scale": jnp.ones(outer),
            "shift": jnp.zeros(outer),
        }
        return trained, {"mean": jnp.zeros(outer), "var": jnp.ones(outer)}


def convolve(x: Any, w: Any, stride: int = 1) -> Any:
    return lax.conv_general_dilated(
        x, w, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def pool(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def apply_dense(layer: Tree, x: Any) -> Any:
    return x @ layer["w"] + layer["b"]


def apply_block(layer: Tree, running: Tree, x: Any, stride: int = 1) -> tuple[Any, Tree]:
    x = convolve(x, layer["w"], stride)
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    kept = {
        "mean": 0.9 * running["mean"] + 0.1 * mean,
        "var": 0.9 * running["var"] + 0.1 * var * (x.size / (x.size - x.shape[-1])),
    }
    return (x - mean) * lax.rsqrt(var + 1e-5) * layer["scale"] + layer["shift"], kept


# -- the networks: parameters and statistics, and (parameters, statistics, x) to both -------------


def make_network(workload: Workload) -> tuple[Tree, Tree, Any]:
    if workload.kind == "mlp":
        return make_mlp(workload)
    if workload.kind in GATES:
        return make_recurrent(workload)
    if workload.kind == "gpt":
        return make_gpt(workload)
    return make_cnn() if workload.kind == "cnn" else make_resnet()


def make_mlp(workload: Workload) -> tuple[Tree, Tree, Any]:
    draw = Draw()
    parameters = [draw.dense(i, o) for i, o in zip(workload.widths, workload.widths[1:])]
    activation = {"relu": jax.nn.relu, "tanh": jnp.tanh}[workload.activation]

    def forward(parameters: Tree, statistics: Tree, x: Any) -> tuple[Any, Tree]:
        for layer in parameters[:-1]:
            x = activation(apply_dense(layer, x))
        return apply_dense(parameters[-1], x), statistics

    return parameters, [], forward


def make_cnn() -> tuple[Tree, Tree, Any]:
    draw = Draw()
    convolutions = [
        {"w": draw.kernel(3, 1, 16), "b": jnp.zeros(16)},
        {"w": draw.kernel(3, 16, 32), "b": jnp.zeros(32)},
    ]
    parameters = [*convolutions, draw.dense(1568, 128), draw.dense(128, 10)]

    def forward(parameters: Tree, statistics: Tree, x: Any) -> tuple[Any, Tree]:
        for layer in parameters[:2]:
            x = pool(jax.nn.relu(convolve(x, layer["w"]) + layer["b"]))
        x = x.reshape(x.shape[0], -1)
        x = jax.nn.relu(apply_dense(parameters[2], x))
        return apply_dense(parameters[3], x), statistics

    return parameters, [], forward


def make_resnet() -> tuple[Tree, Tree, Any]:
    draw = Draw()
    sizes = list_resnet_blocks()
    drawn = [draw.block(3, 3, 16)]
    for inner, outer, stride in sizes:
        drawn += [draw.block(3, inner, outer), draw.block(3, outer, outer)]
        if (inner, stride) != (outer, 1):
            drawn.append(draw.block(1, inner, outer))
    parameters = {"blocks": [trained for trained, _ in drawn], "head": draw.dense(64, 10)}

    def forward(parameters: Tree, statistics: Tree, x: Any) -> tuple[Any, Tree]:
        kept: list[Tree] = []

        def apply(x: Any, stride: int = 1) -> Any:
            number = len(kept)
            x, running = apply_block(parameters["blocks"][number], statistics[number], x, stride)
            kept.append(running)
            return x

        x = jax.nn.relu(apply(x))
        for inner, outer, stride in sizes:
            inside = apply(jax.nn.relu(apply(x, stride)))
            shortcut = x if (inner, stride) == (outer, 1) else apply(x, stride)
            x = jax.nn.relu(inside + shortcut)
        return apply_dense(parameters["head"], x.mean((1, 2))), kept

    return parameters, [running for _, running in drawn], forward


def advance_rnn(layer: Tree, h: Any, inputs: Any) -> Any:
    return jnp.tanh(inputs + apply_dense(layer, h))


def advance_gru(layer: Tree, h: Any, inputs: Any) -> Any:
    """The reset gate comes after the recurrent product, as in PyTorch."""
    reset, update, new = jnp.split(inputs, 3, axis=-1)
    h_reset, h_update, h_new = jnp.split(apply_dense(layer, h), 3, axis=-1)
    update = jax.nn.sigmoid(update + h_update)
    new = jnp.tanh(new + jax.nn.sigmoid(reset + h_reset) * h_new)
    return new + update * (h - new)


def advance_lstm(layer: Tree, state: Any, inputs: Any) -> Any:
    h, c = state
    enter, forget, new, leave = jnp.split(inputs + apply_dense(layer, h), 4, axis=-1)
    c = jax.nn.sigmoid(forget) * c + jax.nn.sigmoid(enter) * jnp.tanh(new)
    return jax.nn.sigmoid(leave) * jnp.tanh(c), c


def make_recurrent(workload: Workload) -> tuple[Tree, Tree, Any]:
    """The products of the inputs are made before the loop, all at once."""
    draw = Draw()
    features, hidden, classes = workload.widths
    gates = GATES[workload.kind] * hidden
    sizes = ((features, gates), (hidden, gates), (hidden, classes))
    parameters = [draw.dense(inner, outer) for inner, outer in sizes]
    advance = {"rnn": advance_rnn, "gru": advance_gru, "lstm": advance_lstm}[workload.kind]

    def forward(parameters: Tree, statistics: Tree, x: Any) -> tuple[Any, Tree]:
        inputs = apply_dense(parameters[0], x).swapaxes(0, 1)
        h = jnp.zeros((x.shape[0], hidden))
        start = (h, h) if workload.kind == "lstm" else h

        def step(state: Any, now: Any) -> tuple[Any, None]:
            return advance(parameters[1], state, now), None

        end, _ = lax.scan(step, start, inputs)
        return apply_dense(parameters[2], end[0] if workload.kind == "lstm" else end), statistics

    return parameters, [], forward


def normalise(layer: Tree, x: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred * centred).mean(-1, keepdims=True)
    return centred * lax.rsqrt(variance + 1e-5) * layer["scale"] + layer["shift"]


def attend(layer: Tree, x: Any, heads: int) -> Any:
    batch, steps, width = x.shape
    parts = apply_dense(layer["project"], x).reshape(batch, steps, 3, heads, width // heads)
    query, key, value = jnp.moveaxis(parts, (2, 3), (0, 2))
    scores = query @ key.swapaxes(-1, -2) * (width // heads) ** -0.5
    seen = jnp.tril(jnp.ones((steps, steps), bool))
    found = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf)) @ value
    return apply_dense(layer["merge"], found.swapaxes(1, 2).reshape(x.shape))


def make_gpt(workload: Workload) -> tuple[Tree, Tree, Any]:
    draw = Draw()
    (width,), (steps,) = workload.widths, workload.sample
    norm = {"scale": jnp.ones(width), "shift": jnp.zeros(width)}
    blocks = [
        {
            "before_attention": norm,
            "project": draw.dense(width, 3 * width),
            "merge": draw.dense(width, width),
            "before_network": norm,
            "hidden": draw.dense(width, 4 * width),
            "out": draw.dense(4 * width, width),
        }
        for _ in range(workload.blocks)
    ]
    parameters = {
        "tokens": draw.normal(workload.classes, width) * TOKEN_SPREAD,
        "positions": draw.normal(steps, width) * TOKEN_SPREAD,
        "blocks": blocks,
        "norm": norm,
        "head": draw.dense(width, workload.classes),
    }

    def forward(parameters: Tree, statistics: Tree, tokens: Any) -> tuple[Any, Tree]:
        x = parameters["tokens"][tokens] + parameters["positions"]
        for layer in parameters["blocks"]:
            x = x + attend(layer, normalise(layer["before_attention"], x), workload.heads)
            hidden = apply_dense(layer["hidden"], normalise(layer["before_network"], x))
            x = x + apply_dense(layer["out"], jax.nn.gelu(hidden, approximate=False))
        return apply_dense(parameters["head"], normalise(parameters["norm"], x)), statistics

    return parameters, [], forward


# -- the step --------------------------------------------------------------------------------------


def update_adam(parameters: Tree, gradients: Tree, state: Tree) -> tuple[Tree, Tree]:
    count = state["count"] + 1
    time_step = count.astype(jnp.float32)
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state["first"], gradients)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, state["second"], gradients)
    by_first, by_second = 1 / (1 - 0.9**time_step), 1 / (1 - 0.999**time_step)
    parameters = jax.tree.map(
        lambda p, m, v: p - LEARNING_RATE * (m * by_first) / (jnp.sqrt(v * by_second) + 1e-8),
        parameters,
        first,
        second,
    )
    return parameters, {"count": count, "first": first, "second": second}


class JaxStep(Session):
    """Training steps in JAX, `inner` of them in a call."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.workload = WORKLOADS[settings["workload"]]
        self.inner = settings.get("inner", 1)
        self.threads = settings["threads"]

    def prepare(self) -> dict[str, Any]:
        workload = self.workload
        draw = Draw()
        shape = (workload.batch, *workload.sample)
        x = draw.normal(*shape)
        if workload.reads_tokens:
            x = jax.random.randint(jax.random.key(1), shape, 0, workload.classes)
        labels = (workload.batch, *workload.targets)
        y = jax.random.randint(draw.key, labels, 0, workload.classes)
        parameters, statistics, forward = make_network(workload)
        zeros = partial(jax.tree.map, jnp.zeros_like)
        adam = {"count": jnp.int32(0), "first": zeros(parameters), "second": zeros(parameters)}
        self.state = jax.tree.map(jnp.array, (parameters, statistics, adam))

        def compute_loss(parameters: Tree, statistics: Tree, x: Any, y: Any) -> Any:
            outputs, statistics = forward(parameters, statistics, x)
            chosen = jnp.take_along_axis(jax.nn.log_softmax(outputs), y[..., None], axis=-1)
            return -chosen.mean(), statistics

        def step(state: Tree, x: Any, y: Any) -> tuple[Tree, Any]:
            parameters, statistics, adam = state
            differentiated = jax.value_and_grad(compute_loss, has_aux=True)
            (loss, statistics), gradients = differentiated(parameters, statistics, x, y)
            parameters, adam = update_adam(parameters, gradients, adam)
            return (parameters, statistics, adam), loss

        def many(state: Tree, x: Any, y: Any) -> tuple[Tree, Any]:
            return lax.scan(lambda state, _: step(state, x, y), state, None, length=self.inner)

        jitted = jax.jit(step if self.inner == 1 else many, donate_argnums=0)
        self.x, self.y = x, y
        jax.block_until_ready((self.state, x, y))
        begin = time.perf_counter()
        lowered = jitted.lower(self.state, x, y)
        traced = time.perf_counter()
        compiled = lowered.compile()
        end = time.perf_counter()
        # The jitted function is called, not the compiled one: its way from Python is the short one.
        # It finds the program that was just compiled.
        self.step = jitted
        losses: list[float] = []
        for _ in range(2):
            self.state, loss = self.step(self.state, x, y)
            losses.append(float(jnp.ravel(loss)[0]))  # of the first step in the call
            if len(losses) == 1:
                first = time.perf_counter() - begin
        del compiled
        return {
            "trace": traced - begin,
            "compile": end - traced,
            "first": first,
            "losses": losses,
            "parameters": sum(leaf.size for leaf in jax.tree.leaves(parameters)),
            "threads": self.threads,
            "versions": {"python": platform.python_version(), "jax": jax.__version__},
        }

    def run(self, steps: int) -> int:
        calls = max(1, round(steps / self.inner))
        step, state, x, y = self.step, self.state, self.x, self.y
        for _ in range(calls):
            state, _loss = step(state, x, y)
        jax.block_until_ready(state)
        self.state = state
        return calls * self.inner


if __name__ == "__main__":
    serve(JaxStep)
