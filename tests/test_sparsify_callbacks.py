"""Lightning's and Hugging Face's trainers watched and steered, against the plain loop."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import neurosparse as ns
from neurosparse.sparsify import callbacks

pytestmark = pytest.mark.filterwarnings("ignore")  # what the frameworks warn of among themselves


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def examples(n: int = 64) -> torch.Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(1))


def plain_loop(n_steps: int, accumulate: int = 1, size: int = 8):
    model, x = mlp(), examples()
    s = ns.sparsify(model, target=0.05, steps=n_steps)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    parts = x.split(size)
    with ns.watch(model, every=2) as w:
        for k in range(n_steps * accumulate):
            loss = model(parts[k % len(parts)]).square().mean() + s.penalty()
            (loss / accumulate).backward()
            if (k + 1) % accumulate == 0:
                optimizer.step()
                optimizer.zero_grad()
                s.step()
    return model, s, w


@pytest.mark.parametrize("accumulate", [1, 2])
def test_lightning_is_the_plain_loop(tmp_path, accumulate: int) -> None:
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()
            self.n_logged = 0

        def training_step(self, batch, _index):
            loss = self.net(batch[0]).square().mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(examples()), batch_size=8)
    callback = callbacks.LightningSparsity(every=2, target=0.05)
    trainer = lightning.Trainer(
        max_steps=12, accumulate_grad_batches=accumulate, callbacks=[callback], accelerator="cpu",
        default_root_dir=tmp_path, enable_progress_bar=False, enable_model_summary=False, logger=False,
    )  # fmt: skip
    module = Module()
    trainer.fit(module, data)
    model, s, w = plain_loop(12, accumulate)
    assert callback.sparsity.n_steps == 12
    assert [row["active/net.1"] for row in callback.sparsity.history] == [
        row["active/1"] for row in s.history
    ]
    assert [row["active/net.1"] for row in callback.watch.history] == [
        row["active/1"] for row in w.history
    ]
    for a, b in zip(model.parameters(), module.net.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    assert "training_step" not in vars(module)
    assert not module.net[1]._forward_hooks
    path = trainer.checkpoint_callback.best_model_path
    state = torch.load(path, weights_only=False)["callbacks"]["LightningSparsity"]
    assert state["n_steps"] == 12


def test_lightning_leaves_padded_tokens_out(tmp_path) -> None:
    """The counts of a step are those of the words of its batch alone."""
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 16), nn.ReLU())

        def training_step(self, batch, _index):
            return self.net(batch["input_ids"]).square().mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

    mask = (torch.arange(7) < torch.tensor([7, 2, 4, 1])[:, None]).long()
    words = torch.randint(1, 9, (4, 7), generator=torch.Generator().manual_seed(1)) * mask
    rows = [{"input_ids": w, "attention_mask": m} for w, m in zip(words, mask, strict=True)]
    for settings in ({"l1": 0.01}, {}):
        callback = callbacks.LightningSparsity(every=1, **settings)
        trainer = lightning.Trainer(
            max_steps=3, callbacks=[callback], accelerator="cpu", default_root_dir=tmp_path,
            enable_progress_bar=False, enable_model_summary=False, logger=False,
        )  # fmt: skip
        module = Module()
        trainer.fit(module, torch.utils.data.DataLoader(rows, batch_size=4))
        on = module.net(words[mask == 1]) > 0
        share = pytest.approx(on.double().mean().item())
        assert [row["active/net.2"] for row in callback.watch.history] == [share] * 3
        if settings:
            assert callback.sparsity.active == {"net.2": share}


def test_lightning_may_skip_batches(tmp_path) -> None:
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()

        def training_step(self, batch, index):
            loss = self.net(batch[0]).square().mean()
            return None if index % 2 else loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(examples()), batch_size=8)
    callback = callbacks.LightningSparsity(every=2, target=0.05)
    module = Module()
    lightning.Trainer(
        max_epochs=1, callbacks=[callback], accelerator="cpu", default_root_dir=tmp_path,
        enable_progress_bar=False, enable_model_summary=False, logger=False,
    ).fit(module, data)  # fmt: skip
    assert callback.sparsity.n_steps == 4


def test_lightning_goes_on_from_a_checkpoint(tmp_path) -> None:
    """What goes on from the end of an epoch ends as the training that was not stopped."""
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()

        def training_step(self, batch, _index):
            return self.net(batch[0]).square().mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)

    def fit(checkpoint: str | None = None):
        data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(examples()), batch_size=8)
        callback = callbacks.LightningSparsity(every=2, target=0.05)
        kept = lightning.callbacks.ModelCheckpoint(
            tmp_path, filename="{step}", every_n_train_steps=8, save_top_k=-1
        )
        trainer = lightning.Trainer(
            max_steps=16, callbacks=[callback, kept], accelerator="cpu", logger=False,
            default_root_dir=tmp_path, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        module = Module()
        trainer.fit(module, data, ckpt_path=checkpoint)
        return module, callback

    whole, at_once = fit()
    resumed, later = fit(str(tmp_path / "step=8.ckpt"))
    assert later.sparsity.n_steps == 16
    assert later.sparsity.history == at_once.sparsity.history
    assert later.watch.history == at_once.watch.history[4:]
    assert [row["step"] for row in later.watch.history] == [8, 10, 12, 14]
    assert later.sparsity.l1 == at_once.sparsity.l1
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_lightning_counts_the_steps_of_two_optimizers_as_it_does(tmp_path) -> None:
    """A GAN: three calls of the critic, whose losses are no layers."""
    lightning = pytest.importorskip("lightning.pytorch")
    softplus = nn.functional.softplus

    class Gan(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.maker = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 6))
            self.critic = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
            self.automatic_optimization = False
            self.shares: dict[int, float] = {}

        def training_step(self, batch, _index):
            maker, critic = self.optimizers()
            step = self.trainer.global_step
            noise = torch.ones(8, 3)
            self.manual_backward(softplus(-self.critic(self.maker(noise))).mean())
            maker.step()
            self.critic[0].bias.data.fill_(0.05 * step - 1)
            self.shares[step] = (self.critic[0](batch[0]) > 0).double().mean().item()
            loss = softplus(-self.critic(batch[0])) + softplus(self.critic(self.maker(noise)))
            self.manual_backward(loss.mean())
            critic.step()

        def configure_optimizers(self):
            return [
                torch.optim.SGD(each.parameters(), lr=0.0) for each in (self.maker, self.critic)
            ]

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(examples()), batch_size=8)
    callback, module = callbacks.LightningSparsity(every=4), Gan()
    lightning.Trainer(
        max_epochs=1, callbacks=[callback], accelerator="cpu", logger=False,
        default_root_dir=tmp_path, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False,
    ).fit(module, data)  # fmt: skip
    history = callback.watch.history
    assert [row["step"] for row in history] == [0, 4, 8, 12]
    layers = {key[7:] for key in history[0] if key.startswith("active/")}
    assert layers == {"maker.1", "maker.1#2", "critic.1", "critic.1#2", "critic.1#3"}
    for row in history:
        assert row.keys() == history[0].keys()
        assert row["active/critic.1#2"] == pytest.approx(module.shares[int(row["step"])])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_hugging_face_is_the_plain_loop(tmp_path, accumulate: int) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()

        def forward(self, x, labels=None):
            return {"loss": self.net(x).square().mean()}

    def trainer(folder, callback, steps: int = 12):
        arguments = transformers.TrainingArguments(
            output_dir=str(folder), max_steps=steps, per_device_train_batch_size=8, use_cpu=True,
            gradient_accumulation_steps=accumulate, report_to=[], save_steps=6, learning_rate=0.1,
            lr_scheduler_type="constant", disable_tqdm=True, max_grad_norm=0.0, logging_steps=100,
            remove_unused_columns=False,
        )  # fmt: skip
        model = Model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        data = [{"x": x, "labels": 0} for x in examples()]

        class InOrder(transformers.Trainer):
            def _get_train_sampler(self, *_):
                return torch.utils.data.SequentialSampler(data)

        return InOrder(
            model=model,
            args=arguments,
            train_dataset=data,
            callbacks=[callback],
            optimizers=(optimizer, None),
        )

    rows: list[dict[str, float]] = []
    callback = callbacks.TransformersSparsity(every=2, target=0.05, log=rows.append)
    found = trainer(tmp_path, callback)
    found.train()
    model, s, w = plain_loop(12, accumulate)
    assert [row["active/net.1"] for row in callback.sparsity.history] == [
        row["active/1"] for row in s.history
    ]
    assert [row["active/net.1"] for row in rows] == [row["active/1"] for row in w.history]
    for a, b in zip(model.parameters(), found.model.net.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    again = callbacks.TransformersSparsity(every=2, target=0.05)
    resumed = trainer(tmp_path, again)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-6"))
    assert again.sparsity.history == callback.sparsity.history
    steps = [row["step"] for row in resumed.state.log_history if "active" in row]
    assert steps == [0, 2, 4, 6, 8, 10]


class Classes(nn.Module):
    """A model that returns a loss, in a dict or a tuple, where it is given labels."""

    def __init__(self, in_tuple: bool = False) -> None:
        super().__init__()
        self.net, self.in_tuple = mlp(), in_tuple

    def forward(self, x, labels=None):
        y = self.net(x)
        if labels is None:
            return {"logits": y}
        loss = y.square().mean()
        return (loss, y) if self.in_tuple else {"loss": loss, "logits": y}


def hugging_face(folder, callback, model=None, compute_loss=None, steps: int = 12):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

    class Trainer(transformers.Trainer):
        def _get_train_sampler(self, *_):
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
            if compute_loss is None:
                return super().compute_loss(model, inputs, return_outputs, **kwargs)
            return compute_loss(model, inputs)

    arguments = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=8, use_cpu=True,
        report_to=[], save_steps=6, learning_rate=0.1, lr_scheduler_type="constant",
        disable_tqdm=True, max_grad_norm=0.0, remove_unused_columns=False,
    )  # fmt: skip
    model = Classes() if model is None else model
    return Trainer(
        model=model,
        args=arguments,
        train_dataset=[{"x": x, "labels": 0} for x in examples()],
        callbacks=[callback],
        optimizers=(torch.optim.SGD(model.parameters(), lr=0.1), None),
    )


def test_hugging_face_goes_on_from_a_checkpoint_of_another_folder(tmp_path) -> None:
    settings = {"every": 2, "target": 0.05, "start_active": 0.3}
    whole = hugging_face(tmp_path / "a", callbacks.TransformersSparsity(**settings))
    whole.train()
    later = callbacks.TransformersSparsity(**settings)
    resumed = hugging_face(tmp_path / "b", later)
    resumed.train(resume_from_checkpoint=str(tmp_path / "a" / "checkpoint-6"))
    assert later.sparsity.n_steps == 12
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_hugging_face_does_not_begin_to_steer_in_the_middle(tmp_path) -> None:
    hugging_face(tmp_path, callbacks.TransformersSparsity(every=2)).train()  # it only watches
    resumed = hugging_face(tmp_path, callbacks.TransformersSparsity(target=0.05))
    with pytest.raises(ValueError, match="the checkpoint holds no state of a steering"):
        resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-6"))


@pytest.mark.parametrize("pops", [False, True])
def test_hugging_face_never_loses_the_penalty(tmp_path, pops: bool) -> None:
    """A loss that is computed anew has it, or it is refused with the way to add it."""
    callback = callbacks.TransformersSparsity(l1=1.0)

    def compute_loss(model, inputs, adds: bool = False):
        if pops or adds:
            inputs.pop("labels")
        loss = model(**inputs)["logits"].square().mean()
        return loss + callback.sparsity.penalty() if adds else loss

    with pytest.raises(RuntimeError, match=r"no part of the loss.*callback\.sparsity\.penalty"):
        hugging_face(tmp_path, callback, compute_loss=compute_loss).train()
    own = hugging_face(tmp_path, callback, None, lambda *given: compute_loss(*given, adds=True))
    own.train()
    usual = hugging_face(tmp_path, callbacks.TransformersSparsity(l1=1.0))
    usual.train()
    in_tuple = hugging_face(tmp_path, callbacks.TransformersSparsity(l1=1.0), Classes(True))
    in_tuple.train()
    for a, b, c in zip(*(t.model.parameters() for t in (own, usual, in_tuple)), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


@pytest.mark.parametrize("broken_off", [False, True])
@pytest.mark.parametrize("settings", [{"target": 0.1}, {"top_k": 0.1}])
def test_hugging_face_trains_again(settings, broken_off: bool) -> None:
    """A training that ended or broke off leaves nothing that steers the next one as well."""
    pytest.importorskip("transformers")
    model, x = mlp(), examples(8)
    callback = callbacks.TransformersSparsity(every=1, **settings)
    args = SimpleNamespace(label_smoothing_factor=0, output_dir=".", gradient_accumulation_steps=1)
    state = SimpleNamespace(max_steps=4, global_step=0, log_history=[], stateful_callbacks={})
    counts = []
    for k in range(2):
        callback.on_train_begin(args, state, None, model=model)
        model.eval()(x)  # finds the layers; in training there would be a loss to add to
        counts.append(n_hooks(model))
        if k or not broken_off:
            callback.on_train_end(args, state, None, model=model)
    assert counts[0] == counts[1]
    kept = "top_k" in settings
    assert list(callback.sparsity._taps) == ["1"]
    assert bool(n_hooks(model)) == kept


def test_a_refused_setting_leaves_no_hooks() -> None:
    pytest.importorskip("transformers")
    model = mlp()
    args = SimpleNamespace(label_smoothing_factor=0, output_dir=".", gradient_accumulation_steps=1)
    state = SimpleNamespace(max_steps=4, global_step=0, log_history=[], stateful_callbacks={})
    with pytest.raises(ValueError, match="target must lie between 0 and 1, got 2"):
        callbacks.TransformersSparsity(target=2.0).on_train_begin(args, state, None, model=model)
    assert not n_hooks(model)


def n_hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_tensorboard_gets_every_number(tmp_path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    model = mlp()
    writer = SummaryWriter(str(tmp_path))
    with ns.watch(model, every=1, log=callbacks.tensorboard(writer)) as w:
        model(examples())
        w.step()
    writer.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    (event,) = events.Scalars("sparsity/active/1")
    assert (event.step, event.value) == (0, pytest.approx(w.latest["active/1"]))
