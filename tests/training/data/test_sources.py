import re

from anytime.training.data import sources
from anytime.training.data.sources import PUBLISHED, Source, publisher


def every_source():
    return [one for one in vars(sources).values() if isinstance(one, Source)]


def test_every_file_has_a_checksum_and_a_place():
    """MD5 in hexadecimal, addresses that end in the file's name, a folder to download to."""
    for source in every_source():
        assert source.homes and (source.files or source.advice)
        for file in source.files:
            assert re.fullmatch(r"[0-9a-f]{32}", file.md5)
            assert all(url.partition("?")[0].endswith("/" + file.name) for url in file.urls)
    files = [file for source in PUBLISHED for file in source.files]
    assert len({file.md5 for file in files}) == len(files)


def test_a_checksum_tells_its_data_set():
    """Of files that lie unpacked; of others nothing is known."""
    assert publisher("803d5f7f4d78ea53de84dbe85f74fb6d") == "cifar10"
    assert publisher("0" * 32) is None
