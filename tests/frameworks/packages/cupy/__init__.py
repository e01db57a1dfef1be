"""A stand-in for CuPy: see standin.py."""

import contextlib
import sys
import types

from standin import Cuda, Defects, added_up

_defects = Defects("cupy")
_cuda = None if "cpu-only" in _defects else Cuda(_defects)
_current = [0]
_arrays = {}

__version__ = "13.0+standin"


@contextlib.contextmanager
def _device(index):
    _current.append(index)
    yield types.SimpleNamespace(synchronize=lambda: None)
    _current.pop()


def array(numbers, dtype):
    made = _cuda.array(numbers, _current[-1])
    made.size = len(numbers)
    made.data = types.SimpleNamespace(ptr=made.address())
    _arrays[made.data.ptr] = made
    return made


class _Rank:
    """One of several, which add up when the last was asked to."""

    _asked = []

    def __init__(self, index):
        self._index = index

    def device_id(self):
        return self._index

    def allReduce(self, send, receive, count, kind, operation, stream):
        self._asked.append((_arrays[send], _arrays[receive]))


def _group_end():
    sums = added_up([send.numbers for send, _ in _Rank._asked], _defects)
    for (_, receive), numbers in zip(_Rank._asked, sums):
        receive.numbers = numbers


def _count():
    if not _cuda.order:
        raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    return len(_cuda.order)


def _release():
    major, minor = _cuda.release.split(".")
    return 1000 * int(major) + 10 * int(minor)


cuda = types.SimpleNamespace(
    Device=_device,
    runtime=types.SimpleNamespace(is_hip=_cuda is None, runtimeGetVersion=_release, getDeviceCount=_count),
    nccl=types.SimpleNamespace(
        NcclCommunicator=types.SimpleNamespace(initAll=lambda count: [_Rank(index) for index in range(count)]),
        NCCL_FLOAT32=7,
        NCCL_SUM=0,
        groupStart=lambda: None,
        groupEnd=_group_end,
    ),
)
sys.modules["cupy.cuda"] = cuda
