"""From LLVM text to addresses: compiling, linking, images on disk."""
