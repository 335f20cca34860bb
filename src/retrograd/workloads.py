"""The workloads of the benchmarks: sizes, arithmetic, and the networks.

One training step is forward, backward and an update with Adam, in float32, on one batch. Other
frameworks read the sizes from this file in environments without retrograd, hence it imports the
package only where a model is made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

LEARNING_RATE = 1e-3
ADAM_STATES = 3  # the parameter itself and two moments
FLOAT_BYTES = 4  # of tokens and labels too
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
TOKEN_SPREAD = 0.02
"""The standard deviation of the first embeddings of a GPT."""


@dataclass(frozen=True)
class Layer:
    """A contraction: `places` times `outputs` sums of `terms` products for each sample.

    Args:
        places: positions of an image or a sequence at which the layer is applied; 1 for a dense
            layer, 0 for parameters without a contraction.
        terms, outputs: products in a sum, and channels of the result.
        parameters: trained numbers, with biases and those of a BatchNorm behind it.
        buffers: numbers that are kept but not trained: running means and variances.
        first: whether it reads the data, which need no gradient.
    """

    places: int
    terms: int
    outputs: int
    parameters: int
    buffers: int = 0
    first: bool = False


@dataclass(frozen=True)
class Workload:
    """A network and its batch.

    Args:
        name: how the command line calls it.
        title: what a report says.
        batch: samples in a step.
        sample: the shape of one, channels last; sequences are (steps, features) or (tokens,).
        classes: of the labels.
        layers: every contraction.
        kind: "mlp", "cnn", "resnet", "rnn", "lstm", "gru" or "gpt": what builds the network.
        widths: of an MLP or a recurrent network from input to output; of a GPT that of its stream.
        activation: of an MLP.
        heads, blocks: of a GPT.
        targets: the shape of the labels of a sample; () is one label.
    """

    name: str
    title: str
    batch: int
    sample: tuple[int, ...]
    classes: int
    layers: tuple[Layer, ...]
    kind: str
    widths: tuple[int, ...] = ()
    activation: str = "relu"
    heads: int = 1
    blocks: int = 1
    targets: tuple[int, ...] = ()

    @property
    def reads_images(self) -> bool:
        return len(self.sample) == 3

    @property
    def reads_tokens(self) -> bool:
        """Whether the data are whole numbers below `classes`."""
        return self.kind == "gpt"

    @property
    def flops(self) -> int:
        """Multiplications and additions of the contractions in one step.

        Each is done forward, for the gradient of its weight, and for that of its input unless that
        is the data. Zeros of a padding and of a first state count, all other arithmetic does not.
        """
        products = sum(
            layer.places * layer.terms * layer.outputs * (2 if layer.first else 3)
            for layer in self.layers
        )
        return 2 * self.batch * products

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def bytes(self) -> int:
        """What a step moves at the least: parameters, moments and buffers both ways, the batch in.

        Activations are left out, for they may stay in the caches or be computed again.
        """
        numbers = math.prod(self.sample) + math.prod(self.targets)
        state = ADAM_STATES * self.parameters + sum(layer.buffers for layer in self.layers)
        return FLOAT_BYTES * (2 * state + self.batch * numbers)


def dense(inner: int, outer: int, first: bool = False, places: int = 1) -> Layer:
    return Layer(places, inner, outer, inner * outer + outer, first=first)


def table(rows: int, columns: int) -> Layer:
    """Parameters that are looked up, or that scale and shift: no contraction."""
    return Layer(0, rows, columns, rows * columns)


def attend(steps: int, heads: int, features: int) -> Layer:
    """The scores and the weighted sums of causal attention: query i has i + 1 keys."""
    pairs = steps * (steps + 1) // 2
    return Layer(2 * heads * pairs, features // heads, 1, 0)


def conv(
    size: int,
    inner: int,
    outer: int,
    kernel: int = 3,
    norm: bool = False,
    first: bool = False,
) -> Layer:
    """A convolution with `size` x `size` places in its result, with a bias or a BatchNorm."""
    terms = kernel * kernel * inner
    parameters = terms * outer + outer * (2 if norm else 1)
    return Layer(size * size, terms, outer, parameters, 2 * outer if norm else 0, first)


def make_mlp(name: str, batch: int, widths: tuple[int, ...], activation: str = "relu") -> Workload:
    pairs = list(zip(widths, widths[1:]))
    layers = tuple(dense(i, o, first=n == 0) for n, (i, o) in enumerate(pairs))
    title = f"MLP {'-'.join(map(str, widths))} {activation}, batch {batch}"
    return Workload(name, title, batch, widths[:1], widths[-1], layers, "mlp", widths, activation)


def list_resnet_blocks() -> list[tuple[int, int, int]]:
    """Input channels, output channels and stride of the nine blocks of ResNet-20."""
    blocks, channels = [], 16
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        for number in range(3):
            blocks.append((channels, width, stride if number == 0 else 1))
            channels = width
    return blocks


def make_resnet(name: str, batch: int) -> Workload:
    layers, size = [conv(32, 3, 16, norm=True, first=True)], 32
    for inner, outer, stride in list_resnet_blocks():
        size //= stride
        layers += [conv(size, inner, outer, norm=True), conv(size, outer, outer, norm=True)]
        if (inner, stride) != (outer, 1):
            layers.append(conv(size, inner, outer, kernel=1, norm=True))
    layers.append(dense(64, 10))
    title = f"ResNet-20 with BatchNorm on 32x32x3, batch {batch}"
    return Workload(name, title, batch, (32, 32, 3), 10, tuple(layers), "resnet")


def make_cnn(name: str, batch: int) -> Workload:
    layers = (conv(28, 1, 16, first=True), conv(14, 16, 32), dense(1568, 128), dense(128, 10))
    title = f"conv16-pool-conv32-pool-128-10 on 28x28x1, batch {batch}"
    return Workload(name, title, batch, (28, 28, 1), 10, layers, "cnn")


def make_recurrent(kind: str, batch: int, steps: int, widths: tuple[int, int, int]) -> Workload:
    """A recurrent layer whose last output gives the class; it has a bias on both of its sides."""
    features, hidden, classes = widths
    gates = GATES[kind] * hidden
    layers = (
        dense(features, gates, first=True, places=steps),
        dense(hidden, gates, places=steps),
        dense(hidden, classes),
    )
    title = f"{kind.upper()} {'-'.join(map(str, widths))} over {steps} steps, batch {batch}"
    return Workload(kind, title, batch, (steps, features), classes, layers, kind, widths)


def make_gpt(
    name: str, batch: int, steps: int, vocabulary: int, width: int, heads: int, blocks: int
) -> Workload:
    """A decoder whose blocks normalise first; each token of a sample has a target."""
    norm = table(2, width)
    block = (
        norm,
        dense(width, 3 * width, places=steps),
        attend(steps, heads, width),
        dense(width, width, places=steps),
        norm,
        dense(width, 4 * width, places=steps),
        dense(4 * width, width, places=steps),
    )
    positions, head = table(steps, width), dense(width, vocabulary, places=steps)
    return Workload(
        name,
        f"GPT of {blocks} blocks, width {width}, {heads} heads, {steps} tokens of {vocabulary}, "
        f"batch {batch}",
        batch,
        (steps,),
        vocabulary,
        (table(vocabulary, width), positions, *block * blocks, norm, head),
        "gpt",
        (width,),
        "gelu",
        heads,
        blocks,
        (steps,),
    )


WORKLOADS = {
    workload.name: workload
    for workload in (
        make_mlp("tiny", 32, (4, 32, 32, 3), "tanh"),
        make_mlp("mlp", 128, (784, 256, 128, 10)),
        make_mlp("mlpbig", 256, (1024, 2048, 2048, 10)),
        make_cnn("cnn", 64),
        make_resnet("resnet20", 64),
        make_recurrent("rnn", 32, 64, (32, 128, 10)),
        make_recurrent("lstm", 32, 64, (32, 128, 10)),
        make_recurrent("gru", 32, 64, (32, 128, 10)),
        make_gpt("gpt", 16, 64, vocabulary=65, width=128, heads=4, blocks=4),
    )
}


# -- the networks ----------------------------------------------------------------------------------


def draw_data(workload: Workload, samples: int) -> tuple[Any, Any]:
    """Inputs and labels, as NumPy arrays."""
    import numpy as np

    generator = np.random.default_rng(0)
    x: Any
    if workload.reads_tokens:
        x = generator.integers(0, workload.classes, (samples, *workload.sample), dtype=np.int32)
    else:
        x = generator.standard_normal((samples, *workload.sample), dtype=np.float32)
    shape = (samples, *workload.targets)
    return x, generator.integers(0, workload.classes, shape).astype(np.int32)


def make_step(workload: Workload, executor: str) -> tuple[Any, tuple[Any, Any, Any, Any]]:
    """A training step as a compiled function, and its arguments: model, optimizer and a batch."""
    from retrograd import losses, optim
    from retrograd.compile import compile
    from retrograd.ops.promotion import array
    from retrograd.ops.random import seed
    from retrograd.transforms import value_and_grad

    seed(0)
    model, optimizer = make_model(workload), optim.Adam(LEARNING_RATE)
    x, y = draw_data(workload, workload.batch)

    def compute_loss(model: Any, x: Any, y: Any) -> Any:
        return losses.cross_entropy(model(x), y)

    @compile(executor=executor)
    def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
        loss, gradients = value_and_grad(compute_loss)(model, x, y)
        optimizer.update(model, gradients)
        return loss

    return step, (model, optimizer, array(x), array(y))


def make_model(workload: Workload) -> Any:
    """The network of a workload as a Module."""
    from retrograd import nn

    if workload.kind == "mlp":
        activation = {"relu": nn.ReLU, "tanh": nn.Tanh}[workload.activation]
        layers: list[Any] = []
        for inner, outer in zip(workload.widths, workload.widths[1:]):
            layers += [nn.Linear(inner, outer), activation()]
        return nn.Sequential(*layers[:-1])
    if workload.kind == "cnn":
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(1568, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )
    if workload.kind in GATES:
        features, hidden, classes = workload.widths
        layer: Any = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[workload.kind]
        recurrent = layer(features, hidden, returns="last")
        return nn.Sequential(recurrent, nn.Linear(hidden, classes))
    if workload.kind == "gpt":
        return _make_gpt_model(workload)
    return _make_resnet_model()


def _make_gpt_model(workload: Workload) -> Any:
    from retrograd import models
    from retrograd.nn.init import Normal

    return models.GPT(
        vocabulary=workload.classes,
        features=workload.widths[0],
        heads=workload.heads,
        layers=workload.blocks,
        context=workload.sample[0],
        activation=workload.activation,
        init=Normal(TOKEN_SPREAD),
    )


def _make_resnet_model() -> Any:
    from retrograd import nn

    def convolve(inner: int, outer: int, kernel: int, stride: int) -> list[Any]:
        padding = (kernel - 1) // 2
        layer = nn.Conv2d(inner, outer, kernel, stride=stride, padding=padding, bias=False)
        return [layer, nn.BatchNorm(outer)]

    class Block(nn.Module):
        def __init__(self, inner: int, outer: int, stride: int) -> None:
            self.body = nn.Sequential(
                *convolve(inner, outer, 3, stride), nn.ReLU(), *convolve(outer, outer, 3, 1)
            )
            kept = (inner, stride) == (outer, 1)
            self.shortcut = (
                nn.Identity() if kept else nn.Sequential(*convolve(inner, outer, 1, stride))
            )

        def __call__(self, x: Any) -> Any:
            return nn.relu(self.body(x) + self.shortcut(x))

    class ResNet(nn.Module):
        def __init__(self) -> None:
            self.stem = nn.Sequential(*convolve(3, 16, 3, 1), nn.ReLU())
            self.blocks = nn.Sequential(*[Block(*sizes) for sizes in list_resnet_blocks()])
            self.head = nn.Linear(64, 10)

        def __call__(self, x: Any) -> Any:
            return self.head(self.blocks(self.stem(x)).mean((1, 2)))

    return ResNet()
