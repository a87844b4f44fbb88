"""Native code for the CPU: LLVM text, compiled and loaded by llvmlite."""
