"""Small models made by hand, each of a kind that is easily counted wrongly.

A model says itself what its layers put out, and along which axis their units lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from counts import THRESHOLD, Case, Counts
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

N_INPUTS = 24


class Noted(nn.Module):
    """A model that can tell what its layers put out."""

    def __init__(self) -> None:
        super().__init__()
        # called with an output of a layer: its name, the output, the axis of its units
        self.note: Callable[[str, Tensor, int], None] = lambda name, output, axis: None
        self.act = nn.ReLU()

    def noted(self, name: str, output: Tensor, axis: int = -1) -> Tensor:
        self.note(name, output, axis)
        return output

    def inputs(self, n: int) -> Tensor | dict[str, Tensor]:
        """Return inputs: images, unless a model takes others."""
        return torch.randn(n, 3, 8, 8)


class Sequences(Noted):
    """A model of sequences of unequal length, padded at their ends."""

    def inputs(self, n: int) -> dict[str, Tensor]:
        mask = (torch.arange(9) < torch.randint(4, 10, (n,))[:, None]).long()
        mask[0] = 1
        return {"x": torch.randn(n, 9, 6) * mask[..., None], "attention_mask": mask}


class TopTwoExperts(Noted):
    """Two experts of four for each token; they share an activation, and one is never chosen."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(3, 4)
        self.experts = nn.ModuleList(
            nn.ModuleList([nn.Linear(3, 10), nn.Linear(10, 3)]) for _ in range(4)
        )
        nn.init.constant_(self.router.bias[2], -1e3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).mT.reshape(-1, 3)
        weight, chosen = self.router(tokens).softmax(-1).topk(2)
        out = torch.zeros_like(tokens)
        for k, (up, down) in enumerate(self.experts):
            rows, slot = torch.where(chosen == k)
            if len(rows):
                h = self.noted(("act", "act#2", "", "act#3")[k], self.act(up(tokens[rows])))
                out.index_add_(0, rows, down(h) * weight[rows, slot, None])
        return out


class MixtureOfDepths(Noted):
    """Three positions of each input are picked by their scores; only they are worked on."""

    def __init__(self) -> None:
        super().__init__()
        self.score, self.up, self.down = nn.Linear(24, 1), nn.Linear(24, 16), nn.Linear(16, 24)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2).flatten(2)
        index = self.score(x)[..., 0].topk(3, dim=1).indices[..., None].expand(-1, -1, 24)
        h = self.noted("relu", F.relu(self.up(x.gather(1, index))))
        return x.scatter_add(1, index, self.down(h))


class Modulated(Noted):
    """A norm whose scale and shift come of a time embedding, as in diffusion transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 48))
        self.norm, self.mlp = nn.LayerNorm(24, elementwise_affine=False), nn.Linear(24, 20)
        self.gelu = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2).flatten(2)
        t = torch.stack([(x.mean((1, 2)) * f).sin() for f in range(1, 5)], dim=1)
        s = self.noted("time.1", self.time[1](self.time[0](t)))
        scale, shift = self.time[2](s)[:, None].chunk(2, dim=-1)
        return self.noted("gelu", self.gelu(self.mlp(self.norm(x) * (1 + scale) + shift)))


class UNet(Noted):
    """Down, up by a transposed convolution and a shuffle of pixels, and side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 6, 3, 2, 1), nn.ConvTranspose2d(6, 5, 2, 2)
        self.shuffle, self.last = nn.PixelShuffle(2), nn.Conv2d(8, 8, 1)
        self.norm, self.tied = nn.GroupNorm(2, 6), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.noted("tied", self.tied(self.norm(self.down(x))).clone(), 1)
        z = self.noted("tied#2", self.tied(self.up(y)).clone(), 1)
        z = self.noted("tied#3", self.tied(self.last(torch.cat([x, z], dim=1))).clone(), 1)
        return self.noted("relu", F.relu(self.shuffle(z)), 1)


class InPlace(Noted):
    """Everything in place, also sums onto what was counted."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 7, 3, padding=1), nn.Conv2d(7, 7, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.noted("relu", self.a(x).relu_().clone(), 1)
        y += self.b(y)
        self.noted("relu#2", torch.relu_(y).clone(), 1)
        return y.mul_(2).clamp_(max=3)


class TopKAutoencoder(Noted):
    """The five largest of the rectified units stay."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(24, 40), nn.Linear(40, 24)

    def forward(self, x: Tensor) -> Tensor:
        z = F.relu(self.encode(x.transpose(1, 2).flatten(2)))
        top = z.topk(5, dim=-1)
        code = torch.zeros_like(z).scatter(-1, top.indices, top.values)
        return self.decode(self.noted("relu*topk", code))


