"""backward and autograd.grad: what PyTorch does, line by line."""

import warnings

import numpy as np
import pytest

import tracegrad.tape as torch

NO_GRAD = "does not require grad and does not have a grad_fn"


def leaf(*numbers):
    return torch.tensor(list(numbers), requires_grad=True)


# --- backward ----------------------------------------------------------------------


def test_any_one_element_output_is_differentiated():
    x = leaf(2.0)
    (x * 3).reshape(1, 1).backward()
    assert x.grad.tolist() == [3.0]


def test_other_outputs_need_a_gradient():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="only for scalar outputs"):
        (x * 2).backward()
    (x * 2).backward(torch.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2.0, 20.0]


def test_the_gradient_must_match_exactly_rank_0_too():
    x = leaf(1.0, 2.0)
    for output, gradient in [
        (x * 2, torch.ones(3)),
        (x * 2, torch.ones(2, 1)),
        (x.sum(), torch.ones(1)),
    ]:
        with pytest.raises(RuntimeError, match=r"Mismatch in shape: grad_output\[0\]"):
            output.backward(gradient)


def test_the_gradient_is_cast_silently_but_must_be_a_tensor():
    x = torch.tensor([1.0, 2.0], dtype=torch.float32, requires_grad=True)
    (x * 3).backward(torch.ones(2, dtype=torch.float64))
    assert x.grad.dtype == torch.float32
    with pytest.raises(TypeError, match="gradients must be tensors or None"):
        x.sum().backward(1.0)


def test_what_requires_no_grad_is_refused():
    with pytest.raises(RuntimeError, match=f"element 0 of tensors {NO_GRAD}"):
        torch.tensor(1.0).backward()
    with pytest.raises(RuntimeError, match=f"element 1 of tensors {NO_GRAD}"):
        torch.autograd.backward([leaf(1.0).sum(), torch.tensor(1.0)])


def test_a_leaf_has_gradient_one_also_inside_no_grad():
    x = torch.tensor(5.0, requires_grad=True)
    with torch.no_grad():
        x.backward()
    assert x.grad.item() == 1.0
    y = x * 2
    with torch.no_grad():
        y.backward()
    assert x.grad.item() == 3.0


def test_inputs_choose_the_leaves():
    x, y = leaf(2.0), leaf(3.0)
    (x * y).sum().backward(inputs=[x])
    assert x.grad.tolist() == [3.0]
    assert y.grad is None
    with pytest.raises(RuntimeError, match="cannot be empty"):
        (x * y).sum().backward(inputs=[])


def test_grad_accumulates_in_place():
    x = leaf(1.0, 2.0)
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert x.grad is first
    assert first.tolist() == [5.0, 5.0]


def test_create_graph_accumulates_out_of_place_and_warns():
    x = leaf(2.0)
    with pytest.warns(UserWarning, match="reference cycle"):
        (x**2).sum().backward(create_graph=True)
    first = x.grad
    assert first.requires_grad
    with pytest.warns(UserWarning, match="reference cycle"):
        (x**2).sum().backward(create_graph=True)
    assert x.grad is not first
    x.grad = None


# --- graph life --------------------------------------------------------------------


