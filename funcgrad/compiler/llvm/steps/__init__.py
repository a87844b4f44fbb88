"""Steps as LLVM code: work on whole arrays between the kernels, and control flow."""
