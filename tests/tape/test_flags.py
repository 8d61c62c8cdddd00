"""requires_grad, leaves, modes, hooks and nodes."""

import gc
import threading
import weakref

import numpy as np
import pytest

import tracegrad.tape as torch


def leaf(*numbers):
    return torch.tensor(list(numbers), requires_grad=True)


def test_only_floats_require_gradients():
    with pytest.raises(RuntimeError, match="Only Tensors of floating point"):
        torch.tensor([1, 2], requires_grad=True)
    with pytest.raises(RuntimeError, match="Only Tensors of floating point"):
        torch.tensor([True]).requires_grad_()


def test_only_leaves_change_their_flag():
    y = leaf(1.0) * 2
    with pytest.raises(RuntimeError, match="flags of leaf variables"):
        y.requires_grad_(False)
    y.requires_grad_(True)
    x = torch.ones(2)
    x.requires_grad = True
    assert x.is_leaf
    x.requires_grad = False
    assert not (x * 2).requires_grad


def test_grad_of_a_non_leaf_warns_unless_retained():
    x = leaf(2.0)
    y = x * 3
    with pytest.warns(UserWarning, match="not a leaf Tensor is being accessed"):
        assert y.grad is None
    y.retain_grad()
    y.sum().backward()
    assert y.grad.tolist() == [1.0]


def test_retain_grad_on_a_leaf_does_nothing_and_needs_gradients():
    x = leaf(1.0)
    x.retain_grad()
    assert not x.retains_grad
    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor"):
        torch.ones(1).retain_grad()


def test_assigning_grad_checks_it():
    x = leaf(1.0, 2.0)
    x.grad = torch.ones(2)
    for wrong, error in [
        (torch.ones(3), RuntimeError),
        (torch.ones(2, dtype=torch.float32), RuntimeError),
        (1.0, TypeError),
        (x, RuntimeError),
    ]:
        with pytest.raises(error):
            x.grad = wrong
    x.grad = None
    assert x.grad is None


def test_numpy_of_what_requires_grad_is_refused():
    x = leaf(1.0)
    for convert in (lambda: x.numpy(), lambda: np.asarray(x), lambda: np.array(x)):
        with pytest.raises(RuntimeError, match=r"Use tensor.detach\(\).numpy\(\)"):
            convert()
    assert x.detach().numpy().tolist() == [1.0]
    assert np.asarray(torch.ones(2)).tolist() == [1.0, 1.0]


def test_rebinding_makes_a_non_leaf():
    w = leaf(1.0)
    w = w - 0.1
    assert not w.is_leaf
    v = leaf(1.0)
    with torch.no_grad():
        v = v - 0.1
    assert v.is_leaf
    assert not v.requires_grad  # use v -= 0.1 to keep the leaf


# --- modes -------------------------------------------------------------------------


def test_no_grad_as_context_decorator_and_around_generators():
    x = leaf(1.0)
    with torch.no_grad():
        assert not (x * 2).requires_grad
        assert torch.ones(1, requires_grad=True).requires_grad
        with torch.enable_grad():
            assert (x * 2).requires_grad

    @torch.no_grad()
    def plain():
        return x * 2

    assert not plain().requires_grad

    @torch.no_grad()
    def numbers():
        got = yield torch.is_grad_enabled()
        yield got, torch.is_grad_enabled()

    steps = numbers()
    assert next(steps) is False
    assert torch.is_grad_enabled()
    assert steps.send("hello") == ("hello", False)
    assert torch.is_grad_enabled()


def test_errors_leave_the_mode_as_it_was():
    with pytest.raises(KeyError), torch.no_grad():
        raise KeyError
    assert torch.is_grad_enabled()


def test_set_grad_enabled():
    with torch.set_grad_enabled(False):
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    assert not torch.is_grad_enabled()
    torch.set_grad_enabled(True)

    @torch.set_grad_enabled(False)
    def inside():
        return torch.is_grad_enabled()

    assert torch.is_grad_enabled()
    assert not inside()


