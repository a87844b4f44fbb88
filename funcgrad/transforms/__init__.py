"""Transformations of functions: one file, one idea."""
