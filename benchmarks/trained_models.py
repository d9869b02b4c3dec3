"""Four networks and a step of training for each: a perceptron, a ResNet-18, a ViT and a GPT.

They are what `watch` and `sparsify` are measured on. Images are the 5,000 digits that come with the
package, text is its plays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from measured_models import Residual
from torch import Tensor, nn
from torch.nn import functional

from neurosparse import data
from neurosparse.data import texts
from neurosparse.transformer import CharacterTransformer, TransformerSpec

Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Task:
    """A network, the batches that it is trained on, and how wrong it is on what it has not seen."""

    model: nn.Module
    batches: Batches
    optimizer: torch.optim.Optimizer
    error: Callable[[], float]  # a share of images, or bits per character
    trained_on: Tensor  # inputs to measure the activity with: (n, ...)
    held_out: Tensor

    def loss(self) -> Tensor:
        """Return the loss of the coming batch."""
        x, y = next(self.batches)
        return functional.cross_entropy(self.model(x).flatten(0, -2), y.flatten())


class Vision(nn.Module):
    """A ViT of 4 layers, 96 wide, on images of 28 x 28 in patches of 7 x 7."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 96, 7, 7)
        self.places = nn.Parameter(0.02 * torch.randn(1, 16, 96))
        layer = nn.TransformerEncoderLayer(
            96, 4, 384, dropout=0.0, activation=nn.ReLU(), batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(96, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of images, (n, 1, 28, 28)."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.encoder(tokens).mean(1))


def perceptron() -> nn.Module:
    """Return a network of 784-1000-1000-10."""
    sizes = [nn.Linear(784, 1000), nn.ReLU(), nn.Linear(1000, 1000), nn.ReLU(), nn.Linear(1000, 10)]
    return nn.Sequential(nn.Flatten(), *sizes)


def resnet18() -> nn.Module:
    """Return a ResNet-18 for small images.

    It has a quarter of the usual width, and no pooling at the start.
    """
    widths = [(16, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1)]
    widths += [(32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1)]
    stem = [nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10)]
    return nn.Sequential(*stem, *(Residual(*w) for w in widths), *head)


def images(make: Callable[[], nn.Module], seed: int, batch_size: int = 50) -> Task:
    """Return the task to learn the digits with a network, by AdamW."""
    torch.manual_seed(seed)
    model, digits = make(), data.load("mnist5k")
    x, test = (
        torch.tensor(part.images).view(-1, 1, 28, 28) for part in (digits.train, digits.test)
    )
    y = torch.tensor(digits.train.labels)
    generator = torch.Generator().manual_seed(seed)

    def batches() -> Batches:
        while True:
            for rows in torch.randperm(len(x), generator=generator).split(batch_size):
                yield x[rows], y[rows]

    @torch.no_grad()
    def error() -> float:
        model.eval()
        wrong = sum(
            int((model(part).argmax(1) != labels).sum())
            for part, labels in zip(
                test.split(200), torch.tensor(digits.test.labels).split(200), strict=True
            )
        )
        model.train()
        return wrong / len(test)

    return Task(model, batches(), torch.optim.AdamW(model.parameters(), lr=1e-3), error, x, test)


def characters(seed: int, batch_size: int = 8) -> Task:
    """Return the task to learn the plays with a GPT of 3 layers, by AdamW."""
    plays = texts.load("plays")
    spec = TransformerSpec(alphabet=len(plays.alphabet), start_active=0.5)
    model = CharacterTransformer(spec, seed=seed)
    text, generator = torch.tensor(plays.train).long(), torch.Generator().manual_seed(seed)
    n = spec.context
    seen, held_out = (
        torch.tensor(part[: 64 * n + 1]).long().unfold(0, n + 1, n)
        for part in (plays.train, plays.validation)
    )

    def batches() -> Batches:
        while True:
            starts = torch.randint(len(text) - n, (batch_size,), generator=generator)
            pieces = torch.stack([text[s : s + n + 1] for s in starts.tolist()])
            yield pieces[:, :-1], pieces[:, 1:]

    @torch.no_grad()
    def error() -> float:
        model.eval()
        scores = model(held_out[:, :-1]).flatten(0, 1)
        nats = functional.cross_entropy(scores, held_out[:, 1:].flatten())
        model.train()
        return float(nats / torch.log(torch.tensor(2.0)))

    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    return Task(model, batches(), optimizer, error, seen[:, :-1], held_out[:, :-1])


TASKS: dict[str, Callable[[int], Task]] = {
    "MLP 1000-1000": lambda seed: images(perceptron, seed),
    "ResNet-18": lambda seed: images(resnet18, seed),
    "ViT": lambda seed: images(Vision, seed),
    "GPT": characters,
}
