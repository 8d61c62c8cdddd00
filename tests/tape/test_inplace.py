"""Writing to tensors: versions, views, and what history becomes of it."""

import numpy as np
import pytest

import tracegrad.tape as torch

MODIFIED = "has been modified by an inplace operation"


def leaf(*numbers):
    return torch.tensor(list(numbers), requires_grad=True)


def test_leaves_are_protected():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x += 1
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        x[0] = 1.0
    with pytest.raises(RuntimeError, match="a view of a leaf Variable"):
        x[0:1].add_(1.0)
    with torch.no_grad():
        x += 1
        x[0] = 5.0
    assert x.tolist() == [5.0, 3.0]
    assert x.is_leaf
    assert x.requires_grad


def test_the_version_counts_and_is_shared():
    x = torch.zeros(3)
    view, other = x[1:], x.detach()
    assert x._version == 0
    view += 1
    x.mul_(2)
    assert x._version == view._version == other._version == 2
    assert x.tolist() == other.tolist() == [0.0, 2.0, 2.0]


def test_data_is_the_same_memory_and_its_writes_are_seen():
    x = leaf(1.0, 2.0)
    y = x.exp()
    y.data.mul_(2)  # in PyTorch, a wrong gradient follows silently
    with pytest.raises(RuntimeError, match=MODIFIED):
        y.sum().backward()
    x.data -= 0.5
    assert x.tolist() == [0.5, 1.5]
    assert x.is_leaf


def test_a_saved_value_that_was_overwritten_is_found_out():
    x = leaf(1.0, 2.0)
    y = x.exp()
    y *= 2
    with pytest.raises(RuntimeError) as error:
        y.sum().backward()
    assert str(error.value).startswith(
        "one of the variables needed for gradient computation has been modified by an "
        "inplace operation: [tensor float64 [2]], which is output 0 of ExpBackward0, "
        "is at version 1; expected version 0 instead."
    )


def test_operations_that_saved_nothing_allow_it():
    x = leaf(1.0, 2.0)
    y = x + 1
    y *= 3
    y += y
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]
    z = leaf(1.0) * 2
    z *= z
    with pytest.raises(RuntimeError, match=MODIFIED):
        z.sum().backward()


def test_in_place_functions_save_what_they_wrote():
    x = leaf(0.5)
    y = x * 1.0
    y.exp_()
    y.sum().backward()
    assert x.grad.item() == pytest.approx(np.exp(0.5))
    y = x * 1.0
    y.exp_()
    y.add_(1)
    with pytest.raises(RuntimeError, match=MODIFIED):
        y.sum().backward()


def test_scalars_too():
    x = torch.tensor(3.0, requires_grad=True)
    y = x * 2
    y += 1
    assert y.item() == 7.0
    assert y._version == 1
    z = y * y
    y += 1
    with pytest.raises(RuntimeError, match=MODIFIED):
        z.backward()


def test_backward_after_an_optimizer_step():
    w = leaf(1.0)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    torch.optim.SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match=MODIFIED):
        loss.backward()


# --- parts -------------------------------------------------------------------------


def test_assignment_rebases_history():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    y[1] = 10.0
    assert y.grad_fn.name() == "CopySlices"
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 0.0, 2.0]


def test_a_plain_tensor_starts_to_require_grad():
    x = leaf(2.0, 3.0)
    y = torch.zeros(3)
    before = y[0]
    y[1:] = x * x
    assert y.requires_grad
    assert not y.is_leaf
    (y * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [40.0, 600.0]
    assert before.requires_grad  # a view of it


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        slice(None, None, -2),
        (slice(None), 1),
        (0, 2),
        ([0, 1, 0], [1, 1, 2]),
        (slice(None), [2, 0]),
        np.array([[True, False, True], [False, True, False]]),
        (1, None, slice(1, 3)),
        Ellipsis,
    ],
)
def test_every_kind_of_index(index):
    rng = np.random.default_rng(1)
    base, weights = rng.normal(size=(2, 3)), torch.tensor(rng.normal(size=(2, 3)))
    value = rng.normal(size=base[index].shape)
    x = torch.tensor(base, requires_grad=True)
    v = torch.tensor(value, requires_grad=True)
    y = x * 1.0
    y[index] = v
    expected = base.copy()
    expected[index] = value
    assert y.tolist() == expected.tolist()
    (y * weights).sum().backward()
    kept = np.ones((2, 3))
    kept[index] = 0.0
    np.testing.assert_array_equal(x.grad.numpy(), kept * weights.numpy())
    np.testing.assert_array_equal(v.grad.numpy(), weights.numpy()[index])


