"""Linear algebra in native code: loops of our own for small matrices, LAPACK for the others."""
