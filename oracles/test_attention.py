"""Attention and transformer layers against PyTorch's in float64: outputs and all gradients.

On the inputs of PyTorch's own module tests and operator tests, and on cases by hand. PyTorch's
masks of modules say what is hidden, ours what is seen.
"""

from __future__ import annotations

import collections
import functools
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import retrograd as rg
from retrograd import nn
from test_operators import check_close, operators

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_modules import module_db

TOLERANCE = 1e-9
SMALLEST_NUMBER_OF_CASES = 400
T = torch.nn
CLASSES = (
    T.MultiheadAttention,
    T.TransformerEncoderLayer,
    T.TransformerDecoderLayer,
    T.TransformerEncoder,
)
INFOS = {info.module_cls: info for info in module_db if info.module_cls in CLASSES}
COUNTS: dict[str, collections.Counter[str]] = {}


def count(name: str, outcome: str) -> None:
    COUNTS.setdefault(name, collections.Counter())[outcome] += 1


def convert(theirs: Any) -> Any:
    """Our layer with PyTorch's weights, float64."""
    if isinstance(theirs, T.MultiheadAttention):
        layer: Any = nn.MultiHeadAttention(
            theirs.embed_dim,
            theirs.num_heads,
            key_features=theirs.kdim,
            value_features=theirs.vdim,
            bias=theirs.in_proj_bias is not None,
            dropout=theirs.dropout,
            learned_sink=theirs.bias_k is not None,
            zero_sink=theirs.add_zero_attn,
        )
    else:
        inner = theirs.layers[0] if hasattr(theirs, "layers") else theirs
        activation = inner.activation
        options = {
            "hidden_features": inner.linear1.out_features,
            "dropout": inner.dropout.p,
            "activation": activation if isinstance(activation, str) else activation.__name__,
            "norm_first": inner.norm_first,
            "bias": inner.linear1.bias is not None,
            "eps": inner.norm1.eps,
        }
        sizes = [inner.linear1.in_features, inner.self_attn.num_heads]
        if hasattr(theirs, "layers"):
            sizes.append(len(theirs.layers))
            options["final_norm"] = theirs.norm is not None
        layer = getattr(nn, type(theirs).__name__)(*sizes, **options)
    layer = layer.astype("float64")
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    nn.load_torch_state(layer, state)
    written = nn.torch_state(layer)
    assert sorted(written) == sorted(state)
    assert all(np.array_equal(written[name], state[name]) for name in state)
    return layer


def gradients_as_torch(layer: Any, gradients: Any) -> dict[str, Any]:
    """Our gradients under PyTorch's names: put into the layer, and read as weights."""
    new = dict(zip(rg.tree.paths(gradients), rg.tree.leaves(gradients), strict=True))
    layer.load_state(new)
    return nn.torch_state(layer)


def seen_of(pairs: Any, padding: Any, heads: int, batch: int) -> Any:
    """Our mask from PyTorch's two: (batch, heads or 1, queries or 1, keys)."""
    mask = None
    if pairs is not None:
        pairs = pairs.numpy()
        assert pairs.dtype == bool
        mask = ~(pairs.reshape(batch, heads, *pairs.shape[1:]) if pairs.ndim == 3 else pairs)
    if padding is not None:
        padding = padding.numpy()
        assert padding.dtype == bool
        keys = ~(padding[None] if padding.ndim == 1 else padding)[:, None, None, :]
        mask = keys if mask is None else mask & keys
    return mask


def arrange(x: Any, batch_first: bool) -> Any:
    """(batch, time, features)."""
    if x.ndim == 2:
        return rg.expand_dims(x, 0)
    return x if batch_first else rg.swapaxes(x, 0, 1)


