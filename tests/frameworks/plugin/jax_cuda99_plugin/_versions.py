"""A stand-in for what JAX's plugin for CUDA tells of itself: see standin.py."""

import jax


def cuda_runtime_build_version():
    major, minor = jax._cuda.release.split(".")
    return 1000 * int(major) + 10 * int(minor)
