"""Python constructs in traced functions: each gives what Python gives."""

import functools
import math
import operator
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
import pytest

from tests.traces import other_module
from tests.traces.running import agree, rerun, run, traced

X = np.array([0.5, -1.5, 2.0])
RATE = 0.5
TABLE = {"a": 2.0, "b": [1.0, 3.0]}
LAYERS = [(np.eye(3), np.ones(3)), (2.0 * np.eye(3), np.zeros(3))]
square, cube = (lambda x: x * x), (lambda x: x * x * x)


class Point(NamedTuple):
    x: float
    y: float


@dataclass
class Model:
    weights: np.ndarray
    rate: float = 0.5
    name: str = "model"

    @property
    def doubled(self):
        return 2.0 * self.weights

    def predict(self, x):
        return np.sum(self.weights * x) * self.rate

    def __call__(self, x):
        return self.predict(x) + 1.0


class Base:
    def value(self, x):
        return x * 2.0


class Derived(Base):
    def __init__(self, k):
        self.k = k
        self.__secret = 3.0

    def value(self, x):
        return super().value(x) + self.k + self.__secret


@numba.njit
def jitted(x):
    return x * 3.0


@functools.lru_cache
def cached(x):
    return x * 5.0


def augmented(x):
    total = 1.0
    total += x[0]
    total *= 2.0
    total -= x[1]
    total /= 4.0
    total **= 2
    return total


def unpacked(x):
    a, b, c = x
    (p, q), r = (a, b), c
    first, *rest = x
    *front, last = [a, b, c]
    p, q = q, p
    return p - q + r + first + sum(rest) + front[0] * last


def shapes(x):
    (n,) = x.shape
    return n * x + len(x) + x.size + x.ndim


def static_loops(x):
    total = 0.0
    for i in range(3):
        if i == 1:
            continue
        for j, (u, v) in enumerate(zip((1.0, 2.0), [3.0, 4.0], strict=True)):
            total = total + x[i] * u * v * j
        else:
            total = total + 1.0
    for key, value in {"a": 1.0, "b": 2.0}.items():
        total = total + value * len(key)
    k = 0
    while True:
        k += 1
        if k > 3:
            break
        total = total + k
    else:
        total = total * 1e9
    for value in reversed([1.0, 2.0]):
        total = total * value
    return total


def rows(x):
    total = 0.0
    for value in x:
        total = total + value**2
    for i, value in enumerate(x):
        total = total + i * value
    for a, b in zip(x, x[::-1], strict=True):
        total = total + a * b
    return total


def comprehensions(x):
    squares = [v * v for v in x if True]
    pairs = [(i, j) for i in range(3) for j in range(i) if i + j > 1]
    named = {f"k{i}": x[i] for i in range(3)}
    distinct = {i % 2 for i in range(5)}
    lazily = sum(v for v in squares)
    powers = [lambda y, i=i: y**i for i in range(3)]
    return lazily + named["k1"] + len(pairs) + len(distinct) + powers[2](x[0])


def closures(x):
    scale = 2.0

    def inner(y, k=x[0]):
        return y * scale + k

    def counter():
        count = 0

        def step(by):
            nonlocal count
            count = count + by
            return count

        step(x[1])
        return step(x[2])

    scale = 3.0
    return inner(x[1]) + (lambda y: y * scale)(x[2]) + counter()


def decorated(x):
    def twice(f):
        @functools.wraps(f)
        def wrapper(*args, **kwargs):
            return 2.0 * f(*args, **kwargs)

        return wrapper

    @twice
    def inner(y, *, k=1.0):
        return y * k

    return inner(x, k=3.0)


def recursive(x):
    def power(y, n):
        return 1.0 if n == 0 else y * power(y, n - 1)

    return power(x[0], 4)


def arguments(x):
    def f(a, /, b, *rest, c=1.0, **named):
        return a + 10 * b + 100 * sum(rest) + 1000 * c + named.get("d", 0.0)

    values = [x[0], x[1]]
    return f(*values, x[2], c=2.0, **{"d": x[0]}) + f(x[0], b=x[1])


def partials(x):
    return functools.partial(operator.mul, 3.0)(x[0]) + functools.partial(
        other_module.scaled, factor=x[1]
    )(x[2])


def tried(x):
    try:
        raise ValueError("no")
    except KeyError:
        value = x[0]
    except (TypeError, ValueError) as error:
        value = x[1] * len(str(error))
    else:
        value = x[2]
    finally:
        value = value + 1.0
    with np.errstate(all="ignore"):
        value = value * 2.0
    return value


def returns_in_finally(x):
    for i in range(3):
        try:
            if i == 1:
                return x[i]
        finally:
            x = x * 2.0
    return x[0]


