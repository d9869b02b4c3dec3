"""Hugging Face architectures, built small from configuration with random weights.

Language models get texts of unequal length, padded on the right or the left, and an encoder with a
decoder its labels. Each text alone, cut to its own length, is what a plain count goes by. So
padding must neither be counted nor change a count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import transformers as hf
from counts import Case, by_hooks
from torch import Tensor, nn
from transformers import activations
from transformers.utils import logging

N_INPUTS, N_TOKENS, N_WORDS = 8, 11, 50


class Kind(NamedTuple):
    """How an architecture is built: `hf.<name><head>(hf.<name>Config(**options))`."""

    name: str
    inputs: str
    options: Mapping[str, Any]
    head: str = "Model"


SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 24}
TEXT = {**SIZES, "vocab_size": N_WORDS, "pad_token_id": 0}
ONE_KEY = {**TEXT, "num_key_value_heads": 1}
EXPERTS = {**ONE_KEY, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
WIDTHS = {"vocab_size": N_WORDS, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
DEEPSEEK = {**EXPERTS, "num_key_value_heads": 2, "n_routed_experts": 4, "n_shared_experts": 1}
DEEPSEEK |= {"n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "q_lora_rank": 8}
DEEPSEEK |= {"kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8}
T5 = {"vocab_size": N_WORDS, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
BOTH = {"vocab_size": N_WORDS, "d_model": 16, "encoder_layers": 1, "decoder_layers": 2, **ENDS}
BOTH |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "decoder_start_token_id": 2}
BOTH |= {"encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 32}
IMAGE = {**SIZES, "image_size": 16, "patch_size": 4}
WINDOWS = {
    "image_size": 16,
    "patch_size": 2,
    "embed_dim": 8,
    "depths": [1, 2],
    "num_heads": [1, 2],
    "window_size": 4,
}
STAGES = {"depths": [1, 2], "hidden_sizes": [8, 16]}
SOUND = {**SIZES, "conv_dim": [8, 8], "conv_kernel": [10, 3], "conv_stride": [5, 2]}
SOUND |= {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "vocab_size": N_WORDS}
SOUND |= {"num_feat_extract_layers": 2, "feat_extract_norm": "layer"}

KINDS = [
    Kind("OPT", "right", {**TEXT, "ffn_dim": 24, "word_embed_proj_dim": 16}, "ForCausalLM"),
    Kind("GPT2", "right", {**WIDTHS, **ENDS}, "LMHeadModel"),
    Kind(
        "GPTNeo",
        "right",
        {**TEXT, "num_layers": 2, "num_heads": 2, "attention_types": [[["global"], 2]]},
    ),
    Kind("GPTNeoX", "left", TEXT, "ForCausalLM"),
    Kind("GPTJ", "right", {**WIDTHS, **ENDS, "rotary_dim": 4}),
    Kind("Bloom", "right", {"vocab_size": N_WORDS, "hidden_size": 16, "n_layer": 2, "n_head": 2}),
    Kind("Falcon", "left", TEXT),
    Kind("Phi", "left", ONE_KEY),
    Kind("Phi3", "left", ONE_KEY),
    Kind("Llama", "left", ONE_KEY, "ForCausalLM"),
    Kind("Mistral", "left", ONE_KEY),
    Kind("Gemma", "left", {**ONE_KEY, "head_dim": 8}),
    Kind("Gemma2", "right", {**ONE_KEY, "head_dim": 8}),
    Kind("Qwen2", "left", ONE_KEY),
    Kind("Qwen3", "left", {**ONE_KEY, "head_dim": 8}),
    Kind("Mixtral", "left", {**EXPERTS, "num_local_experts": 4}, "ForCausalLM"),
    Kind("Qwen2Moe", "left", {**EXPERTS, "num_experts": 4, "shared_expert_intermediate_size": 20}),
    Kind("Olmoe", "left", {**EXPERTS, "num_experts": 4}),
    Kind("DeepseekV3", "left", DEEPSEEK),
    Kind("Mamba", "right", {**TEXT, "state_size": 4, "use_cache": False}),
    Kind(
        "Mamba2",
        "right",
        {
            **TEXT,
            "state_size": 4,
            "num_heads": 4,
            "head_dim": 8,
            "n_groups": 1,
            "chunk_size": 4,
            "use_cache": False,
        },
    ),
    Kind("Bert", "right", TEXT, "ForMaskedLM"),
    Kind("Roberta", "right", {**TEXT, "max_position_embeddings": 32}),
    Kind(
        "DistilBert",
        "right",
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "vocab_size": N_WORDS},
        "ForMaskedLM",
    ),
    Kind("BigBird", "right", {**TEXT, "attention_type": "original_full"}),
    Kind("LayoutLM", "right", TEXT),
    Kind("XLNet", "right", {"vocab_size": N_WORDS, "d_model": 16, "n_layer": 2, "n_head": 2}),
    Kind("Albert", "right", {**TEXT, "embedding_size": 8}),
    Kind("Electra", "right", {**TEXT, "embedding_size": 8}),
    Kind(
        "DebertaV2",
        "right",
        {**TEXT, "relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c"]},
    ),
    Kind(
        "MobileBert",
        "right",
        {**TEXT, "embedding_size": 8, "intra_bottleneck_size": 8, "true_hidden_size": 8},
    ),
    Kind("ModernBert", "right", {**TEXT, "local_attention": 6, **ENDS}),
    Kind("T5", "labels", {**T5, "decoder_start_token_id": 0}, "ForConditionalGeneration"),
    Kind("MT5", "both", {**T5, "feed_forward_proj": "gated-gelu"}),
    Kind(
        "SwitchTransformers",
        "both",
        {**T5, "num_experts": 4, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1},
    ),
    Kind("Bart", "labels", BOTH, "ForConditionalGeneration"),
    Kind("Pegasus", "labels", BOTH, "ForConditionalGeneration"),
    Kind("Marian", "both", BOTH),
    Kind(
        "Whisper",
        "sound",
        {**BOTH, "num_mel_bins": 8, "max_source_positions": 20, "max_target_positions": 32},
        "ForConditionalGeneration",
    ),
    Kind("Wav2Vec2", "wave", SOUND),
    Kind("Hubert", "wave", SOUND),
    Kind("ViT", "image", IMAGE),
    Kind("DeiT", "image", IMAGE),
    Kind("Beit", "image", IMAGE),
    Kind("Dinov2", "image", IMAGE),
    Kind("CLIPVision", "image", IMAGE),
    Kind("SiglipVision", "image", IMAGE),
    Kind("Swin", "image", WINDOWS),
    Kind("Swinv2", "image", WINDOWS),
    Kind("ConvNext", "image", {"num_stages": 2, **STAGES, "patch_size": 2}),
    Kind("ConvNextV2", "image", {"num_stages": 2, **STAGES, "patch_size": 2}),
    Kind("ResNet", "image", {**STAGES, "embedding_size": 8, "layer_type": "basic"}),
    Kind("RegNet", "image", {**STAGES, "embedding_size": 8, "groups_width": 4}),
    Kind("MobileNetV2", "image", {"depth_multiplier": 0.25}),
    Kind(
        "PoolFormer",
        "image",
        {
            "depths": [1, 1],
            "hidden_sizes": [8, 16],
            "num_encoder_blocks": 2,
            "patch_sizes": [3, 3],
            "strides": [2, 2],
            "padding": [1, 1],
        },
    ),
    Kind(
        "Segformer",
        "image",
        {
            "hidden_sizes": [8, 8],
            "depths": [1, 1],
            "num_attention_heads": [1, 2],
            "num_encoder_blocks": 2,
            "sr_ratios": [2, 1],
            "patch_sizes": [3, 3],
            "strides": [2, 2],
            "mlp_ratios": [2, 2],
        },
    ),
]
NAMES = [kind.name for kind in KINDS]
OWN = tuple(
    kind
    for kind in vars(activations).values()
    if isinstance(kind, type) and issubclass(kind, nn.Module)
)


def case(name: str) -> Case:
    """Return an architecture by its name, on inputs of unequal length."""
    kind = next(kind for kind in KINDS if kind.name == name)
    logging.set_verbosity_error()
    torch.manual_seed(0)
    config = getattr(hf, f"{kind.name}Config")(**kind.options)
    config._experts_implementation = "eager"  # others multiply no doubles
    model = getattr(hf, f"{kind.name}{kind.head}")(config).double().eval()
    data, alone = inputs_of(kind)
    plain = by_hooks(model, alone, OWN)
    return Case(model, data, lambda size: plain)


def inputs_of(kind: Kind) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Return padded inputs by name, and each input alone without its padding."""
    generator = torch.Generator().manual_seed(1)
    if kind.inputs == "image":
        images = torch.randn(N_INPUTS, 3, 16, 16, dtype=torch.double, generator=generator)
        return {"pixel_values": images}, [{"pixel_values": each[None]} for each in images]
    if kind.inputs == "wave":
        waves = torch.randn(N_INPUTS, 200, dtype=torch.double, generator=generator)
        return _padded("input_values", waves, generator, least=60)
    if kind.inputs == "sound":
        mels = torch.randn(N_INPUTS, 8, 40, dtype=torch.double, generator=generator)
        data, alone = {"input_features": mels}, [{"input_features": each[None]} for each in mels]
    else:
        words = torch.randint(3, N_WORDS, (N_INPUTS, N_TOKENS), generator=generator)
        data, alone = _padded("input_ids", words, generator, left=kind.inputs == "left")
    if kind.inputs in ("left", "right"):
        if kind.head != "Model":
            data["labels"] = data["input_ids"].masked_fill(data["attention_mask"] == 0, -100)
        return data, alone
    words = torch.randint(3, N_WORDS, (N_INPUTS, N_TOKENS - 2), generator=generator)
    other, others_alone = _padded("decoder_input_ids", words, generator)
    mask = other.pop("attention_mask")
    if kind.inputs != "both":
        labels = other.pop("decoder_input_ids").masked_fill(mask == 0, -100)
        other["labels"] = labels
        others_alone = [{"labels": each["decoder_input_ids"]} for each in others_alone]
    if kind.name in ("T5", "MT5", "SwitchTransformers", "Marian"):
        other["decoder_attention_mask"] = mask
    return data | other, [a | b for a, b in zip(alone, others_alone, strict=True)]


def _padded(
    name: str, values: Tensor, generator: torch.Generator, *, left: bool = False, least: int = 2
) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
    """Return inputs that are padded with zeros, their mask, and each input alone."""
    most = values.shape[1]
    lengths = torch.randint(least, most + 1, (len(values),), generator=generator)
    lengths[0] = most
    mask = (torch.arange(most) < lengths[:, None]).long()
    mask = mask.flip(1) if left else mask
    alone = [{name: row[keep == 1][None]} for row, keep in zip(values, mask, strict=True)]
    return {name: values * mask, "attention_mask": mask}, alone
