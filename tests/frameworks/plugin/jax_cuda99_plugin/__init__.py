"""A part of the stand-in for JAX: see standin.py."""
