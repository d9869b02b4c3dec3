"""timm's architectures, one of each family, built with random weights.

timm imports torchvision for frozen norms and for transforms of images, which random weights and
images do not need: a package of empty classes stands in for it where it is absent.
"""

from __future__ import annotations

import enum
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from counts import Case, by_hooks
from torch import Tensor, nn

N_IMAGES = 8
SIZES = (64, 96, 128, 224)  # of images, the first that an architecture takes
# a small one of each family
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


def case(name: str) -> Case:
    """Return an architecture by its name, on images; a KeyError where timm has none of it."""
    timm = _timm()
    if name not in timm.list_models():
        raise KeyError(name)
    model, images = _built(timm, name)
    own = tuple({type(m) for m in model.modules() if _is_own(m)})
    return Case(model, images, lambda size: by_hooks(model, images.split(size), own))


def _timm() -> Any:
    if find_spec("torchvision") is None and not any(isinstance(f, _Absent) for f in sys.meta_path):
        sys.meta_path.insert(0, _Absent())
    import timm

    return timm


def _is_own(module: nn.Module) -> bool:
    return type(module).__module__ == "timm.layers.activations" and not list(module.children())


def _built(timm: Any, name: str) -> tuple[nn.Module, Tensor]:
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
