"""A device that is emulated on the CPU: what is generated for CUDA runs in the ordinary test suite."""
