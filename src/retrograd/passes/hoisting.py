"""What does not need the carry of a loop leaves the loop.

A contraction of steps with what is the same in all of them (the projection of the inputs of a
recurrent layer) becomes one contraction of all steps, before the loop; one that only outputs depend
on (the gradient of those inputs) becomes one behind it; and so does every sum that is only carried
to be added to (the gradients of the weights). The batching rules of vmap say what a node does to
all steps at once. Other work leaves only with a contraction that it follows, where it makes what
is kept no larger: by itself it would be the same work, with more memory to go through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..ir import PRIMITIVES, Atom, Constant, Graph, Node, Variable, prune
from ..ops.batch_rules import repeat, run_node
from ..trace import Array, Recorder, bind, origin_of, recording
from .inner_programs import inline
from .loop_inputs import take_in_repeated
from .loop_sums import add_up, find_sums, find_varying, is_zero

CONTRACTIONS = frozenset(("dot", "conv"))
MOVEMENT = frozenset(("reshape", "transpose", "slice", "broadcast"))


def hoist(graph: Graph) -> Graph:
    """The graph with smaller loops."""
    if not any(node.primitive.name == "scan" for node in graph.nodes):
        return graph
    made = {id(variable): node for node in graph.nodes for variable in node.outputs}
    known: dict[int, Atom] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if any(id(atom) in known for atom in node.inputs):
            inputs = tuple(known.get(id(atom), atom) for atom in node.inputs)
            node = replace(node, inputs=inputs)
        if node.primitive.name != "scan" or node.parameters["length"] < 2:
            nodes.append(node)
            continue
        node = take_in_repeated(node, made)
        body = hoist(inline(node.parameters["body"]))
        with origin_of(node):
            replacement = _Loop(node, body).rewrite()
        given = dict(zip(map(id, replacement.inputs), node.inputs, strict=True))
        for inner in replacement.nodes:
            inputs = tuple(given.get(id(atom), atom) for atom in inner.inputs)
            nodes.append(replace(inner, inputs=inputs))
        for variable, atom in zip(node.outputs, replacement.outputs, strict=True):
            known[id(variable)] = given.get(id(atom), atom)
    outputs = tuple(known.get(id(atom), atom) for atom in graph.outputs)
    return prune(Graph(graph.inputs, tuple(nodes), outputs, graph.name))


MOST_BYTES, MOST_GROWTH = 1 << 28, 16
"""What all steps of a product may take, or how many times its operand: more stays in the loop, as
the logits of a large vocabulary of which a step gives one number."""

STEPS_TO_TURN = 8
"""Steps from which on a matrix is worth a transposed copy."""


class _Loop:
    """One scan, and which nodes of its body are computed before, inside and behind it."""

    def __init__(self, node: Node, body: Graph) -> None:
        self.node, self.body = node, body
        self.constants: int = node.parameters["constants"]
        self.carry: int = node.parameters["carry"]
        self.length: int = node.parameters["length"]
        self.sums = find_sums(body, self.constants, self.carry)
        self.varying = find_varying(body, self.constants)
        self.before = self._find_before()
        self.behind = self._find_behind()

    # -- which nodes leave the loop -------------------------------------------------------------

    def _pays(self, node: Node) -> bool:
        """Whether the steps of a contraction join: an operand is the same in all of them."""
        if node.primitive.name not in CONTRACTIONS:
            return False
        moving = [atom.type.size for atom in node.inputs if id(atom) in self.varying]
        if len(moving) == len(node.inputs):
            return False
        type = node.outputs[0].type
        whole = self.length * type.size * type.dtype.itemsize
        return not moving or whole <= MOST_BYTES or type.size <= MOST_GROWTH * moving[0]

    def _find_before(self) -> set[int]:
        """Nodes (their ids) that do not need the carry, and pay."""
        end = self.constants + self.carry
        waiting = set(map(id, self.body.inputs[self.constants : end]))
        for node in self.body.nodes:
            if any(id(atom) in waiting for atom in node.inputs):
                waiting.update(map(id, node.outputs))
        leaving: set[int] = set()
        made: set[int] = set()  # what leaves as the result of a contraction, or follows one
        for node in self.body.nodes:
            if any(id(atom) in waiting for atom in node.inputs):
                continue
            if self._pays(node) or self._follows(node, made):
                leaving.add(id(node))
                made.update(map(id, node.outputs))
        return leaving

    def _follows(self, node: Node, made: set[int]) -> bool:
        """Whether a node makes what has left no larger."""
        if not (node.primitive.elementwise or node.primitive.name in MOVEMENT):
            return False
        sizes = [atom.type.size for atom in node.inputs if id(atom) in made]
        others = [a for a in node.inputs if id(a) not in made and id(a) in self.varying]
        return bool(sizes) and not others and node.outputs[0].type.size <= max(sizes)

    def _find_behind(self) -> set[int]:
        """Contractions that no carried value needs, and everything that needs them."""
        kept = [p for p in range(self.carry) if p not in self.sums]
        core = {id(self.body.outputs[p]) for p in kept}
        for node in reversed(self.body.nodes):
            if any(id(variable) in core for variable in node.outputs):
                core.update(map(id, node.inputs))
        leaving: set[int] = set()
        made: set[int] = set()
        for node in self.body.nodes:
            if id(node) in self.before or any(id(v) in core for v in node.outputs):
                continue
            if self._pays(node) or any(id(atom) in made for atom in node.inputs):
                leaving.add(id(node))
                made.update(map(id, node.outputs))
        # What only adds to a carried sum is done once, for all steps.
        wanted = {id(atom) for atom in self.body.outputs[self.carry :]}
        wanted.update(id(a) for terms in self.sums.values() for term in terms for a in term.kept)
        for node in reversed(self.body.nodes):
            if id(node) in leaving:
                if any(id(variable) in wanted for variable in node.outputs):
                    wanted.update(map(id, node.inputs))
                else:
                    leaving.remove(id(node))
        return leaving

    # -- the program without them ---------------------------------------------------------------

    def rewrite(self) -> Graph:
        """From the inputs of the node to its outputs."""
        recorder = Recorder(self.body.name, abstract="a loop")
        with recording(recorder):
            inputs: list[Array] = [recorder.add_input(atom.type) for atom in self.node.inputs]
            twice = len({*map(id, self.body.outputs)}) < len(self.body.outputs)
            turns = bool(self._turn_weights(self.body.nodes, inputs)[1])
            if not (self.sums or self.before or self.behind or twice or turns):
                parameters = {**self.node.parameters, "body": self.body}
                return recorder.finish(bind(self.node.primitive, *inputs, **parameters))
            return prune(recorder.finish(self._record(inputs)))

    def _record(self, inputs: list[Array]) -> list[Array]:
        body, end = self.body, self.constants + self.carry
        self.values: dict[int, tuple[Array, bool]] = {}
        for position, variable in enumerate(body.inputs):
            if not self.constants <= position < end:
                self.values[id(variable)] = (inputs[position], position >= end)
        # What leaves is computed from inputs alone; so is what leads to it, once more.
        self._apply(self._with_sources(self.before))
        before = [v for node in body.nodes if id(node) in self.before for v in node.outputs]
        needed = self._find_needed()
        results = self._bind_loop(inputs, before, needed)
        carried = [p for p in range(self.carry) if p not in self.sums]
        finals = dict(zip(carried, results, strict=False))
        for atom, value in zip(needed, results[len(carried) :], strict=True):
            self.values[id(atom)] = (value, True)
        self._apply(node for node in body.nodes if id(node) in self.behind)
        outputs = []
        for position, atom in enumerate(body.outputs):
            if position in self.sums:
                start = self.constants + position
                zero = is_zero(self.node.inputs[start])
                first = None if zero else inputs[start]
                outputs.append(add_up(self.sums[position], first, self._stacked))
            else:
                outputs.append(finals[position] if position < self.carry else self._stacked(atom))
        return outputs

    def _with_sources(self, chosen: set[int]) -> list[Node]:
        """The chosen nodes and all nodes that lead to them, in order."""
        needed: set[int] = set()
        nodes = []
        for node in reversed(self.body.nodes):
            if id(node) in chosen or any(id(v) in needed for v in node.outputs):
                needed.update(map(id, node.inputs))
                nodes.append(node)
        return nodes[::-1]

    def _find_needed(self) -> list[Atom]:
        """The values inside the loop that are needed of every step."""
        wanted: list[Atom] = list(self.body.outputs[self.carry :])
        for terms in self.sums.values():
            wanted += [atom for term in terms for atom in term.kept]
        for node in self.body.nodes:
            if id(node) in self.behind:
                wanted += node.inputs
        behind = {
            id(v) for node in self.body.nodes if id(node) in self.behind for v in node.outputs
        }
        unique: dict[int, Atom] = {}
        for atom in wanted:
            known = id(atom) in self.values or id(atom) in behind or isinstance(atom, Constant)
            if not known:
                unique[id(atom)] = atom
        return list(unique.values())

    def _bind_loop(
        self, inputs: Sequence[Array], before: Sequence[Variable], needed: Sequence[Atom]
    ) -> list[Array]:
        """The loop over what is left."""
        body, end = self.body, self.constants + self.carry
        carried = [p for p in range(self.carry) if p not in self.sums]
        left = tuple(node for node in body.nodes if id(node) not in self.before | self.behind)
        outputs = (*(body.outputs[p] for p in carried), *needed)
        if not outputs:
            return []
        left, turned = self._turn_weights(left, inputs)
        step = prune(Graph(body.inputs, left, outputs, body.name))
        used = {id(atom) for node in step.nodes for atom in node.inputs}
        used.update(map(id, outputs))
        whole: list[tuple[Variable, Array]] = [pair for pair in turned if id(pair[0]) in used]
        steps: list[tuple[Variable, Array]] = []
        given = [(v, inputs[p]) for p, v in enumerate(body.inputs)]
        for variable, array in given[: self.constants]:
            if id(variable) in used:
                whole.append((variable, array))
        for variable, array in given[end:]:
            if id(variable) in used:
                steps.append((variable, array))
        for variable in before:
            if id(variable) in used:
                array, mapped = self.values[id(variable)]
                (steps if mapped else whole).append((variable, array))
        state = [given[self.constants + p] for p in carried]
        arguments = [*whole, *state, *steps]
        step = Graph(tuple(v for v, _ in arguments), step.nodes, outputs, body.name)
        return bind(
            self.node.primitive,
            *(array for _, array in arguments),
            body=step,
            constants=len(whole),
            carry=len(state),
            length=self.length,
            reverse=self.node.parameters["reverse"],
        )

    def _turn_weights(
        self, nodes: tuple[Node, ...], inputs: Sequence[Array]
    ) -> tuple[tuple[Node, ...], list[tuple[Variable, Array]]]:
        """Matrices of the loop whose rows are contracted, transposed once before it.

        A contraction runs along the columns of its second operand, where they lie side by side.
        """
        if self.length < STEPS_TO_TURN:
            return nodes, []
        matrices = dict(zip(map(id, self.body.inputs[: self.constants]), inputs, strict=False))
        turned: dict[int, tuple[Variable, Array]] = {}
        result = []
        for node in nodes:
            second = node.inputs[-1] if node.primitive.name == "dot" else None
            if second is None or id(second) not in matrices or node.parameters["batch"][1]:
                result.append(node)
                continue
            first_axes, second_axes = node.parameters["contract"]
            if second.type.ndim != 2 or second_axes != (1,):
                result.append(node)
                continue
            if id(second) not in turned:
                array = bind(PRIMITIVES["transpose"], matrices[id(second)], axes=(1, 0))[0]
                turned[id(second)] = (Variable(array.type), array)
            parameters = {**node.parameters, "contract": (first_axes, (0,))}
            given = (node.inputs[0], turned[id(second)][0])
            result.append(replace(node, inputs=given, parameters=parameters))
        return tuple(result), list(turned.values())

    def _apply(self, nodes: Iterable[Node]) -> None:
        """Compute nodes for all steps at once."""
        for node in nodes:
            pairs = [
                (Array(atom.value), False) if isinstance(atom, Constant) else self.values[id(atom)]
                for atom in node.inputs
            ]
            arguments, flags = [array for array, _ in pairs], [flag for _, flag in pairs]
            results, mapped = run_node(node, arguments, flags, self.length)
            for variable, result, flag in zip(node.outputs, results, mapped, strict=True):
                self.values[id(variable)] = (result, flag)

    def _stacked(self, atom: Atom) -> Array:
        """The value of all steps, with time on axis 0."""
        array, mapped = (
            (Array(atom.value), False) if isinstance(atom, Constant) else self.values[id(atom)]
        )
        return array if mapped else repeat(array, self.length)
