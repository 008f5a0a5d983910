"""Tests of what the fields of a manifest say together."""

import pytest

from anytime.model_store import errors
from anytime.model_store.parse import parse_manifest
from tests.model_store import tiny

LEVELS = [
    {"name": "fine", "labels": tiny.LABELS, "parent": [0, 0, 1]},
    {"name": "coarse", "labels": ["mammal", "fish"]},
]
PICTURE = {"channels": "gray", "resize": [2, 2]}


def put(*way_and_value):
    """A change that sets one place of the manifest; a missing value means: delete."""
    *way, last, value = way_and_value

    def change(raw):
        for key in way:
            raw = raw[key]
        raw[last] = value

    return change


def all_of(*changes):
    def change(raw):
        for one in changes:
            one(raw)

    return change


def picture(shape=("batch", 4), dtype="float32", **spec):
    return all_of(
        put("inputs", 0, "shape", list(shape)), put("inputs", 0, "dtype", dtype),
        put("inputs", 0, "preprocess", {**PICTURE, **spec}),
    )  # fmt: skip


def levelled(change=lambda levels: None):
    def apply(raw):
        raw["levels"] = [dict(level) for level in LEVELS]
        for stage in raw["stages"]:
            stage["head"]["writes"]["more"] = "logits.coarse"
        change(raw["levels"])

    return apply


def sized(**size):
    return all_of(put("axes", {"seq": size}), put("inputs", 0, "shape", ["batch", "seq"]))


def parse(change):
    raw = tiny.manifest()
    change(raw)
    return parse_manifest(tiny.as_json(raw))


POINT = {"name": "p", "policy": {}, "accuracy": 1, "cost": 1, "exit_shares": [0.5, 0.5]}
GAIN = {"edges": [0, 0.5], "accuracy": [[[0.1, 0.2], [0.3, 0.4]]] * 2}


@pytest.mark.parametrize(
    "change",
    [
        levelled(),
        sized(min=1, typical=4, max=8),
        picture(),
        picture(crop=[2, 2], resize=3),
        picture(resize=None, crop=[2, 2]),
        picture(dtype="uint8"),
        picture(("batch", 3, 2, 2), channels="rgb", mean=[0.1, 0.2, 0.3], std=[1]),
        put("calibration", {"gain": GAIN, "operating_points": [POINT], "temperature": [[1], [2]]}),
        all_of(put("answer", "best_validated"), put("calibration", {"accuracy": [0.1, 0.2]})),
        put("repeat", 2),
        put("state", 0, "start", "zeros"),
    ],
)
def test_allowed(change):
    """Fields that fit each other pass."""
    assert parse(change).name == "tiny"


