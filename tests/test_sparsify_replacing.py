"""Blocks in other people's models: replaced with the same outputs, or left with a reason."""

import pytest
import torch
import transformers as hf
from torch import nn

from neurosparse.sparsify import SparseFFN, replace_ffn, screened

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
SMALL |= {"num_attention_heads": 4}
T5 = {"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
IDS = torch.arange(18).view(2, 9)
BOTH = {"input_ids": IDS, "decoder_input_ids": IDS}


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def opt(**settings) -> nn.Module:
    config = hf.OPTConfig(
        vocab_size=99, hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, word_embed_proj_dim=32, **settings,
    )  # fmt: skip
    return hf.OPTModel(config)


def bart() -> nn.Module:
    config = hf.BartConfig(
        vocab_size=99, d_model=32, encoder_ffn_dim=64, decoder_ffn_dim=64, encoder_layers=1,
        decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4,
        activation_function="relu", activation_dropout=0.2, bos_token_id=0, eos_token_id=2,
        pad_token_id=1, decoder_start_token_id=2, forced_eos_token_id=2,
    )  # fmt: skip
    return hf.BartModel(config)


MODELS = {
    "encoder": (encoder, torch.randn(2, 5, 32), 2),
    "sequential": (
        lambda: nn.Sequential(
            nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32)),
            nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 32)),
        ),
        torch.randn(2, 5, 32),
        2,
    ),
    "OPT": (opt, {"input_ids": IDS}, 2),
    "BART": (bart, {"input_ids": IDS}, 2),
    "T5": (lambda: hf.T5Model(hf.T5Config(**T5)), BOTH, 4),
    "T5 gated": (
        lambda: hf.T5Model(hf.T5Config(feed_forward_proj="gated-relu", **T5)),
        BOTH,
        4,
    ),
    "BERT": (
        lambda: hf.BertModel(hf.BertConfig(vocab_size=99, hidden_act="relu", **SMALL)),
        {"input_ids": IDS},
        2,
    ),
    "Llama": (
        lambda: hf.LlamaModel(hf.LlamaConfig(vocab_size=99, hidden_act="relu", **SMALL)),
        {"input_ids": IDS},
        2,
    ),
    "ViT": (
        lambda: hf.ViTModel(hf.ViTConfig(hidden_act="relu", image_size=16, patch_size=8, **SMALL)),
        {"pixel_values": torch.randn(2, 3, 16, 16)},
        2,
    ),
}


def output(model, inputs):
    found = model(**inputs) if isinstance(inputs, dict) else model(inputs)
    return found if isinstance(found, torch.Tensor) else found.last_hidden_state


def made_sparse(model):
    """Lower the biases in front of the rectifiers, so that the active pairs are few."""
    for block in model.modules():
        if isinstance(block, SparseFFN) and block.rectified.bias is not None:
            block.start_at(0.1)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_stay_the_same(name):
    torch.manual_seed(0)
    make, inputs, n = MODELS[name]
    model = make().eval()
    parameters = {id(p) for p in model.parameters()}
    with torch.no_grad():
        before = output(model, inputs)
        replaced = replace_ffn(model)
        torch.testing.assert_close(output(model, inputs), before, atol=1e-5, rtol=1e-5)
    assert len(replaced.blocks) == n, str(replaced)
    assert not replaced.left
    assert {id(p) for p in model.parameters()} == parameters
    output(model.train(), inputs).sum().backward()


@pytest.mark.parametrize("name", ["encoder", "OPT", "BERT"])
def test_sparse_blocks_run_over_active_pairs_in_their_models(name):
    torch.manual_seed(0)
    make, inputs, n = MODELS[name]
    model = make().eval()
    replace_ffn(model)
    made_sparse(model)
    blocks = [m for m in model.modules() if isinstance(m, SparseFFN)]
    with torch.no_grad():
        found = output(model, inputs)
        assert [block.ran.path for block in blocks] == ["active pairs"] * n
        for block in blocks:
            block.forward = block._dense
        torch.testing.assert_close(found, output(model, inputs), atol=1e-5, rtol=1e-5)


def test_a_replaced_model_decodes_screened():
    torch.manual_seed(0)
    model = opt().eval()
    replace_ffn(model)
    made_sparse(model)
    with torch.no_grad():
        one = IDS[:1, :1]
        fast = screened(model)
        torch.testing.assert_close(
            output(fast, {"input_ids": one}), output(model, {"input_ids": one})
        )


def test_dropout_between_the_parts_stays():
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.25, batch_first=True)
    model = nn.Sequential(layer)
    replace_ffn(model)
    assert model[0].linear1.dropout == 0.25
    fresh = bart()
    replace_ffn(fresh)
    assert fresh.encoder.layers[0].fc1.dropout == 0.2
    assert fresh.encoder.layers[0].activation_dropout == 0.0


class Doubling(nn.Module):
    """A module with the names of a T5 block that does something else with them."""

    def __init__(self) -> None:
        super().__init__()
        self.wi, self.wo, self.act = nn.Linear(4, 8), nn.Linear(8, 4), nn.ReLU()

    def forward(self, x):
        return 2 * self.wo(self.act(self.wi(x)))


