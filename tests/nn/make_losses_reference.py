"""Writes losses_reference.npz: values and gradients of every loss, by Optax and by PyTorch.

Run it where both are installed: `python tests/nn/make_losses_reference.py`.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.losses
import torch

sys.path.insert(0, str(Path(__file__).parent))
import losses_cases as cases

HERE = Path(__file__).parent


class Optax:
    def __getattr__(self, name):
        return getattr(optax.losses, name, None) or getattr(optax, name)


def of_optax(name):
    inputs, function = cases.OPTAX[name]
    first, *rest = (jnp.asarray(x) for x in cases.arrays(inputs, np.float64))
    value = function(Optax(), first, *rest)
    slope = jax.grad(lambda x: jnp.sum(jnp.sin(function(Optax(), x, *rest))))(first)
    return {"value": value, "slope": slope}


def of_torch(name, reduction):
    inputs, function = cases.TORCH[name]
    first, *rest = (torch.tensor(x) for x in cases.arrays(inputs, np.float64))
    first.requires_grad_()
    value = function(torch.nn.functional, reduction, first, *rest)
    torch.sum(torch.sin(value)).backward()
    return {"value": value.detach().numpy(), "slope": first.grad.numpy()}


def ctc_of_torch(reduction):
    speech, words, times, lengths = cases.arrays("speech words times lengths", np.float64)
    logits = torch.tensor(speech, requires_grad=True)
    scores = torch.log_softmax(logits, -1).transpose(0, 1)
    arguments = [torch.tensor(x) for x in (words, times, lengths)]
    value = torch.nn.functional.ctc_loss(scores, *arguments, reduction=reduction)
    torch.sum(torch.sin(value)).backward()
    return {"value": value.detach().numpy(), "slope": logits.grad.numpy()}


def main():
    jax.config.update("jax_enable_x64", True)
    arrays = {}
    for name in cases.OPTAX:
        arrays.update({f"optax/{name}/{k}": np.asarray(v) for k, v in of_optax(name).items()})
    for reduction in cases.REDUCTIONS:
        for name in cases.TORCH:
            found = of_torch(name, reduction)
            arrays.update({f"torch/{name}/{reduction}/{k}": v for k, v in found.items()})
        found = ctc_of_torch(reduction)
        arrays.update({f"torch/ctc/{reduction}/{k}": v for k, v in found.items()})
    np.savez_compressed(HERE / "losses_reference.npz", **arrays)
    print(len(arrays), "arrays,", (HERE / "losses_reference.npz").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
