"""Small networks and a training, to be watched."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


def mlp(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 9), nn.ReLU(), nn.Linear(9, 3))


def batches(n: int, size: int = 16, seed: int = 1) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, 6, generator=generator) for _ in range(n)]


def train(model, data, *, accumulate: int = 1, inside=None, lr: float = 0.05) -> None:
    """A plain loop; `inside(step)` is called after each optimizer step."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for k, x in enumerate(data):
        model(x).square().mean().backward()
        if (k + 1) % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
            if inside is not None:
                inside(k)


def by_hand(model: nn.Sequential, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the rectifiers of `mlp` put out."""
    with torch.no_grad():
        first = F.relu(model[0](x))
        return {"1": first, "3": F.relu(model[2](first))}


class Varied(nn.Module):
    """A perceptron that computes something else from pass `at` on, or does in one pass alone."""

    def __init__(self, kind: str, at: int = 3) -> None:
        super().__init__()
        self.inner, self.kind, self.at, self.n = mlp(), kind, at, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        varied, self.n = self.n >= self.at, self.n + 1
        if not varied or (self.kind == "back again" and self.n > self.at + 1):
            return self.inner(x)
        if self.kind == "called twice":
            return self.inner(x) + self.inner[4](
                self.inner[3](self.inner[2](x[:, :1] + x.new_ones(20)))
            )
        if self.kind == "not called":
            return self.inner[4](self.inner[1](self.inner[0](x))[:, :9])
        return self.inner[4](F.gelu(self.inner[3](self.inner[2](self.inner[1](self.inner[0](x))))))