class GatedAutoencoder(Noted):
    """One path says which units are active, another how much."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(24, 40, bias=False), nn.Linear(40, 24)
        self.gate, self.log_scale = nn.Parameter(torch.randn(40)), nn.Parameter(torch.randn(40))

    def forward(self, x: Tensor) -> Tensor:
        z = self.encode(x.transpose(1, 2).flatten(2))
        size = F.relu(z * self.log_scale.exp() + 0.1)
        return self.decode(self.noted("relu*gate", (z + self.gate > 0).float() * size))


class JumpAutoencoder(Noted):
    """A unit is active above a threshold of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(24, 40), nn.Linear(40, 24)
        self.log_threshold = nn.Parameter(torch.randn(40) - 1)

    def forward(self, x: Tensor) -> Tensor:
        z = self.encode(x.transpose(1, 2).flatten(2))
        z = torch.where(z > self.log_threshold.exp(), z, torch.zeros_like(z))
        return self.decode(self.noted("where", z))


class Shrinkage(Noted):
    """Iterative soft thresholding: the same two matrices in each of four steps."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.lateral = nn.Linear(24, 32), nn.Linear(32, 32, bias=False)
        self.shrink = nn.Softshrink(0.2)

    def forward(self, x: Tensor) -> Tensor:
        b = self.encode(x.transpose(1, 2).flatten(2))
        z = torch.zeros_like(b)
        for _ in range(4):
            z = self.noted("shrink", self.shrink(b - 0.1 * self.lateral(z)))
        return z


class Reparametrised(Noted):
    """Weights that are positive, normed and cut off; none of it is activity."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 6, 3))
        self.b = nn.utils.parametrizations.spectral_norm(nn.Conv2d(6, 6, 1))
        nn.utils.parametrize.register_parametrization(self.b, "bias", nn.Softplus())
        self.raw, self.slope = nn.Parameter(torch.randn(5, 6)), nn.Parameter(torch.randn(5, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.noted("act", self.act(self.b(self.a(x))), 1)
        x = torch.einsum("bihw,oi->bohw", x, F.softplus(self.raw) * (self.raw.abs() > 0.3))
        return self.noted("relu", F.relu(x * torch.sigmoid(self.slope) - 0.5), 1)


class Steps(Noted):
    """A cell with a rectifier, step by step, and a readout of every step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.gru = nn.RNNCell(24, 10, nonlinearity="relu"), nn.GRU(10, 9, 2)
        self.read = nn.Linear(9, 7)

    def forward(self, x: Tensor) -> Tensor:
        h, states = None, []
        for column in x.permute(3, 0, 1, 2).flatten(2):
            h = self.noted("cell", self.cell(column, h))
            states.append(h)
        return self.noted("act", self.act(self.read(self.gru(torch.stack(states))[0])))


class Siamese(Noted):
    """One encoder for two halves of the input; their difference goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.inner, self.last = nn.Conv2d(3, 6, 3), nn.ReLU(), nn.LazyLinear(9)

    def encode(self, x: Tensor) -> Tensor:
        return self.last(self.noted("inner", self.inner(self.conv(x)), 1).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.split(4, dim=-1)
        return self.noted("act", self.act(self.encode(left) - self.encode(right)))


class Messages(Noted):
    """Messages along the edges of a graph, each summed where it arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("edges", torch.randint(0, 8, (2, 19)))
        self.message, self.update = nn.Linear(48, 11), nn.Linear(35, 13)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2).flatten(2)
        source, target = self.edges
        m = self.noted("relu", F.relu(self.message(torch.cat([x[:, source], x[:, target]], -1))))
        heard = x.new_zeros(len(x), 8, 11).index_add(1, target, m)
        return self.noted("act", self.act(self.update(torch.cat([x, heard], -1))))


class Fourier(Noted):
    """Channels are mixed by weights of their own for each frequency."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.Conv2d(3, 5, 1)
        self.weight = nn.Parameter(torch.randn(5, 5, 4, 4, 2) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.lift(x)
        modes, weight = torch.fft.rfft2(x), torch.view_as_complex(self.weight)
        out = torch.zeros_like(modes)
        out[:, :, :4, :4] = torch.einsum("bixy,ioxy->boxy", modes[:, :, :4, :4], weight)
        return self.noted("act", self.act(torch.fft.irfft2(out, s=x.shape[-2:]) + x), 1)


class Quantised(Noted):
    """The nearest of sixteen codes stands for each position."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.codes, self.decode = (
            nn.Linear(24, 6),
            nn.Embedding(16, 6),
            nn.Linear(6, 9),
        )

    def forward(self, x: Tensor) -> Tensor:
        z = self.encode(x.transpose(1, 2).flatten(2)).flatten(0, 1)
        index = torch.cdist(z, self.codes.weight).argmin(-1)
        return self.noted("act", self.act(self.decode(z + (self.codes(index) - z).detach())))


class Remembered(Noted):
    """Blocks that are computed again for their gradients, and gated linear units."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(24, 40), nn.Linear(20, 24)

    def block(self, x: Tensor) -> Tensor:
        a, b = self.wide(x).chunk(2, dim=-1)
        return self.narrow(self.noted("silu*gate", self.noted("silu", F.silu(a)) * b))

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.block, x.transpose(1, 2).flatten(2), use_reentrant=False)


class Causal(Sequences):
    """Dilated convolutions that look back: padded on both sides and cut, then on the left alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(6, 10, 3, padding=4, dilation=2)
        self.second = nn.Conv1d(10, 8, 2)

    def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        y = self.noted("act", self.act(self.first(x.mT)[..., :-4]), 1)
        return self.noted("relu", F.relu(self.second(F.pad(y, (1, 0)))), 1)


class Frames(Sequences):
    """Frames of three steps, and pairs of them: one counts where its last step is no padding."""

    def __init__(self) -> None:
        super().__init__()
        self.frame, self.pool, self.last = nn.Conv1d(6, 10, 3), nn.MaxPool1d(2, 1), nn.Linear(10, 7)

    def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        y = self.noted("act", self.act(self.frame(x.mT)), 1)
        return self.noted("relu", F.relu(self.last(self.pool(y).mT)))


class FirstToken(Sequences):
    """A learned token stands before the sequence, and counts as one more sample of each."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(1, 1, 6))
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.norm, self.up = nn.LayerNorm(6), nn.Linear(6, 11)

    def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        x = torch.cat([self.first.expand(len(x), -1, -1), x], dim=1)
        padding = None if attention_mask is None else F.pad(attention_mask == 0, (1, 0))
        x = self.norm(x + self.attention(x, x, x, key_padding_mask=padding)[0])
        return self.noted("act", self.act(self.up(x)))


class Shifted(Sequences):
    """Each token sees the one before it, as decoders do."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.wide = nn.Parameter(torch.randn(1, 1, 6)), nn.Linear(12, 14)

    def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        before = torch.cat([self.start.expand(len(x), -1, -1), x[:, :-1]], dim=1)
        return self.noted("act", self.act(self.wide(torch.cat([x, before], -1)).flatten(0, 1)))


KINDS: list[type[Noted]] = [
    *(TopTwoExperts, MixtureOfDepths, Modulated, UNet, InPlace, TopKAutoencoder, GatedAutoencoder),
    *(JumpAutoencoder, Shrinkage, Reparametrised, Steps, Siamese, Messages, Fourier, Quantised),
    *(Remembered, Causal, Frames, FirstToken, Shifted),
]
NAMES = [kind.__name__ for kind in KINDS]


def built(kind: type[Noted]) -> tuple[Noted, Tensor | dict[str, Tensor]]:
    """Return a model of a kind with random weights, and inputs."""
    torch.manual_seed(0)
    model = kind().eval()
    data = model.inputs(N_INPUTS)
    with torch.no_grad():  # so that lazy weights are there
        model(**data) if isinstance(data, dict) else model(data)
    whole = data.double() if isinstance(data, Tensor) else data | {"x": data["x"].double()}
    return model.double(), whole


def told(model: Noted, data: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what each layer puts out by the model's own word, shape (samples, units).

    Inputs of unequal length run one by one, each without its padding.
    """
    found: dict[str, list[Tensor]] = {}

    def note(name: str, output: Tensor, axis: int) -> None:
        rows = output.detach().movedim(axis, -1).flatten(0, -2)
        found.setdefault(name, []).append(rows.clone())

    model.note = note
    with torch.no_grad():
        if isinstance(data, Tensor):
            model(data)
        else:
            for x, mask in zip(data["x"], data["attention_mask"], strict=True):
                model(x[None, mask == 1])
    model.note = lambda name, output, axis: None
    return {name: torch.cat(parts) for name, parts in found.items()}


def case(name: str) -> Case:
    """Return a model by its name."""
    model, data = built(next(kind for kind in KINDS if kind.__name__ == name))
    plain: Counts = {}
    for layer, rows in told(model, data).items():
        active, total = plain.get(base := layer.partition("#")[0], (0, 0))
        plain[base] = (active + int((rows.abs() > THRESHOLD).sum()), total + rows.numel())
    return Case(model, data, lambda size: plain)
