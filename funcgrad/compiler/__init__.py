"""From a Program to a callable: stages, generated code, caches."""
