"""Hugging Face architectures, built from configuration: counted as plain hooks count, whatever the
size of a batch.
"""

from collections import Counter
from typing import Any

import pytest
import torch
import transformers as hf
from torch import nn

import neurosparse as ns

EXACT = ns.ActiveWhen(threshold=0)
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SMALL |= {"intermediate_size": 24, "vocab_size": 50}
ONE_KEY = {**SMALL, "num_key_value_heads": 1}
T5 = {"vocab_size": 50, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
SEQ2SEQ = {"vocab_size": 50, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1}
SEQ2SEQ |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
SEQ2SEQ |= {"encoder_ffn_dim": 24, "decoder_ffn_dim": 24}
VISION = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION |= {"intermediate_size": 24, "image_size": 16, "patch_size": 4}
GENERATOR = torch.Generator().manual_seed(0)
IDS = torch.randint(3, 50, (6, 7), generator=GENERATOR)
IMAGES = torch.randn(6, 3, 16, 16, generator=GENERATOR)
BOTH = {"input_ids": IDS, "decoder_input_ids": IDS[:, :5]}

MODELS: dict[str, tuple[Any, Any]] = {
    "OPT": (
        lambda: hf.OPTModel(
            hf.OPTConfig(
                vocab_size=50,
                hidden_size=16,
                ffn_dim=24,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=32,
                word_embed_proj_dim=16,
            )
        ),
        IDS,
    ),
    "T5": (lambda: hf.T5Model(hf.T5Config(**T5)), BOTH),
    "T5 gated": (
        lambda: hf.T5EncoderModel(hf.T5Config(feed_forward_proj="gated-gelu", **T5)),
        IDS,
    ),
    "Switch": (
        lambda: hf.SwitchTransformersEncoderModel(
            hf.SwitchTransformersConfig(num_experts=4, num_sparse_encoder_layers=1, **T5)
        ),
        IDS,
    ),
    "GPT-2": (
        lambda: hf.GPT2Model(
            hf.GPT2Config(
                n_embd=16,
                n_layer=2,
                n_head=2,
                vocab_size=50,
                n_positions=8,
                bos_token_id=0,
                eos_token_id=0,
            )
        ),
        IDS,
    ),
    "GPT-NeoX": (lambda: hf.GPTNeoXModel(hf.GPTNeoXConfig(**SMALL)), IDS),
    "Llama": (lambda: hf.LlamaModel(hf.LlamaConfig(**ONE_KEY)), IDS),
    "Gemma": (lambda: hf.GemmaModel(hf.GemmaConfig(head_dim=8, **ONE_KEY)), IDS),
    "Mixtral": (
        lambda: hf.MixtralModel(hf.MixtralConfig(num_local_experts=4, **ONE_KEY)),
        IDS,
    ),
    "BERT": (lambda: hf.BertModel(hf.BertConfig(hidden_act="relu", **SMALL)), IDS),
    "DistilBERT": (
        lambda: hf.DistilBertModel(
            hf.DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=24, vocab_size=50)
        ),
        IDS,
    ),
    "BART": (
        lambda: hf.BartModel(
            hf.BartConfig(
                pad_token_id=1,
                bos_token_id=0,
                eos_token_id=2,
                decoder_start_token_id=2,
                forced_eos_token_id=2,
                activation_function="relu",
                **SEQ2SEQ,
            )
        ),
        IDS,
    ),
    "ViT": (lambda: hf.ViTModel(hf.ViTConfig(hidden_act="relu", **VISION)), IMAGES),
    "CLIP": (
        lambda: hf.CLIPVisionModel(hf.CLIPVisionConfig(hidden_act="relu", **VISION)),
        IMAGES,
    ),
    "ResNet": (
        lambda: hf.ResNetModel(
            hf.ResNetConfig(
                embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic"
            )
        ),
        IMAGES,
    ),
    "Segformer": (
        lambda: hf.SegformerModel(
            hf.SegformerConfig(
                hidden_sizes=[8, 8],
                depths=[1, 1],
                num_attention_heads=[1, 2],
                num_encoder_blocks=2,
                sr_ratios=[2, 1],
                patch_sizes=[3, 3],
                strides=[2, 2],
                mlp_ratios=[2, 2],
            )
        ),
        IMAGES,
    ),
}


def counted(model: nn.Module, inputs: Any, names: set[str]) -> dict[str, tuple[int, int]]:
    """Count what modules of these names put out, by a hook on each: not 0, and all."""
    found: Counter[str] = Counter()
    total: Counter[str] = Counter()

    def count(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: torch.Tensor) -> None:
            found[name] += int(output.count_nonzero())
            total[name] += output.numel()

        return hook

    handles = [
        module.register_forward_hook(count(name))
        for name, module in model.named_modules()
        if name in names
    ]
    with torch.no_grad():
        model(**inputs) if isinstance(inputs, dict) else model(inputs)
    for handle in handles:
        handle.remove()
    return {name: (found[name], total[name]) for name in total}


@pytest.mark.parametrize("name", MODELS)
def test_counts_are_those_of_plain_hooks_in_batches_of_any_size(name):
    torch.manual_seed(0)
    make, inputs = MODELS[name]
    model = make().eval()
    whole = ns.measure(model, inputs, active_when=EXACT, batch_size=6)
    plain = counted(model, inputs, set(whole))
    assert len(plain) >= 2, f"no module among {list(whole)}"
    for layer, (not_zero, total) in plain.items():
        # experts that share a module are layers of their own: "act_fn", "act_fn#2", ...
        calls = [s for n, s in whole.items() if n.partition("#")[0] == layer and s.n_samples]
        assert sum(s.n_units * s.n_samples for s in calls) == total
        active = sum(s.active_fraction * s.n_units * s.n_samples for s in calls)
        assert active == pytest.approx(not_zero, abs=1e-6)
    for batch_size in (4, 1):
        parts = ns.measure(model, inputs, active_when=EXACT, batch_size=batch_size)
        assert parts.keys() == whole.keys()
        for layer, stats in parts.items():
            assert (stats.n_units, stats.n_samples) == (
                whole[layer].n_units,
                whole[layer].n_samples,
            )
            # sums of another batch round to another side of 0 now and then
            assert stats.active_fraction == pytest.approx(whole[layer].active_fraction, abs=2e-3)
