"""TextEncoder against PyTorch's layers in float64: outputs and all gradients, with padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

import retrograd as rg
from retrograd import losses, models, nn

VOCABULARY, WIDTH, HEADS, LAYERS, CONTEXT = 13, 16, 4, 2, 12
LENGTHS = np.array([12, 7, 1])


class Theirs(torch.nn.Module):
    """Token and position embeddings, layers that normalise first, what finds hidden tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.token = torch.nn.Embedding(VOCABULARY + 1, WIDTH)
        self.position = torch.nn.Embedding(CONTEXT, WIDTH)
        layer = torch.nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = torch.nn.TransformerEncoder(
            layer, LAYERS, torch.nn.LayerNorm(WIDTH), enable_nested_tensor=False
        )
        for parameter in self.blocks.parameters():  # PyTorch copies one layer
            torch.nn.init.normal_(parameter, std=0.2)
        self.transform = torch.nn.Linear(WIDTH, WIDTH)
        self.last_norm = torch.nn.LayerNorm(WIDTH)
        self.bias = torch.nn.Parameter(torch.randn(VOCABULARY))

    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.token(tokens) + self.position.weight[: tokens.shape[1]]
        result: torch.Tensor = self.blocks(x, src_key_padding_mask=tokens == 0)
        return result

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.last_norm(functional.gelu(self.transform(self.encode(tokens))))
        return x @ self.token.weight[:VOCABULARY].T + self.bias


def convert(theirs: Theirs) -> models.MaskedLanguageModel:
    encoder = models.TextEncoder(VOCABULARY, WIDTH, HEADS, LAYERS, CONTEXT)
    ours = models.MaskedLanguageModel(encoder).astype("float64")
    assert encoder.positions is not None
    encoder.embedding.weight = rg.array(theirs.token.weight.detach().numpy().copy())
    encoder.positions.weight = rg.array(theirs.position.weight.detach().numpy().copy())
    ours.bias = rg.array(theirs.bias.detach().numpy().copy())
    pairs: list[tuple[Any, Any]] = [
        (encoder.blocks, theirs.blocks),
        (ours.transform, theirs.transform),
        (ours.norm, theirs.last_norm),
    ]
    for layer, module in pairs:
        state = {name: value.numpy() for name, value in module.state_dict().items()}
        nn.load_torch_state(layer, state)
    return ours


def make_tokens() -> Any:
    random = np.random.default_rng(0)
    tokens = random.integers(1, VOCABULARY + 1, (3, CONTEXT))  # hidden ones among them
    return np.where(np.arange(CONTEXT) < LENGTHS[:, None], tokens, 0)


def walk(gradients: Any, path: str) -> Any:
    for name in path.split("."):
        gradients = gradients[int(name) if name.isdigit() else name]
    return gradients


def test_outputs_and_gradients() -> None:
    torch.manual_seed(0)
    theirs = Theirs().to(torch.float64)
    ours, tokens = convert(theirs), make_tokens()
    inside = tokens != 0
    expected = theirs.encode(torch.from_numpy(tokens)).detach().numpy()
    found = np.asarray(ours.encoder(tokens.astype("int32")))
    assert np.abs(found - expected)[inside].max() < 1e-12

    places = np.array([[0, 3, 11], [6, 2, 2], [0, 0, 0]])
    targets = np.array([[4, 5, 6], [7, 8, 9], [1, 2, 3]])
    weights = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    logits = theirs(torch.from_numpy(tokens))
    chosen = torch.gather(logits, 1, torch.from_numpy(places)[..., None].expand(-1, -1, VOCABULARY))
    rows = functional.cross_entropy(
        chosen.flatten(0, 1), torch.from_numpy(targets).flatten(), reduction="none"
    )
    loss = (rows * torch.from_numpy(weights).flatten()).sum() / weights.sum()
    loss.backward()

    def find_loss(model: Any) -> Any:
        logits = model(tokens.astype("int32"), places.astype("int32"))
        return losses.cross_entropy(logits, targets.astype("int32"), sample_weight=weights)

    value, gradients = rg.value_and_grad(find_loss)(ours)
    assert abs(float(value) - float(loss.detach())) < 1e-10
    pairs = [
        ("encoder.embedding.weight", theirs.token.weight),
        ("encoder.positions.weight", theirs.position.weight),
        ("bias", theirs.bias),
        ("transform.weight", theirs.transform.weight),
        ("norm.bias", theirs.last_norm.bias),
    ]
    for number, layer in enumerate(theirs.blocks.layers):
        place = f"encoder.blocks.layers.{number}"
        pairs += [
            (f"{place}.hidden.weight", layer.linear1.weight),
            (f"{place}.attention.in_weight", layer.self_attn.in_proj_weight),
            (f"{place}.out_norm.weight", layer.norm2.weight),
        ]
    for path, parameter in pairs:
        found, expected = np.asarray(walk(gradients, path)), parameter.grad.numpy()
        if path.endswith(("hidden.weight", "in_weight", "transform.weight")):
            found = found.T  # PyTorch keeps the matrices of linear layers transposed
        np.testing.assert_allclose(found, expected, atol=1e-9, err_msg=path)
