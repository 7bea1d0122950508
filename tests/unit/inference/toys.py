"""The network that runtimes are tested with: small, and all that is asked of one is in it."""

import hashlib
from dataclasses import replace

import torch
from torch import nn

from livematte.inference import Input, Program

RGB = Input("rgb", "uint8", (1, None, None, 3), (1, 64, 96, 3))
GREY = Input("grey", "uint8", (1, None, None), (1, 64, 96))


class Toy(nn.Module):
    """Two maps of a picture: a small network's sigmoid, and its complement."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Conv2d(3, 8, 3, 2, padding=1)
        self.last = nn.ConvTranspose2d(8, 1, 2, 2)

    def forward(self, rgb):
        x = torch.relu(self.first(rgb.permute(0, 3, 1, 2).float() / 255))
        alpha = torch.sigmoid(4 * self.last(x)).squeeze(1)
        return alpha, 1 - alpha


def toy(**changes):
    key = hashlib.sha256(b"toy").hexdigest()
    return replace(Program("toy", key, (RGB,), ("alpha", "rest"), Toy), **changes)


def expected(rgb):
    """What torch gives on the CPU."""
    with torch.inference_mode():
        return [t.numpy() for t in Toy()(torch.from_numpy(rgb))]
