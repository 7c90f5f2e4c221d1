"""Choose the device on which tensors are computed."""

from __future__ import annotations

from typing import Any


def get_device() -> Any:
    """Return a CUDA device if one is available, else the CPU.

    Returns
    -------
    A ``torch.device``; the text ``cpu`` where torch is not installed.
    """
    try:
        import torch
    except ImportError:
        return "cpu"
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
