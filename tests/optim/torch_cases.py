"""Optimizers that PyTorch has too, and how ours are called for the same numbers; schedules by name."""


def arrays(params):
    return [params["a"], params["b"], params["c"], params["d"]["e"]]


def tree(parts):
    a, b, c, e = parts
    return {"a": a, "b": b, "c": c, "d": {"e": e}}


TORCH = {
    "sgd": lambda t, p: t.SGD(p, lr=0.1),
    "sgd momentum": lambda t, p: t.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "sgd nesterov": lambda t, p: t.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda t, p: t.Adam(p, lr=0.1),
    "adam decay": lambda t, p: t.Adam(p, lr=0.1, weight_decay=0.1),
    "adamw": lambda t, p: t.AdamW(p, lr=0.1, weight_decay=0.1),
    "adamax": lambda t, p: t.Adamax(p, lr=0.1),
    "radam": lambda t, p: t.RAdam(p, lr=0.1),
    "rmsprop": lambda t, p: t.RMSprop(p, lr=0.01),
    "rmsprop centered": lambda t, p: t.RMSprop(p, lr=0.01, centered=True, momentum=0.9, eps=1e-3),
    "adagrad": lambda t, p: t.Adagrad(p, lr=0.3, initial_accumulator_value=0.1, eps=0.0),
    "adadelta": lambda t, p: t.Adadelta(p, lr=1.0, eps=1e-3),
    "rprop": lambda t, p: t.Rprop(p, lr=0.01),
    "ascent": lambda t, p: t.SGD(p, lr=0.01, maximize=True),
}

OURS = {
    "sgd": lambda o: o.sgd(0.1),
    "sgd momentum": lambda o: o.chain(o.add_decayed_weights(0.1), o.sgd(0.1, momentum=0.9)),
    "sgd nesterov": lambda o: o.sgd(0.1, momentum=0.9, nesterov=True),
    "adam": lambda o: o.adam(0.1),
    "adam decay": lambda o: o.chain(o.add_decayed_weights(0.1), o.adam(0.1)),
    "adamw": lambda o: o.adamw(0.1, weight_decay=0.1),
    "adamax": lambda o: o.adamax(0.1),
    "radam": lambda o: o.radam(0.1),
    "rmsprop": lambda o: o.rmsprop(0.01, decay=0.99, eps_in_sqrt=False),
    "rmsprop centered": lambda o: o.rmsprop(
        0.01, decay=0.99, eps_in_sqrt=False, centered=True, momentum=0.9, eps=1e-3
    ),
    "adagrad": lambda o: o.adagrad(0.3, 0.1, eps=0.0),
    "adadelta": lambda o: o.adadelta(1.0, eps=1e-3),
    "rprop": lambda o: o.rprop(0.01),
    "ascent": lambda o: o.chain(o.scale(-1.0), o.sgd(0.01)),
}

CYCLE = {
    "init_value": 0.1,
    "peak_value": 1.0,
    "warmup_steps": 5,
    "decay_steps": 30,
    "end_value": 0.2,
}

SCHEDULES = {
    "constant": lambda o: o.constant_schedule(0.3),
    "linear": lambda o: o.linear_schedule(1.0, 0.1, 50, 10),
    "polynomial": lambda o: o.polynomial_schedule(1.0, 0.1, 3, 50, 10),
    "cosine": lambda o: o.cosine_decay_schedule(1.0, 80, alpha=0.1, exponent=2.0),
    "exponential": lambda o: o.exponential_decay(1.0, 10, 0.5, 5, end_value=0.01),
    "staircase": lambda o: o.exponential_decay(1.0, 10, 0.5, 5, staircase=True),
    "growing": lambda o: o.exponential_decay(1.0, 10, 1.5, end_value=3.0),
    "warmup cosine": lambda o: o.warmup_cosine_decay_schedule(0.0, 1.0, 20, 100, 0.1),
    "warmup constant": lambda o: o.warmup_constant_schedule(0.0, 1.0, 20),
    "warmup exponential": lambda o: o.warmup_exponential_decay_schedule(0.0, 1.0, 20, 10, 0.7, 5),
    "piecewise constant": lambda o: o.piecewise_constant_schedule(1.0, {20: 0.5, 60: 0.1}),
    "piecewise linear": lambda o: o.piecewise_interpolate_schedule("linear", 1.0, {20: 0.5, 60: 4}),
    "piecewise cosine": lambda o: o.piecewise_interpolate_schedule("cosine", 1.0, {20: 0.5, 60: 4}),
    "cosine onecycle": lambda o: o.cosine_onecycle_schedule(100, 1.0),
    "linear onecycle": lambda o: o.linear_onecycle_schedule(100, 1.0),
    "join": lambda o: o.join_schedules(
        [o.constant_schedule(1.0), o.linear_schedule(1.0, 0.0, 30)], [40]
    ),
    "sgdr": lambda o: o.sgdr_schedule([CYCLE, {**CYCLE, "decay_steps": 60}]),
}
