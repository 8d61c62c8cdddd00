"""Gradients through Python control flow: the tape records what happened."""

import tracegrad.tape as torch


def f(a):
    b = a * 2
    while b.norm() < 1000:
        b = b * 2
    return b if b.sum() > 0 else 100 * b


torch.manual_seed(0)
for _ in range(3):
    a = torch.randn(size=(), requires_grad=True)
    d = f(a)
    d.backward()
    print(f"a = {a.item():.4f}, f(a) = {d.item():.1f}, gradient {a.grad.item()}")
    assert a.grad == d / a  # piecewise linear
