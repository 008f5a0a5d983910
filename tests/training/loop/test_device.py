"""Where a training computes."""

from __future__ import annotations

import contextlib

import pytest
import torch

from anytime.training.errors import BadOption
from anytime.training.loop import Device, choose_device, one_thread


def test_the_first_that_is_there():
    """auto is CUDA, else MPS, else the CPU; a precision that is asked for is taken."""
    device = choose_device()
    if torch.cuda.is_available():
        assert device.name == "cuda"
    elif torch.backends.mps.is_available():
        assert device == Device("mps", False)
    else:
        assert device.name == "cpu"
    assert choose_device("cpu", "float32") == Device("cpu", False)
    assert choose_device("cpu", "bf16") == Device("cpu", True)
    assert str(choose_device("cpu", "bf16")) == "cpu, bf16"


@pytest.mark.parametrize(("name", "precision"), [("tpu", "auto"), ("cuda:0", "auto"), ("cpu", "bf61")])
def test_what_is_not_there_is_refused(name, precision, monkeypatch):
    """A device or a precision that is unknown names what there is."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadOption, match="wanted one of cpu|bf16"):
        choose_device(name, precision)


def test_bf16_where_the_hardware_multiplies_it(monkeypatch):
    """A CPU that says it does gets bf16, one that does not float32."""
    for fast in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda fast=fast: fast)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        assert choose_device("cpu") == Device("cpu", fast)


def test_one_thread_is_for_a_while():
    """Afterwards, a failure included, there are as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with contextlib.suppress(KeyError), one_thread():
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)
