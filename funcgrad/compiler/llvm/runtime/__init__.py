"""What compiled code finds at run time: threads, memory, Ctrl-C, the system, BLAS."""
