import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from anytime.training.errors import BadClassifier
from anytime.training.weights import ALIGNMENT, part_weights, read_whole
from tests.training.classifiers import linear

WEIGHT = np.random.default_rng(2).standard_normal((100, 30)).astype(np.float32)


def saved(folder, **options):
    model = linear(shape=("batch", 100), weight=WEIGHT)
    onnx.save(model, folder / "m.onnx", save_as_external_data=True, size_threshold=0, **options)
    return folder / "m.onnx"


@pytest.mark.parametrize("options", [{"location": "m.data"}, {"all_tensors_to_one_file": False}])
def test_weights_in_other_files_are_read(tmp_path, options):
    """One file or one a tensor."""
    path = saved(tmp_path, **options)
    model, has_other_files = read_whole(path, path.read_bytes())
    assert has_other_files
    assert onnx.numpy_helper.to_array(model.graph.initializer[0]).tobytes() == WEIGHT.tobytes()


def test_functions_are_inlined(tmp_path):
    """Before the weights are read."""
    model = linear("Twice", shape=("batch", 100), weight=WEIGHT)
    model.graph.node[1].domain = "mine"
    model.opset_import.append(helper.make_opsetid("mine", 1))
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    model.functions.append(helper.make_function("mine", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 13)]))
    read, _ = read_whole(tmp_path / "m.onnx", model.SerializeToString())
    assert [node.op_type for node in read.graph.node] == ["MatMul", "Add"]
    assert not read.functions


def test_missing_weights_are_an_error(tmp_path):
    """The message says where they should be."""
    path = saved(tmp_path, location="m.data")
    (tmp_path / "m.data").unlink()
    with pytest.raises(BadClassifier, match=r"m\.onnx keeps weights in other files.*put them beside the model"):
        read_whole(path, path.read_bytes())


def test_weights_outside_the_folder_are_refused(tmp_path):
    """A model cannot pull other files into a bundle."""
    (tmp_path / "in").mkdir()
    path = saved(tmp_path / "in", location="m.data")
    model = onnx.load(path, load_external_data=False)
    (tmp_path / "in" / "m.data").rename(tmp_path / "secret")
    model.graph.initializer[0].external_data[0].value = "../secret"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BadClassifier, match="cannot be read"):
        read_whole(path, path.read_bytes())


def test_weights_are_parted_and_found_again(tmp_path):
    """Large tensors move to one file, aligned; small ones stay; the model says the same."""
    model = linear("Relu", shape=("batch", 100), weight=WEIGHT)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(3, np.float32), "small"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(301, np.float32), "odd"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(300, np.float32), "last"))
    before = onnxruntime.InferenceSession(model.SerializeToString())
    data = part_weights(model, "w.bin")
    (tmp_path / "w.bin").write_bytes(data)
    onnx.save(model, tmp_path / "m.onnx")
    offsets = [
        int(entry.value)
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "offset"
    ]
    assert len(offsets) == 3
    assert all(offset % ALIGNMENT == 0 for offset in offsets)
    x = np.ones((2, 100), np.float32)
    after = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    np.testing.assert_array_equal(after.run(None, {"x": x})[0], before.run(None, {"x": x})[0])
