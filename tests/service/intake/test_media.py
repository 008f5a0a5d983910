"""Tests of telling what some bytes are."""

import pytest

from anytime.service.intake.media import FORM, JSON, RAW, media_of, sniff
from tests.service.intake.inputs import png


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"inputs": 1}', JSON),
        (b" \r\n\t[1]", JSON),
        (png(), "image/png"),
        (png(form="JPEG"), "image/jpeg"),
        (png(form="WEBP"), "image/webp"),
        (b"RIFF0000WAVE", None),
        (b"\x00\x01", None),
        (b"", None),
    ],
)
def test_sniff(data, kind):
    """JSON shows by its first character, pictures by their signatures, nothing else does."""
    assert sniff(data) == kind


@pytest.mark.parametrize(
    ("content_type", "data", "name"),
    [
        ("application/json", b"\x00", JSON),
        ("Application/JSON; charset=utf-8", b"", JSON),
        ("image/jpg", b"", "image/jpeg"),
        (None, b"{}", JSON),
        ("", b"{}", JSON),
        (None, b"\x00", RAW),
        (FORM, b"{}", JSON),
        (FORM, png(), "image/png"),
        (FORM, b"a=b", FORM),
        ("text/csv", b"{}", "text/csv"),
    ],
)
def test_media_of(content_type, data, name):
    """What is declared is believed, but for curl's default; what is not declared is looked at."""
    assert media_of(content_type, data).name == name


def test_parameters():
    """Parameters of a content type are kept, quoted or not."""
    assert media_of('multipart/form-data; boundary="a b"', b"").params == {"boundary": "a b"}
    assert media_of("application/octet-stream; shape=2,17", b"").params == {"shape": "2,17"}
