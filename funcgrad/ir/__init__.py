"""The intermediate representation: array types, Programs, the Primitive contract and tracers."""
