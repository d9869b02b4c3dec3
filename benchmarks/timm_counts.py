"""Count the activity of timm's architectures by plain hooks, and compare with `measure`.

Each architecture is built from its configuration with random weights and runs on the same images in
three batch sizes. A hook on each activation module counts what it puts out; `measure` must say the
same for each of them, number for number, whatever the batch size.

    python benchmarks/timm_counts.py                      # one of each family
    python benchmarks/timm_counts.py resnet18 swin_tiny_patch4_window7_224

timm imports torchvision for frozen norms and for transforms of images, which random weights and
images do not need: a package of empty classes stands in for it where it is absent.
"""

from __future__ import annotations

import argparse
import enum
import sys
import time
import warnings
from collections import Counter, defaultdict
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

import neurosparse as ns
from neurosparse.probe.nonlinear import NON_LINEARITIES

THRESHOLD = 0.125  # the same number in any precision
N_IMAGES, BATCH_SIZES = 8, (8, 4, 1)
SIZES = (64, 96, 128, 224)  # of images, the first that an architecture takes
# a small one of each family of timm
NAMES = [
    "resnet18",
    "resnet26t",
    "seresnet18",
    "ecaresnet26t",
    "resnetblur18",
    "resnext26ts",
    "gcresnext26ts",
    "mobileone_s0",
    "repvgg_a0",
    "regnetx_002",
    "regnety_002",
    "regnetz_b16",
    "densenet121",
    "dla34",
    "dpn48b",
    "vgg11",
    "vgg11_bn",
    "efficientnet_b0",
    "efficientnet_lite0",
    "efficientnetv2_s",
    "mixnet_s",
    "mnasnet_050",
    "mobilenetv2_050",
    "mobilenetv3_small_050",
    "mobilenetv4_conv_small",
    "lcnet_050",
    "tinynet_e",
    "fbnetc_100",
    "ghostnet_050",
    "ghostnetv2_100",
    "hardcorenas_a",
    "hgnetv2_b0",
    "hrnet_w18_small",
    "inception_v3",
    "inception_next_atto",
    "legacy_seresnet18",
    "cspresnet50",
    "darknet17",
    "cs3darknet_s",
    "ese_vovnet19b_dw",
    "eca_nfnet_l0",
    "nf_resnet26",
    "res2net50_14w_8s",
    "resnest14d",
    "resnetv2_18",
    "rexnet_100",
    "repghostnet_050",
    "repvit_m0_9",
    "selecsls42",
    "skresnet18",
    "starnet_s050",
    "tresnet_m",
    "xception41",
    "convnext_atto",
    "convnextv2_atto",
    "convmixer_768_32",
    "edgenext_xx_small",
    "efficientformer_l1",
    "efficientformerv2_s0",
    "efficientvit_b0",
    "efficientvit_m0",
    "fasternet_t0",
    "fastvit_t8",
    "focalnet_tiny_srf",
    "poolformer_s12",
    "caformer_s18",
    "mobilevit_xxs",
    "mobilevitv2_050",
    "mambaout_femto",
    "shvit_s1",
    "swiftformer_xs",
    "levit_128s",
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "beit_base_patch16_224",
    "cait_xxs24_224",
    "coat_lite_tiny",
    "convit_tiny",
    "crossvit_tiny_240",
    "davit_tiny",
    "eva02_tiny_patch14_224",
    "gcvit_xxtiny",
    "hiera_tiny_224",
    "mixer_s32_224",
    "resmlp_12_224",
    "gmlp_s16_224",
    "mvitv2_tiny",
    "nest_tiny",
    "pit_ti_224",
    "pvt_v2_b0",
    "sequencer2d_s",
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256",
    "tiny_vit_5m_224",
    "tnt_s_patch16_224",
    "twins_svt_small",
    "visformer_tiny",
    "volo_d1_224",
    "xcit_nano_12_p16_224",
    "vit_relpos_small_patch16_224",
]


