"""ADBench's LSTM: layers of gates, one value per unit, over a sequence.

main[k, 0] and main[k, 1] are the weights and biases of layer k's four gates; extra has
the weights of the input and of the output, and the output's bias; state[k] has a
layer's hidden values and its cells.
"""

import numpy as np
from numba import njit

from tests.benchmarks.scan import scan
from tests.benchmarks.scratch import Scratch
from tests.benchmarks.workload import Workload


def make_inputs(size, seed):
    layers, length, units = size
    rng = np.random.default_rng(seed)
    main = rng.standard_normal((layers, 2, 4, units))
    extra = rng.standard_normal((3, units))
    state = rng.standard_normal((layers, 2, units))
    return main, extra, state, rng.uniform(0.0, 1.0, (length, units))


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def objective(main, extra, state, sequence):
    """The loss of predicting each element of a sequence from those before it."""
    layers, _, units = state.shape
    steps = sequence.shape[0] - 1
    state = state.copy()
    x = np.empty(units)
    total = 0.0
    for t in range(steps):
        for j in range(units):
            x[j] = sequence[t, j] * extra[0, j]
        for k in range(layers):
            weight, bias = main[k, 0], main[k, 1]
            hidden, cell = state[k, 0], state[k, 1]
            for j in range(units):
                forget = sigmoid(x[j] * weight[0, j] + bias[0, j])
                ingate = sigmoid(hidden[j] * weight[1, j] + bias[1, j])
                outgate = sigmoid(x[j] * weight[2, j] + bias[2, j])
                change = np.tanh(hidden[j] * weight[3, j] + bias[3, j])
                cell[j] = cell[j] * forget + ingate * change
                hidden[j] = outgate * np.tanh(cell[j])
                x[j] = hidden[j]
        mass = 2.0
        for j in range(units):
            x[j] = x[j] * extra[1, j] + extra[2, j]
            mass += np.exp(x[j])
        norm = np.log(mass)
        for j in range(units):
            total += sequence[t + 1, j] * (x[j] - norm)
    return -total / (steps * units)


def objective_by_scan(main, extra, state, sequence):
    layers = len(main)
    steps, units = len(sequence) - 1, sequence.shape[1]

    def step(carry, pair):
        states, total = carry
        x = pair[0] * extra[0]
        moved = []
        for k in range(layers):
            weight, bias = main[k, 0], main[k, 1]
            hidden, cell = states[2 * k], states[2 * k + 1]
            forget = sigmoid(x * weight[0] + bias[0])
            ingate = sigmoid(hidden * weight[1] + bias[1])
            outgate = sigmoid(x * weight[2] + bias[2])
            change = np.tanh(hidden * weight[3] + bias[3])
            cell = cell * forget + ingate * change
            x = outgate * np.tanh(cell)
            moved += [x, cell]
        y = x * extra[1] + extra[2]
        norm = np.log(2.0 + np.sum(np.exp(y)))
        return (tuple(moved), total + np.sum(pair[1] * (y - norm))), None

    states = tuple(state[k, i] for k in range(layers) for i in (0, 1))
    pairs = np.stack([sequence[:-1], sequence[1:]], 1)
    (_, total), _ = scan(step, (states, 0.0 * sequence[0, 0]), pairs, None)
    return -total / (steps * units)


