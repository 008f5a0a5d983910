import hashlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from anytime.model_store.manifest import Size
from anytime.training.attach import describe_inputs, read_network
from anytime.training.attach.session import open_session
from anytime.training.errors import BadClassifier, BadOption, MacsUnknown, UnsupportedOperator
from tests.training.attach.networks import SEQUENCE, Graph, mlp, save, whole
from tests.training.classifiers import softmax


def said(network, batch):
    return open_session(network.model, network.name).run([network.scores], batch)[0]


def test_a_network_is_read_whole(networks):
    """Inputs with their open axes, classes, multiply-adds."""
    bert = networks["bert"]
    assert [(entry.name, entry.dtype, entry.shape) for entry in bert.inputs.tensors] == [
        ("input_ids", "int64", ("batch", "sequence")),
        ("attention_mask", "int64", ("batch", "sequence")),
    ]
    layer = 8 * (4 * 32 * 32 + 2 * 32 * 64) + 2 * 8 * 8 * 32
    assert (bert.classes, bert.macs) == (4, 3 * layer + 32 * 32 + 32 * 4)
    assert (bert.inputs.one_row, bert.has_other_files) == (False, False)
    assert networks["mlp"].labels == tuple("0123456789")


def test_weights_in_other_files_are_part_of_the_hash(networks):
    """The file itself is the same whatever lies in the other."""
    external = networks["external"]
    data = external.path.read_bytes()
    assert external.has_other_files
    assert external.sha256 != hashlib.sha256(data).hexdigest()
    assert networks["cnn"].sha256 == hashlib.sha256(networks["cnn"].path.read_bytes()).hexdigest()


def test_a_softmax_at_the_end_is_taken_off(networks, tmp_path):
    """What enters it are the logits, whatever passes them on."""
    rows = np.random.default_rng(0).random((5, 64)).astype(np.float32)
    network = networks["mlp"]
    assert {node.op_type for node in network.model.graph.node}.isdisjoint({"Softmax", "Log"})
    wanted = whole(network.path, {"X": rows}, "probabilities")
    np.testing.assert_allclose(softmax(said(network, {"X": rows})), wanted, atol=1e-6)


def test_other_probabilities_become_their_logarithms(tmp_path):
    """As from a sigmoid and its complement; a caller may say that they are logits, and is believed."""
    graph = Graph()
    graph.add("Sigmoid", [graph.linear("x", "a", 1)], "p")
    graph.add("Sub", [graph.constant("one", np.ones(1, np.float32)), "p"], "q")
    graph.add("Concat", ["q", "p"], "y", axis=1)
    path = save(tmp_path / "m.onnx", graph.model("y"))
    batch = {"x": np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)}
    np.testing.assert_allclose(softmax(said(read_network(path), batch)), whole(path, batch), atol=1e-6)
    np.testing.assert_array_equal(said(read_network(path, outputs="logits"), batch), whole(path, batch))


def test_one_output_of_several_can_be_named(tmp_path):
    """Else it is an error that lists them."""
    model = mlp().model("y")
    model.graph.output.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, ["batch", 4]))
    path = save(tmp_path / "m.onnx", model)
    with pytest.raises(BadClassifier, match="several outputs"):
        read_network(path)
    assert (read_network(path, output="b").classes, read_network(path, output="y").classes) == (4, 3)
    with pytest.raises(BadOption, match="has no output 'yy'; did you mean 'y'"):
        read_network(path, output="yy")


