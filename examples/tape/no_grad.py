"""no_grad, enable_grad and inference_mode."""

import tracegrad.tape as torch

x = torch.tensor(2.0, requires_grad=True)
with torch.no_grad():
    y = x * 3
    with torch.enable_grad():
        z = x * 3
assert (y.requires_grad, z.requires_grad) == (False, True)


@torch.no_grad()
def predict(x):
    return x * 3


assert not predict(x).requires_grad

with torch.no_grad():
    x -= 0.5  # an update in place keeps the leaf; x = x - 0.5 would make a new one
assert x.is_leaf
assert x.requires_grad

with torch.inference_mode():
    fast = x * 2
try:
    x * fast
except RuntimeError as error:
    print(f"refused: {error}")
