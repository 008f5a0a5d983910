import numpy as np
import pytest
from scipy.io import savemat

from anytime.training.data.imagenet import read_imagenet, read_tiny_imagenet
from anytime.training.data.picture_files import spec_of_size
from anytime.training.data.place import Place
from anytime.training.errors import BadData, BadLabel, DataMissing, EmptyClass, SizesDiffer
from tests.training.data.official_files import class_tree, encoded, pixels, write_files, zipped

WNIDS = ("n02012849", "n03126707", "n01443537")
WORDS = {"n02012849": "crane", "n03126707": "crane, lifting machine", "n01443537": "goldfish, Carassius auratus"}
NAMES = ("goldfish", "crane (n02012849)", "crane (n03126707)")


def tiny_files():
    trees = class_tree({f"{wnid}/images": 2 for wnid in WNIDS}, side=64, kind="JPEG")
    files = {f"train/{name}": data for name, data in trees.items()}
    files |= {f"val/images/val_{k}.JPEG": encoded(pixels(1, 64, 64, 3, 9 + k)[0], "JPEG") for k in range(3)}
    rows = [f"val_{k}.JPEG\t{wnid}\t0\t0\t62\t62\n" for k, wnid in enumerate(WNIDS)]
    files["val/val_annotations.txt"] = "".join(rows).encode()
    files["wnids.txt"] = "\n".join(WNIDS).encode()
    files["words.txt"] = "".join(f"{wnid}\t{words}\n" for wnid, words in WORDS.items()).encode()
    return {f"tiny-imagenet-200/{name}": data for name, data in files.items()}


def read_tiny(folder):
    return read_tiny_imagenet(Place(folder, may_download=False)).checked("tiny-imagenet")


def read(folder):
    return read_imagenet(Place(folder, may_download=False), spec_of_size(32)).checked("imagenet")


def test_tiny_imagenets_validation_part_is_the_test(tmp_path):
    """Classes by sorted wnid, their names from the words; pictures as they are on file."""
    write_files(tmp_path, tiny_files())
    found = read_tiny(tmp_path)
    assert found.labels == NAMES
    assert found.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.test.labels.tolist() == [1, 2, 0]
    assert found.train.pictures.batch(np.arange(6)).shape == (6, 64, 64, 3)
    assert found.train.pictures.names[2] == "train/n02012849/images/0.JPEG"
    assert found.train.pictures.keys() is None


def test_tiny_imagenets_archive_is_unpacked(tmp_path):
    """Once, beside itself."""
    write_files(tmp_path, {"tiny-imagenet-200.zip": zipped(tiny_files())})
    assert read_tiny(tmp_path).strangers == ("tiny-imagenet-200.zip",)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["tiny-imagenet-200", "tiny-imagenet-200.zip"]
    assert read_tiny(tmp_path).strangers == ()


def test_tiny_imagenets_faults_are_named(tmp_path):
    """A class without pictures, a class nobody knows, a picture of another size, nothing at all."""
    with pytest.raises(DataMissing, match="tiny-imagenet-200.zip not found"):
        read_tiny(tmp_path / "absent")
    files = tiny_files()
    write_files(tmp_path / "a", {name: data for name, data in files.items() if "train/n01443537" not in name})
    with pytest.raises(EmptyClass, match="n01443537/images holds no PNG"):
        read_tiny(tmp_path / "a")
    write_files(tmp_path / "b", files | {"tiny-imagenet-200/val/val_annotations.txt": b"val_0.JPEG\tn1\t0 0 1 1"})
    with pytest.raises(BadLabel, match="n1 is a class that has no folder in train"):
        read_tiny(tmp_path / "b")
    odd = {"tiny-imagenet-200/val/images/val_1.JPEG": encoded(pixels(1, 60, 64, 3)[0], "JPEG")}
    write_files(tmp_path / "c", files | odd)
    with pytest.raises(SizesDiffer, match="val_1.JPEG: the picture is 64 x 60 where others are 64 x 64"):
        read_tiny(tmp_path / "c").test.pictures.batch(np.arange(3))


def write_devkit(folder, truth):
    """Numbers as the development kit has them: not in the order of the wnids; groups of classes come behind."""
    kinds = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("num_children", object)]
    rows = [(k, wnid, WORDS[wnid], 0) for k, wnid in enumerate(WNIDS, start=1)] + [(1001, "n00000001", "entity", 3)]
    data = folder / "ILSVRC2012_devkit_t12" / "data"
    data.mkdir(parents=True)
    savemat(data / "meta.mat", {"synsets": np.array(rows, dtype=kinds).reshape(-1, 1)})
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{number}\n" for number in truth))


def write_imagenet(folder, val):
    tree = class_tree(dict.fromkeys(WNIDS, 2), side=40, kind="JPEG")
    write_files(folder / "train", tree)
    write_files(folder / "val", val)


def test_imagenet_with_a_folder_per_class(tmp_path):
    """Pictures of any size become rows of one."""
    write_imagenet(tmp_path / "imagenet", class_tree(dict.fromkeys(WNIDS, 1), side=50, kind="JPEG"))
    found = read(tmp_path)
    assert found.labels == tuple(sorted(WNIDS))
    assert found.test.labels.tolist() == [0, 1, 2]
    assert found.train.pictures.batch(np.arange(6)).shape == (6, 32, 32, 3)


def test_imagenets_flat_validation_pictures_take_their_labels_from_the_kit(tmp_path):
    """Line k of the ground truth is of picture k; its number goes by the kit's own table, and so do the names."""
    flat = {f"ILSVRC2012_val_0000000{k}.JPEG": encoded(pixels(1, 40, 40, 3, k)[0], "JPEG") for k in range(1, 4)}
    write_imagenet(tmp_path, flat)
    with pytest.raises(
        DataMissing, match=r"meta.mat not found.*val is flat and has no labels of its own.*image-net.org"
    ):
        read(tmp_path)
    write_devkit(tmp_path, [3, 1, 2])
    found = read(tmp_path)
    assert found.labels == NAMES
    assert found.test.labels.tolist() == [0, 1, 2]
    (tmp_path / "val" / "ILSVRC2012_val_00000003.JPEG").unlink()
    with pytest.raises(BadData, match="holds 2 pictures and .* 3 labels"):
        read(tmp_path)


def test_imagenets_kit_must_fit(tmp_path):
    """A number that is no class of train; a table that is no table; no pictures at all."""
    with pytest.raises(DataMissing, match="imagenet: train, val not found.*register at https://image-net.org"):
        read(tmp_path)
    write_imagenet(tmp_path, {"1.JPEG": encoded(pixels(1, 40, 40, 3)[0], "JPEG")})
    write_devkit(tmp_path, [1001])
    with pytest.raises(BadLabel, match="n00000001 is a class that has no folder in train"):
        read(tmp_path)
    (tmp_path / "ILSVRC2012_devkit_t12" / "data" / "meta.mat").write_bytes(b"no table")
    with pytest.raises(BadData, match="meta.mat cannot be read"):
        read(tmp_path)