def test_of_duplicate_writes_the_last_counts():
    v = leaf(1.0, 2.0, 3.0)
    y = torch.zeros(2)
    y[[0, 0, 1]] = v
    assert y.tolist() == [2.0, 3.0]
    y.sum().backward()
    assert v.grad.tolist() == [0.0, 1.0, 1.0]


def test_broadcast_values():
    v = leaf(2.0)
    y = torch.ones(2, 3) * v
    y[:, 1] = v * 10
    y.sum().backward()
    assert v.grad.tolist() == [24.0]


def test_writes_through_views_reach_everything():
    x = leaf(1.0, 2.0, 3.0, 4.0)
    y = x * 1.0
    row = y.reshape(2, 2)[1]
    other = y[3]
    row *= 3.0
    assert y.tolist() == [1.0, 2.0, 9.0, 12.0]
    assert other.item() == 12.0
    (other * 10 + y.sum()).backward()
    assert x.grad.tolist() == [1.0, 1.0, 3.0, 33.0]


def test_writes_to_the_base_reach_views():
    x = leaf(1.0, 2.0)
    y = x * 1.0
    view = y[1]
    y *= 5.0
    view.backward()
    assert x.grad.tolist() == [0.0, 5.0]


def test_second_derivatives_through_assignment():
    x = leaf(2.0, 3.0)
    y = torch.zeros(2)
    y[0] = x[0] ** 3
    y[1:] = x[1:] * y[0].clone()
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert first.tolist() == [12.0 + 36.0, 8.0]
    assert second.tolist() == [12.0 + 36.0 + 12.0, 12.0]


def test_views_made_without_grad_or_with_others():
    x = leaf(1.0, 2.0)
    y = x * 1.0
    with torch.no_grad():
        view = y[0:1]
    with pytest.raises(RuntimeError, match="created in no_grad mode"):
        view *= 2
    part, _ = y.unbind()
    with pytest.raises(RuntimeError, match="unbind"):
        part.mul_(2)
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        np.add(y, y, out=torch.zeros(2))


def test_expanded_memory_is_not_written():
    y = torch.ones(1).expand(3)
    with pytest.raises(RuntimeError, match="one place in memory"):
        y += 1


def test_shapes_and_dtypes_must_fit():
    with pytest.raises(RuntimeError, match="doesn't match the broadcast"):
        torch.ones(2).add_(torch.ones(3, 2))
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.tensor([1, 2]).mul_(0.5)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        torch.ones(2)[:] = torch.ones(3)


def test_retain_grad_follows_and_hooks_stay():
    x = leaf(1.0)
    y = x * 2
    seen = []
    y.retain_grad()
    y.register_hook(lambda g: seen.append(g.item()))
    y *= 10
    y.sum().backward()
    assert y.grad.item() == 1.0
    assert seen == [10.0]


def test_zero_and_fill_cut_the_gradient():
    x = leaf(1.0, np.inf)
    y = x * 2
    y.zero_()
    assert y.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_copy():
    x, z = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * 1
    y.copy_(z * z)
    y.sum().backward()
    assert (x.grad.tolist(), z.grad.tolist()) == ([0.0, 0.0], [6.0, 8.0])


def test_numpy_shares_memory():
    array = np.zeros(2)
    x = torch.from_numpy(array)
    x += 1
    assert array.tolist() == [1.0, 1.0]
    x.numpy()[0] = 7.0
    assert x.tolist() == [7.0, 1.0]
    copy = torch.tensor(array)
    array[0] = 0.0
    assert copy.tolist() == [7.0, 1.0]


def test_an_array_that_is_reused_after_recording_does_no_harm():
    buffer = np.array([1.0, 2.0])
    x = leaf(1.0, 1.0)
    y = (x * buffer).sum()
    buffer[:] = 100.0
    y.backward()
    assert x.grad.tolist() == [1.0, 2.0]