def compare(theirs: Any, inputs: list[torch.Tensor], masks: dict[str, Any], training: bool) -> None:
    """One call of both sides, forward and backward."""
    theirs = theirs.to(torch.float64).train(training)
    ours = convert(theirs).train(training)
    attention = isinstance(theirs, T.MultiheadAttention)
    inner = theirs.layers[0] if hasattr(theirs, "layers") else theirs
    holder = inner if attention else inner.self_attn
    batch_first, heads = holder.batch_first, holder.num_heads
    leaves = [x.detach().clone().requires_grad_(True) for x in inputs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = theirs(*leaves, **masks)
    expected = expected[0] if attention else expected
    first = leaves[0]
    batch = 1 if first.ndim == 2 else first.shape[0 if batch_first else 1]
    given: dict[str, Any] = {}
    pairs = [("attn_mask", "key_padding_mask", "mask"), ("mask", "src_key_padding_mask", "mask")]
    pairs += [("src_mask", "src_key_padding_mask", "mask")]
    pairs += [("tgt_mask", "tgt_key_padding_mask", "mask")]
    pairs += [("memory_mask", "memory_key_padding_mask", "memory_mask")]
    for one, two, name in pairs:
        if one in masks or two in masks:
            given[name] = seen_of(masks.get(one), masks.get(two), heads, batch)
    if isinstance(theirs, T.TransformerDecoderLayer):
        given["causal"] = False

    def call(layer: Any, *arrays: Any) -> Any:
        y = layer(*(arrange(x, batch_first) for x in arrays), **given)
        if first.ndim == 2:
            return rg.squeeze(y, axis=0)
        return y if batch_first else rg.swapaxes(y, 0, 1)

    cotangent = np.random.default_rng(0).standard_normal(tuple(expected.shape))
    # Rows in which PyTorch sees nothing are NaN there; none is among these inputs.
    expected.backward(torch.from_numpy(cotangent))
    value, pullback = rg.vjp(call, ours, *(rg.array(x.detach().numpy().copy()) for x in leaves))
    parameters, *others = pullback(rg.array(cotangent))
    check_close(value, expected, "value", TOLERANCE)
    for position, (gradient, leaf) in enumerate(zip(others, leaves, strict=True)):
        check_close(gradient, leaf.grad, f"gradient by input {position}", TOLERANCE)
    found = gradients_as_torch(ours, parameters)
    for name, parameter in theirs.named_parameters():
        check_close(rg.array(found[name]), parameter.grad, f"gradient by {name}", TOLERANCE)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_inputs_of_pytorch_s_tests(cls: type, training: bool) -> None:
    torch.manual_seed(0)
    info = INFOS[cls]
    samples = info.module_inputs_func(
        info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
    )
    for sample in samples:
        made, forward = sample.constructor_input, sample.forward_input
        masks = {name: mask for name, mask in forward.kwargs.items() if mask is not None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = cls(*made.args, **made.kwargs)
        try:
            compare(module, list(forward.args), masks, training)
        except Exception as error:
            pytest.fail(f"{made.args} {made.kwargs} {masks}: {type(error).__name__}: {error}")
        count(cls.__name__, "compared")


def normal(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


BY_HAND: list[tuple[Any, list[torch.Tensor], dict[str, Any]]] = [
    (
        T.MultiheadAttention(12, 4, batch_first=True),
        [normal(2, 5, 12), *[normal(2, 7, 12)] * 2],
        {},
    ),
    (
        T.MultiheadAttention(12, 3, kdim=5, vdim=7, batch_first=True),
        [normal(2, 5, 12), normal(2, 6, 5), normal(2, 6, 7)],
        {},
    ),
    (
        T.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True, norm_first=True),
        [normal(3, 9, 8)],
        {"src_mask": torch.triu(torch.ones(9, 9, dtype=torch.bool), 1)},
    ),
    (
        T.TransformerEncoder(
            T.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), 3, norm=T.LayerNorm(8)
        ),
        [normal(3, 9, 8)],
        {},
    ),
    (
        T.TransformerDecoder(T.TransformerDecoderLayer(8, 2, 16, 0.0, batch_first=True), 2),
        [normal(3, 5, 8), normal(3, 4, 8)],
        {"tgt_mask": torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)},
    ),
]


@pytest.mark.parametrize(
    ("theirs", "inputs", "masks"), BY_HAND, ids=lambda value: type(value).__name__
)
def test_by_hand(theirs: Any, inputs: Any, masks: Any) -> None:
    if isinstance(theirs, T.TransformerDecoder):
        ours = convert(theirs.to(torch.float64).train())
        value = ours(*(x.numpy() for x in inputs))  # causal by itself
        check_close(value, theirs(*inputs, **masks), "value", TOLERANCE)
    else:
        compare(theirs, inputs, masks, True)
    count(type(theirs).__name__, "compared")


# -- the function ---------------------------------------------------------------------------------


def attend_as_torch(options: dict[str, Any], *arrays: Any) -> Any:
    """PyTorch's leading axes broadcast; the last of them are the heads."""
    options = dict(options)
    mask = options.pop("attn_mask", None)
    mask = None if mask is None else mask.detach().numpy().copy()
    boolean = mask is not None and mask.dtype == bool
    grouped = options.pop("enable_gqa", False)
    leading = np.broadcast_shapes(*(x.shape[:-2] for x in arrays)) if not grouped else ()
    four = [x if grouped else rg.broadcast_to(x, (*leading, *x.shape[-2:])) for x in arrays]
    shape = four[0].shape[:-2]
    four = [x.reshape(-1, x.shape[-3] if x.ndim > 3 else 1, *x.shape[-2:]) for x in four]
    if mask is not None and len(shape) < 2 and mask.ndim > 2:
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
    out = nn.scaled_dot_product_attention(
        *four,
        mask=mask if boolean else None,
        bias=None if boolean else mask,
        causal=options.pop("is_causal", False),
        scale=options.pop("scale", None),
    )
    assert not options, options
    return out.reshape(*shape, *out.shape[-2:])


