"""The program form: the verifier finds each kind of damage, prune, and the printer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import retrograd as rg
from retrograd.backprop import differentiate
from retrograd.errors import DTypeError, ShapeError, VerificationError
from retrograd.ir import (
    PRIMITIVES,
    ArrayType,
    Constant,
    Graph,
    Node,
    Variable,
    as_dtype,
    declare,
    format_graph,
    prune,
    verify,
)
from retrograd.ir.types import float32, float64, int32
from retrograd.staging import describe, trace
from retrograd.trace import Array
from retrograd.transforms import parameter_names

VECTOR = ArrayType(float32, (2,))
X = rg.array([1.0, 2.0])


def node(name: str, *inputs: Any, type: ArrayType = VECTOR, **parameters: Any) -> Node:
    return Node(PRIMITIVES[name], inputs, parameters, (Variable(type),))


def sine_times_two() -> tuple[Variable, Node, Node]:
    x = Variable(VECTOR, "x")
    sine = node("sin", x)
    constant = Constant(np.full(2, 2.0, np.float32), VECTOR)
    return x, sine, node("multiply", sine.outputs[0], constant)


# -- verify ---------------------------------------------------------------------------------------


def test_a_sound_program_passes() -> None:
    x, sine, product = sine_times_two()
    verify(Graph((x,), (sine, product), (*product.outputs, x, sine.outputs[0])))
    verify(Graph((), (), ()))


def test_use_before_definition() -> None:
    x, sine, product = sine_times_two()
    with pytest.raises(VerificationError, match=r"multiply.*input 0 is used before it is defined"):
        verify(Graph((x,), (product, sine), product.outputs))


def test_a_value_from_nowhere() -> None:
    x, sine, product = sine_times_two()
    with pytest.raises(VerificationError, match="input 0 is used before it is defined"):
        verify(Graph((), (sine, product), product.outputs))
    with pytest.raises(VerificationError, match="output 1 is not defined"):
        verify(Graph((x,), (sine,), (x, *product.outputs)))


def test_double_definition() -> None:
    x, sine, product = sine_times_two()
    with pytest.raises(VerificationError, match="an output is defined twice"):
        verify(Graph((x,), (sine, sine, product), product.outputs))
    onto_input = Node(PRIMITIVES["sin"], (x,), {}, (x,))
    with pytest.raises(VerificationError, match="an output is defined twice"):
        verify(Graph((x,), (onto_input,), (x,)))
    with pytest.raises(VerificationError, match="one Variable is two inputs"):
        verify(Graph((x, x), (sine,), sine.outputs))


@pytest.mark.parametrize("wrong", [ArrayType(float32, (3,)), ArrayType(float64, (2,))])
def test_a_wrong_type(wrong: ArrayType) -> None:
    x = Variable(VECTOR)
    damaged = node("sin", x, type=wrong)
    with pytest.raises(VerificationError, match="the type rule gives") as caught:
        verify(Graph((x,), (damaged,), damaged.outputs))
    assert str(VECTOR) in str(caught.value) and str(wrong) in str(caught.value)


def test_a_wrong_number_of_outputs() -> None:
    x = Variable(VECTOR)
    damaged = Node(PRIMITIVES["sin"], (x,), {}, (Variable(VECTOR), Variable(VECTOR)))
    with pytest.raises(VerificationError, match="the type rule gives"):
        verify(Graph((x,), (damaged,), damaged.outputs))


def test_inputs_that_the_type_rule_refuses() -> None:
    x, y = Variable(VECTOR), Variable(ArrayType(float32, (3,)))
    damaged = node("add", x, y)
    with pytest.raises(VerificationError, match="the type rule refuses it: add: shapes"):
        verify(Graph((x, y), (damaged,), damaged.outputs))


def test_a_constant_that_is_not_of_its_type() -> None:
    for value in (np.zeros(3, np.float32), np.zeros(2, np.float64)):
        damaged = node("sin", Constant(value, VECTOR))
        with pytest.raises(VerificationError, match="constant input 0 is not"):
            verify(Graph((), (damaged,), damaged.outputs))


def test_damage_inside_a_held_program_is_found() -> None:
    graph = rg.compile(rg.checkpoint(lambda x: rg.sin(rg.exp(x)))).graph(X)
    (holder,) = graph.nodes
    body = holder.parameters["body"]
    verify(graph)
    spoiled = Graph(body.inputs, body.nodes[::-1], body.outputs, body.name)
    damaged = Node(holder.primitive, holder.inputs, {"body": spoiled}, holder.outputs)
    with pytest.raises(VerificationError, match="used before it is defined"):
        verify(Graph(graph.inputs, (damaged,), graph.outputs))


def test_the_message_names_the_stage_and_the_program() -> None:
    x, sine, product = sine_times_two()
    with pytest.raises(VerificationError, match=r"^step after fuse, node `multiply\(float32\[2\]"):
        verify(Graph((x,), (product, sine), product.outputs, "step"), "fuse")


def test_a_primitive_that_breaks_its_promise_is_caught_when_it_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With RETROGRAD_VERIFY=1 the evaluated types are compared with the inferred ones."""
    from retrograd import interpret
    from retrograd.config import Config

    x = Variable(VECTOR)
    before = dict(PRIMITIVES)
    try:
        liar = declare(
            "liar", infer=lambda type: (type,), evaluate=lambda x: (x.astype(np.float64),),
            jvp="nondifferentiable", backward="nondifferentiable",
        )  # fmt: skip
        with pytest.raises(ValueError, match="declared twice"):
            declare("liar", infer=liar.infer, evaluate=liar.evaluate, jvp="nondifferentiable",
                    backward="nondifferentiable")  # fmt: skip
    finally:
        PRIMITIVES.clear()
        PRIMITIVES.update(before)
    lying = Node(liar, (x,), {}, (Variable(VECTOR),))
    folder = interpret.get_config().data_folder
    monkeypatch.setattr(interpret, "get_config", lambda: Config(folder, verify=True))
    with pytest.raises(VerificationError, match="liar evaluates to float64"):
        interpret.run(Graph((x,), (lying,), lying.outputs), [np.zeros(2, np.float32)])