def hand(maths):
    exp, log, tanh, radd = maths.exp, maths.log, maths.tanh, maths.radd

    @njit(error_model="numpy")
    def kernel(main, extra, state, sequence, main_bar, extra_bar, kept, outs, bars):
        """kept[t, k]: hidden and cell before, the four gates, tanh of the cell."""
        layers, units = state.shape[0], state.shape[2]
        steps = sequence.shape[0] - 1
        x, hidden, cell = bars[0], bars[1 : 1 + layers], bars[1 + layers :]
        for k in range(layers):
            for j in range(units):
                hidden[k, j] = state[k, 0, j]
                cell[k, j] = state[k, 1, j]
        total = 0.0
        for t in range(steps):
            for j in range(units):
                x[j] = sequence[t, j] * extra[0, j]
            for k in range(layers):
                w0, w1, w2, w3 = (
                    main[k, 0, 0],
                    main[k, 0, 1],
                    main[k, 0, 2],
                    main[k, 0, 3],
                )
                b0, b1, b2, b3 = (
                    main[k, 1, 0],
                    main[k, 1, 1],
                    main[k, 1, 2],
                    main[k, 1, 3],
                )
                h_k, c_k, kept_k = hidden[k], cell[k], kept[t, k]
                for j in range(units):
                    x_j, h, c = x[j], h_k[j], c_k[j]
                    forget = 1.0 / (1.0 + exp(-(x_j * w0[j] + b0[j])))
                    ingate = 1.0 / (1.0 + exp(-(h * w1[j] + b1[j])))
                    outgate = 1.0 / (1.0 + exp(-(x_j * w2[j] + b2[j])))
                    change = tanh(h * w3[j] + b3[j])
                    kept_k[0, j] = h
                    kept_k[1, j] = c
                    kept_k[2, j] = forget
                    kept_k[3, j] = ingate
                    kept_k[4, j] = outgate
                    kept_k[5, j] = change
                    c = c * forget + ingate * change
                    bent = tanh(c)
                    kept_k[6, j] = bent
                    c_k[j] = c
                    h_k[j] = x[j] = outgate * bent
            mass = 2.0
            for j in range(units):
                y = x[j] * extra[1, j] + extra[2, j]
                e = exp(y)
                outs[t, j] = e
                mass = radd(mass, e)
                total = radd(total, sequence[t + 1, j] * y)
            norm = log(mass)
            sum_ = 0.0
            for j in range(units):
                sum_ = radd(sum_, sequence[t + 1, j])
                outs[t, j] /= mass
            total -= sum_ * norm

        main_bar[:] = 0.0
        extra_bar[:] = 0.0
        bars[:] = 0.0
        scale = -1.0 / (steps * units)
        for t in range(steps - 1, -1, -1):
            sum_ = 0.0
            for j in range(units):
                sum_ = radd(sum_, sequence[t + 1, j])
            last = kept[t, layers - 1]
            for j in range(units):
                y_bar = scale * (sequence[t + 1, j] - sum_ * outs[t, j])
                extra_bar[1, j] += y_bar * last[4, j] * last[6, j]
                extra_bar[2, j] += y_bar
                x[j] = y_bar * extra[1, j]
            for k in range(layers - 1, -1, -1):
                w0, w1, w2, w3 = (
                    main[k, 0, 0],
                    main[k, 0, 1],
                    main[k, 0, 2],
                    main[k, 0, 3],
                )
                w_bar, b_bar = main_bar[k, 0], main_bar[k, 1]
                h_k, c_k, kept_k = hidden[k], cell[k], kept[t, k]
                below, first = kept[t, max(k - 1, 0)], k == 0
                for j in range(units):
                    h, c = kept_k[0, j], kept_k[1, j]
                    forget, ingate = kept_k[2, j], kept_k[3, j]
                    outgate, change, bent = kept_k[4, j], kept_k[5, j], kept_k[6, j]
                    x_in = below[4, j] * below[6, j]
                    if first:
                        x_in = sequence[t, j] * extra[0, j]
                    out_bar = x[j] + h_k[j]
                    c_bar = c_k[j] + out_bar * outgate * (1.0 - bent * bent)
                    z0 = c_bar * c * forget * (1.0 - forget)
                    z1 = c_bar * change * ingate * (1.0 - ingate)
                    z2 = out_bar * bent * outgate * (1.0 - outgate)
                    z3 = c_bar * ingate * (1.0 - change * change)
                    c_k[j] = c_bar * forget
                    h_k[j] = z1 * w1[j] + z3 * w3[j]
                    x[j] = z0 * w0[j] + z2 * w2[j]
                    w_bar[0, j] += z0 * x_in
                    w_bar[1, j] += z1 * h
                    w_bar[2, j] += z2 * x_in
                    w_bar[3, j] += z3 * h
                    b_bar[0, j] += z0
                    b_bar[1, j] += z1
                    b_bar[2, j] += z2
                    b_bar[3, j] += z3
            for j in range(units):
                extra_bar[0, j] += x[j] * sequence[t, j]
        return total * scale

    scratch = Scratch()

    def value_and_grad(main, extra, state, sequence):
        layers, _, units = state.shape
        bars = np.empty(main.shape), np.empty(extra.shape)
        steps = len(sequence) - 1
        kept = scratch(
            (steps, layers, 7, units), (steps, units), (1 + 2 * layers, units)
        )
        return kernel(main, extra, state, sequence, *bars, *kept), bars

    return value_and_grad


WORKLOAD = Workload(
    name="LSTM",
    sizes={"l=4 c=1024": (4, 1024, 14), "l=4 c=4096": (4, 4096, 14)},
    quick="l=4 c=1024",
    tiny=(2, 4, 3),
    make_inputs=make_inputs,
    objective=objective,
    argnums=(0, 1),
    hand=hand,
    by_scan=objective_by_scan,
    without={
        "casadi": "its arrays have two dimensions",
        "pytensor": "the layers are a Python loop, and its sizes are symbols",
    },
)
