"""Training of a character transformer: its steps, its looks, its checkpoints and its weights."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from neurosparse.data import texts
from neurosparse.sparsify import pairs
from neurosparse.transformer import (
    CharacterTransformer,
    DivergenceError,
    TransformerSpec,
    TransformerTrainSpec,
    evaluate,
    load,
    load_training_spec,
    save,
    train,
)
from neurosparse.transformer.checkpoints import load_checkpoint, save_checkpoint
from neurosparse.transformer.training import fitted, learning_rate_at, optimiser_of

SMALL = TransformerSpec(d_model=16, d_ff=48, layers=2, heads=2, context=16)


def a_text(letters: str = "abcdefgh", n: int = 3000, name: str = "drawn") -> texts.TextSplits:
    """Letters that mostly follow each other in turn, so that there is something to learn."""
    rng = np.random.default_rng(0)
    steps = rng.choice([1, 1, 1, 2], size=n).cumsum() % len(letters)
    whole = "".join(letters[k] for k in steps)
    return texts.encoded(name, whole[: n // 2], whole[n // 2 : -400], whole[-400:])


TEXT = a_text()


def spec_of(**changes: object) -> TransformerTrainSpec:
    settings = {"network": SMALL, "steps": 24, "batch_size": 4, "validated_every": 8}
    return TransformerTrainSpec(**{**settings, **changes})


# ---- What it learns, and what it says of it
# --------------------------------------------------------------------------------------------------


def test_it_learns_towards_the_entropy_of_the_text():
    result = train(spec_of(steps=150, learning_rate=0.01), TEXT, device="cpu", test=True)
    bits = [look.scores.bits_per_character for look in result.history]
    entropy = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))  # .811
    assert bits[0] > 3
    assert entropy - 0.15 < result.validation.bits_per_character < 1.3
    assert result.test.bits_per_character < 1.4
    assert result.history[-1].step == 150
    assert result.network.alphabet == TEXT.alphabet
    assert result.spec.network.alphabet == 9


def test_a_target_is_steered_to_layer_by_layer():
    settings = {"steps": 350, "target_active": 0.05, "learning_rate": 0.01, "seed": 3}
    result = train(spec_of(**settings, validated_every=50), TEXT, device="cpu")
    assert [layer.ffn.ran.path for layer in result.network.layers] == ["active pairs"] * 2
    assert all(0.02 < share < 0.1 for share in result.validation.active)
    last = result.history[-1]
    assert len(last.l1) == 2
    assert last.l1[0] != last.l1[1]
    assert result.validation.bits_per_character < 2


@pytest.mark.parametrize(
    ("changes", "active"),
    [
        ({"network": SMALL.model_copy(update={"activation": "gelu"})}, (1.0, 1.0)),
        ({"network": SMALL.model_copy(update={"top_k": 1 / 12})}, (1 / 12, 1 / 12)),
    ],
)
def test_other_blocks_train_too(changes, active):
    result = train(spec_of(**changes), TEXT, device="cpu")
    assert result.validation.active == pytest.approx(active, abs=0.02)
    assert result.history[-1].l1 == ()
    assert result.validation.bits_per_character < result.history[0].scores.bits_per_character


def test_a_fixed_penalty_stays_and_makes_units_silent():
    plain = train(spec_of(steps=120), TEXT, device="cpu")
    with_l1 = train(spec_of(steps=120, l1=0.02), TEXT, device="cpu")
    assert with_l1.history[-1].l1 == (0.02, 0.02)
    assert with_l1.validation.active_fraction < 0.7 * plain.validation.active_fraction


def test_same_spec_same_numbers_on_any_number_of_threads():
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(train(spec_of(target_active=0.05), TEXT, device="cpu"))
    finally:
        torch.set_num_threads(before)
    assert same(found[0].network.state_dict(), found[1].network.state_dict())
    other = train(spec_of(target_active=0.05, seed=2), TEXT, device="cpu")
    assert not same(found[0].network.state_dict(), other.network.state_dict())


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


# ---- Scores
# --------------------------------------------------------------------------------------------------


def test_scores_by_a_plain_count():
    network = CharacterTransformer(SMALL.model_copy(update={"alphabet": 9}), seed=1).train()
    numbers = TEXT.validation[:100]
    scores = evaluate(network, numbers)
    assert network.training
    assert not network.layers[0].ffn.tells
    bits, on = [], [[], []]
    for k, layer in enumerate(network.layers):
        layer.ffn.activation.register_forward_hook(lambda m, a, y, k=k: on[k].append(y[0] > 0))
    with torch.no_grad():
        for k in range(6):
            x = torch.tensor(numbers[16 * k : 16 * k + 17].astype(int))[None]
            nats = functional.cross_entropy(network(x[:, :-1])[0], x[0, 1:])
            bits.append(float(nats) / math.log(2))
    half = 2.5706 * np.std(bits, ddof=1) / math.sqrt(6)  # Student's t, 5 degrees of freedom
    assert scores.n_pieces == 6
    assert scores.bits_per_character == pytest.approx(np.mean(bits), rel=1e-5)
    assert (scores.low, scores.high) == pytest.approx(
        (np.mean(bits) - half, np.mean(bits) + half), rel=1e-4
    )
    for k in range(2):
        hidden = torch.cat(on[k]).double()
        assert scores.active[k] == pytest.approx(float(hidden.mean()))
        assert scores.alive[k] == float(hidden.any(0).double().mean())


def test_pieces_are_chosen_evenly():
    network = CharacterTransformer(SMALL.model_copy(update={"alphabet": 9}), seed=1)
    assert evaluate(network, TEXT.validation, most_pieces=5).n_pieces == 5
    assert math.isnan(evaluate(network, TEXT.validation[:17]).low)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ([1] * 16, "a text of 16 characters is too short: a context of 16 needs 17"),
        ([9] * 17, "the text has the number 9, outside the alphabet of 9"),
        ([-1] * 17, "outside the alphabet of 9"),
    ],
)
def test_texts_that_cannot_be_scored(text, message):
    network = CharacterTransformer(SMALL.model_copy(update={"alphabet": 9}))
    with pytest.raises(ValueError, match=message):
        evaluate(network, text)
    with pytest.raises(TypeError, match="one row of whole numbers"):
        evaluate(network, [0.5] * 20)


# ---- The optimiser
# --------------------------------------------------------------------------------------------------


def test_the_learning_rate_rises_stands_and_falls():
    spec = spec_of(steps=1000, learning_rate=0.1)
    rates = [learning_rate_at(spec, k) for k in range(1000)]
    assert rates[:50] == pytest.approx([0.1 * k / 50 for k in range(1, 51)])
    assert set(rates[50:401]) == {0.1}
    assert np.diff(rates[400:]) == pytest.approx([-0.1 * 0.98 / 600] * 599)
    assert learning_rate_at(spec, 1000) == pytest.approx(0.1 / 50)


def test_matrices_decay_alone():
    network = CharacterTransformer(SMALL)
    decaying, others = optimiser_of(network, 0.3).param_groups
    names = {id(p): name for name, p in network.named_parameters()}
    assert {names[id(p)].rpartition(".")[2] for p in decaying["params"]} == {"weight"}
    assert all(p.ndim == 2 for p in decaying["params"])
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    assert {"positions", "layers.0.mix", "norm.weight", "layers.1.ffn.up.bias"} <= {
        names[id(p)] for p in others["params"]
    }
    assert len(names) == len(decaying["params"]) + len(others["params"])


def test_a_step_is_that_of_torchs_plain_loop():
    """Against AdamW without fusion, on weights that lie row by row."""
    spec = fitted(spec_of(steps=3), TEXT)
    found = train(spec, TEXT, device="cpu").network.state_dict()
    network = CharacterTransformer(spec.network, seed=spec.seed)
    for layer in network.layers:
        layer.ffn.down.weight.data = layer.ffn.down.weight.data.contiguous()
    plain = optimiser_of(network, spec.weight_decay)
    for group in plain.param_groups:
        group["fused"] = False
    numbers = torch.from_numpy(TEXT.train.astype(int))
    for step in range(3):
        begins = np.random.default_rng([spec.seed, step]).integers(0, len(numbers) - 16, 4)
        x = torch.stack([numbers[k : k + 17] for k in begins])
        logits = network(x[:, :-1])
        loss = functional.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten())
        plain.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for group in plain.param_groups:
            group["lr"] = (
                spec.learning_rate * (step + 1) / 50 * (1 - 0.98 * max(0, (step / 3 - 0.4) / 0.6))
            )
        plain.step()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(found[name], value, atol=2e-6, rtol=1e-5, msg=name)


def test_divergence_names_the_step_and_the_remedy():
    with pytest.raises(DivergenceError, match=r"diverged in step \d+: .* \(it is 1e\+30\)"):
        train(spec_of(learning_rate=1e30), TEXT, device="cpu")


# ---- Checkpoints
# --------------------------------------------------------------------------------------------------


class StoppedError(Exception):
    pass


def stop_at(step: int):
    def watch(look):
        if look.step == step:
            raise StoppedError

    return watch


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"target_active": 0.05, "revive": True},
        {"l1": 0.01},
        {"network": SMALL.model_copy(update={"activation": "gelu"})},
    ],
)
@pytest.mark.parametrize("break_even", [0.08, 0.25])  # at 8 %, blocks run both ways
def test_a_training_that_was_stopped_goes_on_bit_for_bit(
    tmp_path, monkeypatch, changes, break_even
):
    monkeypatch.setattr(pairs, "BREAK_EVEN", break_even)
    spec = spec_of(**changes, steps=30)
    whole = train(spec, TEXT, device="cpu")
    for step in (16, 24):  # at its look, before that is kept: the last checkpoint is 8 steps older
        with pytest.raises(StoppedError):
            train(spec, TEXT, device="cpu", checkpoint=tmp_path / "c", watch=stop_at(step))
        assert load_checkpoint(tmp_path / "c").step == step - 8
    seen = []
    on = train(spec, TEXT, device="cpu", checkpoint=tmp_path / "c", watch=seen.append)
    assert same(on.network.state_dict(), whole.network.state_dict())
    assert on.validation == whole.validation
    assert [look.step for look in seen] == [0, 8, 16, 24, 30]
    for one, other in zip(on.history, whole.history, strict=True):
        assert replace(one, characters_per_s=None) == replace(other, characters_per_s=None)


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[2])
from test_transformer_training import TEXT, spec_of, train
train(spec_of(steps=80, target_active=0.05), TEXT, device="cpu", checkpoint=sys.argv[1],
      watch=lambda look: print(look.step, flush=True))
"""


