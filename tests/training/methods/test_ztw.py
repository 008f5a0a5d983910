import pytest
import torch

from anytime.training.errors import BadOption
from anytime.training.methods.losses import ensembles_loss, heads_loss
from anytime.training.methods.sdn import Sdn
from anytime.training.methods.ztw import Ztw, ZtwOptions
from anytime.training.models.heads import HeadOptions
from tests.training.exported import export, run

SHAPES = [(4, 8, 8), (6, 7, 7), (3, 5, 12), (10,)]
LABELS = 5
LABEL = torch.tensor([0, 1, 4])


def features(rows=3, seed=1):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, *shape, generator=draw) for shape in SHAPES], torch.randn(rows, LABELS, generator=draw)


def make(**options) -> Ztw:
    return Ztw(SHAPES, LABELS, options=ZtwOptions(**options))


def trained(method: Ztw) -> list[bool]:
    """Which heads have a gradient that is not 0."""
    return [any(p.grad is not None and bool(p.grad.any()) for p in head.parameters()) for head in method.heads]


@pytest.mark.parametrize(
    ("stop_gradient", "wanted"), [(True, [False, False, True, False]), (False, [True, True, True, False])]
)
def test_a_loss_trains_its_own_head(stop_gradient, wanted):
    """The cascade input is detached: exit 3's loss reaches no earlier head, and with the option it does."""
    method = make(stop_gradient=stop_gradient)
    heads_loss([method(*features())[2]], LABEL).backward()
    assert trained(method) == wanted


def test_the_sum_trains_each_head_as_its_own_loss_would():
    """So all heads are trained at once, in one backward pass."""
    method = make()
    heads_loss(method(*features())[:-1], LABEL).backward()
    together = [head.linear.weight.grad.clone() for head in method.heads]
    for index, wanted in enumerate(together):
        method.zero_grad()
        heads_loss([method(*features())[index]], LABEL).backward()
        torch.testing.assert_close(method.heads[index].linear.weight.grad, wanted)


def test_the_first_head_has_no_cascade_input():
    """Every other reads as many numbers as there are labels."""
    assert [head.extra for head in make().heads] == [0, LABELS, LABELS, LABELS]
    assert [head.extra for head in make(cascade=False).heads] == [0] * 4


def test_a_head_reads_what_the_one_before_said():
    """Another feature at exit 1 changes exit 2 and all after, but not without the cascade, and never the base."""
    given, base = features()
    other = [given[0] + 1, *given[1:]]
    for cascade, wanted in ((True, [False] * 4), (False, [False, True, True, True])):
        method = make(cascade=cascade)
        pairs = zip(method(given, base), method(other, base), strict=True)
        assert [a.equal(b) for a, b in pairs] == [*wanted, True]


def test_equation_1_by_hand():
    """Logits before the softmax, beside the reduced feature, through one linear layer."""
    method = make()
    given, base = features()
    first, second, *_ = method(given, base)
    head = method.heads[1]
    reduced = torch.cat([head.reduce(given[1]), first], dim=1)
    torch.testing.assert_close(second, reduced @ head.linear.weight.T + head.linear.bias)


