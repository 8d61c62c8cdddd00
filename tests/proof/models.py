"""Functions to verify: right ones, and ones with a wrong rule of the user's."""

import numpy as np
from scipy.special import erf

from tracegrad import custom_jvp, custom_vjp


def smooth(x, k):
    return np.sum(np.exp(k * x) / (1.0 + x * x))


def logistic(w, features, labels):
    margins = labels * (features @ w)
    return np.sum(np.log1p(np.exp(-margins))) + 0.5 * np.sum(w * w)


def normal(x):
    return 0.5 * (1.0 + erf(x / np.sqrt(2.0)))


def call_price(spot, strike, time, rate, volatility):
    """Black and Scholes (1973)."""
    spread = volatility * np.sqrt(time)
    d1 = (np.log(spot / strike) + (rate + 0.5 * volatility**2) * time) / spread
    discounted = strike * np.exp(-rate * time)
    return spot * normal(d1) - discounted * normal(d1 - spread)


def branches(x):
    total = 0.0
    for i in range(x.shape[0]):
        if x[i] > 0.5:
            total += np.log(x[i])
        else:
            total += np.maximum(x[i], -0.25) ** 2
    return total


def halved(x):
    while x > 1.0:
        x = x * 0.5
    return x**3


def picky(x):
    if x < 0.0:
        raise ValueError("x must not be negative")
    return np.sqrt(x)


def rotated(x, angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([c * x[0] - s * x[1], s * x[0] + c * x[1]])


# --- wrong rules ---------------------------------------------------------------------


@custom_vjp
def sine(x):
    return np.sin(x)


sine.defvjp(  # the sign is wrong
    lambda x: (np.sin(x), x),
    lambda x, out_bar: (-out_bar * np.cos(x),),
)


def wrong_sign(x):
    return np.sum(sine(x) * x)


@custom_vjp
def square(x):
    return x * x


square.defvjp(  # a factor of two is missing
    lambda x: (x * x, x),
    lambda x, out_bar: (out_bar * x,),
)


def missing_factor(x):
    return np.sum(square(x))


@custom_vjp
def leaky(x):
    return np.where(x > 0.0, x, 0.1 * x)


leaky.defvjp(  # the wrong branch
    lambda x: (np.where(x > 0.0, x, 0.1 * x), x),
    lambda x, out_bar: (np.where(x > 0.0, 0.1 * out_bar, out_bar),),
)


def wrong_branch(x):
    return np.sum(leaky(x) * x)


@custom_vjp
def ratio(x, y):
    return x / y


ratio.defvjp(  # they are swapped
    lambda x, y: (x / y, (x, y)),
    lambda kept, out_bar: (
        -out_bar * kept[0] / (kept[1] * kept[1]),
        out_bar / kept[1],
    ),
)


def swapped_arguments(x, y):
    return ratio(x, y) + x * y


@custom_vjp
def scaled(x, k):
    return k * x


scaled.defvjp(  # the sum over the broadcast is missing
    lambda x, k: (k * x, (x, k)),
    lambda kept, out_bar: (out_bar * kept[1], out_bar[0] * kept[0][0]),
)


def dropped_broadcast(x, k):
    return np.sum(scaled(x, k) ** 2)


@custom_jvp
def cubed(x):
    return x**3


@cubed.defjvp
def _cubed(primals, tangents):
    (x,), (x_dot,) = primals, tangents
    return x**3, 3.0 * x * x_dot  # a power is missing


def wrong_tangent(x):
    return np.sum(cubed(x))
