"""Machine code for kernels, as LLVM text."""
