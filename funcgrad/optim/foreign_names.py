"""Names of PyTorch's optimizers and schedulers, and what to write instead: a table for errors."""

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
