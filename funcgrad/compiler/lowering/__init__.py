"""From a Program to kernels, steps and memory: the part of the compiler that knows no machine."""
