"""What the probes of all frameworks share.

A probe runs in a process of its own and writes what it sees as lines of JSON, each an object whose members
are facts. It judges nothing but the numbers that the GPUs computed, which stay here. Nothing of it is
needed after a crash: what was written before is known, and "doing" says what came next.
"""

import ctypes
import glob
import importlib
import importlib.util
import json
import mmap
import os
import re
import sys

# Libraries, of which no two files should meet in one process.
CUDA_LIBRARY = re.compile(
    r"lib(?:cuda|cudart|cublas|cublasLt|cufft|curand|cusolver|cusparse|cusparseLt|cupti|cudnn(?:_\w+)?"
    r"|nccl|nvrtc|nvrtc-builtins|nvJitLink|nvToolsExt)(?:-[0-9a-f]{8})?\.so(?:\.[0-9.]+)?$"
)
# Names under which a framework asks the loader for them at run time, as they stand in its files.
WANTED_NAME = re.compile(
    rb"lib(?:cudart|cublas|cublasLt|cufft|cusolver|cusparse|cudnn|nccl)\.so\.\d+"
)
# Variables that decide which GPUs a framework shows, or which libraries it loads.
VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "JAX_PLATFORMS",
    "JAX_PLATFORM_NAME",
    "JAX_CUDA_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
)


def describe(error):
    return f"{type(error).__name__}: {error}"


class Probe:
    """Writes facts, and does for any framework what needs nothing of it but a few functions."""

    def __init__(self, module):
        # Libraries print what they like to stdout, as NCCL does with NCCL_DEBUG: that is stderr from now on.
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._module = module
        self.size = int(sys.argv[1])  # rows and columns of the products
        self.say(executable=sys.executable, python=sys.version.split()[0])

    def say(self, **facts):
        self._out.write(json.dumps(facts) + "\n")
        self._out.flush()

    def doing(self, what):
        self.say(doing=what)

    def import_framework(self):
        """The module; the process ends if it is not there or cannot be imported."""
        self.doing(f"importing {self._module}")
        spec = importlib.util.find_spec(self._module)
        # A folder of that name without code is found, too.
        self.say(installed=spec is not None and spec.origin is not None)
        if spec is None or spec.origin is None:
            sys.exit(0)
        self.say(file=spec.origin)
        try:
            module = importlib.import_module(self._module)
        except Exception as error:  # whatever it is, it is what the user would see
            self.say(import_error=describe(error))
            self.say_environment()
            self.open_objects(self.own_objects(os.path.dirname(spec.origin)))
            self.say_libraries()
            sys.exit(0)
        self.say(version=str(getattr(module, "__version__", "unknown")))
        self.say_environment()
        return module

    def own_objects(self, folder, name="*cuda*.so*"):
        """The framework's own libraries for CUDA under a folder."""
        paths = glob.glob(os.path.join(glob.escape(folder), "**", name), recursive=True)
        return sorted(path for path in paths if not CUDA_LIBRARY.match(os.path.basename(path)))

    def say_environment(self):
        """What the variables are now: whatever Python runs at its start may have changed them."""
        self.say(environment={name: os.environ[name] for name in VARIABLES if name in os.environ})

    def open_objects(self, paths):
        """Asks the dynamic loader for each file, and with it for all that this file needs."""
        self.doing("opening the framework's own libraries")
        self.say(objects=[{"name": path, "error": self._open(path)} for path in paths])

    def open_wanted(self, paths):
        """Asks the dynamic loader for the driver, and for all libraries of CUDA that are named in the files."""
        self.doing("looking for the libraries that the framework wants")
        names = {b"libcuda.so.1"}
        for path in paths:
            with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                names.update(WANTED_NAME.findall(data))
        brought, wanted = brought_libraries(), []
        for name in sorted(name.decode() for name in names):
            error = self._open(name)
            # Packages' libraries are found by the framework's own run paths, not by ours.
            if error and name in brought:
                error = self._open(brought[name])
            wanted.append({"name": name, "error": error})
        self.say(wanted=wanted)

    @staticmethod
    def _open(name):
        try:
            ctypes.CDLL(name)
        except OSError as error:
            return str(error)
        return ""

    def say_libraries(self):
        """The libraries of CUDA in this process, and those that Python packages bring along."""
        self.doing("asking the loaded libraries for their versions")
        paths = set()
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            for line in maps:
                columns = line.rstrip("\n").split(None, 5)
                if len(columns) == 6 and CUDA_LIBRARY.match(os.path.basename(columns[5])):
                    paths.add(columns[5])
        self.say(libraries=[{"path": path, **library_version(path)} for path in sorted(paths)])
        self.say(brought=brought_libraries())

    def say_gpus(self, count, address):
        """Whose memory `address(i)` is: an address of memory that the framework gave out for its GPU i."""
        gpus = []
        for index in range(count):
            self.doing(f"placing memory on GPU {index}")
            try:
                gpus.append(owner(address(index)))
            except Exception as error:
                gpus.append({"error": describe(error)})
        self.say(gpus=gpus)

    def check_products(self, count, product):
        """Whether `product(i, a, b)`, two lists of rows multiplied on GPU i, is exact in each element."""
        factors, rows = Factors(self.size), []
        for index in range(count):
            self.doing(f"multiplying matrices on GPU {index}")
            rows.append(result_of(lambda i=index: factors.check(product(i, factors.a, factors.b))))
        self.say(products=rows)

    def check_sums(self, count, all_reduce):
        """Whether `all_reduce(contributions)`, one list of numbers for each rank, is exact on every rank."""
        self.say_libraries()  # a crash in what follows must not take this along
        self.doing("adding up over all GPUs")
        given = Contributions(count, self.size)
        try:
            sums = all_reduce(given.lists)
        except Exception as error:
            self.say(sums=[{"error": describe(error)}])
            return
        self.say(sums=[result_of(lambda row=row: given.check(row)) for row in sums])

    def end(self):
        self.say_libraries()
        self.doing("")
        self._out.close()


