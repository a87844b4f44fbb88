"""Layers: modules that are called with an array and return one. `funcgrad.nn` lists them."""
