"""Image-classification encoders that several networks share (torch only).

Each encoder is a module whose ``forward`` maps ``(N, 3, H, W)`` to a list of feature maps, finest
first, one for each halving of the picture, and whose ``channels`` attribute says how wide each one is.
"""

from livematte.inference.encoders.densenet import DenseNet201
from livematte.inference.encoders.efficientnet_lite import EfficientNetLite0
from livematte.inference.encoders.resnet import ResNet50

__all__ = ["DenseNet201", "EfficientNetLite0", "ResNet50"]
