"""Programs that read narrow integers: pixels, labels, counts."""

import numpy as np

from tests.programs.record import program, vector, wide


def pixels(rng, n):
    return rng.integers(0, 255, size=(n, n + 1)).astype(np.uint8)


def labels(rng, n):
    return rng.integers(0, 3, size=n).astype(np.uint32)


def shifts(rng, n):
    return rng.integers(-100, 100, size=n).astype(np.int8)


@program(wide, pixels, sizes=(3, 4))
def brightness(w, image):
    total = 0.0
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            total += w[i, j] * (image[i, j] / 255.0 - 0.5)
            if image[i, j] > 128:
                total += w[i, j] ** 2
    flipped = image.T[::-1]
    level = np.where(image > 100, image.astype(np.float64), 0.5)
    return total, (w.T * flipped).mean(axis=0), w * level, np.mean(image) * w


@program(vector, labels, shifts, sizes=(4, 6))
def counts(x, label, shift):
    total = np.zeros(3)
    for i, k in enumerate(label):
        total[k] += x[i] * int(shift[i])
    once = label == 1
    return total, x[label], x[once].sum(), x * shift + float(shift[0])
