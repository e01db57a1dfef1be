"""JAX, as the process that runs this sees it: see conformance_probe.py."""

import glob
import importlib
import importlib.metadata
import os
import re
import sys

# Its own default would take three quarters of each GPU's memory at once, which others are tested with at the same time.
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"

from conformance_probe import Probe, describe

probe = Probe("jax")
jax = probe.import_framework()


def cuda_packages():
    """The folders of the packages that bring CUDA to JAX: of its plugins, or, up to 2024, in jaxlib itself."""
    patterns = ("jax_plugins/xla_cuda*", "jax_cuda*_plugin", "jaxlib/cuda")
    return [found for folder in sys.path for pattern in patterns for found in glob.glob(f"{glob.escape(folder)}/{pattern}")]


def built_for(folders):
    """The release of CUDA that the plugin was compiled with, else the major one that a package is named after."""
    names = [os.path.basename(folder) for folder in folders]
    for name in names:
        try:
            number = importlib.import_module(f"{name}._versions").cuda_runtime_build_version()
            return f"{number // 1000}.{number % 1000 // 10}"
        except Exception:  # versions of JAX differ in what they tell
            continue
    names.append(importlib.metadata.version("jaxlib"))  # "0.4.20+cuda12.cudnn89"
    majors = re.findall(r"cuda(\d+)", " ".join(names))
    return f"{majors[0]}.0" if majors else "unknown"


packages = cuda_packages()
probe.say(cuda_release=built_for(packages) if packages else "", build="the CPU")
if not packages:
    probe.end()
    raise SystemExit(0)

# It compiles for the GPU that is there; what its libraries carry is read from them.
probe.say(architectures=[])
objects = [path for folder in packages for path in probe.own_objects(folder)]
probe.open_objects(objects)
probe.doing("starting CUDA")
gpus = []
try:
    gpus = [device for device in jax.local_devices() if device.platform in ("gpu", "cuda")]
    # Without one JAX goes on with the CPU; asked for CUDA it says why.
    gpus = gpus or jax.devices("cuda")
except Exception as error:
    probe.say(gpu_error=describe(error))
if not gpus:
    probe.say(gpus=[])
    probe.open_wanted(objects)
    probe.end()
    raise SystemExit(0)


def on_gpu(index, numbers):
    with jax.default_device(gpus[index]):
        return jax.numpy.array(numbers, dtype="float32")


def all_reduce(contributions):
    add_up = jax.pmap(lambda row: jax.lax.psum(row, "gpus"), axis_name="gpus", devices=gpus)
    return add_up(jax.numpy.array(contributions, dtype="float32")).tolist()


kept = []  # so that no memory is given out twice


def address(index):
    kept.append(on_gpu(index, [0.0]))
    return kept[-1].unsafe_buffer_pointer()


probe.say_gpus(len(gpus), address)
probe.check_products(len(gpus), lambda index, a, b: (on_gpu(index, a) @ on_gpu(index, b)).tolist())
probe.check_sums(len(gpus), all_reduce)
probe.end()
