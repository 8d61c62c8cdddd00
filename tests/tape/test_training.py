"""Clipping, optimisers, modules and losses: what PyTorch's do, by hand or published."""

import numpy as np
import pytest

import tracegrad.tape as torch
from tracegrad.tape import nn, optim
from tracegrad.tape.nn import functional as F
from tracegrad.tape.nn.utils import clip_grad_norm_, clip_grad_value_


def parameter(*values, grad=None):
    p = torch.tensor(list(values), requires_grad=True)
    p.grad = None if grad is None else torch.tensor(grad)
    return p


# --- clipping ----------------------------------------------------------------------


def test_clipping_by_norm_scales_and_returns_the_norm_before():
    a, b = parameter(0.0, grad=[3.0]), parameter(0.0, 0.0, grad=[0.0, 4.0])
    before = a.grad
    assert clip_grad_norm_([a, b], 1.0) == 5.0
    assert a.grad is before
    np.testing.assert_allclose(a.grad.numpy(), [3.0 / (5.0 + 1e-6)], rtol=1e-15)
    np.testing.assert_allclose(b.grad.numpy(), [0.0, 4.0 / (5.0 + 1e-6)], rtol=1e-15)


def test_small_gradients_are_not_scaled_up():
    a = parameter(0.0, grad=[0.5])
    assert clip_grad_norm_((p for p in [a]), 1.0) == 0.5
    assert a.grad.tolist() == [0.5]


def test_clipping_takes_one_tensor_other_norms_and_none():
    a = parameter(0.0, 0.0, grad=[-3.0, 2.0])
    assert clip_grad_norm_(a, 1.5, norm_type=float("inf")) == 3.0
    np.testing.assert_allclose(a.grad.numpy(), np.array([-1.5, 1.0]) / (1 + 1e-6 / 3))
    assert clip_grad_norm_(parameter(1.0), 1.0) == 0.0
    assert clip_grad_norm_([], 1.0) == 0.0
    b = parameter(0.0, 0.0, grad=[-3.0, 2.0])
    assert clip_grad_norm_(b, 10.0, norm_type=1) == 5.0


def test_a_norm_that_is_no_number():
    a = parameter(0.0, grad=[float("nan")])
    with pytest.raises(RuntimeError, match="non-finite"):
        clip_grad_norm_(a, 1.0, error_if_nonfinite=True)
    assert np.isnan(clip_grad_norm_(a, 1.0).item())


def test_clipping_by_value_is_in_place():
    a = parameter(0.0, 0.0, grad=[-3.0, 0.2])
    before = a.grad
    clip_grad_value_(a, 0.5)
    assert a.grad is before
    assert a.grad.tolist() == [-0.5, 0.2]


# --- SGD ---------------------------------------------------------------------------


def steps(make, count=4, start=(1.0, -2.0)):
    """What an optimiser does to a quadratic and a sine, as NumPy sees it."""
    p = parameter(*start)
    optimiser = make([p])
    for _ in range(count):
        optimiser.zero_grad()
        (p**2 + p.sin()).sum().backward()
        optimiser.step()
    return p.detach().numpy()


def slope(x):
    return 2 * x + np.cos(x)


@pytest.mark.parametrize(
    ("momentum", "dampening", "decay", "nesterov"),
    [
        (0.0, 0.0, 0.0, False),
        (0.9, 0.0, 0.0, False),
        (0.9, 0.3, 0.0, False),
        (0.9, 0.0, 0.1, True),
        (0.0, 0.0, 0.2, False),
    ],
)
def test_sgd_by_hand(momentum, dampening, decay, nesterov):
    x, buffer = np.array([1.0, -2.0]), None
    for _ in range(4):
        d = slope(x) + decay * x
        if momentum:
            # The first buffer is the gradient itself, undamped.
            buffer = d if buffer is None else momentum * buffer + (1 - dampening) * d
            d = d + momentum * buffer if nesterov else buffer
        x = x - 0.1 * d
    found = steps(
        lambda p: optim.SGD(
            p,
            lr=0.1,
            momentum=momentum,
            dampening=dampening,
            weight_decay=decay,
            nesterov=nesterov,
        )
    )
    np.testing.assert_allclose(found, x, rtol=1e-14)


