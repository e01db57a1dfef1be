"""PyTorch, as the process that runs this sees it: see conformance_probe.py."""

import glob
import os

from conformance_probe import Probe, describe

probe = Probe("torch")
torch = probe.import_framework()
release = torch.version.cuda
probe.say(cuda_release=release or "", build=f"ROCm {torch.version.hip}" if torch.version.hip else "the CPU")
if not release:
    probe.end()
    raise SystemExit(0)

probe.say(architectures=torch._C._cuda_getArchFlags().split())  # get_arch_list says none without a GPU
folder = os.path.join(os.path.dirname(torch.__file__), "lib")
objects = probe.own_objects(folder)
probe.open_objects(objects)
probe.doing("starting CUDA")
try:
    torch.cuda.init()
    count = torch.cuda.device_count()
except Exception as error:
    probe.say(gpu_error=describe(error))
    count = 0
if count == 0:
    probe.say(gpus=[])
    probe.open_wanted(glob.glob(os.path.join(glob.escape(folder), "libtorch_cuda*.so")))
    probe.end()
    raise SystemExit(0)


def on_gpu(index, numbers):
    return torch.tensor(numbers, dtype=torch.float32, device=f"cuda:{index}")


def all_reduce(contributions):
    tensors = [on_gpu(rank, numbers) for rank, numbers in enumerate(contributions)]
    torch.cuda.nccl.all_reduce(tensors)
    return [tensor.tolist() for tensor in tensors]


kept = []  # so that no memory is given out twice


def address(index):
    kept.append(on_gpu(index, [0.0]))
    return kept[-1].data_ptr()


probe.say_gpus(count, address)
probe.check_products(count, lambda index, a, b: (on_gpu(index, a) @ on_gpu(index, b)).tolist())
probe.check_sums(count, all_reduce)
probe.end()
