"""The character transformer: causal, the same piece by piece, and its text the same when screened."""

import itertools

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from neurosparse.sparsify import screened
from neurosparse.transformer import (
    CharacterTransformer,
    TransformerSpec,
    TransformerTrainSpec,
    generate,
)

SMALL = TransformerSpec(context=16, d_model=32, d_ff=64, alphabet=20)


def small(**changes) -> CharacterTransformer:
    torch.manual_seed(0)
    network = CharacterTransformer(SMALL.model_copy(update=changes), seed=1).eval()
    for layer in network.layers:
        nn.init.normal_(layer.mix)
    return network


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_no_character_is_seen_before_its_time(activation):
    network = small(activation=activation)
    x = torch.randint(0, 20, (2, 16))
    with torch.no_grad():
        before = network(x)
        for k in (0, 7, 15):
            changed = x.clone()
            changed[:, k] = (changed[:, k] + 1) % 20
            after = network(changed)
            torch.testing.assert_close(after[:, :k], before[:, :k])
            assert ((after - before)[:, k:].abs().amax(-1) > 1e-4).all()


@settings(max_examples=20, deadline=None)
@given(cuts=st.sets(st.integers(1, 15), max_size=5))
def test_a_text_read_in_pieces_gives_what_it_gives_at_once(cuts):
    network = small()
    x = torch.randint(0, 20, (2, 16))
    edges = [0, *sorted(cuts), 16]
    with torch.no_grad():
        cache = network.new_cache()
        pieces = [network(x[:, a:b], cache) for a, b in itertools.pairwise(edges)]
        torch.testing.assert_close(torch.cat(pieces, 1), network(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"activation": "gelu"}, {"top_k": 0.1}])
def test_the_spec_knows_the_shapes(changes):
    network = small(**changes)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes == network.spec.shapes


def test_top_k_passes_so_many_units_and_no_more():
    network = small(top_k=0.125)
    seen = []
    network.layers[1].hidden.register_forward_hook(lambda m, a, y: seen.append((y > 0).sum(-1)))
    network(torch.randint(0, 20, (4, 16)))
    assert seen[0].max() == 8
    assert seen[0].min() > 0


def test_more_than_the_context_is_refused():
    with pytest.raises(ValueError, match="17 characters are more than the context of 16"):
        small()(torch.zeros(1, 17, dtype=torch.long))


def test_the_blocks_start_at_the_share_asked_for():
    network = CharacterTransformer(TransformerSpec(start_active=0.1))
    network(torch.randint(0, 82, (4, 128)))
    assert [round(layer.ffn.ran.active, 1) for layer in network.layers] == [0.1] * 3


@pytest.mark.parametrize("temperature", [0, 0.7])
def test_text_goes_on_past_the_context_and_is_the_same_when_screened(temperature):
    network = small()
    text = list(generate(network, [1, 2, 3], 40, temperature=temperature, seed=3))
    assert len(text) == 40
    assert all(0 <= k < 20 for k in text)
    assert text == list(generate(network, [1, 2, 3], 40, temperature=temperature, seed=3))
    fast = screened(network)
    assert text == list(generate(fast, [1, 2, 3], 40, temperature=temperature, seed=3))


def test_the_likeliest_character_is_that_of_the_logits():
    network = small()
    prompt = [4, 9, 2, 2]
    with torch.no_grad():
        wanted = int(network(torch.tensor([prompt]))[0, -1].argmax())
    assert list(generate(network, prompt, 1, temperature=0)) == [wanted]


@pytest.mark.parametrize(
    ("prompt", "settings", "message"),
    [
        ([], {}, "the prompt is empty"),
        ([20], {}, "numbers outside the alphabet of 20"),
        ([1], {"temperature": -1}, "temperature must be >= 0, got -1"),
    ],
)
def test_bad_prompts(prompt, settings, message):
    with pytest.raises(ValueError, match=message):
        list(generate(small(), prompt, 3, **settings))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"network": {"d_model": 10}}, "d_model must be a multiple of heads = 4, got 10"),
        ({"l1": 0.1, "network": {"top_k": 0.1}}, "l1 and network.top_k exclude each other"),
        ({"network": {"top_k": 0.1, "activation": "gelu"}}, "top_k needs activation = 'relu'"),
        ({"revive": True}, "revive needs target_active"),
        (
            {"l1": 0.1, "network": {"activation": "gelu"}},
            "l1 needs activation = 'relu', got 'gelu'",
        ),
    ],
)
def test_bad_specs(values, message):
    with pytest.raises(ValueError, match=message):
        TransformerTrainSpec(**values)
