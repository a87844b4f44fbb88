"""Writes reference.npz: log probabilities, entropies, divergences and slopes of PyTorch.

Run it where PyTorch is installed: `python tests/distributions/make_reference.py`.
"""

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
import pairs


def main():
    torch.set_default_dtype(torch.float64)
    found = {}
    for name, (make, parameters, values) in pairs.PAIRS.items():
        p, q = (make(torch.distributions, *map(torch.tensor, given)) for given in parameters)
        found[f"{name}/log_prob"] = p.log_prob(torch.tensor(values))
        if name not in pairs.WITHOUT_ENTROPY:
            found[f"{name}/entropy"] = p.entropy()
        if name not in pairs.WITHOUT_KL:
            found[f"{name}/kl"] = torch.distributions.kl_divergence(p, q)
    slopes = torch._standard_gamma_grad(torch.tensor(pairs.SHAPES), torch.tensor(pairs.NUMBERS))
    found["gamma slopes"] = slopes
    arrays = {name: value.numpy() for name, value in found.items()}
    np.savez_compressed(Path(__file__).with_name("reference.npz"), **arrays)


if __name__ == "__main__":
    main()