def test_a_training_that_was_killed_goes_on(tmp_path):
    path = tmp_path / "c.safetensors"
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), str(Path(__file__).parent)],
        stdout=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip
    next(line for line in running.stdout if int(line) >= 24)
    running.send_signal(signal.SIGKILL)
    running.wait(30)
    running.stdout.close()
    kept = load_checkpoint(path)
    assert kept.step >= 16
    spec = spec_of(steps=80, target_active=0.05)
    on = train(spec, TEXT, device="cpu", checkpoint=path)
    whole = train(spec, TEXT, device="cpu")
    assert same(on.network.state_dict(), whole.network.state_dict())


@pytest.fixture
def kept(tmp_path) -> Path:
    path = tmp_path / "c.safetensors"
    train(spec_of(steps=8, target_active=0.05), TEXT, device="cpu", checkpoint=path)
    return path


def test_what_a_checkpoint_holds_comes_back(kept):
    one = load_checkpoint(kept)
    save_checkpoint(one, kept)
    other = load_checkpoint(kept)
    assert (one.spec, one.history, one.text) == (other.spec, other.history, other.text)
    for group in ("weights", "first", "second"):
        assert same(getattr(one, group), getattr(other, group))
    assert one.steering.keys() == other.steering.keys()
    assert one.steering["n_steps"] == 8


