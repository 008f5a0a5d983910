import torch
from torch import nn

from anytime.training.models.frozen import Frozen
from anytime.training.models.registry import make_backbone


def make():
    backbone = make_backbone("resnet-8", labels=4, input_shape=(1, 8, 8), width=4)
    return backbone, nn.ModuleDict({"base": Frozen(backbone, [1, 2]), "head": nn.Linear(3, 2)})


def test_training_the_whole_leaves_the_backbone_in_eval_mode():
    """``train()`` on what holds it reaches the heads only, so batch statistics neither are read nor move."""
    backbone, whole = make()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    x = torch.randn(5, 1, 8, 8) * 3 + 1
    wanted = backbone(x)
    whole.train()
    assert whole["head"].training and whole["base"].training
    assert not any(module.training for module in backbone.modules())
    features, logits = whole["base"](x)
    assert logits.equal(wanted) and len(features) == 2
    assert all(value.equal(before[key]) for key, value in backbone.state_dict().items())


def test_one_row_does_not_depend_on_the_others():
    """As it would, through batch normalisation, in train mode."""
    _, whole = make()
    whole.train()
    x = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(whole["base"](x)[1][:1], whole["base"](x[:1])[1])


def test_a_loss_cannot_reach_it():
    """Its parameters want no gradient and its features carry none."""
    backbone, whole = make()
    features, logits = whole["base"](torch.randn(2, 1, 8, 8))
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert not any(tensor.requires_grad for tensor in (*features, logits))