class _Absent(Loader, MetaPathFinder):
    """Modules of empty classes in the place of torchvision's."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] != "torchvision":
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = ModuleType(spec.name)
        module.FrozenBatchNorm2d = type("FrozenBatchNorm2d", (nn.Module,), {})  # type: ignore[attr-defined]
        module.InterpolationMode = enum.Enum(  # type: ignore[attr-defined]
            "InterpolationMode", "NEAREST NEAREST_EXACT BILINEAR BICUBIC BOX HAMMING LANCZOS"
        )
        return module

    def exec_module(self, module: ModuleType) -> None:
        def missing(name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

        module.__getattr__ = missing  # type: ignore[method-assign]


def build(timm: Any, name: str) -> tuple[nn.Module, Tensor]:
    """Return an architecture, and images of the least size that it takes."""
    error: Exception | None = None
    for size in SIZES:
        images = torch.randn(N_IMAGES, 3, size, size, generator=torch.Generator().manual_seed(1))
        for options in ({"img_size": size}, {}):
            try:
                torch.manual_seed(0)
                model = timm.create_model(name, num_classes=10, **options)
                with torch.no_grad():
                    for module in model.modules():  # norms of their statistics
                        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                            module.momentum = None
                    model.train()(images)
                    model.eval()(images)
            except Exception as raised:
                error = raised
            else:
                return model, images
    assert error is not None
    raise error


def by_hooks(model: nn.Module, batches: tuple[Tensor, ...]) -> dict[str, tuple[int, int]]:
    """Return the active outputs and all outputs of each activation module."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    handles = []
    for name, module in model.named_modules():
        own = type(module).__module__ == "timm.layers.activations"
        if isinstance(module, NON_LINEARITIES) or (own and not list(module.children())):

            def hook(_module: nn.Module, _args: object, out: Tensor, name: str = name) -> None:
                found[name]["active"] += int((out.abs() > THRESHOLD).sum())
                found[name]["all"] += out.numel()

            handles.append(module.register_forward_hook(hook))
    try:
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {name: (counts["active"], counts["all"]) for name, counts in found.items()}


def by_measure(model: nn.Module, batches: tuple[Tensor, ...]) -> dict[str, tuple[int, int]]:
    """Return the same from `measure`, added up over calls with the outputs of other weights."""
    found: dict[str, tuple[int, int]] = {}
    when = ns.ActiveWhen(threshold=THRESHOLD)
    for name, s in ns.measure(model, batches, active_when=when).items():
        n = s.n_units * s.n_samples
        active, total = found.get(base := name.partition("#")[0], (0, 0))
        found[base] = (active + round(s.active_fraction * n), total + n)
    return found


def compare(model: nn.Module, images: Tensor) -> tuple[int, int, list[str]]:
    """Return the modules compared, the layers beyond them, and what differs."""
    wrong, n_modules, n_beyond = [], 0, 0
    for size in BATCH_SIZES:
        batches = images.split(size)
        right, got = by_hooks(model, batches), by_measure(model, batches)
        n_modules, n_beyond = len(right), len(got.keys() - right.keys())
        for name, counts in right.items():
            if got.get(name) != counts:
                wrong.append(f"{name} in batches of {size}: {counts}, measured {got.get(name)}")
    return n_modules, n_beyond, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES)
    names = parser.parse_args().names
    if find_spec("torchvision") is None:
        sys.meta_path.insert(0, _Absent())
    import timm

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    known, n_equal, n_wrong, absent = set(timm.list_models()), 0, 0, []
    print(f"{'architecture':36} pixels modules beyond  batches of {BATCH_SIZES}")
    for name in names:
        if name not in known:
            absent.append(name)
            continue
        started = time.process_time()
        try:
            model, images = build(timm, name)
        except Exception as error:
            print(f"{name:36} not built: {type(error).__name__}: {str(error)[:100]!r}", flush=True)
            absent.append(name)
            continue
        try:
            n_modules, n_beyond, wrong = compare(model, images)
        except Exception as error:
            n_modules, n_beyond, wrong = 0, 0, [f"{type(error).__name__}: {str(error)[:300]}"]
        n_equal, n_wrong = n_equal + (not wrong), n_wrong + bool(wrong)
        said = "equal" if not wrong else f"{len(wrong)} differ"
        seconds = time.process_time() - started
        print(f"{name:36} {images.shape[-1]:6} {n_modules:7} {n_beyond:6}  {said} ({seconds:.0f} s)",
              *wrong[:6], sep="\n    ", flush=True)  # fmt: skip
    print(f"{n_equal} architectures equal, {n_wrong} differ; not built: {', '.join(absent) or '-'}")
    return int(n_wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