class Parts(nn.Module):
    """A layer that runs a block's parts by itself, as `run` says."""

    def __init__(self, run) -> None:
        super().__init__()
        self.fc1, self.fc2, self.activation_fn = nn.Linear(8, 8), nn.Linear(8, 8), nn.ReLU()
        self.norm, self.activation_dropout = nn.LayerNorm(8), nn.Dropout(0.1)
        self.share, self.run = nn.Parameter(torch.zeros(())), run

    def forward(self, x):
        return self.run(self, x)


def plainly(self, x):
    return self.fc2(self.activation_dropout(self.activation_fn(self.fc1(x))))


def from_zero(run):
    """A block whose output has no weight yet."""
    return lambda self, x: x + self.share * run(self, x)


LEFT = {
    "activation used twice": lambda self, x: self.activation_fn(plainly(self, x)),
    "squared": lambda self, x: self.fc2(self.activation_fn(self.fc1(x)) ** 2),
    "the other order": lambda self, x: self.fc1(self.activation_fn(self.fc2(x))),
    "hidden used elsewhere": lambda self, x: (h := self.activation_fn(self.fc1(x)), self.fc2(h)),
    "norm between": lambda self, x: self.fc2(self.norm(self.activation_fn(self.fc1(x)))),
    "dropout used elsewhere": lambda self, x: plainly(self, self.activation_dropout(x)),
    "no dropout between": lambda self, x: self.fc2(self.activation_fn(self.fc1(x))),
}


@pytest.mark.parametrize("run", [*LEFT.values(), from_zero(LEFT["squared"])])
def test_layers_that_do_more_with_the_parts_are_left(run):
    torch.manual_seed(0)
    model = nn.Sequential(Parts(run)).train()
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    assert replace_ffn(model).left == {"0": "Parts does more than its block"}
    assert type(model[0].fc1) is nn.Linear
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("run", [plainly, from_zero(plainly)])
def test_layers_that_run_the_block_alone_are_replaced(run):
    assert replace_ffn(model := nn.Sequential(Parts(run))).blocks == ("0",)
    assert model[0].fc1.dropout == 0.1


def test_a_layer_without_a_forward_pass_is_left():
    """Its parts are run by the module around it, in which way is not known."""
    parts = {"fc1": nn.Linear(8, 8), "activation_fn": nn.ReLU(), "fc2": nn.Linear(8, 8)}
    (why,) = replace_ffn(nn.Sequential(nn.ModuleDict(parts))).left.values()
    assert why.startswith("ModuleDict does not run on random tokens")


def test_a_layer_that_wants_other_arguments_is_run_on_a_batch():
    config = hf.DebertaV2Config(vocab_size=99, hidden_act="relu", **SMALL)
    model = hf.DebertaV2Model(config).eval()
    assert all("pass data=" in why for why in replace_ffn(model).left.values())
    before = output(model, {"input_ids": IDS})
    with pytest.raises(ValueError, match="DebertaV2Model does not run on data: IndexError"):
        replace_ffn(model, data={"input_ids": IDS + 99})
    assert replace_ffn(model, data={"input_ids": IDS}).blocks == (
        "encoder.layer.0", "encoder.layer.1",
    )  # fmt: skip
    torch.testing.assert_close(output(model, {"input_ids": IDS}), before)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_block_in_two_places_is_replaced_in_both():
    block = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
    assert replace_ffn(model := nn.Sequential(block, nn.Tanh(), block)).blocks == ("0",)
    assert model[0] is model[2]
    assert isinstance(model[2], SparseFFN)


def test_a_compiled_layer_is_replaced_under_its_name():
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    model = nn.Sequential(torch.compile(layer, backend="eager"))
    assert str(replace_ffn(model)) == "1 block replaced: 0"


def test_a_block_with_a_hook_that_would_be_lost_is_left():
    block = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
    block[1].register_forward_hook(lambda *_: None)
    (why,) = replace_ffn(nn.Sequential(block)).left.values()
    assert why.startswith("a hook on 1 would be lost: remove it")


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (lambda: opt(activation_function="gelu"), "its activation is GELUActivation, not ReLU"),
        (
            lambda: hf.GPT2Model(
                hf.GPT2Config(
                    vocab_size=99,
                    n_embd=32,
                    n_layer=2,
                    n_head=4,
                    activation_function="relu",
                    bos_token_id=0,
                    eos_token_id=0,
                )
            ),
            "it has a Conv1D where a Linear is needed",
        ),
        (lambda: nn.ModuleList([Doubling()]), "Doubling does more than its block"),
        (
            lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4)),
            "it is the model itself",
        ),
    ],
)
def test_what_is_left_says_why(model, why):
    made = model()
    before = {name: type(m) for name, m in made.named_modules()}
    replaced = replace_ffn(made)
    assert not replaced.blocks
    assert all(why in reason for reason in replaced.left.values())
    assert replaced.left
    assert {name: type(m) for name, m in made.named_modules()} == before
    assert "left: " in str(replaced)


def test_a_second_call_finds_nothing_left_to_do():
    model = encoder()
    replace_ffn(model)
    assert replace_ffn(model) == replace_ffn(nn.Identity())