def asserted(x):
    assert x.shape[0] == 3, "three"
    assert x.ndim == 1
    return x[0]


def walrus(x):
    if (n := x.shape[0]) > 2:
        return n * x[0]
    return [y := x[1], y * 2.0][1]


def conditions(x):
    flag = x.shape[0] > 2 and not x.ndim > 1
    chained = 0 < x.shape[0] <= 3
    which = x[0] if flag else x[1]
    return which + (1.0 if chained or flag else 0.0) + (x.shape[0] or 7)


def traced_chain(x):
    return np.where(0.0 < x[0] < 1.0, x[1], x[2])


def lists(x):
    values = []
    for i in range(3):
        values.append(x[i] * i)
    values[0] = x[2]
    values += [x[0]]
    del values[1]
    grid = [[0.0] * 2 for _ in range(2)]
    grid[0][1] = x[0]
    table = {"a": x[0]}
    table["b"] = table["a"] * 2.0
    table.update(c=x[1])
    values.reverse()
    return sum(values) + grid[0][1] + sum(table.values()) + np.sum(np.array(values))


def built_ins(x):
    return (
        abs(x[1])
        + max(x[0], x[1], 0.0)
        + min([x[0], x[1]])
        + max(x)
        + sum(x)
        + float(x[0])
        + pow(x[0], 2)
        + round(x[0], 1)
        + divmod(x.shape[0], 2)[1]
        + sum(map(square, x))
        + functools.reduce(lambda a, b: a * b, x)
        + len(list(filter(None, [1, 0, 2])))
        + int(x[2])
        + math.sqrt(x[2])
        + math.pi
    )


def kinds(x):
    checks = [
        isinstance(x, np.ndarray),
        isinstance(x[0], float),
        isinstance(x, (list, tuple)),
        isinstance(x.shape[0], int),
        type(x) is np.ndarray,
        callable(x),
        hasattr(x, "shape"),
    ]
    return x[0] + sum(2.0**k for k, c in enumerate(checks) if c)


def chosen_by_key(x):
    return (
        max(x, key=abs)
        + 2.0 * min(x[0], 1.0, x[1], key=lambda v: v * v if v < 0 else v)
        + 4.0 * max(range(3), key=lambda k: -abs(x[k]))
        + 8.0 * x[max([2, 0, 1], key=lambda k: k % 2)]
        + 16.0 * max([x[0], x[1]], default=0.0)
        + min([], default=x[0])
    )


def python_numbers(x):
    grid = np.outer(x, x).astype(np.float32)
    first, *_ = x.tolist()
    rows = grid.tolist()
    rows[0][1] = 4.0 * rows[2][0]
    return (
        [x[:1].item(), np.sum(x).item(), x.item(-1), grid.item(1, 2), grid.item(4)],
        [(x > 0).tolist()[0] + first, x[0].tolist(), grid[:1, :1].item()],
        rows,
    )


def attributes_by_name(x):
    checks = [
        *(hasattr(x, "shape"), hasattr(x, "strides"), hasattr(x, "width")),
        *(hasattr(x[0], "shape"), hasattr(x[0], "__len__")),
        *(hasattr(float(x[0]), "shape"), hasattr(x.shape[0], "shape")),
        hasattr(Model(x), "doubled"),
        getattr(float(x[0]), "ndim", 7) == 7,
        getattr(x, "width", None) is None,
        *(x.__class__ is np.ndarray, float(x[0]).__class__ is float),
        *(np.isscalar(x), np.isscalar(x[0]), np.isrealobj(x), np.iscomplexobj(x)),
    ]
    name, other = "T", "doubled"
    return (
        getattr(x, name)[0]
        + getattr(Model(x), other)[1]
        + sum(2.0**k for k, c in enumerate(checks) if c)
    )


def texts(x):
    name = f"w{x.shape[0]:02d}"
    parts = {"w03": x[0]}
    return parts[name] + len(f"{name!r}") + len(f"{x.shape[0]}")


def nested_results(x):
    return {"a": (x, [x[0], None]), "b": Point(x[1], x[2]), "c": "text", "d": True}


def imports(x):
    import math as m
    from functools import reduce

    import numpy.linalg

    return reduce(lambda a, b: a + b, x) + m.exp(x[0]) + numpy.linalg.norm(x)


def methods(x):
    point = Point(x[0], x[1])
    own = Model(x, rate=x[2])
    derived = Derived(x[0])
    derived.k = derived.k + 1.0
    return (
        point.x * point.y
        + own.predict(x)
        + own(x)
        + own.doubled[0]
        + derived.value(x[1])
        + jitted(x[0])
        + cached(x[1])
    )


def annotated(x):
    total: float = x[0]
    total: float = total * 2.0
    return total