def result_of(check):
    try:
        return check()
    except Exception as error:
        return {"error": describe(error)}


def compared(rows, expected, row_name):
    """How many elements are right, and the first that is not. `expected(i)` is row i."""
    right = wrong = 0
    first = ""
    for i, row in enumerate(rows):
        must = expected(i)
        if row == must:
            right += len(must)
            continue
        if len(row) != len(must):
            return {"error": f"{row_name} {i} has {len(row)} elements, not {len(must)}"}
        for j, (is_, should) in enumerate(zip(row, must)):
            if is_ == should:
                right += 1
                continue
            wrong += 1
            first = first or f"{row_name} {i}, element {j}: {is_!r}, not {should!r}"
    return {"right": right, "wrong": wrong, "first": first}


class Factors:
    """Matrices of small integers, whose products are exact in fp32, TF32, fp16 and bf16 inputs alike.

    Rows of A repeat after 5 and columns of B after 7, so that 35 sums give the whole product; no size of a
    tile is a multiple of these, so what lands in another tile's place is wrong there.
    """

    def __init__(self, size):
        a = [[float((7 * i + 3 * k) % 5 - 2) for k in range(size)] for i in range(5)]
        b = [[float((5 * k + 11 * j) % 7 - 3) for j in range(size)] for k in range(7)]
        self.size = size
        self.a = [a[i % 5] for i in range(size)]
        self.b = [b[k % 7] for k in range(size)]
        sums = [[sum(a[i][k] * b[k % 7][j] for k in range(size)) for j in range(min(7, size))] for i in range(5)]
        self._rows = [[sums[i][j % 7] for j in range(size)] for i in range(5)]

    def check(self, rows):
        if len(rows) != self.size:
            return {"error": f"{len(rows)} rows, not {self.size}"}
        return compared(rows, lambda i: self._rows[i % 5], "row")


