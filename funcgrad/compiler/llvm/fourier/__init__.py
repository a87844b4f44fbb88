"""Discrete Fourier transforms in native code."""