def starred_displays(x):
    parts = (*x, 1.0)
    merged = {**{"a": x[0]}, "a": x[1]}
    return sum([*parts, *[2.0]]) + merged["a"]


def multiple_targets(x):
    a = b = x[0]
    a = a + 1.0
    return a * b


def array_slices(x):
    return x[1:] * x[:-1] + x[..., None][1, 0] + x[-1] + x[np.array([0, 2])]


CORPUS = [
    augmented,
    unpacked,
    shapes,
    static_loops,
    rows,
    comprehensions,
    closures,
    decorated,
    recursive,
    arguments,
    partials,
    tried,
    returns_in_finally,
    asserted,
    walrus,
    conditions,
    traced_chain,
    lists,
    built_ins,
    kinds,
    python_numbers,
    chosen_by_key,
    attributes_by_name,
    texts,
    nested_results,
    imports,
    methods,
    annotated,
    starred_displays,
    multiple_targets,
    array_slices,
]


@pytest.mark.parametrize("program", CORPUS, ids=lambda f: f.__name__)
def test_program(program):
    agree(program, X)


def test_lambdas_on_one_line_are_told_apart():
    assert run(square, 3.0) == 9.0
    assert run(cube, 3.0) == 27.0


def test_nested_arguments_become_named_parameters():
    def loss(params, point, scale=2.0):
        return params["w"] * params["b"][0] + point.x * scale

    arguments = ({"w": 2.0, "b": [3.0]}, Point(1.0, 2.0), 4.0)
    recorded = traced(loss, *arguments)
    names = [p.name for p in recorded.graph.params]
    assert names == ["params_b_0", "params_w", "point_x", "point_y", "scale"]
    assert rerun(recorded, *arguments) == 10.0


def test_values_are_named_after_the_users_variables():
    def loss(X, w):
        n, d = X.shape
        residual = X @ w
        return np.sum(residual**2) / n / d

    names = {
        output.name
        for equation in traced(loss, np.ones((4, 2)), np.ones(2)).graph.equations
        for output in equation.outputs
    }
    assert {"n", "d", "residual"} <= names


def test_equations_know_their_line():
    def loss(x):
        y = np.sin(x)
        return np.sum(
            y
            * np.cos(x)
        )  # fmt: skip

    locations = [e.location for e in traced(loss, X).graph.equations]
    assert [at.text for at in locations][:2] == ["y = np.sin(x)", "* np.cos(x)"]
    assert all(at.function == "loss" for at in locations)


def test_one_trace_serves_other_sizes():
    def loss(a, b):
        return np.sum(a[1:] * b[:-1]) / a.shape[0]

    recorded = traced(loss, np.ones(4), np.arange(4.0))
    other = (np.arange(7.0), np.ones(7))
    assert rerun(recorded, *other) == loss(*other)


def test_equal_sizes_share_one_symbol():
    recorded = traced(lambda a, b: a + b, np.ones(3), np.ones(3))
    a, b = recorded.graph.params
    assert a.type.shape == b.type.shape
    assert [str(g) for g in recorded.assumptions.guards] == ["b.shape[0] == a.shape[0]"]


def test_integers_turn_into_guards_only_where_python_needs_them():
    def power(x, n):
        for _ in range(n):
            x = x * 2.0
        return x

    def listed(x, n):
        return sum([x] * n)

    free = traced(lambda x, n: x * n, 2.0, 3)
    assert not free.assumptions.guards
    assert rerun(free, 2.0, 5) == 10.0
    assert not traced(power, 2.0, 3).assumptions.guards
    assert [str(g) for g in traced(listed, 2.0, 3).assumptions.guards] == ["n == 3"]


def test_branches_on_sizes_are_guarded():
    def f(x):
        return x[0] if x.shape[0] > 2 else x[1]

    branch, bounds = map(str, traced(f, X).assumptions.guards)
    assert (branch, bounds) == ("2 < x.shape[0]", "x.shape[0] >= 1")


# --- the world outside -------------------------------------------------------------


def test_global_numbers_are_guarded(monkeypatch):
    recorded = traced(lambda x: RATE * x, 2.0)
    assert all(guard.holds() for guard in recorded.guards)
    monkeypatch.setitem(globals(), "RATE", 0.75)
    assert not all(guard.holds() for guard in recorded.guards)


def test_numbers_of_other_modules_are_guarded(monkeypatch):
    recorded = traced(lambda x: other_module.RATE * x, 2.0)
    monkeypatch.setattr(other_module, "RATE", 0.5)
    assert not all(guard.holds() for guard in recorded.guards)