# -- prune ----------------------------------------------------------------------------------------


def test_prune_keeps_what_is_needed_and_the_inputs() -> None:
    x, y = Variable(VECTOR), Variable(VECTOR)
    used, unused = node("sin", x), node("exp", y)
    behind = node("cos", unused.outputs[0])
    graph = Graph((x, y), (used, unused, behind), (used.outputs[0], x), "name")
    pruned = prune(graph)
    assert pruned.nodes == (used,)
    assert pruned.inputs == graph.inputs and pruned.outputs == graph.outputs
    assert pruned.name == "name"
    assert prune(pruned) is pruned


def test_prune_keeps_a_node_of_which_one_output_is_needed() -> None:
    graph = rg.compile(lambda c, xs: rg.scan(lambda c, x: (c + x, c), c, xs)[1]).graph(
        rg.array(0.0), X
    )
    assert [item.primitive.name for item in graph.nodes] == ["scan"]
    assert len(graph.nodes[0].outputs) == 2 and len(graph.outputs) == 1


# -- text -----------------------------------------------------------------------------------------


def record(function: Any, *arrays: Array, name: str | None = None) -> Graph:
    """The program of a function, without values."""
    call = describe(arrays, {}, parameter_names(function))
    wanted = function.__name__ if name is None else name
    return trace(function, call, lambda leaf: True, name=wanted, abstract="a test").graph


def layer(x: Array, w: Array) -> Array:
    return rg.tanh(x @ w * 2.0).sum()


def test_printed_program() -> None:
    w = rg.array(np.ones((2, 3), np.float32))
    assert format_graph(record(layer, X, w)) == (
        "layer(a: float32[2] 'x', b: float32[2,3] 'w'):\n"
        "  c: float32[3] = dot(a, b, contract=((0,),(0,)), batch=((),()))\n"
        "  d: float32[3] = multiply(c, 2.0:float32[3])\n"
        "  e: float32[3] = tanh(d)\n"
        "  f: float32[] = sum(e, axes=(0,))\n"
        "  return f"
    )