def test_saved_values_are_freed():
    x = leaf(2.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.backward()


def test_what_saved_nothing_can_be_passed_again():
    x = leaf(2.0)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == [2.0]


def test_retain_graph_keeps_it():
    x = leaf(2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [8.0]


def test_grad_then_backward_and_shared_subgraphs():
    x = leaf(2.0)
    shared = x * x
    first, second = shared.sum(), (shared * 3).sum()
    torch.autograd.grad(first, x)
    with pytest.raises(RuntimeError, match="second time"):
        second.backward()


def test_saved_attributes_after_freeing():
    x = leaf(2.0)
    y = x.exp()
    assert y.grad_fn._saved_result.tolist() == y.tolist()
    y.sum().backward()
    with pytest.raises(RuntimeError, match="already been freed"):
        _ = y.grad_fn._saved_result


def test_create_graph_implies_retain_graph_unless_told():
    x = leaf(2.0)
    y = (x * x).sum()
    torch.autograd.grad(y, x, create_graph=True)
    torch.autograd.grad(y, x, create_graph=True, retain_graph=False)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(y, x)


# --- autograd.grad -----------------------------------------------------------------


def test_grad_returns_a_tuple_and_leaves_grad_alone():
    x = leaf(3.0)
    found = torch.autograd.grad((x**2).sum(), x)
    assert isinstance(found, tuple)
    assert found[0].tolist() == [6.0]
    assert x.grad is None


def test_grad_runs_hooks_and_fills_retained():
    x = leaf(3.0)
    seen = []
    x.register_hook(lambda g: seen.append(g.tolist()))
    y = x * 2
    y.retain_grad()
    torch.autograd.grad((y**2).sum(), x)
    assert seen == [[24.0]]
    assert y.grad.tolist() == [12.0]


def test_unused_inputs():
    x, y = leaf(1.0), leaf(1.0)
    with pytest.raises(RuntimeError, match="at index 1 appears to not have been used"):
        torch.autograd.grad(x.sum(), [x, y])
    assert torch.autograd.grad(x.sum(), [x, y], allow_unused=True)[1] is None
    found = torch.autograd.grad(x.sum(), [x, y], materialize_grads=True)
    assert found[1].tolist() == [0.0]
    with pytest.raises(ValueError, match="allow_unused"):
        torch.autograd.grad(x.sum(), y, materialize_grads=True, allow_unused=False)
    for allow in (None, True):
        with pytest.raises(RuntimeError, match="does not require grad"):
            torch.autograd.grad(x.sum(), torch.ones(1), allow_unused=allow)
    with pytest.raises(ValueError, match="non-empty"):
        torch.autograd.grad(x.sum(), [])


def test_several_outputs_sum_and_inputs_may_be_anywhere():
    x = leaf(3.0)
    y = x * x
    assert torch.autograd.grad([y.sum(), (2 * y).sum()], x)[0].tolist() == [18.0]
    y = x * x
    (on_y,) = torch.autograd.grad((y * y).sum(), y)
    assert on_y.tolist() == [18.0]
    point = torch.tensor(2.0, requires_grad=True)
    assert torch.autograd.grad(point, point)[0].item() == 1.0


def test_batched_gradients():
    x = leaf(1.0, 2.0, 3.0)
    (rows,) = torch.autograd.grad(x**2, x, torch.eye(3), is_grads_batched=True)
    assert rows.tolist() == [[2.0, 0, 0], [0, 4.0, 0], [0, 0, 6.0]]


def test_second_and_third_derivatives():
    x = torch.tensor(2.0, requires_grad=True)
    value = x**4
    for expected in (32.0, 48.0, 48.0):
        (value,) = torch.autograd.grad(value, x, create_graph=True)
        assert value.item() == expected


def test_mixed_second_derivatives_through_what_is_not_differentiated():
    x, w = leaf(2.0), leaf(5.0)
    (first,) = torch.autograd.grad((w * x.exp()).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), w)
    assert second.item() == pytest.approx(np.exp(2.0))


def test_results_do_not_share_memory():
    x = leaf(1.0, 2.0)
    y = leaf(1.0, 2.0)
    seed = torch.ones(2)
    a, b = torch.autograd.grad(x + y, [x, y], seed)
    a += 1
    assert b.tolist() == [1.0, 1.0]
    assert seed.tolist() == [1.0, 1.0]
    (x + y).sum().backward()
    x.grad += 1
    assert y.grad.tolist() == [1.0, 1.0]


def test_broadcast_operands_are_summed():
    x, y = leaf(1.0, 2.0), torch.ones(3, 1, requires_grad=True)
    (x * y).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert y.grad.tolist() == [[3.0], [3.0], [3.0]]


def test_float32_stays_float32():
    x = torch.tensor([1.0, 2.0], dtype=torch.float32, requires_grad=True)
    y = (2.0 * x.exp() * x).mean()
    y.backward()
    assert y.dtype == x.grad.dtype == torch.float32
    wide = torch.ones(2)
    (x * wide).sum().backward()
    assert x.grad.dtype == torch.float32


def test_complex_numbers_are_refused():
    with pytest.raises(TypeError, match="complex"):
        torch.tensor([1j])


def test_no_warnings_from_the_backward_pass():
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x.sqrt().sum().backward()
    assert x.grad.tolist() == [np.inf, 0.5]
