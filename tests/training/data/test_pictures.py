import numpy as np
import pytest
from PIL import Image

from anytime.model_store import preprocess
from anytime.model_store.manifest import Preprocess
from anytime.training.data import pictures
from anytime.training.data.pictures import Filed, Loaded, framed_shape
from anytime.training.errors import BadOption, BadPicture, SizesDiffer
from tests.training.data.official_files import encoded, pixels, png, write_files

PLAIN = Preprocess(channels="rgb")
FRAME = Preprocess(channels="rgb", resize=20, crop=(16, 16))


def filed(folder, images, spec=PLAIN, shape=(16, 16, 3)):
    names = [f"{number}.png" for number in range(len(images))]
    write_files(folder, {name: png(image) for name, image in zip(names, images, strict=True)})
    return Filed(folder, names, spec, shape)


def test_files_and_memory_give_the_same_rows(tmp_path):
    """In the order that is asked for, rows more than once if need be."""
    images = pixels(20, 16, 16, 3)
    rows = np.array([3, 0, 19, 3])
    for held in (Loaded(images, PLAIN), filed(tmp_path, images)):
        assert (len(held), held.shape) == (20, (16, 16, 3))
        np.testing.assert_array_equal(held.batch(rows), images[rows])
        np.testing.assert_array_equal(held.batch(rows[:1]), images[rows[:1]])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_file_becomes_what_the_service_makes_of_it(tmp_path, kind):
    """Resized and cropped alike, pixel for pixel."""
    data = encoded(pixels(1, 50, 33, 3)[0], kind)
    write_files(tmp_path, {"x": data})
    got = Filed(tmp_path, ["x"], FRAME, (16, 16, 3)).batch(np.array([0]))
    spec = FRAME.model_copy(update={"layout": "hwc"})
    np.testing.assert_array_equal(got, preprocess(data, spec, "uint8", (16, 16, 3), 10_000))


def test_pictures_in_memory_can_be_framed_too():
    """As their PNG files would be; gray ones for a network that takes colours."""
    images = pixels(3, 12, 12, 1)
    spec = Preprocess(channels="rgb", resize=(20, 18), layout="hwc")
    held = Loaded(images, spec)
    assert held.shape == (20, 18, 3)
    sent = [preprocess(png(image), spec, "uint8", (20, 18, 3), 10_000) for image in images]
    np.testing.assert_array_equal(held.batch(np.arange(3)), np.concatenate(sent))


def test_a_view_shows_part_of_the_original(tmp_path):
    """The box is in pixels of the picture as it is on file, however large that is; each has its own."""
    images = pixels(2, 16, 16, 3)
    boxes = [(0, 0, 16, 16), (4, 2, 12, 10)]
    seen = []

    def view(place, width, height):
        seen.append((place, width, height))
        return boxes[place]

    for held in (Loaded(images, PLAIN), filed(tmp_path, images, Preprocess(channels="rgb", resize=(8, 8)), (8, 8, 3))):
        seen.clear()
        got = held.batch(np.array([1, 0]), view)
        size = held.shape[1::-1]
        wanted = [
            Image.fromarray(images[row]).resize(size, Image.Resampling.BILINEAR, box=box)
            for row, box in zip((1, 0), boxes, strict=True)
        ]
        np.testing.assert_array_equal(got, np.stack([np.asarray(one) for one in wanted]))
        assert sorted(seen) == [(0, 16, 16), (1, 16, 16)]


def test_bad_files_are_named(tmp_path):
    """Cut short, gone, of another size."""
    images = pixels(3, 16, 16, 3)
    held = filed(tmp_path, images)
    (tmp_path / "0.png").write_bytes(png(images[0])[:-40])
    (tmp_path / "1.png").unlink()
    (tmp_path / "2.png").write_bytes(png(pixels(1, 16, 15, 3)[0]))
    with pytest.raises(BadPicture, match=r"0.png: the image cannot be read.*mend or remove"):
        held.batch(np.array([0]))
    with pytest.raises(BadPicture, match="1.png cannot be read: No such file"):
        held.batch(np.array([1]))
    with pytest.raises(SizesDiffer, match="2.png: the picture is 15 x 16 where others are 16 x 16; give one size"):
        held.batch(np.array([2]))
    with pytest.raises(BadPicture, match="wanted at least 16 x 16"):
        filed(tmp_path / "small", pixels(1, 8, 8, 3), Preprocess(channels="rgb", crop=(16, 16))).batch(np.array([0]))


def test_the_digest_is_of_the_rows_in_their_order(tmp_path):
    """Of pixels in memory; of files their paths and sizes."""
    images = pixels(3, 16, 16, 3)
    same, other = np.array([0, 1]), np.array([1, 0])
    for held in (Loaded(images, PLAIN), filed(tmp_path, images)):
        assert held.digest(same) == held.digest(same.copy()) != held.digest(other)
    changed = images.copy()
    changed[1, 0, 0, 0] ^= 1
    assert Loaded(images, PLAIN).digest(same) != Loaded(changed, PLAIN).digest(same)
    held = filed(tmp_path, images)
    before = held.digest(same)
    (tmp_path / "1.png").write_bytes(b"longer" + png(images[1]))
    assert held.digest(same) != before


def test_repeated_pictures_have_one_key(tmp_path):
    """And nobody reads files for it where there are too many."""
    images = pixels(4, 16, 16, 3)
    images[2] = images[0]
    for held in (Loaded(images, PLAIN), filed(tmp_path, images)):
        keys = held.keys()
        assert (keys[0] == keys[2], len(set(keys))) == (True, 3)
    assert Filed(tmp_path, ["0.png"], PLAIN, (16, 16, 3), compared=False).keys() is None
    with (tmp_path / "large.png").open("wb") as stream:
        stream.truncate(pictures.COMPARED_BYTES)
    assert Filed(tmp_path, ["0.png", "large.png"], PLAIN, (16, 16, 3)).keys() is None


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        ({}, (30, 30, 3)),
        ({"resize": (4, 5)}, (4, 5, 3)),
        ({"resize": 7}, (7, 7, 3)),
        ({"resize": 7, "crop": (6, 5)}, (6, 5, 3)),
    ],
)
def test_the_frame_tells_the_shape(spec, shape):
    """Where it does not, the pictures' own."""
    assert framed_shape(Preprocess(channels="rgb", **spec), 30, 30) == shape
    assert framed_shape(Preprocess(channels="gray", **spec), 30, 30) == (*shape[:2], 1)


def test_a_frame_without_a_shape_is_refused():
    """The shorter side alone leaves the longer one open."""
    with pytest.raises(BadOption, match="resize 7 is the shorter side of 30 x 20"):
        framed_shape(Preprocess(channels="rgb", resize=7), 30, 20)
