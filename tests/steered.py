"""Small networks whose training is steered, and what their rectifiers put out."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


def mlp(width: int = 32, seed: int = 0, inputs: int = 6) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, 10),
    )


class Residual(nn.Module):
    """Two convolutions and a way around them, rectifiers as functions and in place."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n, n, 3, padding=1, bias=False), nn.BatchNorm2d(n)
        self.conv2, self.bn2 = nn.Conv2d(n, n, 3, padding=1, bias=False), nn.BatchNorm2d(n)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(h)) + x)


def resnet(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    stem = [nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)]
    return nn.Sequential(
        *stem, Residual(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    )


class Block(nn.Module):
    """A transformer's block whose one rectifier module serves both of its layers."""

    def __init__(self, d: int = 12, n: int = 24, shared: nn.Module | None = None) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.up1, self.down1, self.up2, self.down2 = (
            nn.Linear(d, n), nn.Linear(n, d), nn.Linear(d, n), nn.Linear(n, d)
        )  # fmt: skip
        self.act, self.drop = nn.ReLU(), nn.Dropout(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop(self.down1(self.act(self.up1(self.norm1(x)))))
        return x + self.down2(self.act(self.up2(self.norm2(x))))


def vit(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 12), Block(), Block(), nn.Linear(12, 10))


NETWORKS = {
    "mlp": (mlp, (40, 6), ["1", "3"]),
    "resnet": (resnet, (8, 1, 10, 10), ["2", "3.relu", "3.relu#2"]),
    "vit": (vit, (4, 5, 6), ["1.act", "1.act#2", "2.act", "2.act#2"]),
}


def batch(shape: tuple[int, ...], seed: int = 3) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def outputs_of(model: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the rectifiers put out, heard by replacing `torch.relu` and `relu_` themselves."""
    names = {id(m): name for name, m in model.named_modules()}
    found: dict[str, torch.Tensor] = {}
    inside: list[str] = []
    plain = F.relu

    def spy(z: torch.Tensor, inplace: bool = False) -> torch.Tensor:
        output = plain(z)
        place = inside[-1]
        place = place if isinstance(model.get_submodule(place), nn.ReLU) else f"{place}.relu"
        n = 1 + sum(name.partition("#")[0] == place for name in found)
        found[place if n == 1 else f"{place}#{n}"] = output
        return output

    handles = []
    for module in model.modules():
        handles.append(module.register_forward_pre_hook(lambda m, _x: inside.append(names[id(m)])))
        handles.append(module.register_forward_hook(lambda _m, _x, _y: inside.pop() and None))
    F.relu = spy
    try:
        model(x)
    finally:
        F.relu = plain
        for handle in handles:
            handle.remove()
    return found