CONTRADICTIONS = {
    "the name twice": put("state", 0, "name", "image"),
    "a head output's name": put("state", 0, "name", "stop"),
    "rows not first": put("inputs", 0, "shape", [4, "batch"]),
    "fixed rows": put("inputs", 0, "shape", [1, 4]),
    "rows twice": put("inputs", 0, "shape", ["batch", "batch"]),
    "an axis without bounds": put("inputs", 0, "shape", ["batch", "seq"]),
    "bounds for rows": put("axes", {"batch": {"min": 1, "typical": 1, "max": 1}}),
    "typical above max": sized(min=1, typical=9, max=8),
    "min above typical": sized(min=5, typical=4, max=8),
    "a start file with a symbolic axis": all_of(sized(min=1, typical=4, max=8),
                                                put("state", 0, "shape", ["batch", "seq"])),
    "zeros of an axis that no input has": all_of(
        put("axes", {"seq": {"min": 1, "typical": 1, "max": 1}}),
        put("state", 0, "shape", ["batch", "seq"]), put("state", 0, "start", "zeros")),
    "an unknown read": put("stages", 0, "head", "reads", {"y": "imge"}),
    "an unknown write": put("stages", 1, "body", "writes", {"y": "memry"}),
    "a body that writes logits": put("stages", 1, "body", "writes", {"y": "logits"}),
    "a name written twice": put("stages", 1, "body", "writes", {"y": "memory", "z": "memory"}),
    "a head without logits": put("stages", 0, "head", "writes", {"scores": "stop"}),
    "a level without logits": put("levels", LEVELS),
    "repeat beyond the stages": put("repeat", 3),
    "an unlisted file": put("stages", 0, "head", "file", "heads.onnx"),
    "an unlisted start": put("state", 0, "start", {"file": "other.npy"}),
    "no multiply-adds": all_of(put("stages", 1, "head", "macs", 0), put("stages", 1, "body", "macs", 0)),
    "level labels that differ": levelled(lambda levels: levels[0].update(labels=["a", "b", "c"])),
    "equal level names": levelled(lambda levels: levels[0].update(name="coarse")),
    "a level called auto": levelled(lambda levels: levels[0].update(name="auto")),
    "a parent on the coarsest": levelled(lambda levels: levels[1].update(parent=[0, 0])),
    "no parents": levelled(lambda levels: levels[0].update(parent=None)),
    "too few parents": levelled(lambda levels: levels[0].update(parent=[0, 1])),
    "a parent out of range": levelled(lambda levels: levels[0].update(parent=[0, 1, 2])),
    "best_validated without accuracy": put("answer", "best_validated"),
    "temperature of too few exits": put("calibration", {"temperature": [[1]]}),
    "temperature of too many levels": put("calibration", {"temperature": [[1, 1], [1, 1]]}),
    "accuracy of too few exits": put("calibration", {"accuracy": [1]}),
    "cost of too many exits": put("calibration", {"cost": [1, 1, 1]}),
    "ms of too few exits": put("calibration", {"ms": [1]}),
    "gain edges that fall": put("calibration", {"gain": {**GAIN, "edges": [0.5, 0]}}),
    "gain bins that do not fit": put("calibration", {"gain": {**GAIN, "edges": [0]}}),
    "gain of too few exits": put("calibration", {"gain": {**GAIN, "accuracy": GAIN["accuracy"][:1]}}),
    "gain rows too short": put("calibration", {"gain": {**GAIN, "accuracy": [[[0.1], [0.3]]] * 2}}),
    "two points of one name": put("calibration", {"operating_points": [POINT, POINT]}),
    "shares of too few exits": put("calibration", {"operating_points": [{**POINT, "exit_shares": [1]}]}),
    "a picture of int64": picture(dtype="int64"),
    "a picture of symbolic axes": all_of(picture(), sized(min=4, typical=4, max=4)),
    "a picture of the wrong size": picture(resize=[2, 3]),
    "a picture of open size": picture(resize=2),
    "a crop larger than the picture": picture(resize=[1, 4], crop=[2, 2]),
    "two means for gray": picture(mean=[0, 0]),
    "two stds for rgb": picture(("batch", 12), channels="rgb", std=[1, 1]),
    "a mean for uint8": picture(dtype="uint8", mean=[0.5]),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradiction(name):
    """Fields that are fine alone and wrong together are a Contradiction."""
    with pytest.raises(errors.Contradiction):
        parse(CONTRADICTIONS[name])


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x.onnx", "a/../../x", "a\\b", "C:x", ".hidden", "a/.b", "a//b", "./a", "a/",
             "manifest.json", "a\nb", "a\x00b"]
)  # fmt: skip
@pytest.mark.parametrize("where", ["files", "graph", "start"])
def test_path_outside(path, where):
    """A path that leaves the bundle, hides, or is not written plainly is PathOutside, wherever it stands."""
    changes = {
        "files": lambda raw: raw["files"].update({path: {"sha256": "0" * 64, "bytes": 1}}),
        "graph": put("stages", 0, "head", "file", path),
        "start": put("state", 0, "start", {"file": path}),
    }
    with pytest.raises(errors.PathOutside):
        parse(changes[where])


def test_state_unwritten():
    """A state that is read before it is written and has no start is StateUnwritten."""
    with pytest.raises(errors.StateUnwritten, match="memory"):
        parse(put("state", 0, "start", None))


def test_graph_too_large():
    """A graph larger than a protobuf can be is TooLarge."""
    with pytest.raises(errors.TooLarge, match="external data"):
        parse(put("files", "head.onnx", "bytes", 2**32))
