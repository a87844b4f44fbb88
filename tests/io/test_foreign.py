"""R72: files of other formats are refused by their first bytes and never executed."""

import gzip
import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from funcgrad.errors import CheckpointError
from funcgrad.io import load


class Payload:
    """A pickle that would leave a file behind if it were loaded."""

    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return os.system, (f"touch {self.victim}",)


def zip_of(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.ones(2), b=np.zeros(3))
    return buffer.getvalue()


def npy():
    buffer = io.BytesIO()
    np.save(buffer, np.ones(2))
    return buffer.getvalue()


OLD_TORCH = b"\x80\x02" + bytes.fromhex("8a0a6cfc9c46f9206aa85019") + b".\x80\x02M\xe9\x03."
FILES = {
    "npz": (npz(), "np.load"),
    "npy": (npy(), "np.load"),
    "torch": (zip_of(data__pkl=b"\x80\x02.", version="3"), "safetensors.torch.save_file"),
    "old torch": (OLD_TORCH, "safetensors.torch.save_file"),
    "keras": (zip_of(metadata__json="{}", model__weights__h5=b""), "keras.models.load_model"),
    "zip": (zip_of(readme__txt="hello"), "Unpack it"),
    "broken zip": (zip_of(readme__txt="hello")[:40], "Unpack it"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "h5py"),
    "gzip": (gzip.compress(b"x" * 100), "gunzip"),
    **{
        f"pickle {protocol}": (pickle.dumps({"a": list(range(50))}, protocol), "pickle")
        for protocol in range(2, 6)
    },
}


@pytest.mark.parametrize("kind", FILES)
def test_r72_the_converter_is_named(tmp_path, kind):
    content, converter = FILES[kind]
    path = tmp_path / f"model.{kind}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is no safetensors file") as caught:
        load(path, {"a": np.zeros(2)})
    assert converter in str(caught.value)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_r72_payload_does_not_run(tmp_path, protocol):
    victim = tmp_path / "victim"
    path = tmp_path / "model.safetensors"
    for content in (pickle.dumps(Payload(victim), protocol), zip_of(data__pkl=b"")):
        path.write_bytes(content)
        with pytest.raises(CheckpointError):
            load(path)
    assert not victim.exists()


def test_a_header_length_that_looks_like_a_pickle_is_fine(tmp_path):
    """1152 bytes of header: the file begins with 0x80 0x04, as pickles do."""
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(1152)
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert load(path)["a"].shape == (1,)


def test_text_is_not_mistaken(tmp_path):
    path = tmp_path / "model.json"
    path.write_text('{"weights": [1, 2, 3], "note": "a JSON file"}')
    with pytest.raises(CheckpointError, match="no safetensors file"):
        load(path)
