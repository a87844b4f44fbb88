"""Recognising files of other formats by their first bytes, and naming the way to convert them.

Nothing here reads more than the beginning of a file.
"""

from __future__ import annotations

PYTORCH = (
    "a PyTorch file, which contains a pickle. Convert it where PyTorch is installed:\n"
    "  safetensors.torch.save_file(torch.load(path, weights_only=True), 'model.safetensors')"
)
KERAS = (
    "a Keras file. Convert it where Keras is installed:\n"
    "  model = keras.models.load_model(path, safe_mode=True)\n"
    "  funcgrad.save('model.safetensors', {w.path: w.numpy() for w in model.weights})"
)
NPZ = (
    "a NumPy archive (.npz). Convert it:\n"
    "  funcgrad.save('model.safetensors', dict(np.load(path, allow_pickle=False)))"
)
ZIP = "a zip archive. Unpack it, and load the .safetensors file inside."
PICKLE = (
    "a pickle. Loading a pickle runs code from it, so funcgrad never does. Where you trust the file, "
    "load it with the library that wrote it and save its arrays:\n"
    "  funcgrad.save('model.safetensors', {'name': array})"
)
NPY = (
    "a NumPy array (.npy). Convert it:\n"
    "  funcgrad.save('model.safetensors', {'name': np.load(path, allow_pickle=False)})"
)
HDF5 = (
    "an HDF5 file. Convert it where h5py is installed:\n"
    "  with h5py.File(path) as file:\n"
    "      funcgrad.save('model.safetensors', {name: file[name][()] for name in names})"
)
COMPRESSED = "a compressed file. Unpack it first, for example with gunzip."

MAGIC = {
    b"\x93NUMPY": NPY,
    b"\x89HDF\r\n\x1a\n": HDF5,
    b"\x1f\x8b": COMPRESSED,
    b"BZh": COMPRESSED,
    b"\xfd7zXZ\x00": COMPRESSED,
    b"\x28\xb5\x2f\xfd": COMPRESSED,
}
# The number that PyTorch pickles in front of files of its old format.
OLD_PYTORCH = bytes.fromhex("8a0a6cfc9c46f9206aa85019")


def foreign_format(start: bytes) -> str | None:
    """What a file is that is not in safetensors format, and how to convert it; None if unknown.

    Args:
        start: the first bytes of the file, 512 if there are so many.
    """
    for magic, text in MAGIC.items():
        if start.startswith(magic):
            return text
    if start.startswith(b"PK\x03\x04"):
        return _zip_format(start)
    if OLD_PYTORCH in start:
        return PYTORCH
    if len(start) > 1 and start[0] == 0x80 and start[1] <= 5:
        return PICKLE
    return None


def _zip_format(start: bytes) -> str:
    """By the name of the first file inside, which stands behind 30 bytes of other things."""
    length = int.from_bytes(start[26:28], "little")
    first = start[30 : 30 + length].decode("utf-8", "replace")
    if first.endswith("data.pkl"):
        return PYTORCH
    if first in ("metadata.json", "config.json") or first.endswith(".weights.h5"):
        return KERAS
    return NPZ if first.endswith(".npy") else ZIP
