"""Writes reference.npz: numbers of JAX for keys, shapes and parameters. Run it where JAX is installed."""

import sys
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import draws

if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    found = {name: np.asarray(draw(jax.random)) for name, draw in draws.DRAWS.items()}
    np.savez_compressed(Path(__file__).with_name("reference.npz"), **found)