def test_inference_tensors_stay_out_of_gradients():
    x = leaf(2.0)
    with torch.inference_mode():
        y = x * 3
        assert not y.requires_grad
    with pytest.raises(RuntimeError, match="inference"):
        x * y
    assert (x * y.clone()).requires_grad

    @torch.inference_mode()
    def inside():
        return torch.is_inference_mode_enabled()

    assert inside()


def test_modes_belong_to_their_thread():
    found = []
    with torch.no_grad():
        thread = threading.Thread(target=lambda: found.append(torch.is_grad_enabled()))
        thread.start()
        thread.join()
    assert found == [True]


# --- nodes and hooks -----------------------------------------------------------------


def test_nodes_are_named_and_linked():
    x, w = leaf(2.0), torch.ones(1)
    y = x * w
    z = y.sum()
    assert z.grad_fn.name() == "SumBackward0"
    ((mul, _),) = z.grad_fn.next_functions
    assert mul is y.grad_fn
    assert mul.name() == "MulBackward0"
    (accumulate, number), nothing = mul.next_functions
    assert (accumulate.name(), number, nothing) == ("AccumulateGrad", 0, (None, 0))
    assert accumulate.variable is x
    assert x.grad_fn is None
    assert repr(z) == "tensor(2., grad_fn=<SumBackward0>)"
    assert y.grad_fn._saved_other.tolist() == [1.0]


def test_several_results_are_numbered():
    a = torch.tensor(np.eye(2) * 3, requires_grad=True)
    sign, logabs = torch.linalg.slogdet(a)
    assert sign.grad_fn is logabs.grad_fn
    assert (sign.output_nr, logabs.output_nr) == (0, 1)
    logabs.backward()
    np.testing.assert_allclose(a.grad.numpy(), np.eye(2) / 3)


def test_hooks_may_replace_gradients_and_be_removed():
    x = leaf(1.0)
    handle = x.register_hook(lambda g: g * 10)
    y = x * 2
    y.register_hook(lambda g: g + 1)
    y.sum().backward()
    assert x.grad.tolist() == [40.0]
    handle.remove()
    handle.remove()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [42.0]
    with pytest.raises(RuntimeError, match="cannot register a hook"):
        torch.ones(1).register_hook(print)


def test_anomaly_mode_names_the_function():
    x = leaf(-1.0)
    with torch.autograd.detect_anomaly(), np.errstate(invalid="ignore"):
        y = x.sqrt()
        with pytest.raises(RuntimeError, match="'SqrtBackward0' returned nan values"):
            y.sum().backward()


# --- robust --------------------------------------------------------------------------


def test_a_long_chain_runs_and_is_freed_without_recursion():
    x = torch.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(200_000):
        y = y * 1.0
    y.backward()
    assert x.grad.item() == 1.0
    del y


def test_a_tape_is_freed_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = (x.exp() * x).reshape(1, 2)[0]
        z = y.sum()
        nodes = [weakref.ref(y.grad_fn), weakref.ref(z.grad_fn)]
        y[0] = 3.0
        y.sum().backward(retain_graph=True)
        z.backward()
        del y, z
        assert [node() for node in nodes] == [None, None]
    finally:
        gc.enable()


def test_threads_share_leaves_but_nothing_else():
    x = leaf(1.0, 2.0)
    results = []

    def work():
        for _ in range(50):
            results.append(torch.autograd.grad((x * x).sum(), x)[0].tolist())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[2.0, 4.0]] * 200


def test_sums_of_contributions_have_one_order():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=30) * 10.0 ** rng.integers(-8, 8, 30)

    def once():
        x = torch.tensor(1.0, requires_grad=True)
        total = torch.tensor(0.0)
        for w in weights:
            total = total + x * float(w)
        total.backward()
        return x.grad.item()

    assert len({once() for _ in range(5)}) == 1