def test_printed_gradient() -> None:
    graph = record(lambda x: (x * rg.sin(x)).sum(), X, name="product")
    assert str(differentiate(graph, [0])) == (
        "product_gradient(a: float32[2] 'x', b: float32[] 'cotangent'):\n"
        "  c: float32[2] = sin(a)\n"
        "  d: float32[2] = multiply(a, c)\n"
        "  e: float32[] = sum(d, axes=(0,))\n"
        "  f: float32[2] = broadcast(b, shape=(2,), axes=(0,))\n"
        "  g: float32[2] = multiply(f, c)\n"
        "  h: float32[2] = multiply(f, a)\n"
        "  i: float32[2] = cos(a)\n"
        "  j: float32[2] = multiply(h, i)\n"
        "  k: float32[2] = add(g, j)\n"
        "  return e, k"
    )


def test_printed_program_in_a_program() -> None:
    def step(carry: Array, x: Array) -> tuple[Array, None]:
        return carry + x, None

    graph = record(lambda xs: rg.scan(step, 0.0, xs)[0], X, name="total")
    assert format_graph(graph) == (
        "total(a: float32[2] 'xs'):\n"
        "  b: float32[] = scan(0.0:float32[], a, body=step, constants=0, carry=1, length=2, "
        "reverse=False)\n"
        "    step(a: float32[] 'carry.0', b: float32[] 'x.0'):\n"
        "      c: float32[] = add(a, b)\n"
        "      return c\n"
        "  return b"
    )


def test_printed_sources() -> None:
    text = format_graph(rg.compile(layer).graph(X, rg.array(np.ones((2, 3)))), sources=True)
    lines = text.splitlines()
    assert (
        "test_graph.py:" in lines[1] and "in layer: return rg.tanh(x @ w * 2.0).sum()" in lines[1]
    )


def test_names_go_on_after_z() -> None:
    def function(x: Array) -> Array:
        for _ in range(28):
            x = rg.sin(x)
        return x

    lines = format_graph(record(function, X)).splitlines()
    assert lines[25].strip().startswith("z:") and lines[26].strip().startswith("aa:")
    assert lines[27].strip() == "ab: float32[2] = sin(aa)"


# -- types ----------------------------------------------------------------------------------------


def test_types() -> None:
    kind = ArrayType(int32, (2, 0, 3))
    assert (kind.ndim, kind.size, kind.floating, str(kind)) == (3, 0, False, "int32[2,0,3]")
    assert ArrayType(float64, ()).size == 1 and str(ArrayType(float64, ())) == "float64[]"
    assert kind.with_dtype(float32) == ArrayType(float32, (2, 0, 3))
    assert kind == ArrayType(np.dtype("int32"), (2, 0, 3)) and hash(kind) == hash(
        ArrayType(int32, (2, 0, 3))
    )


def test_dtypes() -> None:
    assert as_dtype(float) == float32 and as_dtype(int) == int32
    assert as_dtype(bool).name == "bool"
    assert as_dtype("float64") == as_dtype(np.float64) == as_dtype(np.dtype("<f8")) == float64
    with pytest.raises(DTypeError, match="float16 is not supported"):
        as_dtype("float16")
    with pytest.raises(DTypeError, match="complex64 is not supported"):
        as_dtype(np.complex64)
    with pytest.raises(DTypeError, match="Did you mean 'float32'"):
        as_dtype("flaot32")


def test_type_rules_speak() -> None:
    with pytest.raises(ShapeError, match=r"matmul: \(2,\) @ \(3, 4\)"):
        X @ rg.array(np.ones((3, 4)))
    with pytest.raises(DTypeError, match="logical_and takes bools"):
        PRIMITIVES["logical_and"].infer(VECTOR, VECTOR)