def test_a_checkpoint_of_another_training_is_refused(kept):
    with pytest.raises(ValueError, match=r"its learning_rate is 0.004, not 0.1; remove it"):
        train(spec_of(steps=8, target_active=0.05, learning_rate=0.1), TEXT, checkpoint=kept)
    with pytest.raises(ValueError, match="is of a training on another text"):
        train(spec_of(steps=8, target_active=0.05), a_text(n=3100), checkpoint=kept)


def test_a_checkpoint_with_a_flipped_bit_is_refused(kept):
    content = bytearray(kept.read_bytes())
    content[-20] ^= 1
    kept.write_bytes(content)
    with pytest.raises(ValueError, match="damaged checkpoint: it is not as it was written"):
        load_checkpoint(kept)
    kept.write_bytes(content[:300])
    with pytest.raises(ValueError, match="is truncated or not a safetensors file"):
        load_checkpoint(kept)
    with pytest.raises(FileNotFoundError):
        load_checkpoint(kept.with_name("none"))


# ---- Weights
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"activation": "gelu"}, {"top_k": 0.1}])
def test_weights_come_back(tmp_path, changes):
    spec = SMALL.model_copy(update={"alphabet": 9, **changes})
    network = CharacterTransformer(spec, seed=4)
    network.alphabet = TEXT.alphabet
    training = spec_of()
    save(network, tmp_path / "w.safetensors", training=training)
    found = load(tmp_path / "w.safetensors")
    assert (found.spec, found.alphabet, found.training) == (spec, TEXT.alphabet, False)
    assert same(found.state_dict(), network.state_dict())
    assert load_training_spec(tmp_path / "w.safetensors") == training
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_foreign_files_are_refused_in_one_sentence(tmp_path):
    path = tmp_path / "w.safetensors"
    network = CharacterTransformer(SMALL, seed=4)
    save(network, path)
    weights, good = load_file(path), network.spec.model_dump_json()
    one = {"format": "neurosparse.transformer/1", "network": good, "alphabet": '""'}
    huge = json.dumps({**network.spec.model_dump(), "d_ff": 10**12})
    cases = [
        ({}, weights, "its metadata lacks format="),
        (
            {"format": "neurosparse.rectifier/1"},
            weights,
            "holds weights of a rectifier network, not",
        ),
        ({**one, "network": "{"}, weights, "its network is not JSON"),
        ({**one, "network": "[" * 50_000}, weights, "its network is not JSON"),
        ({**one, "network": '{"layers": 0}'}, weights, "the spec in .*: layers"),
        ({**one, "network": huge}, weights, "does not hold the weights of the network"),
        ({**one, "alphabet": '"abc"'}, weights, "an alphabet that is not of 82 characters"),
        ({**one, "alphabet": "7"}, weights, "an alphabet that is not of 82 characters"),
        (one, {**weights, "more": torch.zeros(1)}, "does not hold the weights of the network"),
        (one, {k: v.double() for k, v in weights.items()}, "does not hold the weights"),
        (one, {**weights, "positions": weights["positions"] * math.nan}, "NaN or infinite"),
    ]
    for metadata, tensors, message in cases:
        save_file(tensors, path, metadata=metadata)
        with pytest.raises(ValueError, match=message) as raised:
            load(path)
        assert "\n" not in str(raised.value)


# ---- Texts that do not fit
# --------------------------------------------------------------------------------------------------


def test_a_text_that_is_too_short_for_the_context():
    short = texts.encoded("short", "ab" * 200, "ab" * 60, "ab" * 60)
    with pytest.raises(ValueError, match="the validation part of 'short' has 120 characters, and"):
        train(TransformerTrainSpec(), short)
