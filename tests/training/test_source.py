import pytest

from anytime.model_store.manifest import Preprocess, Size
from anytime.training.errors import RunFailed
from anytime.training.source import FILE, Source, read_source
from tests.training.finished_runs import write_network, write_rows


def test_what_was_told_is_found_again(tmp_path, monkeypatch):
    """Every field comes back, paths in full; a data set's name stays a name."""
    monkeypatch.chdir(tmp_path)
    network, labels = write_network(tmp_path / "net.onnx"), tmp_path / "labels.csv"
    spec = Preprocess(channels="rgb", resize=(32, 32), mean=(0.5,))
    axes = {"sequence": Size(min=1, max=8, typical=4)}
    told = Source(
        network.relative_to(tmp_path), "rows.npz", "y", axes, None, labels.relative_to(tmp_path), spec, ("a", "b"),
        "logits",
    )  # fmt: skip
    told.keep(tmp_path / "run")
    wanted = Source(network, str(tmp_path / "rows.npz"), "y", axes, None, labels, spec, ("a", "b"), "logits")
    assert read_source(tmp_path / "run") == wanted
    Source(network, "digits").keep(tmp_path / "run")
    assert read_source(tmp_path / "run").data == "digits"


def test_it_reads_the_network_and_the_rows(tmp_path):
    """The classes' names are those given."""
    source = Source(
        write_network(tmp_path / "net.onnx"), str(write_rows(tmp_path / "rows.npz")), class_names=tuple("abc")
    )
    examples = source.read_examples(source.read_network(), labelled=False, seed=0)
    assert examples.labels == ("a", "b", "c") and len(examples.test) == 60


def test_a_source_that_is_not_there_or_damaged_is_refused(tmp_path):
    """The message names the folder or the file."""
    with pytest.raises(RunFailed, match="does not say where its network and data are"):
        read_source(tmp_path)
    (tmp_path / FILE).write_text('{"network": 3}')
    with pytest.raises(RunFailed, match=r"source\.json is damaged"):
        read_source(tmp_path)
