"""Steps as launches: products, convolutions, windows, changes of elements, running operations, loops."""