class Contributions:
    """Small integers that differ from rank to rank and repeat after 61, so that all sums are exact."""

    def __init__(self, ranks, size):
        repeats = 4 * size
        patterns = [[float(((rank + 1) * e) % 61 - 30) for e in range(61)] for rank in range(ranks)]
        self.lists = [pattern * repeats for pattern in patterns]
        self._sum = [sum(column) for column in zip(*patterns)] * repeats

    def check(self, row):
        return compared([row], lambda _: self._sum, "rank's row")


def brought_libraries():
    """The libraries of CUDA that NVIDIA's Python packages bring along, by file name."""
    brought = {}
    for folder in sys.path:
        for path in glob.glob(os.path.join(glob.escape(folder), "nvidia", "*", "lib", "lib*.so*")):
            brought.setdefault(os.path.basename(path), path)
    return brought


def owner(address):
    """UUID and PCI address of the GPU on which the memory at an address lies, from the driver itself."""
    cuda = ctypes.CDLL("libcuda.so.1")

    def call(name, *arguments):
        code = getattr(cuda, name)(*arguments)
        if code != 0:
            raise RuntimeError(f"{name} answered {code}")

    device_ordinal = 9  # CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    ordinal, device = ctypes.c_int(-1), ctypes.c_int(-1)
    call("cuPointerGetAttribute", ctypes.byref(ordinal), device_ordinal, ctypes.c_uint64(address))
    call("cuDeviceGet", ctypes.byref(device), ordinal)
    uuid, bus_id = (ctypes.c_ubyte * 16)(), ctypes.create_string_buffer(32)
    call("cuDeviceGetUuid_v2", ctypes.byref(uuid), device)
    call("cuDeviceGetPCIBusId", bus_id, len(bus_id), device)
    text = bytes(uuid).hex()
    parts = (text[:8], text[8:12], text[12:16], text[16:20], text[20:])
    return {"uuid": "GPU-" + "-".join(parts), "bus_id": bus_id.value.decode()}


def library_version(path):
    """What a library that is loaded says of its version; nothing of one that says none this way."""
    name = os.path.basename(path)
    try:
        library = ctypes.CDLL(path)  # it is there already, so this only adds to its count
        if name.startswith("libcudart"):
            number = ctypes.c_int()
            library.cudaRuntimeGetVersion(ctypes.byref(number))
            return {"version": [number.value // 1000, number.value % 1000 // 10, 0]}
        if name.startswith("libcublas"):
            get = library.cublasLtGetProperty if name.startswith("libcublasLt") else library.cublasGetProperty
            return {"version": [of_property(get, which) for which in range(3)]}
        if name.startswith("libnvrtc") and not name.startswith("libnvrtc-"):
            major, minor = ctypes.c_int(), ctypes.c_int()
            library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
            return {"version": [major.value, minor.value, 0]}
        if name.startswith("libnccl"):
            number = ctypes.c_int()
            library.ncclGetVersion(ctypes.byref(number))
            return {"version_code": number.value}
        # The first stands for the second, and says what that is of.
        if re.match(r"libcudnn(_graph)?[-.]", name):
            for function in (library.cudnnGetVersion, library.cudnnGetCudartVersion):
                function.restype = ctypes.c_size_t
            number, runtime = library.cudnnGetVersion(), library.cudnnGetCudartVersion()
            return {
                "version": [number // 10000, number % 10000 // 100, number % 100],
                "built_for": [runtime // 1000, runtime % 1000 // 10],
            }
    except (OSError, AttributeError) as error:
        return {"error": describe(error)}
    return {}


def of_property(get, which):
    value = ctypes.c_int(-1)
    get(which, ctypes.byref(value))
    return value.value


if __name__ == "__main__":
    # The versions of libraries that are not loaded: each argument is a path.
    print(json.dumps({"libraries": [{"path": path, **library_version(path)} for path in sys.argv[1:]]}))
