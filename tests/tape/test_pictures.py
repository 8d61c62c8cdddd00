"""Pictures of tapes and graphs: boxes, colours, and what notebooks show."""

import shutil
import sys

import numpy as np
import pytest

import tracegrad.tape as torch
from tracegrad import jit
from tracegrad.tape import picture as pictures
from tracegrad.tape.autograd import Function

pytest.importorskip("graphviz")


def boxes(picture):
    """The label and colour of every box."""
    found = []
    for line in picture.body:
        if "->" not in line and "[" in line:
            label = line.split("label=")[1].split(" fillcolor=")[0].strip('" \n')
            found.append((label, line.split("fillcolor=")[1].split("]")[0].strip()))
    return found


def test_leaves_operations_and_outputs_have_their_colours():
    x = torch.ones(2, requires_grad=True)
    y = (x * torch.ones(2)).sum()
    found = boxes(torch.make_dot(y, params={"x": x}))
    assert ("x\n (2,)", "lightblue") in found
    assert ("MulBackward0", "lightgrey") in found
    assert ("SumBackward0", "lightgrey") in found
    assert ("AccumulateGrad", "lightgrey") in found
    assert ("()", "darkolivegreen1") in found
    assert len(found) == 5


def test_saved_values_are_orange_and_attributes_are_listed():
    x = torch.ones(2, 3, requires_grad=True)
    y = x.exp().sum(dim=0)
    picture = torch.make_dot(y, show_saved=True, show_attrs=True)
    found = boxes(picture)
    assert ("result\n (2, 3)", "orange") in found
    assert any("axes: (0,)" in label for label, _ in found)
    assert "dir=none" in picture.source
    assert "orange" not in torch.make_dot(y).source
    shortened = torch.make_dot(y, show_attrs=True, max_attr_chars=6).source
    assert "axes: …" in shortened


def test_the_base_of_a_view_is_dark_and_dotted():
    x = torch.ones(4, requires_grad=True) * 2
    picture = torch.make_dot(x[1:])
    assert "darkolivegreen3" in picture.source
    assert "style=dotted" in picture.source


def test_several_outputs_and_functions_of_the_users():
    class Twice(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, bar):
            return bar * 2

    x = torch.ones(2, requires_grad=True)
    picture = torch.make_dot((Twice.apply(x), x.sum()), show_saved=True)
    labels = [label for label, _ in boxes(picture)]
    assert "TwiceBackward" in labels
    assert labels.count("AccumulateGrad") == 1
    assert any(label.startswith("0") for label in labels)


def test_a_leaf_alone():
    x = torch.ones(2, requires_grad=True)
    assert [colour for _, colour in boxes(torch.make_dot(x))] == ["lightblue"]


def test_a_long_tape_is_drawn_without_recursion():
    y = torch.ones(1, requires_grad=True)
    for _ in range(3000):
        y = y + 1.0
    assert torch.make_dot(y).source.count("AddBackward0") == 3000


@jit
def scaled(x):
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i] * 2.0
    return total


def test_a_compiled_function_shows_its_graph(monkeypatch):
    scaled(np.ones(3))
    picture = scaled.picture()
    assert "lightblue" in picture.source
    assert "cluster" in picture.source
    graph = scaled.graph
    assert repr(graph).startswith("graph scaled")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert graph._repr_mimebundle_() == {"text/plain": str(graph)}


def test_notebooks_show_text_where_nothing_can_be_drawn(monkeypatch):
    x = torch.ones(2, requires_grad=True)
    picture = torch.make_dot(x * 2)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert picture._repr_mimebundle_() == {"text/plain": picture.source}
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/dot")
    monkeypatch.setattr(type(picture), "pipe", lambda self, **_: "<svg/>")
    shown = picture._repr_mimebundle_(include=None, exclude=None)
    assert shown["image/svg+xml"] == "<svg/>"


def test_without_the_library_the_error_says_what_to_install(monkeypatch):

    pictures._picture_class.cache_clear()
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(ImportError, match=r"tracegrad\[pictures\]"):
        torch.make_dot(torch.ones(1, requires_grad=True))
