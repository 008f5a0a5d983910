import pytest

from anytime.training.attach import NetworkInput, find_cuts
from anytime.training.attach.export_factory import export_factory
from anytime.training.errors import BadOption, ExportFailed

ROW = [NetworkInput("x", "float32", ("batch", 4))]


def test_an_exported_network_takes_the_same_road(networks):
    """Rows and lengths stay open, tensors keep the names of forward's parameters, dropout is off."""
    assert networks["bert"].path.name == "model.onnx"
    assert [entry.shape[0] for entry in networks["cnn"].inputs.tensors] == ["batch"]
    assert "Dropout" not in {node.op_type for node in networks["cnn"].model.graph.node}
    assert all(find_cuts(networks[name]) for name in ("cnn", "vit", "bert"))


@pytest.mark.parametrize(
    ("factory", "error", "message"),
    [
        ("{file}", BadOption, "is not file.py:function"),
        ("nowhere.py:cnn", BadOption, "nowhere.py is not there"),
        ("{file}:nothing", BadOption, "has no function 'nothing'"),
        ("{file}:broken", ExportFailed, "broken failed: RuntimeError: no weights here"),
        ("{file}:number", ExportFailed, "number made int; wanted a torch.nn.Module"),
        ("{file}:branch", ExportFailed, "torch cannot export .*:branch"),
        ("{file}:picky", ExportFailed, "picky does not run in torch for .*RuntimeError: one row is too few; mend its"),
        ("{file}:drawn", ExportFailed, "drawn as ONNX is .* from torch.*look for random numbers"),
    ],
)
def test_a_factory_that_fails_leaves_nothing(factories, tmp_path, factory, error, message):
    """What went wrong is named, where it was, and what to do."""
    with pytest.raises(error, match=message):
        export_factory(factory.format(file=factories), ROW, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_never_overwritten(factories, tmp_path):
    """Nor is anything exported."""
    with pytest.raises(BadOption, match="exists already"):
        export_factory(f"{factories}:cnn", ROW, tmp_path)