def test_scaled_dot_product_attention_on_samples() -> None:
    op = operators()["nn.functional.scaled_dot_product_attention"]
    for sample in op.sample_inputs("cpu", torch.float64, requires_grad=True):
        options = dict(sample.kwargs)
        key, value, *rest = sample.args
        options.update(zip(("attn_mask", "dropout_p", "is_causal", "scale"), rest))
        options = {name: option for name, option in options.items() if option is not None}
        if options.pop("dropout_p", 0.0):
            count("scaled_dot_product_attention", "dropout draws other numbers")
            continue
        tensors = [x.detach().clone().requires_grad_(True) for x in (sample.input, key, value)]
        expected = functional.scaled_dot_product_attention(*tensors, **options)
        cotangent = np.random.default_rng(0).standard_normal(tuple(expected.shape))
        gradients = torch.autograd.grad(expected, tensors, torch.from_numpy(cotangent))
        result, pullback = rg.vjp(
            functools.partial(attend_as_torch, options),
            *(rg.array(x.detach().numpy().copy()) for x in tensors),
        )
        check_close(result, expected, "value", TOLERANCE)
        for ours, theirs in zip(pullback(rg.array(cotangent)), gradients, strict=True):
            check_close(ours, theirs, "gradient", TOLERANCE)
        count("scaled_dot_product_attention", "compared")
    assert COUNTS["scaled_dot_product_attention"]["compared"] >= 8


@pytest.mark.parametrize("shape", [(2, 6, 2, 5, 7), (1, 8, 1, 130, 130)])
@pytest.mark.parametrize("causal", [False, True])
def test_grouped_queries(shape: tuple[int, ...], causal: bool) -> None:
    batch, heads, groups, queries, keys = shape
    tensors = [normal(batch, heads, queries, 4)]
    tensors += [normal(batch, groups, keys, 4) + n for n in range(2)]
    leaves = [x.requires_grad_(True) for x in tensors]
    expected = functional.scaled_dot_product_attention(*leaves, is_causal=causal, enable_gqa=True)
    cotangent = np.random.default_rng(0).standard_normal(tuple(expected.shape))
    gradients = torch.autograd.grad(expected, leaves, torch.from_numpy(cotangent))
    value, pullback = rg.vjp(
        lambda q, k, v: nn.scaled_dot_product_attention(q, k, v, causal=causal),
        *(rg.array(x.detach().numpy()) for x in leaves),
    )
    check_close(value, expected, "value", TOLERANCE)
    for ours, theirs in zip(pullback(rg.array(cotangent)), gradients, strict=True):
        check_close(ours, theirs, "gradient", TOLERANCE)
    count("grouped queries", "compared")


def test_initial_distributions() -> None:
    ours, theirs = (
        nn.MultiHeadAttention(96, 4, learned_sink=True),
        T.MultiheadAttention(96, 4, add_bias_kv=True),
    )
    state = nn.torch_state(ours)
    for name, parameter in theirs.named_parameters():
        a, b = state[name], parameter.detach().numpy()
        rough = 0.04 if a.size > 2000 else 0.3
        assert a.std() == pytest.approx(b.std(), rel=rough), name
        if a.ndim == 2:
            assert np.abs(a).max() == pytest.approx(np.abs(b).max(), rel=rough / 2), name


def test_the_comparison_can_fail() -> None:
    theirs = T.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True).to(torch.float64)
    ours = convert(theirs)
    ours.hidden.weight = ours.hidden.weight * (1.0 + 1e-6)
    x = normal(2, 3, 4)
    with pytest.raises(AssertionError):
        check_close(ours(x.numpy()), theirs(x), "value", TOLERANCE)


def test_enough_is_compared(tables: dict[str, list[str]]) -> None:
    """The last of this file: what was compared, and that it was enough."""
    lines = [f"{'module':30} {'compared':>9}  others"]
    for name, outcomes in sorted(COUNTS.items()):
        reasons = {reason: n for reason, n in outcomes.items() if reason != "compared"}
        lines.append(f"{name:30} {outcomes['compared']:9}  {reasons or ''}")
    tables["attention against PyTorch"] = lines
    if len(COUNTS) < len(CLASSES) + 2:
        pytest.skip("only a part was run")
    assert sum(o["compared"] for o in COUNTS.values()) >= SMALLEST_NUMBER_OF_CASES
