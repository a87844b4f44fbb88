"""Optimizers by name, written once for funcgrad and for Optax, and the problem that they are compared on.

Knows neither library: a case is a function of the module `optim` or `optax`.
"""

import numpy as np

STEPS, RECORDED = 50, (1, 50)
SHAPES = {"a": (), "b": (2,), "c": (3, 4), "d": {"e": (2, 2, 2)}}


def start(dtype):
    rng = np.random.default_rng(0)
    return _arrays(SHAPES, lambda shape: np.asarray(rng.normal(size=shape), dtype))


def gradient(params, step, dtype, noise=0.3):
    """Of `loss`, with noise that depends on the number of the step."""
    rng = np.random.default_rng(1000 + step)

    def one(p):
        p = np.asarray(p, np.float64)
        return np.asarray(0.5 * p + np.cos(p) + noise * rng.normal(size=p.shape), dtype)

    return _arrays(params, one)


def loss(params, xp=np):
    parts = [params["a"], params["b"], params["c"], params["d"]["e"]]
    return sum(xp.sum(0.25 * p * p + xp.sin(p)) for p in parts)


def hard_loss(params, xp=np):
    """For line searches: curved valleys, coupled through the sum."""
    parts = [params["a"], params["b"], params["c"], params["d"]["e"]]
    total = sum(xp.sum(p) for p in parts)
    return sum(xp.sum((p * p - 1.0) ** 2) for p in parts) + 0.1 * total**2


def flat(params):
    parts = [params["a"], params["b"], params["c"], params["d"]["e"]]
    return np.concatenate([np.asarray(p, np.float64).reshape(-1) for p in parts])


def _arrays(tree, f):
    if isinstance(tree, dict):
        return {key: _arrays(value, f) for key, value in tree.items()}
    return f(tree)


MASK = {"a": True, "b": False, "c": True, "d": {"e": False}}


def warm(o):
    return o.warmup_cosine_decay_schedule(0.0, 0.1, 10, 60, 0.01)


