import numpy as np
import pytest
import torch
from torch import Tensor

from anytime.training.methods.ensembles import FrozenEnsemble, RunningEnsemble, additive, geometric
from anytime.training.methods.losses import ensembles_loss
from tests.training.vectors import load_vector

VECTOR = load_vector("b_ztw_ensemble")
GIVEN, WANTED = VECTOR["inputs"], VECTOR["outputs"]
EXITS = len(GIVEN["w_per_m"])
LABEL = torch.tensor(GIVEN["labels"])
WITHIN = {torch.float64: VECTOR["tolerance_abs"], torch.float32: 1e-5}
KINDS = {"geometric": geometric, "additive": additive}

both = pytest.mark.parametrize("dtype", WITHIN, ids=str)
every_exit = pytest.mark.parametrize("exit", range(1, EXITS + 1))


def log_p(dtype=torch.float64) -> Tensor:
    """(rows, exits, labels)"""
    return torch.tensor(GIVEN["logits_MxNxK"], dtype=dtype).log_softmax(dim=-1).transpose(0, 1)


def weights(exit, dtype=torch.float64) -> tuple[Tensor, Tensor]:
    return torch.tensor(GIVEN["w_per_m"][exit - 1], dtype=dtype), torch.tensor(
        GIVEN["b_per_m"][exit - 1], dtype=dtype
    ).log()


def close(found: Tensor, wanted, dtype=torch.float64) -> bool:
    wanted = torch.tensor(wanted, dtype=dtype)
    return torch.allclose(found, wanted, rtol=0 if dtype == torch.float64 else 1e-5, atol=WITHIN[dtype])


def raw(kind="geometric", dtype=torch.float64) -> RunningEnsemble:
    """The vector's omega and beta; what is unused of omega is made absurd."""
    running = RunningEnsemble(EXITS, LABEL.new_tensor(GIVEN["b_per_m"]).shape[1], kind).to(dtype)
    with torch.no_grad():
        running.omega.fill_(9.0)
        for row, omega in enumerate(GIVEN["raw_omega_per_m"]):
            running.omega[row, : row + 1] = torch.tensor(omega, dtype=dtype)
        running.beta.copy_(torch.tensor(GIVEN["raw_beta_per_m"], dtype=dtype))
    return running


@both
@every_exit
def test_the_geometric_ensemble_is_the_published_one(exit, dtype):
    """Equation 2, with a first exit whose smallest probability is 1e-44."""
    found = geometric(log_p(dtype)[:, :exit], *weights(exit, dtype))
    assert close(found, WANTED["log_q_geometric"][exit - 1], dtype)
    assert close(found.exp(), WANTED["q_geometric"][exit - 1], dtype)


@both
@every_exit
def test_the_additive_ensemble_is_the_published_one(exit, dtype):
    """Equation 4, b inside the normalisation."""
    found = additive(log_p(dtype)[:, :exit], *weights(exit, dtype)).exp()
    assert close(found, WANTED["q_additive"][exit - 1], dtype)
    assert torch.allclose(found.sum(dim=1), torch.ones(len(found), dtype=dtype))


@both
def test_all_exits_at_once_are_the_published_ones(dtype):
    """w = exp(omega) / m, b = exp(beta), and what lies beyond exit m in omega does not matter."""
    found = raw(dtype=dtype)(log_p(dtype)).transpose(0, 1)
    assert close(found, WANTED["raw_parametrisation"]["log_q"], dtype)


def test_the_gradients_are_the_published_ones():
    """Of each exit's mean negative log-likelihood in its omega and beta; none in what it does not use."""
    running = raw()
    log_q = running(log_p()).unbind(dim=1)
    ensembles_loss(log_q, LABEL).backward()
    for row, wanted in enumerate(WANTED["raw_parametrisation"]["ce_loss_and_grads"]):
        assert close(ensembles_loss([log_q[row]], LABEL), wanted["loss"])
        assert close(running.omega.grad[row, : row + 1], wanted["d_omega"])
        assert close(running.beta.grad[row], wanted["d_beta"])
    assert not running.omega.grad.triu(1).any()


@pytest.mark.parametrize("kind", KINDS)
def test_all_exits_at_once_are_each_exit_alone(kind):
    """The masked product against the formula of one exit, in its own weights and in constant ones."""
    running = raw(kind)
    found = running(log_p())
    for exit in range(1, EXITS + 1):
        alone = KINDS[kind](log_p()[:, :exit], running.weight(exit), running.log_bias(exit))
        frozen = FrozenEnsemble(running, exit)(list(log_p()[:, :exit].unbind(dim=1)))
        torch.testing.assert_close(found[:, exit - 1], alone)
        torch.testing.assert_close(found[:, exit - 1], frozen)
    assert not list(FrozenEnsemble(running, 1).parameters())


def test_the_stable_form_is_the_naive_one_where_that_does_not_underflow():
    """Powers, product and division; and where these are 0 / 0 in float32, the stable form is finite."""
    drawn = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(1)).log_softmax(dim=-1)
    weight, bias = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([1.0, 0.5, 2.0, 1.5])
    product = bias * (drawn.exp() ** weight[:, None]).prod(dim=1)
    naive = (product / product.sum(dim=1, keepdim=True)).log()
    torch.testing.assert_close(geometric(drawn, weight, bias.log()), naive)
    extreme = (drawn * 1000).log_softmax(dim=-1).flip(1)
    drowned = bias * (extreme.exp() ** weight[:, None]).prod(dim=1)
    assert (drowned.sum(dim=1) == 0).any()
    assert geometric(extreme, weight, bias.log()).isfinite().all()


def test_exits_are_the_published_ones():
    """The first exit whose top probability is strictly above tau, else the base network."""
    top, label = raw_q().max(dim=-1)
    for tau, wanted in WANTED["exits"].items():
        passes = top > float(tau)
        first = torch.where(passes.any(dim=0), passes.int().argmax(dim=0), EXITS)
        assert first.tolist() == wanted["exit_ic_0based_M_means_base_network"]
        found = [int(label[exit, row]) if exit < EXITS else -1 for row, exit in enumerate(first.tolist())]
        assert found == wanted["pred_or_minus1"]


def raw_q() -> Tensor:
    """(exits, rows, labels)"""
    return torch.stack([geometric(log_p()[:, :exit], *weights(exit)) for exit in range(1, EXITS + 1)]).exp()


def test_a_larger_weight_is_more_trust():
    """The factor becomes sharper, contrary to the paper's sentence."""
    sharp = WANTED["sharpness_vs_w"]
    assert np.all(np.diff(sharp["max_q"]) > 0)
    one = torch.tensor([[[0.5, 0.3, 0.2]]]).log()
    tops = [geometric(one, torch.tensor([w]), torch.zeros(3)).exp().max().item() for w in sharp["w"]]
    assert tops == sorted(tops) and tops[2] == pytest.approx(0.5)


def test_it_starts_near_the_plain_mean():
    """omega from N(0, 0.01^2) and beta 0: every exit's first answer is nearly the geometric mean so far."""
    torch.manual_seed(0)
    running = RunningEnsemble(EXITS, 5)
    mean = log_p(torch.float32).cumsum(dim=1) / torch.arange(1, EXITS + 1)[:, None]
    gap = (running(log_p(torch.float32)).exp() - mean.softmax(dim=-1)).abs().max()
    assert 0 < gap < 0.05
    assert running.omega.abs().max() < 0.05 and not running.beta.any()
