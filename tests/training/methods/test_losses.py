import pytest
import torch

from anytime.training.methods.losses import ensembles_loss, heads_loss, negative_log_likelihood

LOGITS = [torch.randn(6, 4, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
LABEL = torch.tensor([0, 3, 1, 1, 2, 0])


def test_the_heads_loss_is_a_sum_over_exits_of_means_over_rows():
    """Against -log p of each row's label, written out."""
    wanted = sum(-one.softmax(dim=1)[range(6), LABEL].log().mean() for one in LOGITS)
    torch.testing.assert_close(heads_loss(LOGITS, LABEL), wanted)


def test_both_losses_agree_on_the_same_predictions():
    """One takes logits, the other log-probabilities."""
    log_q = [one.log_softmax(dim=1) for one in LOGITS]
    torch.testing.assert_close(ensembles_loss(log_q, LABEL), heads_loss(LOGITS, LABEL))


@pytest.mark.parametrize("loss", [lambda target: heads_loss(LOGITS, target),
                                  lambda target: negative_log_likelihood(LOGITS[0].log_softmax(dim=1), target)])  # fmt: skip
def test_a_distribution_may_stand_for_a_label(loss):
    """A sure one gives the label's loss; another network's softmax is imitated."""
    torch.testing.assert_close(loss(torch.eye(4)[LABEL]), loss(LABEL))
    assert loss(LOGITS[1].softmax(dim=1)).isfinite()