CASES = {
    "sgd": lambda o: o.sgd(0.1),
    "sgd momentum": lambda o: o.sgd(0.1, momentum=0.9),
    "sgd nesterov": lambda o: o.sgd(0.1, momentum=0.9, nesterov=True),
    "sgd schedule": lambda o: o.sgd(warm(o)),
    "adam": lambda o: o.adam(0.1),
    "adam eps_root": lambda o: o.adam(0.1, 0.8, 0.95, 1e-5, 1e-4),
    "adamw": lambda o: o.adamw(warm(o), weight_decay=0.1, mask=MASK),
    "nadam": lambda o: o.nadam(0.1),
    "nadamw": lambda o: o.nadamw(0.1, weight_decay=0.1),
    "amsgrad": lambda o: o.amsgrad(0.1),
    "amsgrad raw": lambda o: o.amsgrad(0.1, bias_correction_mu=False, bias_correction_nu=False),
    "adamax": lambda o: o.adamax(0.1),
    "adamaxw": lambda o: o.adamaxw(0.1, weight_decay=0.1),
    "adabelief": lambda o: o.adabelief(0.1),
    "adabelief nesterov": lambda o: o.adabelief(0.1, nesterov=True),
    "yogi": lambda o: o.yogi(0.1),
    "radam": lambda o: o.radam(0.1),
    "radam nesterov": lambda o: o.radam(0.1, b2=0.9, nesterov=True),
    "adan": lambda o: o.adan(0.1, weight_decay=0.01),
    "lion": lambda o: o.lion(0.03),
    "lion smooth": lambda o: o.chain(
        o.scale_by_lion(mode="smooth", smooth_beta=2.0), o.scale(-0.1)
    ),
    "lion refined": lambda o: o.chain(o.scale_by_lion(mode="refined"), o.scale(-0.1)),
    "rmsprop": lambda o: o.rmsprop(0.05),
    "rmsprop momentum": lambda o: o.rmsprop(0.01, momentum=0.9, nesterov=True),
    "rmsprop centered": lambda o: o.rmsprop(
        0.02, centered=True, eps=1e-3, eps_in_sqrt=False, bias_correction=True, initial_scale=0.1
    ),
    "adagrad": lambda o: o.adagrad(0.3),
    "adadelta": lambda o: o.adadelta(1.0, eps=1e-3, weight_decay=0.01),
    "lars": lambda o: o.lars(1.0, weight_decay=0.01, trust_coefficient=0.1),
    "lamb": lambda o: o.lamb(0.05, weight_decay=0.01),
    "fromage": lambda o: o.fromage(0.05),
    "fromage schedule": lambda o: o.fromage(warm(o)),
    "novograd": lambda o: o.novograd(0.05, weight_decay=0.01),
    "sign_sgd": lambda o: o.sign_sgd(0.03),
    "signum": lambda o: o.signum(0.03),
    "optimistic": lambda o: o.optimistic_gradient_descent(0.1, 1.0, 0.5),
    "optimistic adam": lambda o: o.optimistic_adam_v2(0.05, beta=0.5),
    "adafactor": lambda o: o.adafactor(0.1, min_dim_size_to_factor=2),
    "adafactor momentum": lambda o: o.adafactor(
        0.1, min_dim_size_to_factor=3, momentum=0.9, weight_decay_rate=1e-3
    ),
    "sm3": lambda o: o.partition(
        {"sgd": o.sgd(0.1), "sm3": o.sm3(0.2)},
        {"a": "sgd", "b": "sm3", "c": "sm3", "d": {"e": "sm3"}},
    ),
    "noisy_sgd": lambda o: o.noisy_sgd(0.05, key=7),
    "polyak_sgd": lambda o: o.polyak_sgd(0.5, f_min=-20.0),
    "polyak_sgd plus": lambda o: o.polyak_sgd(0.5, variant="sps+", f_min=-10.0, eps=0.1),
    "distance over gradients": lambda o: o.chain(
        o.scale_by_distance_over_gradients(1e-2), o.scale(-1.0)
    ),
    "clip": lambda o: o.chain(o.clip(0.5), o.sgd(0.1)),
    "clip_by_global_norm": lambda o: o.chain(o.clip_by_global_norm(1.0), o.sgd(0.1)),
    "clip_by_block_rms": lambda o: o.chain(o.clip_by_block_rms(0.5), o.sgd(0.1)),
    "adaptive_grad_clip": lambda o: o.chain(o.adaptive_grad_clip(0.1), o.sgd(0.5)),
    "centralize": lambda o: o.chain(o.centralize(), o.sgd(0.1)),
    "normalize_by_update_norm": lambda o: o.chain(o.normalize_by_update_norm(2.0), o.sgd(0.1)),
    "block norms": lambda o: o.chain(
        o.scale_by_param_block_norm(), o.scale_by_param_block_rms(), o.sgd(0.02)
    ),
    "ema": lambda o: o.chain(o.ema(0.9), o.sgd(0.1)),
    "ema raw": lambda o: o.chain(o.ema(0.9, debias=False), o.sgd(0.1)),
    "zero_nans": lambda o: o.chain(o.zero_nans(), o.sgd(0.1)),
    "keep_params_nonnegative": lambda o: o.chain(o.sgd(0.1), o.keep_params_nonnegative()),
    "apply_every": lambda o: o.chain(o.apply_every(3), o.sgd(0.1)),
    "MultiSteps": lambda o: o.MultiSteps(
        o.adam(0.1), 4, accumulator_dtype=np.float64
    ).gradient_transformation(),
    "MultiSteps sum": lambda o: o.MultiSteps(
        o.sgd(0.1, 0.9), 3, use_grad_mean=False, accumulator_dtype=np.float64
    ).gradient_transformation(),
    "apply_if_finite": lambda o: o.apply_if_finite(o.adam(0.1), 3),
    "conditionally_mask": lambda o: o.conditionally_mask(o.adam(0.1), lambda step: step % 2 == 0),
    "conditionally_transform": lambda o: o.chain(
        o.conditionally_transform(o.clip(0.1), lambda step: step < 20), o.sgd(0.1)
    ),
    "masked": lambda o: o.chain(o.masked(o.clip(0.1), MASK), o.sgd(0.1)),
    "freeze": lambda o: o.chain(o.sgd(0.1), o.freeze(MASK)),
    "selective_transform": lambda o: o.selective_transform(o.adam(0.1), freeze_mask=MASK),
    "partition": lambda o: o.partition(
        {"fast": o.adam(0.2), "slow": o.sgd(0.01, 0.9)},
        {"a": "fast", "b": "slow", "c": "slow", "d": {"e": "fast"}},
    ),
    "named_chain": lambda o: o.named_chain(("clip", o.clip(0.5)), ("adam", o.adam(0.1))),
    "flatten": lambda o: o.flatten(o.chain(o.clip_by_block_rms(0.1), o.adam(0.1))),
    "inject_hyperparams": lambda o: o.inject_hyperparams(o.adamw)(
        warm(o), b1=0.8, weight_decay=0.1
    ),
    "schedule_free_sgd": lambda o: o.contrib.schedule_free_sgd(0.3, warmup_steps=10),
    "schedule_free_adamw": lambda o: o.contrib.schedule_free_adamw(0.1, weight_decay=0.01),
    "schedule_free momentum": lambda o: o.contrib.schedule_free(o.sgd(warm(o)), warm(o), b1=0.8),
    "prodigy": lambda o: o.contrib.prodigy(estim_lr0=1e-2, weight_decay=0.01),
    "prodigy safeguard": lambda o: o.contrib.prodigy(
        warm(o), estim_lr0=0.1, safeguard_warmup=True, beta3=0.9
    ),
    "dadapt_adamw": lambda o: o.contrib.dadapt_adamw(estim_lr0=1e-2),
    "dog": lambda o: o.contrib.dog(init_step=("heuristic", 1e-2)),
    "dog learning rate": lambda o: o.contrib.dog(
        init_step=("learning_rate", 0.1), weight_decay=0.1
    ),
    "dowg": lambda o: o.contrib.dowg(init_estim_sq_dist=0.01),
    "sam": lambda o: o.contrib.sam(
        o.sgd(0.2, 0.9), o.chain(o.contrib.normalize(), o.sgd(0.1)), sync_period=2
    ),
    "sam keep": lambda o: o.contrib.sam(o.adam(0.2), o.adam(0.1), sync_period=3, reset_state=False),
    "muon": lambda o: o.contrib.muon(0.1, weight_decay=0.01),
    "muon adaptive": lambda o: o.contrib.muon(
        0.02, adaptive=True, consistent_rms=0.2, nesterov=False
    ),
    "muon dion": lambda o: o.contrib.muon(0.1, "dion", preconditioning="spectral"),
    "ademamix": lambda o: o.contrib.ademamix(0.05, b3=0.99, weight_decay=0.01),
    "simplified_ademamix": lambda o: o.contrib.simplified_ademamix(0.005, alpha=2.0),
    "adopt": lambda o: o.contrib.adopt(0.1),
    "adopt nesterov": lambda o: o.contrib.adopt(0.1, nesterov=True, use_clipping=False),
    "acprop": lambda o: o.contrib.acprop(0.01, eps=1e-3),
    "cocob": lambda o: o.contrib.cocob(alpha=2.0),
    "mechanize": lambda o: o.contrib.mechanize(o.adamw(0.5), s_init=1e-2),
    "momo": lambda o: o.contrib.momo(0.5, lower_bound=-30.0, weight_decay=0.01),
    "momo adapt": lambda o: o.contrib.momo(0.5, lower_bound=-30.0, adapt_lower_bound=True),
    "momo_adam": lambda o: o.contrib.momo_adam(0.1, lower_bound=-30.0, adapt_lower_bound=True),
    "madgrad": lambda o: o.contrib.madgrad(0.05, weight_decay=0.01),
    "reduce_on_plateau": lambda o: o.chain(
        o.sgd(0.1), o.contrib.reduce_on_plateau(0.5, 3, rtol=0.2, cooldown=2, accumulation_size=2)
    ),
    "galore": lambda o: o.contrib.galore(0.1, rank=2, update_proj_gap=7),
    "sophia": lambda o: o.contrib.sophia(0.05, gamma=2.0, update_interval=3),
    "lbfgs plain": lambda o: o.lbfgs(0.1, memory_size=3, linesearch=None),
    "lbfgs zoom": lambda o: o.lbfgs(memory_size=4),
    "lbfgs backtracking": lambda o: o.lbfgs(linesearch=o.scale_by_backtracking_linesearch(15)),
    "zoom keep": lambda o: o.chain(o.sgd(1.0), o.scale_by_zoom_linesearch(15)),
    "backtracking": lambda o: o.chain(
        o.sgd(1.0), o.scale_by_backtracking_linesearch(20, max_learning_rate=2.0)
    ),
}

VALUE = {"polyak_sgd", "polyak_sgd plus", "momo", "momo adapt", "momo_adam", "reduce_on_plateau"}
SEARCH = {"lbfgs zoom", "lbfgs backtracking", "zoom keep", "backtracking"}
# The end of a search is decided by the last bits of the loss: few steps, and a loss that converges.
SEARCH_STEPS = 8


# With noise, a guess of the Hessian from few steps doubles rounding errors in every step.
UNSTABLE = {"lbfgs plain"}


def steps_of(name):
    return SEARCH_STEPS if name in SEARCH else STEPS


def recorded_steps(name):
    return (1, SEARCH_STEPS) if name in SEARCH else RECORDED
