"""What the stand-ins for frameworks share: packages with the names of real ones, for simulated machines.

They offer what the probes of suites/frameworks call, on the simulator's libraries, and have the defects that
STANDIN_TORCH, STANDIN_JAX and STANDIN_CUPY name, separated by commas.
"""

import ctypes
import glob
import os


class Defects(set):
    def __init__(self, framework):
        super().__init__(filter(None, os.environ.get("STANDIN_" + framework.upper(), "").split(",")))
        if "import" in self:
            raise ImportError("cannot import name 'conformance' from 'numpy'")
        if "missing-library" in self:
            raise ImportError("libconformance.so.9: cannot open shared object file: No such file or directory")
        if "hides" in self:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""

    def value(self, name, default):
        """That of a defect such as "release=99.0"."""
        return next((item.split("=")[1] for item in self if item.startswith(name + "=")), default)


class Cuda:
    """The simulated driver and libraries, as a framework would load them."""

    def __init__(self, defects):
        self._defects = defects
        self._driver = ctypes.CDLL("libcuda.so.1")
        self.runtime = self._load("libcudart")
        for stem in ("libcublas", "libcublasLt", "libnccl"):
            self._load(stem)
        if "second-file" in defects:
            for file in os.environ["STANDIN_SECOND_FILE"].split(":"):
                ctypes.CDLL(file)
        number = ctypes.c_int()
        self.runtime.cudaRuntimeGetVersion(ctypes.byref(number))
        self.release = defects.value("release", f"{number.value // 1000}.{number.value % 1000 // 10}")
        self.order = [] if {"no-gpu", "hides"} & defects else self._ordinals()

    def _load(self, stem):
        (path,) = glob.glob(os.path.join(os.environ["CUDA_PATH"], "lib", stem + ".so.*"))
        return ctypes.CDLL(os.path.basename(path))

    def _call(self, name, *arguments):
        code = getattr(self._driver, name)(*arguments)
        if code != 0:
            raise RuntimeError(f"{name} answered {code}")

    def _ordinals(self):
        count = ctypes.c_int()
        self._call("cuInit", 0)
        self._call("cuDeviceGetCount", ctypes.byref(count))
        ordinals = list(range(count.value))
        if "reversed" in self._defects:
            ordinals.reverse()
        return ordinals[1:] if "one-missing" in self._defects else ordinals

    def allocate(self, index):
        context, memory = ctypes.c_void_p(), ctypes.c_uint64()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self.order[index])
        self._call("cuCtxPushCurrent_v2", context)
        self._call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(256))
        return memory.value

    def array(self, numbers, index=0):
        return Array(numbers, self, index)


class Array:
    """Numbers, or rows of them, that stand for what lies on a GPU."""

    def __init__(self, numbers, cuda, index):
        self.numbers, self.cuda, self.index = numbers, cuda, index

    def tolist(self):
        return self.numbers

    def address(self):
        return self.cuda.allocate(self.index)

    def __matmul__(self, other):
        defects = self.cuda._defects
        columns = list(zip(*other.numbers))
        rows = [[sum(a * b for a, b in zip(row, column)) for column in columns] for row in self.numbers]
        if "wrong-product" in defects and self.index + 1 == len(self.cuda.order):
            rows[3][5] += 1
        return Array(rows, self.cuda, self.index)


def added_up(rows, defects):
    """The sum of all ranks' rows, for each rank."""
    if "no-sum" in defects:
        raise RuntimeError("NCCL Error 1: unhandled cuda error")
    if "crash-in-sum" in defects:
        os.abort()
    total = [sum(column) for column in zip(*rows)]
    sums = [list(total) for _ in rows]
    if "wrong-sum" in defects:
        sums[-1][7] = float("nan")
    return sums
