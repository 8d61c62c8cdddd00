"""Derivatives where functions have kinks, as PyTorch has them."""

import math

import numpy as np
import pytest

import tracegrad.tape as torch


def slope(function, *values):
    x = torch.tensor(list(values), requires_grad=True)
    with np.errstate(divide="ignore"):  # log(0) in a branch that isn't taken
        out = function(x)
    out = out.sum() if out.ndim else out
    return torch.autograd.grad(out, x)[0].tolist()


@pytest.mark.parametrize(
    ("function", "values", "expected"),
    [
        (torch.abs, [0.0, -2.0], [0.0, -1.0]),
        (torch.relu, [0.0, 2.0], [0.0, 1.0]),
        (torch.sign, [0.0, 2.0], [0.0, 0.0]),
        (torch.floor, [0.0, 1.5], [0.0, 0.0]),
        (torch.sqrt, [0.0, 4.0], [math.inf, 0.25]),
        (lambda x: x.norm(), [0.0, 0.0], [0.0, 0.0]),
        (lambda x: x.clamp(0.0, 1.0), [0.0, 0.5, 1.0], [0.0, 1.0, 0.0]),
        (lambda x: x.clamp(min=0.0), [0.0, 0.5], [0.0, 1.0]),
        (lambda x: x.max(), [2.0, 2.0, 1.0], [0.5, 0.5, 0.0]),
        (lambda x: x.amin(0), [2.0, 2.0, 3.0], [0.5, 0.5, 0.0]),
        (lambda x: torch.maximum(x[0], x[1]), [2.0, 2.0], [0.5, 0.5]),
        (lambda x: torch.minimum(x[0], x[1]), [2.0, 2.0], [0.5, 0.5]),
        (lambda x: x.max(0).values, [2.0, 2.0, 1.0], [1.0, 0.0, 0.0]),
        (lambda x: x.prod(), [0.0, 3.0, 4.0], [12.0, 0.0, 0.0]),
        (lambda x: x.prod(), [0.0, 0.0, 4.0], [0.0, 0.0, 0.0]),
        (lambda x: x**2.0, [0.0], [0.0]),
        (lambda x: torch.where(x > 0, x.log(), 0.0), [0.0, 2.0], [0.0, 0.5]),
    ],
)
def test_at_a_kink(function, values, expected):
    assert slope(function, *values) == expected


def test_the_derivatives_of_a_product_with_a_zero_are_exact_again():
    x = torch.tensor([0.0, 3.0, 4.0], requires_grad=True)
    (first,) = torch.autograd.grad(x.prod(), x, create_graph=True)
    (second,) = torch.autograd.grad(first[0], x)
    assert second.tolist() == [0.0, 4.0, 3.0]
