"""Everything that can be saved comes back exactly; what cannot is refused by name (R66, R68, R69)."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays

from funcgrad import tree
from funcgrad.io import load, load_dict, load_metadata, save
from funcgrad.ir.types import ShapeDtypeStruct
from funcgrad.nn import Module, tree_equal

base = np.arange(24, dtype=np.float32).reshape(4, 6)
LAYOUTS = {
    "transposed": base.T,
    "fortran": np.asfortranarray(base),
    "strided": base[::2, 1::3],
    "reversed": base[::-1, ::-1],
    "broadcast": np.broadcast_to(np.float32(3), (5, 2)),
    "big_endian": base.astype(">f4"),
    "unaligned": np.frombuffer(b"x" + base.tobytes(), np.uint8)[1:].view(np.float32),
    "memory_of_another": base.reshape(2, 12)[1],
}
DTYPES = [
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
    *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2),
]
SHAPES = [(), (0,), (3, 0, 2), (1,), (2, 3)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.safetensors"


@pytest.mark.parametrize("name", LAYOUTS)
def test_r68_memory_layouts(path, name):
    array = LAYOUTS[name]
    save(path, {"x": array})
    found = load(path)["x"]
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.flags.c_contiguous and found.flags.writeable


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_r69_dtypes_and_shapes(path, dtype, shape):
    size = int(np.prod(shape))
    array = np.arange(1, size + 1).astype(dtype).reshape(shape)
    save(path, {"x": array})
    found = load(path)["x"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()


@given(
    arrays.arrays(
        st.sampled_from(["<f8", ">f4", "<c16", "<c8", "|b1", "<i4", ">u2"]),
        arrays.array_shapes(min_dims=0, min_side=0, max_side=4),
    ),
    st.data(),
)
def test_round_trip_of_any_view(tmp_path_factory, array, data):
    view = array
    if array.ndim:
        view = array[data.draw(arrays.basic_indices(array.shape, allow_newaxis=True))]
    file = tmp_path_factory.getbasetemp() / "any.safetensors"
    save(file, view)
    found = load(file)
    assert found.shape == np.shape(view)
    assert found.tobytes() == np.asarray(view).astype(array.dtype.newbyteorder("=")).tobytes()


@pytest.mark.parametrize(
    "leaf",
    [
        np.array([object()]),
        np.array(["text"]),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.zeros(2, [("a", "f4")]),
        np.zeros(2, np.longdouble),
        np.zeros(2, ml_dtypes.int4),
        2**70,
    ],
    ids=lambda leaf: str(getattr(leaf, "dtype", "big int")),
)
def test_r69_other_dtypes_are_refused_by_name(path, leaf):
    with pytest.raises(TypeError, match=r"layers\.0\.labels is an array of dtype"):
        save(path, {"layers": [{"labels": leaf}]})
    assert not path.exists()


def test_masked_arrays_are_refused(path):
    with pytest.raises(TypeError, match="the mask would be lost"):
        save(path, {"x": np.ma.masked_array([1.0, 2.0], [True, False])})


def test_python_numbers_keep_their_class(path):
    numbers = {"i": 3, "f": 2.5, "b": True, "c": 1 + 2j, "n": np.float32(4)}
    save(path, numbers)
    found = load(path)
    assert [type(found[key]) for key in "ifbc"] == [int, float, bool, complex]
    again = load(path, numbers)
    assert again == numbers and type(again["n"]) is np.float32


def test_nan_payloads_and_signed_zeros_survive(path):
    bits = np.array([0x7FF8000000000001, 0x8000000000000000, 0xFFF0000000000000], np.uint64)
    save(path, {"x": bits.view(np.float64)})
    assert load(path)["x"].tobytes() == bits.tobytes()


def test_single_array_as_the_whole_tree(path):
    save(path, np.arange(3))
    np.testing.assert_array_equal(load(path), np.arange(3))
    np.testing.assert_array_equal(load(path, np.zeros(3, int)), np.arange(3))


def test_empty_tree(path):
    save(path, {"nothing": None})
    assert load(path) == {}
    assert load(path, {"nothing": None}) == {"nothing": None}


class Block(Module):
    weight: np.ndarray
    activation: object = np.tanh


class Model(Module):
    encoder: Block
    decoder: Block
    table: dict


def make_model(value=0.0):
    shared = Block(np.full((2, 3), value))
    return Model(shared, shared, {"position": np.full(4, value), "f": abs})


def test_names_are_paths(path):
    save(path, {"layers": [make_model(1.0)], "step": np.int64(3)})
    assert sorted(load_dict(path)) == [
        "layers.0.decoder.weight",
        "layers.0.encoder.weight",
        "layers.0.table.position",
        "step",
    ]
    assert load(path)["layers"]["0"]["table"]["position"].shape == (4,)


def test_modules_keep_functions_and_class(path):
    model = make_model(1.0)
    save(path, model)
    found = load(path, make_model())
    assert type(found) is Model and found.encoder.activation is np.tanh and found.table["f"] is abs
    assert tree_equal(found, model)


def test_r66_tied_arrays_are_saved_once_and_tied_again(path):
    model = make_model(1.0)
    save(path, model)
    assert path.stat().st_size < 1000 + model.encoder.weight.nbytes + model.table["position"].nbytes
    found = load(path, make_model())
    assert found.encoder is found.decoder
    flat = load_dict(path)
    assert flat["encoder.weight"] is flat["decoder.weight"]


def test_r66_equal_arrays_stay_separate(path):
    save(path, {"a": np.ones(2), "b": np.ones(2)})
    found = load(path, {"a": np.zeros(2), "b": np.zeros(2)})
    assert found["a"] is not found["b"]


def test_tied_file_into_a_tree_without_ties(path):
    shared = np.ones(2)
    save(path, {"a": shared, "b": shared})
    found = load(path, {"a": np.zeros(2), "b": np.zeros(2)})
    np.testing.assert_array_equal(found["a"], found["b"])
    assert not np.shares_memory(found["a"], found["b"])


def test_untied_file_into_a_tied_tree(path):
    shared = np.zeros(2)
    save(path, {"a": np.ones(2), "b": np.ones(2)})
    found = load(path, {"a": shared, "b": shared})
    assert found["a"] is found["b"]
    save(path, {"b": np.ones(2)})
    assert load(path, {"a": shared, "b": shared})["a"].sum() == 2


def test_like_may_be_shapes_only(path):
    save(path, {"w": np.ones((2, 3), np.float32), "n": 3})
    like = {"w": ShapeDtypeStruct((2, 3), np.float32), "n": 0}
    found = load(path, like)
    assert found["w"].sum() == 6 and found["n"] == 3


def test_load_does_not_touch_its_template(path):
    model = make_model(0.0)
    save(path, make_model(1.0))
    load(path, model)
    assert model.encoder.weight.sum() == 0


def test_metadata_is_kept(path):
    save(path, {"x": np.ones(1)}, metadata={"format": "pt", "note": "größer\n"})
    assert load_metadata(path) == {"format": "pt", "note": "größer\n"}


@pytest.mark.parametrize("metadata", [{"epoch": 3}, {1: "a"}, {"a": None}])
def test_metadata_must_be_text(path, metadata):
    with pytest.raises(TypeError, match=r"json\.dumps"):
        save(path, {"x": np.ones(1)}, metadata=metadata)


def test_own_metadata_names_are_reserved(path):
    for metadata in ({"funcgrad": ""}, {"note": '{"funcgrad": "1"}'}):
        with pytest.raises(ValueError, match="funcgrad's own"):
            save(path, {"x": np.ones(1)}, metadata=metadata)


def test_the_same_tree_gives_the_same_bytes(path):
    tree = {"b": make_model(1.0), "a": np.array([1 + 2j]), "n": 3}
    save(path, tree)
    first = path.read_bytes()
    save(path, tree)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    "clash",
    [{"a.b": np.ones(1), "a": {"b": np.ones(1)}}, {"a": {"0": np.ones(1)}, "a.0": np.ones(1)}],
    ids=["dot", "index"],
)
def test_two_places_of_one_name_are_refused(path, clash):
    with pytest.raises(ValueError, match="two places of the tree have the name"):
        save(path, clash)


def test_reserved_tensor_name_is_refused(path):
    with pytest.raises(ValueError, match="__metadata__"):
        save(path, {"__metadata__": np.ones(1)})


def test_name_that_is_value_and_group(path):
    save(path, {"a": np.ones(1), "a.b": np.ones(1)})
    with pytest.raises(ValueError, match="load_dict"):
        load(path)
    assert sorted(load_dict(path)) == ["a", "a.b"]


def test_r75_keys_never_become_paths(tmp_path):
    save(tmp_path / "file", {"../outside": np.ones(1), "/etc/x": np.ones(1)})
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert sorted(load_dict(tmp_path / "file")) == ["../outside", "/etc/x"]


def test_files_of_the_library_alone_can_be_loaded(path):
    import safetensors.numpy

    safetensors.numpy.save_file({"layer.weight": np.ones((2, 2))}, path)
    assert load(path)["layer"]["weight"].sum() == 4
    assert load_metadata(path) == {}


def test_the_library_alone_reads_our_files(path):
    import safetensors.numpy

    save(path, {"layer": {"weight": np.arange(4.0).reshape(2, 2).T}})
    found = safetensors.numpy.load_file(path)
    np.testing.assert_array_equal(found["layer.weight"], [[0, 2], [1, 3]])


def test_a_mapped_file_can_be_saved_to_itself(path):
    raw = path.with_suffix(".raw")
    np.arange(100.0).tofile(raw)
    mapped = np.memmap(raw, np.float64, "r")
    save(raw, {"x": mapped})
    np.testing.assert_array_equal(load(raw)["x"], np.arange(100.0))


def test_structure_of_result_is_that_of_like(path):
    state = ({"a": np.ones(2)}, [np.zeros(3), None], make_model(2.0))
    save(path, state)
    assert tree.structure(load(path, state)) == tree.structure(state)
