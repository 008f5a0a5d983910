"""Which files make up each data set, their published checksums, and where its authors or their keepers offer them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class OfficialFile:
    """``md5`` as published; ``urls``: tried in turn, whichever host they name, as the checksum decides."""

    name: str
    md5: str
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """``homes``: folders below a data folder in which the files may lie, the first of them where they are downloaded to.

    ``advice``: how people get what cannot be downloaded.
    """

    name: str
    homes: tuple[str, ...]
    files: tuple[OfficialFile, ...] = ()
    advice: str = ""


def _idx(urls: tuple[str, ...], **md5: str) -> tuple[OfficialFile, ...]:
    names = {
        "train_images": "train-images-idx3-ubyte.gz",
        "train_labels": "train-labels-idx1-ubyte.gz",
        "test_images": "t10k-images-idx3-ubyte.gz",
        "test_labels": "t10k-labels-idx1-ubyte.gz",
    }
    return tuple(OfficialFile(name, md5[key], tuple(url + name for url in urls)) for key, name in names.items())


MNIST = Source(
    "mnist",
    ("mnist", "MNIST/raw", "."),
    _idx(
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        train_images="f68b3c2dcbeaaa9fbdd348bbdeb94873",
        train_labels="d53e105ee54ea40749a09fcbcd1e9432",
        test_images="9fb629c4189551a2d022fa330f9573f3",
        test_labels="ec29112dd5afa0611ce80d1b7f02629c",
    ),
)
FASHION_MNIST = Source(
    "fashion-mnist",
    ("fashion-mnist", "FashionMNIST/raw", "."),
    _idx(
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        train_images="8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        train_labels="25c81989df183df01b3e8a0aad5dffbe",
        test_images="bef4ecab320f06d8554ea6380940ec79",
        test_labels="bb300cfdad3c16e7a12a480ee83cd310",
    ),
)

CIFAR10 = Source(
    "cifar10",
    ("cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10", "."),
    (
        OfficialFile("data_batch_1.bin", "5dd7e06a14cb22eb9f671a540d1b7c25"),
        OfficialFile("data_batch_2.bin", "5ea93a67294ea407fff1d09f752e9692"),
        OfficialFile("data_batch_3.bin", "942cd6a4bcdd0dd3c604fbe906cb4421"),
        OfficialFile("data_batch_4.bin", "ae636b3ba5c66a11e91e8cb52e771fcb"),
        OfficialFile("data_batch_5.bin", "53f37980c15c3d472c316c40844f3f0d"),
        OfficialFile("test_batch.bin", "803d5f7f4d78ea53de84dbe85f74fb6d"),
    ),
)
CIFAR10_ARCHIVE = Source(
    "cifar10",
    ("cifar10", "."),
    (
        OfficialFile(
            "cifar-10-binary.tar.gz",
            "c32a1d4ab5d03f1284b67883e8d87530",
            ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
        ),
    ),
)
CIFAR100 = Source(
    "cifar100",
    ("cifar-100-binary", "cifar100/cifar-100-binary", "cifar100", "."),
    (
        OfficialFile("train.bin", "6172c7755cfe09b2fe270c85cebc1b15"),
        OfficialFile("test.bin", "4499cfba6c016c1be1438163640a0898"),
    ),
)
CIFAR100_ARCHIVE = Source(
    "cifar100",
    ("cifar100", "."),
    (
        OfficialFile(
            "cifar-100-binary.tar.gz",
            "03b5dce01913d631647c71ecec9e9cb8",
            ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
        ),
    ),
)

_SVHN = "http://ufldl.stanford.edu/housenumbers/"
SVHN = Source(
    "svhn",
    ("svhn", "SVHN", "."),
    (
        OfficialFile("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373", (_SVHN + "train_32x32.mat",)),
        OfficialFile("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3", (_SVHN + "test_32x32.mat",)),
    ),
)
SVHN_EXTRA = Source(
    "svhn-extra",
    SVHN.homes,
    (
        *SVHN.files,
        OfficialFile("extra_32x32.mat", "a93ce644f1a588dc4d68dda5feec44a7", (_SVHN + "extra_32x32.mat",)),
    ),
)

TINY_IMAGENET = Source(
    "tiny-imagenet",
    (".", "tiny-imagenet"),
    (
        OfficialFile(
            "tiny-imagenet-200.zip",
            "90528d7ca1a48142e341f4ef8d21d0de",
            ("http://cs231n.stanford.edu/tiny-imagenet-200.zip",),
        ),
    ),
)
CUB = Source(
    "cub",
    (".", "cub"),
    (
        OfficialFile(
            "CUB_200_2011.tgz",
            "97eceeb196236b17998738112f37df78",
            ("https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz?download=1",),
        ),
    ),
)
IMAGENET = Source(
    "imagenet",
    ("imagenet", "ILSVRC2012", "."),
    advice=(
        "ILSVRC 2012 is given only to those who register at https://image-net.org: unpack its pictures as "
        "train/<wnid>/*.JPEG and val/<wnid>/*.JPEG; or leave val flat and unpack ILSVRC2012_devkit_t12 beside it"
    ),
)

PUBLISHED = (MNIST, FASHION_MNIST, CIFAR10, CIFAR100, SVHN_EXTRA)
"""Whose files lie unpacked, and may lie in each other's places."""


def publisher(md5: str, sources: Iterable[Source] = PUBLISHED) -> str | None:
    """The data set that has a file of this checksum, if one is known."""
    return next((source.name for source in sources for file in source.files if file.md5 == md5), None)