def test_functions_of_the_model_are_inlined(tmp_path):
    """As torch's exporter may leave them: what is inside is cut like anything else."""
    domain = helper.make_opsetid("mine", 1)
    twice = helper.make_function(
        "mine", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    graph = Graph()
    graph.add("Twice", [graph.linear("x", "h")], "t", domain="mine")
    graph.linear("t", "y", 3)
    path = save(tmp_path / "m.onnx", graph.model("y", opsets=[domain], functions=[twice]))
    network = read_network(path)
    batch = {"x": np.ones((2, 4), np.float32)}
    assert not network.model.functions
    np.testing.assert_array_equal(said(network, batch), whole(path, batch))


def test_rows_may_be_fixed_at_one(tmp_path):
    """Then it runs one row at a time."""
    assert mlp(rows=1).read(tmp_path, "y").inputs.one_row


def test_open_axes_need_sizes(networks):
    """Each one, by its name; and none that is not there."""
    path = networks["bert"].path
    assert [entry.shape for entry in describe_inputs(path)] == [("batch", "sequence")] * 2
    with pytest.raises(BadOption, match="open axis 'sequence'.*input_ids.*smallest, usual and largest"):
        read_network(path)
    with pytest.raises(BadOption, match="no open axis 'length'"):
        read_network(path, axes={**SEQUENCE, "length": Size(min=1, max=2, typical=1)})
    with pytest.raises(BadOption, match="wanted this order"):
        read_network(path, axes={"sequence": Size(min=4, max=8, typical=2)})


def test_sizes_that_a_network_cannot_take_are_an_error(networks):
    """Thirty-three tokens where the table of positions has thirty-two."""
    with pytest.raises(BadClassifier, match=r"cannot run it on input_ids \[4, 40\]"):
        read_network(networks["bert"].path, axes={"sequence": Size(min=2, max=64, typical=40)})


@pytest.mark.parametrize(
    ("op", "options"),
    [
        ("Nonsense", {}),
        ("Frobnicate", {"domain": "somewhere.else"}),
        ("Det", {}),
    ],
)
def test_operators_that_the_runtime_lacks_are_an_error(tmp_path, op, options):
    """Named, with what to do."""
    graph = Graph()
    graph.add(op, [graph.linear("x", "a")], "b", **options)
    graph.linear("b", "y", 3)
    opsets = [helper.make_opsetid(options["domain"], 1)] if options else []
    path = save(tmp_path / "m.onnx", graph.model("y", opsets=opsets))
    error = BadClassifier if op == "Det" else UnsupportedOperator
    with pytest.raises(error, match=r"m\.onnx: ONNX Runtime cannot load it"):
        read_network(path)


def test_an_output_that_is_no_table_of_scores_is_an_error(tmp_path):
    """One number a row, or a text."""
    graph = Graph()
    graph.linear("x", "y", 1)
    with pytest.raises(BadClassifier, match=r"shape \[4, 1\] for 4 rows; wanted \(rows, classes\)"):
        graph.read(tmp_path, "y")


def test_what_cannot_be_counted_is_an_error(tmp_path):
    """As a loop that runs as often as its input says."""
    body = helper.make_graph(
        [helper.make_node("MatMul", ["v", "w"], ["v2"]), helper.make_node("Identity", ["c"], ["c2"])], "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("c", TensorProto.BOOL, []),
         helper.make_tensor_value_info("v", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("c2", TensorProto.BOOL, []),
         helper.make_tensor_value_info("v2", TensorProto.FLOAT, ["batch", 4])],
    )  # fmt: skip
    graph = Graph()
    graph.constant("w", np.eye(4, dtype=np.float32))
    graph.constant("true", np.array(True))
    graph.constant("many", np.array(3))
    graph.add("Add", ["many", graph.add("Size", ["x"], "size")], "trips")
    graph.add("Loop", ["trips", "true", "x"], "y", body=body)
    with pytest.raises(MacsUnknown, match=r"graph\.onnx: MatMul node 'v2'"):
        graph.read(tmp_path, "y")


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    """Or that is no ONNX."""
    with pytest.raises(BadClassifier, match="cannot be read"):
        read_network(tmp_path / "none.onnx")
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(BadClassifier, match="not an ONNX model"):
        read_network(tmp_path / "m.onnx")


def test_external_data_outside_the_folder_are_refused(networks, tmp_path):
    """A model reads what lies beside it, nothing else."""
    (tmp_path / "in").mkdir()
    model = onnx.load(networks["external"].path, load_external_data=False)
    (tmp_path / "secret").write_bytes((networks["external"].path.parent / "cnn.data").read_bytes())
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../secret" if entry.key == "location" else entry.value
    with pytest.raises(BadClassifier, match="weights in other files and they cannot be read"):
        read_network(save(tmp_path / "in" / "m.onnx", model))
