"""Modules: fields, freezing, classification of fields, and life as a tree (R66, R77)."""

import abc
import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import nn, tree

# The same lines are compiled for many cases.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled:UserWarning")


class Affine(nn.Module):
    """A documented module."""

    scale: Any
    shift: Any = 0.0
    name: str = "affine"

    def __call__(self, x):
        return self.scale * x + self.shift


class Tower(nn.Module):
    floors: list
    activation: Any = np.tanh

    def __init__(self, count, shared=False):
        first = Affine(np.full(2, 0.5), np.zeros(2))
        self.floors = [
            first if shared else Affine(np.full(2, 0.5 + i), np.zeros(2)) for i in range(count)
        ]

    def __call__(self, x):
        for floor in self.floors:
            x = self.activation(floor(x))
        return x


class Free(nn.Module):
    """Without annotations: the fields are what `__init__` sets."""

    def __init__(self, size):
        self.weight = np.ones(size)
        self.sizes = [size, 2 * size]
        self.options = {"mode": "same", "weights": [np.zeros(1)]}


# --- fields and __init__ ---


def test_generated_init_takes_positions_keywords_and_defaults():
    module = Affine(np.ones(2), name="a")
    assert module.shift == 0.0 and module.name == "a"
    assert module(np.ones(2)).tolist() == [1.0, 1.0]


def test_own_init_may_leave_defaults():
    assert Tower(1).activation is np.tanh


def test_own_init_must_set_every_field():
    class Forgetful(nn.Module):
        weight: Any
        bias: Any

        def __init__(self):
            self.weight = np.ones(1)

    with pytest.raises(ValueError, match=r"did not set the fields \['bias'\]"):
        Forgetful()


def test_inheritance_of_fields_methods_and_init():
    class Wider(Affine):
        extra: int = 1

        def double(self):
            return 2 * self.scale

    wide = Wider(np.ones(1), 2.0, "w", 5)
    assert wide.extra == 5 and wide.double() == 2 and isinstance(wide, Affine)

    class Tall(Tower):
        pass

    assert len(Tall(3).floors) == 3


def test_super_init_and_more_fields():
    class Labelled(Tower):
        label: str

        def __init__(self, count, label):
            super().__init__(count)
            self.label = label

    assert Labelled(2, "x").label == "x"


def test_attributes_without_annotations():
    module = Free(3)
    assert module.weight.shape == (3,)
    assert [tree.path_string(path) for path, _ in tree.leaves_with_path(module)] == [
        "weight",
        "options.mode",
        "options.weights.0",
    ]


def test_converter_and_default_factory():
    class Converted(nn.Module):
        weight: Any = nn.field(converter=np.asarray)
        sizes: list = nn.field(default_factory=lambda: [1, 2])

    assert isinstance(Converted([1.0]).weight, np.ndarray)
    assert Converted([1.0]).sizes is not Converted([1.0]).sizes


def test_post_init():
    class Checked(nn.Module):
        size: int
        double: int = 0

        def __post_init__(self):
            self.double = 2 * self.size

    assert Checked(3).double == 6


def test_abstract_methods():
    class Shape(nn.Module):
        @abc.abstractmethod
        def area(self): ...

    class Square(Shape):
        side: float

        def area(self):
            return self.side**2

    with pytest.raises(TypeError, match="abstract"):
        Shape()
    assert Square(2.0).area() == 4.0


def test_mutable_default_is_refused():
    with pytest.raises(ValueError, match="default_factory"):

        class Bad(nn.Module):
            sizes: list = []


def test_properties_and_static_methods_are_no_fields():
    class Ring(nn.Module):
        radius: float

        @property
        def area(self):
            return 3 * self.radius**2

        @staticmethod
        def name():
            return "ring"

    assert Ring(1.0).area == 3 and Ring.name() == "ring"
    assert tree.leaves(Ring(1.0)) == []


# --- frozen ---


@pytest.mark.parametrize(
    "change", [lambda m: setattr(m, "scale", 1), lambda m: delattr(m, "scale")]
)
def test_a_module_cannot_be_changed(change):
    module = Affine(np.ones(1))
    with pytest.raises(dataclasses.FrozenInstanceError) as caught:
        change(module)
    for cure in ("model.replace(scale=value)", "funcgrad.tree_at(lambda m: m.scale, model, value)"):
        assert cure in str(caught.value)


