"""CuPy, as the process that runs this sees it: see conformance_probe.py."""

import os

from conformance_probe import Probe, describe

probe = Probe("cupy")
cupy = probe.import_framework()
runtime = cupy.cuda.runtime

# The runtime that CuPy was built with; get_local_runtime_version would tell of the one that is installed.
number = 0 if runtime.is_hip else runtime.runtimeGetVersion()
release = f"{number // 1000}.{number % 1000 // 10}" if number else ""
probe.say(cuda_release=release, build="ROCm")
if not release:
    probe.end()
    raise SystemExit(0)

# It compiles its kernels for the GPU that is there, but for those of CCCL.
probe.say(architectures=[])
folder = os.path.dirname(cupy.__file__)
objects = [path for name in ("*cuda*.so*", "cub.*so", "thrust.*so") for path in probe.own_objects(folder, name)]
probe.open_objects(objects)
probe.doing("starting CUDA")
try:
    count = runtime.getDeviceCount()
except Exception as error:
    probe.say(gpu_error=describe(error))
    count = 0
if count == 0:
    probe.say(gpus=[])
    probe.open_wanted(objects)
    probe.end()
    raise SystemExit(0)


def on_gpu(index, numbers):
    with cupy.cuda.Device(index):
        return cupy.array(numbers, dtype="float32")


def product(index, a, b):
    a, b = on_gpu(index, a), on_gpu(index, b)
    with cupy.cuda.Device(index):
        return (a @ b).tolist()


def all_reduce(contributions):
    from cupy.cuda import nccl

    arrays = [on_gpu(rank, numbers) for rank, numbers in enumerate(contributions)]
    ranks = nccl.NcclCommunicator.initAll(len(arrays))
    nccl.groupStart()
    for rank, array in zip(ranks, arrays):
        with cupy.cuda.Device(rank.device_id()):
            rank.allReduce(array.data.ptr, array.data.ptr, array.size, nccl.NCCL_FLOAT32, nccl.NCCL_SUM, 0)
    nccl.groupEnd()
    sums = []
    for index, array in enumerate(arrays):
        with cupy.cuda.Device(index) as device:
            device.synchronize()
            sums.append(array.tolist())
    return sums


kept = []  # so that no memory is given out twice


def address(index):
    kept.append(on_gpu(index, [0.0]))
    return kept[-1].data.ptr


probe.say_gpus(count, address)
probe.check_products(count, product)
probe.check_sums(count, all_reduce)
probe.end()
