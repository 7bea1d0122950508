"""A test of a GPU's compiler before the first frame."""

from __future__ import annotations

from livematte.device.launch import check_compiler


def check_kernels(device: int) -> None:
    """Compile one of the kernels on GPU ``device``.

    Raises:
        MissingExtraError, DeviceError: as :func:`livematte.device.launch.check_compiler`.
    """
    from livematte.kernels.resize.cuda import SOURCE

    check_compiler(device, SOURCE)
