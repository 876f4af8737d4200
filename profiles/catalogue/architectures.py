"""Architectures by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from . import inception_networks, mobile_networks, residual_networks
from .layers import Network

_MAKERS: dict[str, Callable[[], Network]] = {
    "densenet-121": partial(residual_networks.densenet, (6, 12, 24, 16)),
    "densenet-201": partial(residual_networks.densenet, (6, 12, 48, 32)),
    "efficientnet-edgetpu-s": partial(mobile_networks.efficientnet_edgetpu, 224, 1.0, 1.0),
    "efficientnet-edgetpu-m": partial(mobile_networks.efficientnet_edgetpu, 240, 1.0, 1.1),
    "efficientnet-edgetpu-l": partial(mobile_networks.efficientnet_edgetpu, 300, 1.2, 1.4),
    "gpunet-0": mobile_networks.gpunet_0,
    "inception-resnet-v2": inception_networks.inception_resnet_v2,
    "inception-v1": inception_networks.inception_v1,
    "inception-v3": inception_networks.inception_v3,
    "inception-v4": inception_networks.inception_v4,
    "mnasnet-b1": mobile_networks.mnasnet_b1,
    "mobilenet-v1": mobile_networks.mobilenet_v1,
    "mobilenet-v2": mobile_networks.mobilenet_v2,
    "resnet-50-v1": partial(residual_networks.resnet, (3, 4, 6, 3), 299, preactivated=False),
    "resnet-50-v2": partial(residual_networks.resnet, (3, 4, 6, 3), 299, preactivated=True),
    "resnet-152-v2": partial(residual_networks.resnet, (3, 8, 36, 3), 299, preactivated=True),
    "squeezenet": residual_networks.squeezenet,
    "ssd-mobilenet-v1": mobile_networks.ssd_mobilenet_v1,
    "ssd-mobilenet-v2": mobile_networks.ssd_mobilenet_v2,
    "vgg16": partial(residual_networks.vgg, (2, 2, 3, 3, 3)),
    "vgg19": partial(residual_networks.vgg, (2, 2, 4, 4, 4)),
    "xception": mobile_networks.xception,
}


def architecture_names() -> tuple[str, ...]:
    """Names of all architectures."""
    return tuple(sorted(_MAKERS))


@cache
def architecture(name: str) -> Network:
    """Layers of an architecture, by a name of `architecture_names`."""
    return _MAKERS[name]()