def test_adam_by_hand():
    x, m, v = np.array([1.0, -2.0]), 0.0, 0.0
    for t in range(1, 5):
        g = slope(x) + 0.1 * x
        m, v = 0.8 * m + 0.2 * g, 0.99 * v + 0.01 * g * g
        x = x - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
    found = steps(lambda p: optim.Adam(p, 0.1, betas=(0.8, 0.99), weight_decay=0.1))
    np.testing.assert_allclose(found, x, rtol=1e-13)


def test_defaults_absent_gradients_and_zeroing():
    a, b = parameter(1.0, grad=[2.0]), parameter(1.0)
    optimiser = optim.SGD([a, b])
    optimiser.step()
    assert a.tolist() == [1.0 - 1e-3 * 2.0]
    assert b.tolist() == [1.0]
    optimiser.zero_grad(set_to_none=False)
    assert a.grad.tolist() == [0.0]
    optimiser.zero_grad()
    assert a.grad is None


def test_a_closure_and_going_uphill():
    a = parameter(1.0)
    optimiser = optim.SGD([a], lr=0.5, maximize=True)

    def closure():
        optimiser.zero_grad()
        loss = (a * 3.0).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimiser.step(closure) == 3.0
    assert a.tolist() == [2.5]


def test_groups_have_options_of_their_own():
    a, b = parameter(1.0, grad=[1.0]), parameter(1.0, grad=[1.0])
    optimiser = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    optimiser.step()
    assert a.tolist() == [0.9]
    assert b.tolist() == [0.5]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda p: optim.SGD([p * 2]), "non-leaf"),
        (lambda p: optim.SGD([]), "empty parameter list"),
        (lambda p: optim.SGD([p], lr=-1.0), "Invalid lr"),
        (lambda p: optim.SGD([p], momentum=-1.0), "Invalid momentum"),
        (lambda p: optim.SGD([p], weight_decay=-1.0), "Invalid weight_decay"),
        (lambda p: optim.SGD([p], nesterov=True), "Nesterov"),
        (lambda p: optim.SGD([{"params": [p]}, {"params": [p]}]), "more than one"),
        (lambda p: optim.Adam([p], betas=(1.0, 0.9)), "Invalid betas"),
    ],
)
def test_options_are_checked(make, error):
    with pytest.raises(ValueError, match=error):
        make(parameter(1.0))


def test_a_bare_tensor_or_something_else_is_refused():
    with pytest.raises(TypeError, match="iterable of Tensors"):
        optim.SGD(parameter(1.0))
    with pytest.raises(TypeError, match="can only optimize Tensors"):
        optim.SGD([1.0])


# --- modules -----------------------------------------------------------------------


def test_a_linear_layer():
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    assert layer.weight.shape == (2, 3)
    assert (layer.weight.abs() <= 3**-0.5).all()
    x = torch.rand(4, 3)
    expected = x.numpy() @ layer.weight.detach().numpy().T
    expected += layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-14)
    assert nn.Linear(3, 2, bias=False).bias is None
    assert repr(layer) == "Linear(in_features=3, out_features=2, bias=True)"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
        self.scale = nn.Parameter([2.0])
        self.register_buffer("shift", torch.tensor([1.0]))

    def forward(self, x):
        return self.layers(x) * self.scale + self.shift


