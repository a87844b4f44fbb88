"""Saving arrays, dicts and models, and loading a model into a clone.

PyTorch: torch.save and load_state_dict. Here files are safetensors: they hold arrays and nothing that could be run.
"""

import tempfile
from pathlib import Path

import numpy as np

from funcgrad import io, nn, random


def main():
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)

        x = random.normal(random.key(0), (3, 4))
        io.save(directory / "arrays.safetensors", {"x": x, "many": [x, 2 * x]})
        found = io.load_dict(directory / "arrays.safetensors")
        print("a dict:", sorted(found))

        model = nn.MLP(4, 2, width_size=8, depth=1, key=random.key(1))
        io.save(directory / "model.safetensors", model)
        clone = nn.MLP(4, 2, width_size=8, depth=1, key=random.key(2))
        assert not np.array_equal(clone(x), model(x))
        clone = io.load(directory / "model.safetensors", like=clone)
        np.testing.assert_array_equal(clone(x), model(x))
        print("the clone predicts the same")

        # Or by hand, through a dict of named arrays:
        other = nn.MLP(4, 2, width_size=8, depth=1, key=random.key(3))
        other = nn.load_state_dict(other, nn.state_dict(model))
        np.testing.assert_array_equal(other(x), model(x))

        # A file that does not fit says where.
        try:
            io.load(directory / "model.safetensors", like=nn.MLP(4, 2, 16, 1, key=random.key(4)))
        except ValueError as error:
            print(str(error).splitlines()[0])


if __name__ == "__main__":
    main()
