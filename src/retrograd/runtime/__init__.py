"""The machine: its CPU, machine code from LLVM text, buffers."""
