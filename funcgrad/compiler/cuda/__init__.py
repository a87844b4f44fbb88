"""Code for NVIDIA GPUs: CUDA C compiled by NVRTC, library products, and lists of launches replayed as CUDA graphs."""
