"""Control flow: primitives that hold Programs, and the functions that make them."""
