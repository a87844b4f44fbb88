"""Words of PyTorch's optimizers and schedulers, and what to write instead: tables for errors."""

SCHEDULE = "Write a schedule in place of the learning rate: "

IN_PYTORCH = {
    "lr_scheduler": f"{SCHEDULE}adam(cosine_decay_schedule(0.1, 1000)).",
    "StepLR": f"{SCHEDULE}exponential_decay(rate, step_size, gamma, staircase=True).",
    "MultiStepLR": f"{SCHEDULE}piecewise_constant_schedule(rate, {{milestone: gamma}}).",
    "ExponentialLR": f"{SCHEDULE}exponential_decay(rate, 1, gamma).",
    "CosineAnnealingLR": f"{SCHEDULE}cosine_decay_schedule(rate, T_max, eta_min / rate).",
    "CosineAnnealingWarmRestarts": f"{SCHEDULE}sgdr_schedule([...]).",
    "ConstantLR": f"{SCHEDULE}piecewise_constant_schedule(rate * factor, {{total_iters: 1 / factor}}).",
    "LinearLR": f"{SCHEDULE}linear_schedule(first, last, total_iters).",
    "PolynomialLR": f"{SCHEDULE}polynomial_schedule(rate, 0.0, power, total_iters).",
    "OneCycleLR": f"{SCHEDULE}cosine_onecycle_schedule(total_steps - 1, max_lr).",
    "SequentialLR": f"{SCHEDULE}join_schedules([first, second], [milestone]).",
    "LambdaLR": f"{SCHEDULE}any function, number of steps -> learning rate.",
    "MultiplicativeLR": f"{SCHEDULE}any function, number of steps -> learning rate.",
    "CyclicLR": f"{SCHEDULE}any function, number of steps -> learning rate.",
    "ReduceLROnPlateau": (
        "Write chain(adam(rate), contrib.reduce_on_plateau(factor, patience)), and give update value=loss."
    ),
    "Optimizer": "An optimizer is a GradientTransformation, a pair of functions init and update.",
    "ASGD": "Write sgd(learning_rate), and average the parameters: incremental_update(new, average, share).",
    "SparseAdam": "Write adam(learning_rate): gradients are arrays.",
    "Muon": "Write optim.contrib.muon(learning_rate).",
}
# Arguments of PyTorch's optimizers, and ours that do the same.
RENAMED = {
    "lr": ("learning_rate",),
    "step_size": ("learning_rate",),
    "betas": ("b1", "b2"),
    "beta1": ("b1",),
    "beta2": ("b2",),
    "epsilon": ("eps",),
    "alpha": ("decay",),
    "etas": ("eta_minus", "eta_plus"),
    "step_sizes": ("min_step_size", "max_step_size"),
}
# Arguments for which there is something else.
WITHOUT = {
    "params": "Parameters go to optimizer.init(params).",
    "weight_decay": (
        "Write chain(add_decayed_weights(weight_decay), optimizer) for PyTorch's, which is a part of the gradient, "
        "or adamw(learning_rate, weight_decay=...)."
    ),
    "amsgrad": "Write amsgrad(learning_rate).",
    "maximize": "Take the gradient of the negative loss.",
    "dampening": "Leave it out: gradients are added to the momentum as they are.",
    "momentum_decay": "Leave it out: the momentum does not change from step to step.",
    "lr_decay": "Write a schedule in place of the learning rate: a function, number of steps -> learning rate.",
    "foreach": "Leave it out: jit compiles the updates of all parameters together.",
    "fused": "Leave it out: jit compiles the updates of all parameters together.",
    "capturable": "Leave it out: jit on a GPU makes CUDA graphs.",
    "differentiable": "Leave it out: updates can always be differentiated.",
}
# Attributes of PyTorch's optimizers.
METHODS = {
    "step": "updates, state = optimizer.update(gradient, state, params); params = optim.apply_updates(params, updates)",
    "zero_grad": "gradient = funcgrad.grad(loss)(params): gradients are returned, not kept",
    "param_groups": "optim.partition({label: optimizer, ...}, labels) for several groups",
    "add_param_group": "optim.partition({label: optimizer, ...}, labels) for several groups",
    "state_dict": "state = optimizer.init(params): the state is a tree, which funcgrad.save takes",
    "load_state_dict": "state = funcgrad.load(path, optimizer.init(params)): the state is a tree",
}
