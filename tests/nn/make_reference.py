"""Records what PyTorch computes for the cases of `layer_cases.py`.

`python tests/nn/make_reference.py`, where PyTorch is installed. Results, gradients and changed buffers are kept as
projections, a few numbers for each array.
"""

import json
import pathlib
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from tests.nn.layer_cases import CASES, inputs, parameter, projections, values

REFERENCE = pathlib.Path(__file__).parent / "reference" / "layers.json"


def evaluate(name, case, dtype=np.float64):
    """All arrays that PyTorch computes for a case: results, gradients and buffers."""
    kind = {np.float64: torch.float64, np.float32: torch.float32}[dtype]
    scope = {
        "torch": torch,
        "np": np,
        "m": eval(f"torch.nn.{case.torch}", {"torch": torch}).to(kind),
    }
    module = scope["m"]
    state = {
        key: torch.tensor(parameter(name, key, old.numpy(), dtype))
        for key, old in module.state_dict().items()
    }
    module.load_state_dict(state)
    module.train(case.train)
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    xs = [torch.tensor(x) for x in inputs(name, case, dtype)]
    for x in xs:
        x.requires_grad_(x.is_floating_point())
    scope["xs"] = xs
    out = eval(case.torch_call or case.call, scope)
    flat = flattened(out)
    loss = sum(
        (y * torch.tensor(values(f"{name} cotangent {i}", tuple(y.shape), dtype))).sum()
        for i, y in enumerate(flat)
    )
    loss.backward()
    found = {f"out {i}": y.detach().numpy() for i, y in enumerate(flat)}
    found |= {f"input {i}": x.grad.numpy() for i, x in enumerate(xs) if x.grad is not None}
    found |= {f"grad {key}": p.grad.numpy() for key, p in module.named_parameters()}
    return found | {f"buffer {key}": b.numpy() for key, b in module.named_buffers()}


def flattened(out):
    """The arrays of a nested tuple."""
    if isinstance(out, tuple):
        return [array for part in out for array in flattened(part)]
    return [out]


def main():
    recorded = {}
    for name, case in CASES.items():
        found = evaluate(name, case)
        recorded[name] = {key: projections(key, array) for key, array in found.items()}
    REFERENCE.parent.mkdir(exist_ok=True)
    lines = [f"{json.dumps(name)}: {json.dumps(one)}" for name, one in recorded.items()]
    REFERENCE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
