"""Running launches: arrays, memory, modules, streams and graphs. Only `cuda_device.py` knows CUDA."""