def test_the_layer_norm_sees_the_cascade_input():
    """With it, scaling and shifting what the exit before said changes nothing."""
    head = make(layer_norm=True).heads[1]
    given, base = features()
    torch.testing.assert_close(head(given[1], base), head(given[1], 3 * base + 2), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("ensemble", ["geometric", "additive", "none"])
def test_the_base_networks_logits_are_untouched(ensemble):
    """By default the last exit is the very tensor that came in, before and after ensembles."""
    method = make(ensemble=ensemble)
    given, base = features()
    assert method(given, base)[-1] is base
    assert method.answers(given, base)[-1] is base
    log_p = [one.log_softmax(dim=1) for one in method(given, base)]
    assert method.ensemble(log_p)[-1] is log_p[-1]


@pytest.mark.parametrize("ensemble", ["geometric", "additive"])
def test_answers_are_log_probabilities(ensemble):
    """Of every exit with an ensemble; the final one's too if asked."""
    answers = make(ensemble=ensemble, ensemble_final=True).answers(*features())
    assert len(answers) == len(SHAPES) + 1
    for answer in answers:
        torch.testing.assert_close(answer.exp().sum(dim=1), torch.ones(3))
    assert not answers[-1].equal(features()[1])


def test_ensembles_are_trained_on_what_the_heads_say():
    """Their loss falls, and on fixed outputs touches no head."""
    method = make(ensemble_final=True)
    with torch.no_grad():
        log_p = [one.log_softmax(dim=1) for one in method(*features())]
    adam = torch.optim.Adam(method.ensembles.parameters(), lr=0.05)
    losses = []
    for _ in range(20):
        adam.zero_grad()
        loss = ensembles_loss(method.ensemble(log_p), LABEL)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert trained(method) == [False] * 4


def test_without_cascade_and_ensembles_it_is_sdn():
    """The same seed gives the same heads, and the same answers."""
    given, base = features()
    ztw, sdn = make(cascade=False, ensemble="none"), Sdn(SHAPES, LABELS)
    assert all(a.equal(b) for a, b in zip(ztw.answers(given, base), sdn(given, base), strict=True))


def served(method: Ztw, given, base) -> list[torch.Tensor]:
    """The answers of one exit after the other, each reading only what was written before: as a service runs them."""
    state, answers = {}, []
    for number, feature in enumerate(given, start=1):
        step = method.exit(number)
        reads = {"feature": feature, "before": state.get("scores"), **state}
        written = dict(zip(step.outputs, step(*(reads[name] for name in step.inputs)), strict=True))
        answers.append(written["logits"])
        state |= {"scores": written.get("scores"), f"log_p_{number}": written.get("log_p")}
    return answers


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ensemble_final": True},
        {"ensemble": "additive"},
        {"ensemble": "none"},
        {"cascade": False},
        {"layer_norm": True},
    ],
    ids=str,
)
def test_exit_by_exit_is_all_at_once(options):
    """The served steps, with constant ensemble weights, answer what the whole method answers."""
    method = make(**options)
    given, base = features()
    steps = served(method, [*given, base] if options.get("ensemble_final") else given, base)
    for found, wanted in zip(steps, method.answers(given, base), strict=False):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("number", [1, 2])
def test_an_exported_exit_says_what_torch_says(number):
    """Head, cascade input and ensemble in one ONNX graph, at another number of rows, within 1e-5."""
    step = Ztw(SHAPES, LABELS, HeadOptions("conv")).exit(number)
    example, rows = (inputs(number, rows, seed) for rows, seed in ((2, 1), (5, 2)))
    with torch.no_grad():
        wanted = step(*rows)
    assert step.inputs == (("feature",), ("feature", "before", "log_p_1"))[number - 1]
    assert step.outputs == ("logits", "scores", "log_p")
    model = export(step, example, step.inputs)
    for found, one in zip(run(model, rows, step.inputs), wanted, strict=True):
        torch.testing.assert_close(torch.from_numpy(found), one, rtol=1e-5, atol=1e-5)


def inputs(number, rows, seed):
    given, base = features(rows, seed)
    return [given[number - 1], *([base, base.log_softmax(dim=1)] if number > 1 else [])]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"ensemble": "geometrical"}, "did you mean 'geometric'"),
        ({"ensemble": "none", "ensemble_final": True}, "name an ensemble"),
        ({"cascade": False, "stop_gradient": False}, "cascade, which is off"),
        ({"cascade": False, "layer_norm": True}, "cascade, which is off"),
    ],
)
def test_options_that_contradict_are_refused(options, match):
    """Before anything is built."""
    with pytest.raises(BadOption, match=match):
        ZtwOptions(**options)
