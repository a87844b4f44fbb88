"""Convolutions and reductions over sliding windows in native code."""
