"""Train a linear model: Linear, MSELoss, SGD and clipped gradients."""

import tracegrad.tape as torch
from tracegrad.tape import nn

torch.manual_seed(0)
true_weight, true_bias = torch.tensor([[2.0, -3.4]]), 4.2
X = torch.randn(200, 2)
y = X @ true_weight.T + true_bias + 0.01 * torch.randn(200, 1)

model = nn.Sequential(nn.Linear(2, 1))
loss_function = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for epoch in range(150):
    loss = loss_function(model(X), y)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm=5.0)
    optimizer.step()
    if epoch % 50 == 0:
        print(f"epoch {epoch}: loss {loss.item():.6f}")

layer = model[0]
print(f"weight {layer.weight.tolist()}, bias {layer.bias.tolist()}")
assert loss.item() < 2e-4
assert torch.allclose(layer.weight, true_weight, atol=1e-2)
assert abs(layer.bias.item() - true_bias) < 1e-2