def test_callees_are_guarded(monkeypatch):
    recorded = traced(lambda x: other_module.scaled(x), 2.0)
    assert all(guard.holds() for guard in recorded.guards)
    monkeypatch.setattr(other_module, "_HIDDEN", 5.0)
    assert not all(guard.holds() for guard in recorded.guards)
    monkeypatch.undo()
    assert all(guard.holds() for guard in recorded.guards)
    monkeypatch.setattr(other_module.scaled, "__code__", (lambda x, factor: x).__code__)
    assert not all(guard.holds() for guard in recorded.guards)


def test_global_arrays_are_read_again(monkeypatch):
    def f(x):
        return np.sum(other_module.WEIGHTS * x)

    recorded = traced(f, X)
    assert [c.leaf.name for c in recorded.captures] == ["WEIGHTS"]
    monkeypatch.setattr(other_module, "WEIGHTS", np.array([5.0, 6.0, 7.0]))
    assert rerun(recorded, X) == f(X)
    other_module.WEIGHTS[0] = -1.0
    assert rerun(recorded, X) == f(X)


def test_arrays_computed_from_global_arrays_are_not_frozen(monkeypatch):
    def f(x):
        return np.sum((other_module.WEIGHTS * 2.0) @ np.diag(x))

    recorded = traced(f, X)
    monkeypatch.setattr(other_module, "WEIGHTS", np.array([5.0, 6.0, 7.0]))
    np.testing.assert_allclose(rerun(recorded, X), f(X))


def test_arrays_in_closures_attributes_and_containers_are_read_again():
    data, model = np.ones(3), Model(np.ones(3))

    def f(x):
        for W, b in LAYERS:
            x = W @ x + b
        return np.sum(x * data) + model.predict(x) + TABLE["b"][0] * TABLE["a"]

    recorded = traced(f, X)
    names = [c.leaf.name for c in recorded.captures]
    assert names == [
        "LAYERS_0_0",
        "LAYERS_0_1",
        "LAYERS_1_0",
        "LAYERS_1_1",
        "data",
        "model_weights",
    ]
    data[:] = 2.0
    model.weights = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(rerun(recorded, X), f(X))
    model.rate = 0.75
    assert not all(guard.holds() for guard in recorded.guards)


def test_a_longer_global_list_is_noticed(monkeypatch):
    recorded = traced(lambda x: sum(v * x for v in TABLE["b"]), 1.0)
    assert all(guard.holds() for guard in recorded.guards)
    monkeypatch.setitem(TABLE, "b", [1.0, 3.0, 5.0])
    assert not all(guard.holds() for guard in recorded.guards)


def test_arrays_made_while_tracing_are_constants():
    recorded = traced(lambda x: x[0] * np.linspace(0.0, 1.0, 100), X)
    assert len(recorded.captures) == 1
    np.testing.assert_array_equal(rerun(recorded, X), X[0] * np.linspace(0.0, 1.0, 100))


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.zeros(1000),
        lambda: np.eye(3),
        lambda: np.full((2, 2), np.nan),
        lambda: np.array([0.0, -0.0]),
    ],
)
def test_simple_arrays_made_while_tracing_are_written_out(make):
    recorded = traced(lambda x: x[0] + make(), X)
    assert not recorded.captures
    found, expected = rerun(recorded, X), X[0] + make()
    assert found.tobytes() == expected.tobytes()


def test_functions_without_source_run_natively(monkeypatch):
    scope = {"np": np, "k": 2.0, "W": np.ones(3)}
    exec("def f(x):\n    return np.sum(x * k * W)", scope)
    recorded = traced(scope["f"], X)
    assert rerun(recorded, X) == 2.0
    scope["W"] = np.array([1.0, 0.0, 0.0])
    assert rerun(recorded, X) == 1.0
    scope["k"] = 3.0
    assert not all(guard.holds() for guard in recorded.guards)


def test_an_edited_file_does_not_pass_for_the_running_function(tmp_path, monkeypatch):
    path = tmp_path / "edited.py"
    path.write_text("def f(x):\n    return x * 2.0\n")
    scope: dict = {}
    exec(compile(path.read_text(), str(path), "exec"), scope)
    path.write_text("def f(x):\n    return x * 3.0\n")
    assert run(scope["f"], 1.0) == 2.0


def test_cells_of_notebooks_have_source():
    import linecache

    name, text = "<cell 1>", "def f(x):\n    y = x * 2.0\n    return y\n"
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    scope: dict = {}
    exec(compile(text, name, "exec"), scope)
    recorded = traced(scope["f"], 1.0)
    assert recorded.graph.equations[0].location.text == "y = x * 2.0"


def test_printing_what_is_static_happens_once(capsys):
    def f(a, b):
        print("shape is known:", a.ndim)
        return a + b

    traced(f, X, X)
    assert capsys.readouterr().out == "shape is known: 1\n"
