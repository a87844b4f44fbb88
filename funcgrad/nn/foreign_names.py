"""Words of PyTorch and Equinox that are not here, and what to write instead: tables for the errors of `hints`."""

# Arguments of PyTorch's layers, and ours that do the same.
RENAMED = {
    "bias": ("use_bias",),
    "elementwise_affine": ("use_weight", "use_bias"),
    "affine": ("channelwise_affine",),
    "ceil_mode": ("use_ceil",),
    "output_size": ("target_shape",),
    "embedding_dim": ("embedding_size",),
    "num_groups": ("groups",),
    "num_channels": ("channels",),
    "num_features": ("input_size",),
    "normalized_shape": ("shape",),
    "embed_dim": ("query_size",),
    "kdim": ("key_size",),
    "vdim": ("value_size",),
    "n_power_iterations": ("num_power_iterations",),
    "dim": ("axis",),
    "encoder_layer": ("make_layer",),
    "decoder_layer": ("make_layer",),
}
# Arguments of PyTorch's layers for which there is something else.
WITHOUT = {
    "inplace": "Leave it out: arrays are not changed.",
    "device": "Make the layer, then write funcgrad.device_put(layer, device).",
}
# Arguments by which calls in other libraries say whether a model is trained.
MODES = {
    "training": "train=",
    "is_training": "train=",
    "inference": "train=, which says the opposite",
    "deterministic": "train=, which says the opposite",
}
# Methods of torch.nn.Module.
METHODS = {
    "parameters": "funcgrad.nn.parameters(model)",
    "named_parameters": "funcgrad.nn.named_parameters(model)",
    "buffers": "funcgrad.nn.named_buffers(model)",
    "named_buffers": "funcgrad.nn.named_buffers(model)",
    "modules": "funcgrad.nn.named_modules(model)",
    "named_modules": "funcgrad.nn.named_modules(model)",
    "children": "funcgrad.nn.named_modules(model)",
    "named_children": "funcgrad.nn.named_modules(model)",
    "state_dict": "funcgrad.nn.state_dict(model)",
    "load_state_dict": "model = funcgrad.nn.load_state_dict(model, state)",
    "train": "y, model = model.apply(x, train=True, key=key)",
    "eval": "model(x), which is evaluation",
    "training": "funcgrad.nn.is_training()",
    "forward": "model(x)",
    "zero_grad": "gradient = funcgrad.grad(loss)(model): gradients are returned, not kept",
    "grad": "gradient = funcgrad.grad(loss)(model): gradients are returned, not kept",
    "requires_grad_": "model = funcgrad.nn.freeze(model, pattern)",
    "requires_grad": "model = funcgrad.nn.freeze(model, pattern)",
    "to": "model = funcgrad.device_put(model, device), or funcgrad.nn.cast(model, dtype)",
    "cuda": 'model = funcgrad.device_put(model, "cuda")',
    "cpu": 'model = funcgrad.device_put(model, "cpu")',
    "half": "model = funcgrad.nn.cast(model, np.float16)",
    "float": "model = funcgrad.nn.cast(model, np.float32)",
    "double": "model = funcgrad.nn.cast(model, np.float64)",
    "register_buffer": "a field: running: np.ndarray = funcgrad.nn.field(buffer=True)",
    "register_parameter": "self.name = array in __init__",
    "add_module": "self.name = layer in __init__",
    "register_forward_hook": "funcgrad.nn.capture(model, paths)",
    "register_forward_pre_hook": "funcgrad.nn.capture(model, paths)",
    "register_full_backward_hook": "funcgrad.nn.capture(model, paths).gradients(loss, x)",
}
# Names of Equinox.
IN_EQUINOX = {
    "make_with_state": "State lies in the model: y, model = model.apply(x, train=True, key=key).",
    "State": "State lies in the model: y, model = model.apply(x, train=True, key=key).",
    "StateIndex": "Write a field, funcgrad.nn.field(buffer=True), and funcgrad.nn.record_state.",
    "Shared": "A layer that is used in two places is one; nothing needs to be written.",
    "filter_jit": "Write funcgrad.jit: it takes modules, and what is no array is static.",
    "filter_grad": "Write funcgrad.grad: it takes modules, and has None for what is not trained.",
    "filter_value_and_grad": "Write funcgrad.value_and_grad.",
    "filter_vmap": "Write funcgrad.vmap, with in_axes=None for the model.",
    "filter_checkpoint": "Write funcgrad.checkpoint, or funcgrad.nn.Checkpoint(layer).",
    "filter_eval_shape": "Write funcgrad.eval_shape.",
    "filter_make_jaxpr": "Write funcgrad.make_jaxpr.",
    "tree_serialise_leaves": "Write funcgrad.save(path, tree).",
    "tree_deserialise_leaves": "Write funcgrad.load(path, like).",
    "Conv": "Write Conv1d, Conv2d or Conv3d.",
    "ConvTranspose": "Write ConvTranspose1d, ConvTranspose2d or ConvTranspose3d.",
    "AdaptivePool": "Write AdaptiveAvgPool2d, AdaptiveMaxPool2d and their like.",
}
# Names of torch.nn.
IN_PYTORCH = {
    "ModuleList": "A tuple or list of modules is a field like others.",
    "ModuleDict": "A dict of modules is a field like others.",
    "Parameter": "A field that holds an array is a parameter; funcgrad.nn.field(buffer=True) makes it none.",
    "ParameterList": "A tuple or list of arrays is a field like others.",
    "ParameterDict": "A dict of arrays is a field like others.",
    "Buffer": "Write funcgrad.nn.field(buffer=True).",
    "functional": "Its functions are here: funcgrad.nn.relu, funcgrad.nn.softmax, funcgrad.nn.cross_entropy.",
    "init": "Write funcgrad.nn.initializers, and weight_init= and bias_init= of layers.",
    "utils": "Write funcgrad.optim.clip_by_global_norm, funcgrad.nn.WeightNorm, funcgrad.flatten_util.ravel_pytree.",
    "Transformer": "Write TransformerEncoder and TransformerDecoder.",
    "SyncBatchNorm": "Write BatchNorm(size, axis_name=name).",
    "CosineSimilarity": "Write cosine_similarity.",
    "PairwiseDistance": "Write pairwise_distance.",
    "UpsamplingNearest2d": 'Write Upsample(mode="nearest").',
    "UpsamplingBilinear2d": 'Write Upsample(mode="bilinear", align_corners=True).',
}

ELSEWHERE = {**IN_PYTORCH, **IN_EQUINOX}
