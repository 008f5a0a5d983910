import pytest
import torch
from torch.nn import functional

from anytime.training.models.pooling import MixedPool, edges
from tests.training.exported import export, run
from tests.training.vectors import load_vector

VECTOR = load_vector("d_sdn_pool")
CASES = VECTOR["outputs"]["cases"]
SIZES = VECTOR["outputs"]["fixed_kernel_output_size"]
WITHIN = {torch.float64: VECTOR["tolerance_abs"], torch.float32: 1e-5}

PLAIN = {"AveragePool", "MaxPool", "Mul", "Add", "Slice", "ReduceMean", "ReduceMax", "Concat"}

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"H{case['H']}")
both = pytest.mark.parametrize("dtype", WITHIN, ids=str)


def pooled(case, pool, dtype):
    layer = MixedPool(case["H"], case["H"], pool).to(dtype)
    with torch.no_grad():
        layer.gamma.fill_(case["gamma_on_avg"])
        return layer(torch.tensor([case["x"]], dtype=dtype))[0]


@both
@every_case
def test_fixed_windows_are_the_published_ones(case, dtype):
    """gamma on the mean, 1 - gamma on the maximum, windows of floor(H / 4), none below 4."""
    wanted = torch.tensor(case["out_fixed_kernel"], dtype=dtype)
    torch.testing.assert_close(pooled(case, "fixed", dtype), wanted, rtol=0, atol=WITHIN[dtype])


@both
@every_case
def test_adaptive_bins_are_the_published_ones(case, dtype):
    """4 x 4 overlapping bins; a side below 4, whose bins would only repeat it, is left as it is."""
    found = pooled(case, "adaptive", dtype)
    wanted = torch.tensor(case["x" if case["H"] < 4 else "out_adaptive_4x4"], dtype=dtype)
    torch.testing.assert_close(found, wanted, rtol=0, atol=WITHIN[dtype])


@pytest.mark.parametrize("side", SIZES)
def test_fixed_windows_give_4_x_4_only_sometimes(side):
    """The published sizes: 7 x 7 for 7, 5 x 5 for 10, 4 x 4 for multiples of 4."""
    assert MixedPool(int(side), int(side), "fixed").size == (SIZES[side],) * 2


@pytest.mark.parametrize("size", [(4, 4), (7, 7), (8, 10), (5, 3), (2, 12), (1, 1)], ids=str)
def test_adaptive_bins_are_torchs(size):
    """Against torch's own adaptive pools, with sides that 4 divides and others."""
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    layer = MixedPool(*size)
    mean, most = functional.adaptive_avg_pool2d(x, layer.size), functional.adaptive_max_pool2d(x, layer.size)
    torch.testing.assert_close(layer(x), layer.gamma * mean + (1 - layer.gamma) * most)


def test_the_mixture_is_learned():
    """gamma is one number within [0, 1) at the start, and has a gradient: the sum of mean minus maximum."""
    layer = MixedPool(8, 8)
    assert layer.gamma.shape == () and 0 <= layer.gamma < 1
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    layer(x).sum().backward()
    torch.testing.assert_close(layer.gamma.grad, (functional.avg_pool2d(x, 2) - functional.max_pool2d(x, 2)).sum())


def test_bins_cover_everything():
    """The edges of 4 bins over 10 overlap, those over 8 meet."""
    assert edges(10, 4) == [(0, 3), (2, 5), (5, 8), (7, 10)]
    assert edges(8, 4) == [(0, 2), (2, 4), (4, 6), (6, 8)]


@pytest.mark.parametrize("size", [(8, 8), (7, 10)], ids=str)
def test_it_exports_to_plain_pools_and_slices(size):
    """No gather and no shape computed: what every runtime runs fast."""
    layer, rows = MixedPool(*size), torch.randn(3, 2, *size)
    model = export(layer, [torch.randn(2, 2, *size)], ["x"])
    assert {node.op_type for node in model.graph.node} <= PLAIN
    torch.testing.assert_close(torch.from_numpy(run(model, [rows], ["x"])[0]), layer(rows).detach())
