"""Tiny data sets in their authors' own layouts, written anew for a test."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from anytime.training.data.class_names import CIFAR100_PARENT


def pixels(count: int, height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    """(count, height, width, channels) uint8, all different."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, channels), np.uint8)


def png(image: np.ndarray) -> bytes:
    return encoded(image, "PNG")


def encoded(image: np.ndarray, kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(stream, kind)
    return stream.getvalue()


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_idx_set(folder: Path, train: np.ndarray, test: np.ndarray, *, packed: bool = True) -> None:
    """Labels count 0 to 9 over and over. ``train``, ``test``: (N, H, W, 1)."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, images in (("train", train), ("t10k", test)):
        contents = {
            f"{stem}-images-idx3-ubyte": images[..., 0],
            f"{stem}-labels-idx1-ubyte": np.arange(len(images)) % 10,
        }
        for name, array in contents.items():
            data = idx(array)
            (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data, mtime=0) if packed else data)


def cifar_records(images: np.ndarray, *labels: np.ndarray) -> bytes:
    """Label bytes, then the red, green and blue planes of each picture."""
    return b"".join(
        bytes(int(column[row]) for column in labels) + image.transpose(2, 0, 1).tobytes()
        for row, image in enumerate(images)
    )


def cifar10_files(each: int = 10) -> dict[str, bytes]:
    """The six files, ``each`` with so many pictures: seed k makes those of file k, labels count 0 to 9."""
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    return {name: cifar_records(pixels(each, 32, 32, 3, seed), np.arange(each) % 10) for seed, name in enumerate(names)}


def cifar100_files(train: int = 200, test: int = 100) -> dict[str, bytes]:
    """Fine labels count 0 to 99."""
    contents = {}
    for seed, (name, count) in enumerate({"train.bin": train, "test.bin": test}.items()):
        fine = np.arange(count) % 100
        contents[name] = cifar_records(pixels(count, 32, 32, 3, seed), np.array(CIFAR100_PARENT)[fine], fine)
    return contents


def write_files(folder: Path, contents: Mapping[str, bytes | str]) -> Path:
    for name, data in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def tar_gz(contents: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def zipped(contents: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for name, data in contents.items():
            packed.writestr(name, data)
    return stream.getvalue()


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def class_tree(classes: Mapping[str, int], side: int = 16, seed: int = 0, kind: str = "PNG") -> dict[str, bytes]:
    """``<class>/<number>`` -> a picture, for so many per class."""
    images = iter(pixels(sum(classes.values()), side, side, 3, seed))
    suffix = {"PNG": "png", "JPEG": "JPEG"}[kind]
    return {f"{name}/{number}.{suffix}": encoded(next(images), kind)
            for name, count in classes.items() for number in range(count)}  # fmt: skip
