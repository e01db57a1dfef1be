"""A stand-in for PyTorch: see standin.py."""

import types

from standin import Cuda, Defects, added_up

_defects = Defects("torch")
_cuda = None if "cpu-only" in _defects else Cuda(_defects)

__version__ = "2.0+standin"
version = types.SimpleNamespace(cuda=_cuda and _cuda.release, hip=None)
float32 = "float32"
_C = types.SimpleNamespace(_cuda_getArchFlags=lambda: "sm_90")


def tensor(numbers, dtype, device):
    made = _cuda.array(numbers, int(device.removeprefix("cuda:")))
    made.data_ptr = made.address
    return made


def _init():
    if not _cuda.order:
        raise RuntimeError("No CUDA GPUs are available")


def _all_reduce(tensors):
    for one, numbers in zip(tensors, added_up([one.numbers for one in tensors], _defects)):
        one.numbers = numbers


cuda = types.SimpleNamespace(
    init=_init,
    device_count=lambda: len(_cuda.order),
    nccl=types.SimpleNamespace(all_reduce=_all_reduce),
)
