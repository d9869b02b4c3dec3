"""A text read one character at a time: torch's own logits, whatever the network and the cut."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn
from torch.nn import functional

from neurosparse.kernels.network import one_token
from neurosparse.sparsify import screened
from neurosparse.transformer import CharacterTransformer, TransformerSpec, generate
from neurosparse.transformer.decoder import Decoder, Reader, reader_of

SMALL = TransformerSpec(context=16, d_model=32, d_ff=64, alphabet=20)


def small(**changes) -> CharacterTransformer:
    network = CharacterTransformer(SMALL.model_copy(update=changes), seed=1).eval()
    torch.manual_seed(0)
    for name, p in network.named_parameters():
        if p.ndim == 1 or name.endswith("mix"):  # norms, biases and mixing start at 1 or 0
            nn.init.normal_(p, 0.5)
    return network


@settings(max_examples=30, deadline=None)
@given(
    text=st.lists(st.integers(0, 19), min_size=1, max_size=16),
    first=st.integers(1, 16),
    heads=st.sampled_from([1, 4]),
    kind=st.sampled_from([{}, {"activation": "gelu"}, {"top_k": 0.1}]),
    screen=st.booleans(),
)
def test_the_logits_are_those_of_the_whole_text_at_once(text, first, heads, kind, screen):
    network = small(heads=heads, **kind)
    read = screened(network) if screen and not kind else network
    decoder = Decoder(read)
    found = [decoder.read(text[:first]), *(decoder.read([k]) for k in text[first:])]
    with torch.no_grad():
        wanted = network(torch.tensor([text]))[0, min(first, len(text)) - 1 :]
    torch.testing.assert_close(torch.stack(found), wanted, atol=1e-5, rtol=1e-5)
    assert decoder.n == len(text)


def test_a_later_piece_of_several_characters_is_read_too():
    network, text = small(), [3, 1, 4, 1, 5, 9, 2, 6]
    decoder, reader = Decoder(network), Reader(network)
    for piece in (text[:3], text[3:7], text[7:]):
        torch.testing.assert_close(decoder.read(piece), reader.read(piece), atol=1e-5, rtol=1e-5)


def test_weights_that_are_nan_give_nan_and_not_a_character():
    network = small()
    with torch.no_grad():
        network.layers[0].attend_in.weight[0, 0] = torch.nan
    decoder = Decoder(network)
    decoder.read([1, 2])
    assert decoder.read([3]).isnan().all()


def test_a_reader_of_torch_where_a_decoder_would_miss_something():
    assert isinstance(reader_of(small()), Decoder)
    assert isinstance(reader_of(screened(small())), Decoder)
    assert isinstance(reader_of(small().double()), Reader)
    seen = []
    hooked = small()
    hook = hooked.layers[0].attend_in.register_forward_hook(lambda m, a, y: seen.append(1))
    assert isinstance(reader_of(hooked), Reader)
    assert len(list(generate(hooked, [1], 3))) == len(seen) == 3
    hook.remove()
    assert isinstance(reader_of(hooked), Decoder)


def test_hooks_of_a_feed_forward_block_are_called_for_every_character():
    network, seen = small(), []
    network.layers[1].ffn.register_forward_hook(lambda m, a, y: seen.append(y.shape[-2]))
    list(generate(network, [1, 2], 4))
    assert seen == [2, 1, 1, 1]


def test_double_precision_writes_the_same_text():
    network = small()
    single = list(generate(network, [1, 2, 3], 40, temperature=0))
    assert list(generate(network.double(), [1, 2, 3], 40, temperature=0)) == single


@pytest.mark.gpu
def test_text_is_written_on_a_gpu():
    network = small()
    wanted = list(generate(network, [1, 2, 3], 20, temperature=0))
    assert list(generate(network.cuda(), [1, 2, 3], 20, temperature=0)) == wanted


@settings(max_examples=20, deadline=None)
@given(d=st.integers(1, 70), scale=st.sampled_from([1e-4, 1.0, 1e4]), shift=st.floats(-100, 100))
def test_the_layer_norm_is_torchs_of_the_sum(d, scale, shift):
    rng = np.random.default_rng(d)
    x, written, weight, bias = (rng.standard_normal(d).astype(np.float32) for _ in range(4))
    x = (x * scale + shift).astype(np.float32)
    out, added = np.empty(d, np.float32), torch.tensor(x + written, dtype=torch.float64)
    wide = [torch.tensor(w, dtype=torch.float64) for w in (weight, bias)]
    wanted = functional.layer_norm(added, (d,), *wide, 1e-5).float()
    one_token.add_and_normalise(x, written, weight, bias, 1e-5, out)
    np.testing.assert_array_equal(x, added.float().numpy())
    np.testing.assert_allclose(out, wanted.numpy(), atol=1e-5, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(heads=st.integers(1, 3), width=st.integers(1, 20), place=st.integers(0, 9))
def test_attention_is_torchs_over_the_tokens_so_far(heads, width, place):
    rng = np.random.default_rng(place)
    keys, values = rng.standard_normal((2, heads, 10, width)).astype(np.float32) * 5
    split = rng.standard_normal((3, heads, width)).astype(np.float32) * 5
    out, scores = np.empty(heads * width, np.float32), np.empty(10, np.float32)
    one_token.attend(split, keys, values, place, scores, out)
    np.testing.assert_array_equal(keys[:, place], split[1])
    np.testing.assert_array_equal(values[:, place], split[2])
    seen = [torch.tensor(kept[:, : place + 1]) for kept in (keys, values)]
    wanted = functional.scaled_dot_product_attention(torch.tensor(split[0])[:, None], *seen)
    np.testing.assert_allclose(out, wanted.reshape(-1).numpy(), atol=1e-4, rtol=1e-4)