def test_frozen_also_after_unflatten_and_with_mutable_static_fields():
    for module in (tree.map(lambda x: x, Free(2)), Free(2)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            module.weight = 1


def test_unknown_names_are_explained():
    with pytest.raises(TypeError, match=r"no field 'scael'.*Did you mean 'scale'\?"):
        Affine(scael=1)
    with pytest.raises(AttributeError, match=r"no attribute 'shfit'. Did you mean 'shift'\?"):
        Affine(1.0).shfit
    with pytest.raises(AttributeError, match=r"no field 'nmae'.*Did you mean 'name'\?"):
        Affine(1.0).replace(nmae="x")
    assert not hasattr(Affine(1.0), "__array__")

    class Typo(nn.Module):
        weight: Any

        def __init__(self):
            self.wieght = np.ones(1)

    with pytest.raises(AttributeError, match=r"no field 'wieght'.*Did you mean 'weight'"):
        Typo()


def test_replace():
    module = Affine(np.ones(2))
    changed = module.replace(scale=np.zeros(3), name="b")
    assert changed.scale.shape == (3,) and changed.name == "b" and module.name == "affine"
    with_array = module.replace(shift=np.ones(2))
    assert len(tree.leaves(with_array)) == 2
    assert len(tree.leaves(module.replace(scale=None))) == 0


# --- classification ---


@pytest.mark.parametrize(
    "value",
    [
        *(1, 2.5, True, None, "text", np.tanh, abs, np.dtype("f4"), np.float32, (1, 2), [1, 2]),
        *({"a": 1}, {1, 2}, slice(1), ..., np.array(["a"]), nn.relu, range(3), lambda x: x),
    ],
    ids=lambda value: type(value).__name__,
)
def test_static_values(value):
    module = Affine(np.ones(2), value)
    assert len(tree.leaves(module)) == 1
    assert tree.map(lambda x: 2 * x, module).shift == value or isinstance(value, np.ndarray)


@pytest.mark.parametrize(
    "value",
    [
        *(np.ones(1), np.float32(1), np.array(True), [np.ones(1)], {"a": (1, np.ones(1))}),
        *(Affine(1.0), [Affine(1.0)], (None, Affine(np.ones(1)))),
    ],
    ids=str,
)
def test_children(value):
    module = Affine(0.0, value)
    names = tree.structure(module).children()
    assert len(names) == 1


def test_declared_static_arrays_are_no_children():
    class Table(nn.Module):
        weight: Any
        table: Any = nn.field(static=True)

    module = Table(np.ones(2), np.arange(3))
    assert len(tree.leaves(module)) == 1
    assert tree.structure(module) == tree.structure(Table(np.zeros(2), np.arange(3)))
    assert tree.structure(module) != tree.structure(Table(np.zeros(2), np.arange(1, 4)))


def test_classification_is_kept_when_leaves_change():
    model = Tower(2)
    for value in (True, None, "text", 1):
        mapped = tree.map(lambda _: value, model)
        assert mapped.floors[1].scale is value
        again = tree.map(lambda _: 0, mapped)
        assert tree.leaves(again) == ([] if value is None else [0, 0, 0, 0])
    mask = tree.map(lambda x: x.ndim > 5, model)
    assert tree.leaves(tree.map(lambda keep, x: keep, mask, model)) == [False] * 4


def test_equal_static_data_means_equal_structure():
    assert tree.structure(Tower(2)) == tree.structure(Tower(2))
    assert tree.structure(Tower(2)) != tree.structure(Tower(3))
    assert tree.structure(Affine(1.0, 1)) != tree.structure(Affine(1.0, True))
    assert tree.structure(Affine(1.0, 0.0)) != tree.structure(Affine(1.0, -0.0))
    assert hash(tree.structure(Free(2))) == hash(tree.structure(Free(2)))


def test_a_change_inside_a_static_list_is_seen():
    module = Free(2)
    seen = []

    @fg.jit
    def f(module):
        seen.append(tuple(module.sizes))
        return module.weight * module.sizes[0]

    before = tree.structure(module)
    assert f(module).tolist() == [2, 2] and f(module).tolist() == [2, 2]
    module.sizes[0] = 7
    assert f(module).tolist() == [7, 7]
    assert tree.structure(module) != before and seen == [(2, 4), (7, 4)]
    mapped = tree.map(lambda x: x, module)
    mapped.sizes.append(9)
    assert module.sizes == [7, 4]


def test_static_value_without_hash_works_eagerly_and_is_explained_by_jit():
    class Odd:
        __hash__ = None

        def __eq__(self, other):
            return isinstance(other, Odd)

    module = Affine(np.ones(2), Odd())
    assert tree.map(lambda x: x + 1, module).scale.tolist() == [2, 2]
    with pytest.raises(ValueError, match="static data of Affine"):
        fg.jit(lambda m: m.scale)(module)


def test_equality_is_identity():
    first, second = Affine(1.0), Affine(1.0)
    assert first != second and first == first and len({first, second}) == 2


# --- transformations ---


def test_grad_and_jit_and_vmap_take_a_model_as_it_is():
    model, x = Tower(2), np.array([0.1, 0.2])

    def loss(model, x):
        return np.sum(model(x) ** 2)

    gradient = fg.grad(loss)(model, x)
    assert type(gradient) is Tower and gradient.floors[0].name == "affine"
    step = 1e-6
    moved = nn.tree_at(lambda m: m.floors[0].scale, model, replace_fn=lambda s: s + [step, 0])
    slope = (loss(moved, x) - loss(model, x)) / step
    assert gradient.floors[0].scale[0] == pytest.approx(slope, rel=1e-4)
    jitted = fg.jit(fg.grad(loss))(model, x)
    assert nn.tree_equal(jitted, gradient, rtol=1e-12)
    batch = fg.vmap(fg.grad(loss), in_axes=(None, 0))(model, np.stack([x, x]))
    assert batch.floors[1].shift.shape == (2, 2)


def test_vmap_over_a_stack_of_models():
    stacked = tree.map(lambda *leaves: np.stack(leaves), Tower(2), Tower(2))
    out = fg.vmap(lambda model, x: model(x), in_axes=(0, None))(stacked, np.ones(2))
    np.testing.assert_array_equal(out[0], Tower(2)(np.ones(2)))


def test_jit_on_methods():
    traces = []

    class Power(nn.Module):
        base: Any
        exponent: int

        @fg.jit
        def __call__(self, x, offset=0.0):
            traces.append(self.exponent)
            return self.base * x**self.exponent + offset

        @fg.jit
        def doubled(self):
            return self.replace(base=2 * self.base)

    power = Power(np.array(3.0), 2)
    assert power(2.0) == 12.0 and power(3.0, offset=1.0) == 28.0
    power(2.0)
    assert Power(np.array(5.0), 2)(2.0) == 20.0
    assert traces == [2, 2]
    assert Power(np.array(3.0), 3)(2.0) == 24.0
    assert power.doubled().base == 6.0 and power.doubled().exponent == 2


def test_bound_methods_can_be_transformed():
    model = Affine(np.array([2.0, 3.0]))
    assert fg.jit(model.__call__)(1.0).tolist() == [2, 3]
    assert fg.grad(lambda x: np.sum(model(x)))(1.0) == 5.0


def test_a_module_made_inside_jit():
    @fg.jit
    def make(x):
        return Affine(x * 2, name="made")

    made = make(np.ones(2))
    assert made.name == "made" and made.scale.tolist() == [2, 2]


def test_eval_shape_of_a_model():
    found = fg.eval_shape(lambda: nn.Linear(3, 2, key=0))
    assert found.weight == fg.ShapeDtypeStruct((2, 3), np.float32)


# --- R66 tied parameters ---


def tied_loss(model, x):
    return np.sum(model(x) ** 2)


def test_r66_shared_module_stays_tied():
    model, x = Tower(2, shared=True), np.array([0.1, 0.2])
    assert len(tree.leaves(model)) == 2
    for gradient in (fg.grad(tied_loss)(model, x), fg.jit(fg.grad(tied_loss))(model, x)):
        assert gradient.floors[0] is gradient.floors[1]
        untied = fg.grad(tied_loss)(
            Tower(2).replace(floors=[Affine(np.full(2, 0.5), np.zeros(2)) for _ in range(2)]), x
        )
        total = untied.floors[0].scale + untied.floors[1].scale
        np.testing.assert_allclose(gradient.floors[0].scale, total)
        moved = fg.optim.apply_updates(model, tree.map(lambda g: -0.1 * g, gradient))
        assert moved.floors[0] is moved.floors[1]


def test_r66_shared_array_in_two_fields():
    shared = np.array([1.0, 2.0])
    model = Affine(shared, shared)
    gradient = fg.grad(lambda m: np.sum(m.scale * 3.0 + m.shift))(model)
    assert gradient.scale is gradient.shift and gradient.scale.tolist() == [4, 4]
    separate = Affine(np.ones(2), np.ones(2))
    assert len(tree.leaves(separate)) == 2


def test_r66_tied_under_scan_and_vmap():
    model = Tower(2, shared=True)

    def run(model, xs):
        return np.sum(fg.lax.scan(lambda c, x: (c + np.sum(model(x)), None), 0.0, xs)[0])

    gradient = fg.grad(run)(model, np.ones((3, 2)))
    assert gradient.floors[0] is gradient.floors[1]
    batched = fg.vmap(fg.grad(tied_loss), in_axes=(None, 0))(model, np.ones((3, 2)))
    assert batched.floors[0] is batched.floors[1]


# --- R77 pickling and copying ---


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_r77_copies_are_equal_and_keep_ties(copied):
    model = (Tower(2, shared=True), Free(2), nn.MLP(2, 1, 4, 1, key=0))
    found = copied(model)
    assert nn.tree_equal(found, model)
    assert found[0].floors[0] is found[0].floors[1]
    assert found[0].floors[0].scale is not model[0].floors[0].scale
    assert found[2].activation is nn.relu
    found[1].sizes.append(1)
    assert model[1].sizes == [2, 4]


def test_r77_across_processes(tmp_path):
    path = tmp_path / "model.pickle"
    model = nn.Sequential([nn.Linear(2, 3, key=0), nn.relu, nn.Lambda(nn.gelu)])
    state = fg.optim.adam(1e-3).init(model)
    path.write_bytes(pickle.dumps((model, state, fg.jit(nn.gelu))))
    code = (
        "import pickle, sys, numpy as np\n"
        f"model, state, f = pickle.load(open({str(path)!r}, 'rb'))\n"
        "print(model(np.ones(2, np.float32)).tobytes().hex(), state[0].count, f(0.0))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == [model(np.ones(2, np.float32)).tobytes().hex(), "0", "0.0"]


# --- printing ---


def test_repr_fills_lines():
    text = repr(Tower(2, shared=True).replace(activation=nn.relu))
    assert text.splitlines() == [
        "Tower(",
        "  floors=[",
        "    Affine(scale=f64[2], shift=f64[2], name='affine'),",
        "    <the same Affine as floors.0>",
        "  ],",
        "  activation=<function relu>",
        ")",
    ]
    conv = nn.Sequential([nn.Conv2d(3, 6, 3, key=0)])
    assert repr(conv).splitlines() == [
        "Sequential(",
        "  layers=(",
        "    Conv2d(",
        "      weight=f32[6,3,3,3], bias=f32[6], in_channels=3, out_channels=6,",
        "      kernel_size=(3, 3), stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1),",
        "      groups=1, padding_mode='zeros'",
        "    )",
        "  )",
        ")",
    ]


def test_repr_of_other_values():
    class Empty(nn.Module):
        pass

    assert repr(Empty()) == "Empty()"
    assert "scale=bf16[3]" in repr(Affine(np.ones(3, fg.numpy.bfloat16)))
    assert "shift={'a': u8[2], 'b': (c128[1],)}" in repr(
        Affine(1.0, {"a": np.ones(2, np.uint8), "b": (np.ones(1, complex),)})
    )
    texts = []
    fg.jit(lambda m: texts.append(repr(m)) or m.scale)(Affine(np.ones(2, np.float32)))
    assert "scale=f32[2]" in texts[0]


def test_many_threads_can_make_modules():
    made, errors = [], []

    def work():
        try:
            made.extend(Tower(2) for _ in range(50))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len({tree.structure(model) for model in made}) == 1


def test_signatures_are_those_of_init():
    class Scale(nn.Module):
        factor: float
        shift: float = 0.0

    assert list(inspect.signature(Scale).parameters) == ["factor", "shift"]
    assert list(inspect.signature(nn.Linear).parameters)[:3] == [
        "in_features",
        "out_features",
        "use_bias",
    ]


def test_text_of_any_tree():
    tree = {"a": [np.ones(2, np.float32), None], "model": Affine(1.0), "step": 3, "t": (1,)}
    assert nn.tree_pformat(tree).splitlines() == [
        "{",
        "  'a': [f32[2], None],",
        "  'model': Affine(scale=1.0, shift=0.0, name='affine'),",
        "  'step': 3,",
        "  't': (1,)",
        "}",
    ]
    state = fg.optim.adam(0.1).init(np.zeros(3))
    assert nn.tree_pformat(state[0]) == "ScaleByAdamState(count=i64[], mu=f64[3], nu=f64[3])"
