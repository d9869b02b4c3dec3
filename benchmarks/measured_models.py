"""Networks that are measured, with random weights.

They are torch's 12-layer transformer encoder, a ResNet-18 (He et al. 2016), and language models of
the shapes of OPT-125M and of a small Llama.

`MODELS` need torch alone, so that peers in another environment load the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """Two 3x3 convolutions and a way around them.

    Each rectifier is a module of its own, so that hooks on modules see it.
    """

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = (
            nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out)
        self.around: nn.Module = nn.Identity()
        if stride > 1:
            self.around = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        h = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(h)) + self.around(x))


def resnet18() -> tuple[nn.Module, list[Tensor]]:
    """Return the network and two batches of 16 images of 224 x 224."""
    widths = [
        (64, 64, 1),
        (64, 64, 1),
        (64, 128, 2),
        (128, 128, 1),
        (128, 256, 2),
        (256, 256, 1),
        (256, 512, 2),
        (512, 512, 1),
    ]
    stem = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000)]
    torch.manual_seed(1)
    return nn.Sequential(*stem, *(Residual(*w) for w in widths), *head).eval(), [
        torch.randn(16, 3, 224, 224) for _ in range(2)
    ]


def encoder() -> tuple[nn.Module, list[Tensor]]:
    """Return the network and two batches of 4 x 128 tokens.

    It is 512 wide, 2,048 in between, with 8 heads.
    """
    torch.manual_seed(1)
    layer = nn.TransformerEncoderLayer(512, 8, 2048, activation=nn.ReLU(), batch_first=True)
    model = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False).eval()
    return model, [torch.randn(4, 128, 512) for _ in range(2)]


def opt_125m() -> tuple[nn.Module, list[Tensor]]:
    """Return a network of the shape of OPT-125M, from configuration, and two batches."""
    from transformers import OPTConfig, OPTForCausalLM

    torch.manual_seed(1)
    return OPTForCausalLM(OPTConfig()).eval(), _tokens(50_272)


def llama() -> tuple[nn.Module, list[Tensor]]:
    """Return a gated network of Llama's kind, 12 layers 768 wide, and two batches."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12
    )
    torch.manual_seed(1)
    return LlamaForCausalLM(config).eval(), _tokens(config.vocab_size)


def _tokens(n: int) -> list[Tensor]:
    return [torch.randint(0, n, (2, 256)) for _ in range(2)]


MODELS = {"encoder": encoder, "resnet18": resnet18}
LANGUAGE_MODELS = {"OPT-125M": opt_125m, "Llama, 12 x 768": llama}  # need transformers
