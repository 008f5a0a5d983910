"""All graphs of a bundle as one ONNX model with an output per exit, for runtimes that know no stages."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from anytime.model_store import Bundle, Node, Slot
from anytime.model_store.build import Content
from anytime.model_store.manifest import LOGITS, StartFile
from anytime.model_store.tensors import DTYPES, ROW_AXIS
from anytime.training.attach.session import INLINE_BYTES, weight_bytes
from anytime.training.errors import GraphsUnjoinable
from anytime.training.opsets import align
from anytime.training.weights import part_weights, read_whole

MODEL, WEIGHTS = "model.onnx", "model.weights"


def output_name(exit: int, head_output: str) -> str:
    """``exit_2`` for the logits of exit 2, ``exit_2.commitment`` and the like for whatever else its head writes."""
    return f"exit_{exit}" if head_output == LOGITS else f"exit_{exit}.{head_output}"


def runs_one_row(bundle: Bundle) -> bool:
    """Whether a graph fixes the rows at 1, so that the whole runs one row at a time."""
    for file in {node.graph.file for node in bundle.flow.nodes}:
        graph = onnx.load(bundle.path(file), load_external_data=False).graph
        shapes = (value.type.tensor_type.shape for value in (*graph.input, *graph.output))
        if any(shape.dim and shape.dim[0].dim_value == 1 for shape in shapes):
            return True
    return False


def whole_network(bundle: Bundle) -> onnx.ModelProto:
    """The bundle's inputs in, and everything that every head writes out, as ``output_name`` calls it.

    Graphs are put behind each other in the flow's order, one that serves several stages once for each; a start becomes a
    constant for each row. Identical weights are held once. Checked by ``onnx``, not yet run: see ``parity``. Raises
    ``GraphsUnjoinable`` where the graphs' operator versions cannot be made alike, or an input is called like an output.
    """
    files = dict.fromkeys(node.graph.file for node in bundle.flow.nodes)
    models, opsets = align({file: read_whole(bundle.path(file), bundle.path(file).read_bytes())[0] for file in files})
    joined = _Joined(bundle, models)
    for node in bundle.flow.nodes:
        joined.add(node)
    least = helper.find_min_ir_version_for(opsets, ignore_unknown=True)
    ir = max(least, *(model.ir_version for model in models.values()))
    model = helper.make_model(joined.graph(), opset_imports=opsets, ir_version=ir, producer_name="anytime")
    _check(model, bundle)
    return model


def model_files(model: onnx.ModelProto, inline_bytes: int = INLINE_BYTES) -> Mapping[str, Content]:
    """The files of a model, by name: one, or with weights beyond ``inline_bytes`` another for these beside it."""
    if weight_bytes(model) <= inline_bytes:
        return {MODEL: model}
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    return {WEIGHTS: part_weights(bare, WEIGHTS), MODEL: bare}


def _check(model: onnx.ModelProto, bundle: Bundle) -> None:
    try:
        if weight_bytes(model) <= INLINE_BYTES:
            onnx.checker.check_model(model)
            return
        with tempfile.TemporaryDirectory(prefix="anytime-") as folder:
            for name, content in model_files(model).items():
                data = content.SerializeToString() if isinstance(content, onnx.ModelProto) else bytes(content)
                Path(folder, name).write_bytes(data)
            onnx.checker.check_model(str(Path(folder, MODEL)))
    except onnx.checker.ValidationError as error:
        first = str(error).strip().splitlines()[0][:300]
        raise GraphsUnjoinable(
            f"the graphs of {bundle.manifest.name} together are no valid model: {first}; export them anew, all alike"
        ) from error


class _Called(dict[str, str]):
    """What the joined graph calls the tensors of one graph; one not met before gets a name that nothing has."""

    def __init__(self, prefix: str, taken: set[str]) -> None:
        super().__init__({"": ""})  # an optional input or output that is left out
        self.prefix, self._taken = prefix, taken

    def __missing__(self, name: str) -> str:
        found = f"{self.prefix}{name}"
        while found in self._taken:
            found += "_"
        self._taken.add(found)
        self[name] = found
        return found


class _Joined:
    """The joined graph under way."""

    def __init__(self, bundle: Bundle, models: Mapping[str, onnx.ModelProto]) -> None:
        self._bundle, self._models = bundle, models
        self._one_row = runs_one_row(bundle)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._sparse: list[onnx.SparseTensorProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._by_digest: dict[bytes, str] = {}
        inputs = {entry.name for entry in bundle.manifest.inputs}
        said = {output_name(node.stage, name) for node in bundle.flow.heads for _, name in node.outputs}
        if inputs & said:
            raise GraphsUnjoinable(f"the input {min(inputs & said)!r} is called like an output; rename it")
        self._taken = inputs | said
        self._own = _Called("start/", self._taken)
        self._held = {slot.index: slot.name for slot in bundle.flow.slots if slot.source == "input"}

    def add(self, node: Node) -> None:
        """Put one graph behind those that are there."""
        graph = self._models[node.graph.file].graph
        called = _Called(f"stage_{node.stage}.{node.part}/", self._taken)
        for tensor, slot in node.reads:
            called[tensor] = self._value(self._bundle.flow.slots[slot])
        for weight in graph.initializer:
            called[weight.name] = self._shared(weight, called)
        given = set(called)
        for tensor, name in node.outputs:
            self._add_output(node, graph, tensor, name)
            if tensor not in given:
                called[tensor] = output_name(node.stage, name)
        for sparse in graph.sparse_initializer:
            copy = onnx.SparseTensorProto()
            copy.CopyFrom(sparse)
            copy.values.name = called[sparse.values.name]
            self._sparse.append(copy)
        self._nodes.extend(_renamed(one, called) for one in graph.node)
        for tensor, name in node.outputs:
            if tensor in given:  # no node writes it, so that it cannot be called otherwise
                self._nodes.append(helper.make_node("Identity", [called[tensor]], [output_name(node.stage, name)]))
        self._held |= {slot: called[tensor] for tensor, slot in node.writes}

    def graph(self) -> onnx.GraphProto:
        """What was put together so far."""
        rows = 1 if self._one_row else ROW_AXIS
        inputs = [helper.make_tensor_value_info(entry.name, _element(entry.dtype), [rows, *entry.shape[1:]])
                  for entry in self._bundle.manifest.inputs]  # fmt: skip
        name = self._bundle.manifest.name
        return helper.make_graph(
            self._nodes, name, inputs, self._outputs, self._weights, sparse_initializer=self._sparse
        )

    def _add_output(self, node: Node, graph: onnx.GraphProto, tensor: str, name: str) -> None:
        (element,) = (value.type.tensor_type.elem_type for value in graph.output if value.name == tensor)
        labels = dict(zip(self._bundle.manifest.logits_names, self._bundle.manifest.level_labels, strict=True))
        shape = [1 if self._one_row else ROW_AXIS, len(labels.get(name, ("yes",)))]
        self._outputs.append(helper.make_tensor_value_info(output_name(node.stage, name), element, shape))

    def _shared(self, weight: onnx.TensorProto, called: _Called) -> str:
        """The name of a weight that holds the same numbers, or of this one, added."""
        digest = _digest(weight)
        if digest not in self._by_digest:
            self._by_digest[digest] = called[weight.name]
            copy = onnx.TensorProto()
            copy.CopyFrom(weight)
            copy.name = called[weight.name]
            self._weights.append(copy)
        return self._by_digest[digest]

    def _value(self, slot: Slot) -> str:
        """What holds a slot; a start is made when it is first asked for."""
        if slot.index not in self._held:
            assert slot.source == "start", "the flow has writers before readers"
            self._held[slot.index] = self._start(slot)
        return self._held[slot.index]

    def _start(self, slot: Slot) -> str:
        state = next(state for state in self._bundle.manifest.state if state.name == slot.name)
        sizes, held = self._sizes(slot), self._own[slot.name]
        if isinstance(state.start, StartFile):
            row = self._constant(f"{slot.name}.row", self._bundle.start(slot.name)[np.newaxis])
            self._nodes.append(helper.make_node("Expand", [row, sizes], [held]))
        else:
            zero = numpy_helper.from_array(np.zeros(1, DTYPES[slot.dtype]))
            self._nodes.append(helper.make_node("ConstantOfShape", [sizes], [held], value=zero))
        return held

    def _sizes(self, slot: Slot) -> str:
        """The tensor with the sizes of a start's axes: those with a symbol are an input's."""
        parts = [self._constant(f"{slot.name}.axis{index}", np.array([axis])) if isinstance(axis, int)
                 else self._input_size(axis) for index, axis in enumerate(slot.shape)]  # fmt: skip
        self._nodes.append(helper.make_node("Concat", parts, [self._own[f"{slot.name}.sizes"]], axis=0))
        return self._own[f"{slot.name}.sizes"]

    def _input_size(self, axis: str) -> str:
        if f"size.{axis}" not in self._own:
            entry = next(entry for entry in self._bundle.manifest.inputs if axis in entry.shape)
            index = self._constant(f"index.{axis}", np.array([entry.shape.index(axis)]))
            self._nodes += [
                helper.make_node("Shape", [entry.name], [self._own[f"shape.{axis}"]]),
                helper.make_node("Gather", [self._own[f"shape.{axis}"], index], [self._own[f"size.{axis}"]], axis=0),
            ]
        return self._own[f"size.{axis}"]

    def _constant(self, name: str, values: np.ndarray) -> str:
        self._weights.append(numpy_helper.from_array(values, self._own[name]))
        return self._own[name]


def _renamed(node: onnx.NodeProto, called: _Called) -> onnx.NodeProto:
    """A copy whose tensors, those of its subgraphs included, are called as said; without the exporter's remarks."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.name = f"{called.prefix}{node.name}" if node.name else ""
    copy.ClearField("doc_string")
    copy.ClearField("metadata_props")
    copy.input[:] = [called[name] for name in node.input]
    copy.output[:] = [called[name] for name in node.output]
    for graph in _subgraphs(copy):
        _rename_graph(graph, called)
    return copy


def _rename_graph(graph: onnx.GraphProto, called: _Called) -> None:
    graph.ClearField("value_info")
    for named in (*graph.input, *graph.output, *graph.initializer, *(one.values for one in graph.sparse_initializer)):
        named.name = called[named.name]
    nodes = [_renamed(node, called) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _digest(weight: onnx.TensorProto) -> bytes:
    """Equal for weights that hold the same numbers in the same form."""
    if not weight.HasField("raw_data"):
        bare = onnx.TensorProto()
        bare.CopyFrom(weight)
        bare.ClearField("name")
        return hashlib.sha256(bare.SerializeToString(deterministic=True)).digest()
    digest = hashlib.sha256(f"raw {weight.data_type} {list(weight.dims)} ".encode())
    digest.update(weight.raw_data)
    return digest.digest()


def _element(dtype: str) -> int:
    return helper.np_dtype_to_tensor_dtype(DTYPES[dtype])
