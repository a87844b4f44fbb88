"""`Module`: subclassing it makes a frozen, dataclass-like class whose instances are trees."""

from __future__ import annotations

import abc
import dataclasses
import inspect
from collections.abc import Callable
from operator import attrgetter
from typing import Any, dataclass_transform

from funcgrad import tree
from funcgrad.nn.context import apply
from funcgrad.nn.filters import is_array
from funcgrad.nn.hints import (
    arguments_error,
    call_is_forward,
    check_keywords,
    frozen_field,
    unknown_attribute,
    unknown_field,
)
from funcgrad.nn.layout import Layout, build, make_layout
from funcgrad.nn.show import show_module
from funcgrad.nn.walk import is_module
from funcgrad.tree.registry import kind_of, register_attributes


def field(
    *,
    converter: Callable[[Any], Any] | None = None,
    static: bool = False,
    buffer: bool = False,
    **kwargs: Any,
) -> Any:
    """Options of one field of a `Module`.

    Args:
        converter: applied to the value when the module is made.
        static: never a child, even if the value is an array.
        buffer: arrays that belong to the model but are not trained, such as batch statistics: gradients have
            None for them.
        **kwargs: as for `dataclasses.field` (`default`, `default_factory`, `kw_only`, ...).

    Example:
        >>> import numpy as np
        >>> class Scale(Module):
        ...     factor: np.ndarray = field(converter=np.asarray)
        >>> Scale([1.0, 2.0]).factor
        array([1., 2.])
    """
    options = {"static": static, "buffer": buffer, "converter": converter}
    metadata = {**kwargs.pop("metadata", {}), **options}
    return dataclasses.field(metadata=metadata, **kwargs)


@dataclass_transform(field_specifiers=(field, dataclasses.field))
class ModuleType(abc.ABCMeta):
    """The class of module classes: makes each a dataclass and a tree node, and freezes instances."""

    _generates_init: bool
    _accepts_any: bool

    def __new__(mcs, name: str, bases: tuple, namespace: dict, /, **options: Any) -> ModuleType:
        cls = super().__new__(mcs, name, bases, namespace, **options)
        parents = [base for base in bases if isinstance(base, ModuleType)]
        if "forward" in namespace and not any("__call__" in vars(base) for base in cls.__mro__):
            cls.__call__ = call_is_forward
        has_init = "__init__" in namespace
        cls._generates_init = not has_init and all(base._generates_init for base in parents)
        is_annotated = bool(inspect.get_annotations(cls))
        # A class with an `__init__` and no annotations has the fields that `__init__` sets.
        cls._accepts_any = any(base._accepts_any for base in parents) or (
            has_init and not is_annotated
        )
        if is_annotated or len(parents) != 1:  # else it has the fields of its parent
            dataclasses.dataclass(init=cls._generates_init, repr=False, eq=False)(cls)
        register_attributes(
            cls,
            attrgetter("_layout"),
            attrgetter("children"),
            build,
            identity=True,
            constants_of=attrgetter("constants"),
        )
        return cls

    @property
    def __signature__(cls) -> inspect.Signature:
        """The arguments of `__init__`, for `help`, notebooks and editors."""
        own = inspect.signature(cls.__init__)
        return own.replace(parameters=list(own.parameters.values())[1:])

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls._generates_init:
            check_keywords(cls, kwargs)
        try:
            module = super().__call__(*args, **kwargs)
        except TypeError as error:
            explained = arguments_error(cls, error)
            if explained is None:
                raise
            raise explained from None
        _complete(module)
        _freeze(module, _field_names(module))
        return module


