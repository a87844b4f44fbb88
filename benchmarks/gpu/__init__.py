"""The table on a GPU: rows W1 to W12 and single kernels, against JAX and PyTorch; `python -m benchmarks.gpu --help`."""
