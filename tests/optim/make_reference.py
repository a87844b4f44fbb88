"""Writes reference.npz: parameters after some steps of every case, by Optax and by PyTorch.

Run it where both are installed: `python tests/optim/make_reference.py`.
"""

import sys
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

sys.path.insert(0, str(Path(__file__).parent))
import cases
import torch_cases

HERE = Path(__file__).parent


def optax_run(name, dtype):
    optimizer = cases.CASES[name](optax)
    params = jax.tree.map(jnp.asarray, cases.start(dtype))
    state = optimizer.init(params)
    update = optax.with_extra_args_support(optimizer).update
    if name not in cases.SEARCH and name != "sophia":
        update = jax.jit(update)
    found = []

    def searched(p):
        return cases.hard_loss(p, jnp)

    for step in range(1, cases.steps_of(name) + 1):
        extra = {}
        if name in cases.VALUE:
            extra = {"value": cases.loss(params, jnp)}
        if name == "sophia":
            extra = {"obj_fn": lambda p: cases.loss(p, jnp)}
        if name in cases.SEARCH:
            value, grads = jax.value_and_grad(searched)(params)
            extra = {"value": value, "grad": grads, "value_fn": searched}
        else:
            grads = jax.tree.map(jnp.asarray, cases.gradient(params, step, dtype))
        updates, state = update(grads, state, params, **extra)
        params = optax.apply_updates(params, updates)
        if step in cases.recorded_steps(name):
            found.append(cases.flat(params))
    return np.array(found, dtype)


def torch_run(name, dtype):
    tensors = [torch.tensor(x, requires_grad=True) for x in torch_cases.arrays(cases.start(dtype))]
    optimizer = torch_cases.TORCH[name](torch.optim, tensors)
    found = []
    for step in range(1, cases.STEPS + 1):
        place = torch_cases.tree([t.detach().numpy() for t in tensors])
        grads = torch_cases.arrays(cases.gradient(place, step, dtype))
        for tensor, grad in zip(tensors, grads, strict=True):
            tensor.grad = torch.tensor(grad)
        optimizer.step()
        if step in cases.RECORDED:
            place = torch_cases.tree([t.detach().numpy() for t in tensors])
            found.append(cases.flat(place))
    return np.array(found, dtype)


def schedules():
    counts = np.arange(0, 130)
    return {
        f"schedule/{name}": np.array([float(make(optax)(int(c))) for c in counts])
        for name, make in torch_cases.SCHEDULES.items()
    }


def main():
    """All cases, or those named on the command line, beside what the file has of the others."""
    warnings.simplefilter("ignore")
    jax.config.update("jax_enable_x64", True)
    path, chosen = HERE / "reference.npz", sys.argv[1:]
    arrays = dict(np.load(path)) if chosen else {}
    for dtype in (np.float32, np.float64):
        for name in chosen or cases.CASES:
            if name in cases.SEARCH and dtype == np.float32:
                continue  # Optax mixes precisions there.
            arrays[f"optax/{name}/{np.dtype(dtype).name}"] = optax_run(name, dtype)
            print(name, flush=True)
        for name in torch_cases.TORCH:
            arrays[f"torch/{name}/{np.dtype(dtype).name}"] = torch_run(name, dtype)
        jax.clear_caches()
    arrays.update(schedules())
    np.savez_compressed(path, **arrays)
    print(len(arrays), "arrays,", path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