class Module(metaclass=ModuleType):
    """Base class of models: a frozen dataclass that is also a tree.

    Annotate the fields; `__init__` is generated unless the class has its own, and only `__init__` may
    set them. Fields that hold arrays or modules, or containers with some, are children of the tree; all
    others (numbers, functions, strings, None) are static. So `grad`, `jit` and `vmap` take a module as it
    is. A module or array that is used twice stays one object through all of them.

    Example:
        >>> import numpy as np
        >>> class Affine(Module):
        ...     scale: np.ndarray
        ...     shift: float = 1.0
        ...     def __call__(self, x):
        ...         return self.scale * x + self.shift
        >>> model = Affine(np.array([2.0, 3.0]))
        >>> model(1.0)
        array([3., 4.])
        >>> model
        Affine(scale=f64[2], shift=1.0)
    """

    def replace(self, **changes: Any) -> Any:
        """A copy of this module with other values in some fields.

        Raises:
            AttributeError: there is no such field.

        Example:
            >>> class Power(Module):
            ...     exponent: int
            >>> Power(2).replace(exponent=3).exponent
            3
        """
        layout: Layout = self._layout
        for name in changes:
            if name not in layout.fields:
                raise AttributeError(unknown_field(type(self), name, layout.fields))
        copy = build(layout, tuple([getattr(self, name) for name in layout.children]))
        copy.__dict__.update(changes)
        _freeze(copy, layout.fields, layout.children, layout.frozen)
        return copy

    def apply(
        self,
        *args: Any,
        train: bool = False,
        key: Any = None,
        method: str | Callable[..., Any] = "__call__",
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """Call the model in training or inference mode, with everything in it that is random or has a state.

        Args:
            *args: what the model is called with.
            train: whether dropout drops and batch statistics are computed and updated.
            key: random key or seed for all layers inside that draw.
            method: another method to call, or a function of the model and `args`.
            **kwargs: for the method.

        Returns:
            (result, model with the new state). The model itself is not changed; without changes it is returned.

        Raises:
            RuntimeError: a layer needs a key and none was given; names its path.

        Example:
            >>> import numpy as np
            >>> from funcgrad import nn
            >>> model = nn.Sequential([nn.BatchNorm1d(3), nn.Dropout(0.5)])
            >>> y, model = model.apply(np.ones((4, 3), np.float32), train=True, key=0)
            >>> int(model[0].num_batches_tracked)
            1
        """
        return apply(self, args, kwargs, train=train, key=key, method=method)

    def __setattr__(self, name: str, value: Any) -> None:
        cls = type(self)
        if _is_frozen(self):
            raise dataclasses.FrozenInstanceError(frozen_field(cls, name))
        if not cls._accepts_any and name not in cls.__dataclass_fields__:
            raise AttributeError(unknown_field(cls, name, cls.__dataclass_fields__))
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if _is_frozen(self):
            raise dataclasses.FrozenInstanceError(frozen_field(type(self), name))
        object.__delattr__(self, name)

    def __getattr__(self, name: str) -> Any:
        attributes = self.__dict__
        if name == "_layout" and "_template" in attributes:
            return _current_layout(self, attributes["_template"])
        text = unknown_attribute(type(self), name, attributes)
        raise AttributeError(text, name=name, obj=self)

    def __reduce__(self) -> Any:
        layout = self._layout
        return build, (layout, tuple([getattr(self, name) for name in layout.children]))

    def __repr__(self) -> str:
        return show_module(self)


# --- making a module ---


def _complete(module: Any) -> None:
    """Fill in defaults that an own `__init__` did not set, and apply converters."""
    attributes, cls, missing = module.__dict__, type(module), []
    for one in dataclasses.fields(cls):
        if one.name not in attributes:
            if one.default_factory is not dataclasses.MISSING:
                attributes[one.name] = one.default_factory()
            elif one.default is not dataclasses.MISSING:
                attributes[one.name] = one.default
            else:
                missing.append(one.name)
                continue
        converter = one.metadata.get("converter")
        if converter is not None:
            attributes[one.name] = converter(attributes[one.name])
    if missing:
        raise ValueError(
            f"[{cls.__name__}] __init__ did not set the fields {missing}. Set each one in __init__, for "
            f"example self.{missing[0]} = ..., or give it a default where it is annotated."
        )


def _field_names(module: Any) -> tuple[str, ...]:
    declared = [one.name for one in dataclasses.fields(module)]
    return tuple(dict.fromkeys([*declared, *module.__dict__]))


def _freeze(
    module: Any,
    fields: tuple[str, ...],
    known_children: tuple[str, ...] = (),
    frozen: tuple[str, ...] = (),
) -> None:
    """Decide which fields are children; from here on the module cannot be changed."""
    attributes, declared = module.__dict__, type(module).__dataclass_fields__
    children, static = [], {}
    for name in fields:
        value = attributes[name]
        is_declared_static = name in declared and declared[name].metadata.get("static", False)
        if not is_declared_static and (name in known_children or _holds_arrays(value)):
            children.append(name)
        else:
            static[name] = value
    frozen = tuple([name for name in frozen if name in children])
    layout = make_layout(type(module), fields, tuple(children), static, frozen)
    attributes.pop("_layout", None)
    attributes.pop("_template", None)
    attributes["_template" if layout.is_snapshot else "_layout"] = layout


def _current_layout(module: Any, template: Layout) -> Layout:
    """The layout with the present content of lists, dicts and sets among the static fields."""
    static = {name: module.__dict__[name] for name in template.static}
    return make_layout(template.cls, template.fields, template.children, static, template.frozen)


def _is_child(value: Any) -> bool:
    return is_module(value) or is_array(value)


def _holds_arrays(value: Any) -> bool:
    if kind_of(type(value)).is_leaf:
        return is_array(value)
    return is_module(value) or any(map(_is_child, tree.leaves(value, is_leaf=is_module)))


def _is_frozen(module: Any) -> bool:
    return "_layout" in module.__dict__ or "_template" in module.__dict__