def test_a_module_knows_its_parameters_and_state():
    net = Net()
    names = [name for name, _ in net.named_parameters()]
    own = ["layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias"]
    assert sorted(names) == sorted(["scale", *own])
    assert len(list(net.parameters())) == 5
    state = net.state_dict()
    assert set(state) == {*names, "shift"}
    other = Net()
    other.load_state_dict(state)
    x = torch.rand(5, 2)
    assert torch.equal(net(x), other(x))
    net(x).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_training_and_evaluation_reach_inner_modules():
    net = Net()
    assert net.training
    net.eval()
    assert not net.layers[0].training
    net.train()
    assert net.layers[0].training


def test_modules_are_guarded():
    class Forgot(nn.Module):
        def __init__(self):
            self.layer = nn.ReLU()

    with pytest.raises(AttributeError, match="super"):
        Forgot()
    with pytest.raises(TypeError, match="Parameter or None expected"):
        Net().scale = torch.ones(1)
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()(1)
    with pytest.raises(AttributeError, match="nothing"):
        _ = Net().nothing


X = np.array([[-1.0, 0.0, 2.0], [0.5, -0.25, 1.5]])


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.ReLU(), np.maximum(X, 0.0)),
        (nn.Tanh(), np.tanh(X)),
        (nn.Sigmoid(), 1 / (1 + np.exp(-X))),
        (nn.Softplus(), np.log1p(np.exp(X))),
        (nn.LeakyReLU(0.2), np.where(X > 0, X, 0.2 * X)),
        (nn.Identity(), X),
        (nn.Softmax(dim=1), np.exp(X) / np.exp(X).sum(1, keepdims=True)),
        (nn.LogSoftmax(dim=1), X - np.log(np.exp(X).sum(1, keepdims=True))),
        (nn.Flatten(), X),
        # Φ(x) x at -1, 0, 2: published values of the normal distribution.
        (nn.GELU(), None),
    ],
    ids=lambda x: type(x).__name__,
)
def test_activations(module, expected):
    x = torch.tensor(X, requires_grad=True)
    if expected is None:
        expected = X * np.array(
            [
                [0.15865525393145707, 0.5, 0.9772498680518208],
                [0.6914624612740131, 0.4012936743170763, 0.9331927987311419],
            ]
        )
    np.testing.assert_allclose(module(x).detach().numpy(), expected, rtol=1e-13)
    if not isinstance(module, (nn.ReLU, nn.LeakyReLU)):  # kinks at 0
        assert torch.autograd.gradcheck(module, x)


def test_losses():
    x, y = torch.tensor(X), torch.tensor(X[::-1].copy())
    d = X - X[::-1]
    assert nn.MSELoss()(x, y) == np.mean(d**2)
    assert nn.MSELoss(reduction="sum")(x, y) == np.sum(d**2)
    assert torch.equal(nn.MSELoss(reduction="none")(x, y), torch.tensor(d**2))
    assert nn.L1Loss()(x, y) == np.mean(np.abs(d))
    log_shares = X - np.log(np.exp(X).sum(1, keepdims=True))
    found = nn.CrossEntropyLoss()(x, torch.tensor([2, 0]))
    np.testing.assert_allclose(found, -(log_shares[0, 2] + log_shares[1, 0]) / 2)
    p, happened = torch.tensor([0.25, 0.5]), torch.tensor([1.0, 0.0])
    found = F.binary_cross_entropy(p, happened)
    np.testing.assert_allclose(found, -(np.log(0.25) + np.log(0.5)) / 2)
    with pytest.raises(ValueError, match="not a valid value"):
        nn.MSELoss(reduction="median")(x, y)
    with pytest.warns(UserWarning, match="target size"):
        nn.MSELoss()(x, torch.ones(3))


def test_starting_values():
    w = torch.zeros(4, 3)
    nn.init.xavier_uniform_(w)
    assert (w.abs() <= (6 / 7) ** 0.5).all()
    assert (w != 0).all()
    assert nn.init.constant_(w, 2.0) is w
    assert (w == 2.0).all()
    nn.init.normal_(w, mean=5.0, std=1e-9)
    assert torch.allclose(w, torch.full((4, 3), 5.0))
