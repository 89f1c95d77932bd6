"""Reader of TensorFlow 2 checkpoints ("tensor bundles") that needs only numpy.

``NAME.index`` is a LevelDB table (LevelDB ``doc/table_format.md``) that maps tensor names to
``BundleEntryProto`` messages (``tensorflow/core/protobuf/tensor_bundle.proto``); the entry of the
empty name is the ``BundleHeaderProto``. ``NAME.data-00000-of-0000N`` hold the raw tensor bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from m3compress.errors import CheckpointError

_MAGIC = bytes.fromhex("57fb808b247547db")  # table_format.md: 0xdb4775248b80fb57, little-endian
_FOOTER = 48  # two block handles padded with zeros to 40 bytes, then the magic number
_MAX_KEY = 1024  # prefix compression repeats keys for free: bounds what a small file expands to
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}  # tensorflow/core/framework/types.proto
_TYPES = "float32 (1), float64 (2), int32 (3), string (7), int64 (9)"
_SEED = np.array([0x54, 0x64, 0x1F, 0x64], np.uint8)  # bring a CRC32C from 0 to 0xffffffff
_LANE = 128  # bytes per lane of the vectorised CRC
_DAMAGED = "The file is damaged or incomplete: copy or download the checkpoint again."
_RESAVE = "Save the checkpoint again with TensorFlow 2's tf.train.Checkpoint and its defaults."
_RETYPE = "Save the checkpoint again with the variables in one of these data types."
_FILES = "Pass the prefix NAME of NAME.index and keep all NAME.data-*-of-* files beside it."


class _Entry(NamedTuple):
    """One tensor as the index describes it (BundleEntryProto)."""

    name: str
    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int


def read_bundle(prefix: Path) -> dict[str, np.ndarray]:
    """Read all tensors of a TensorFlow 2 checkpoint but strings, such as the object graph.

    Args:
        prefix: Path of the checkpoint without ``.index`` or ``.data-00000-of-00001``.

    Returns:
        Tensor name to array (float32, float64, int32 or int64), in the order of the index.

    Raises:
        CheckpointError: A file is missing, truncated, corrupted or of an unsupported kind.
    """
    index = Path(f"{prefix}.index")
    with _naming(index):
        shards, entries = _read_index(index.read_bytes())
    arrays: dict[str, np.ndarray] = {}
    for shard in sorted({entry.shard for entry in entries}):
        path = Path(f"{prefix}.data-{shard:05d}-of-{shards:05d}")
        with _naming(path):
            arrays.update(_read_shard(path, [e for e in entries if e.shard == shard]))
    return {entry.name: arrays[entry.name] for entry in entries if entry.name in arrays}


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Make an error raised inside a CheckpointError that names the file."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.message}", hint=error.hint) from error
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}", hint=_FILES) from error


def _need(held: object, message: str, hint: str = _DAMAGED) -> None:
    """Fail with the message unless the condition held."""
    if not held:
        raise CheckpointError(message, hint=hint)


def _read_index(data: bytes) -> tuple[int, list[_Entry]]:
    """Return the number of shards and all entries of an index file."""
    pairs = _table(data)
    key, value = next(pairs, (b"(none)", b""))
    _need(key == b"", f"begins with the key {key!r}, expected the empty one of the bundle header")
    numbers, blobs = _message(value)
    shards = numbers.get(1, 0)
    _need(1 <= shards < 2**31, f"the header gives {shards} shards, expected at least 1")
    _need(numbers.get(2, 0) == 0, "the tensors are big-endian, expected little-endian", _RESAVE)
    version = _message(b"".join(blobs.get(3, [])))[0].get(2, 0)  # VersionDef.min_consumer
    _need(version <= 1, f"needs a reader of bundle version {version}, expected at most 1", _RESAVE)
    entries: list[_Entry] = []
    for following, value in pairs:
        # The keys of a table increase; insisting on it also keeps a block from being listed twice.
        _need(following > key, f"key {following!r} follows {key!r}, expected increasing keys")
        key = following
        entries.append(_entry(key, value, shards))
    return shards, entries


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a LevelDB table."""
    _need(len(data) >= _FOOTER, f"has {len(data)} bytes, expected at least a footer of {_FOOTER}")
    body, footer, magic = data[:-_FOOTER], data[-_FOOTER:-8], data[-8:]
    _need(magic == _MAGIC, f"ends with {magic.hex()}, expected the magic number {_MAGIC.hex()}")
    _, position = _block(body, footer, 0)  # the metaindex: of no use, but damage there counts
    index, position = _block(body, footer, position)
    _need(not any(footer[position:]), "the padding of the footer has other bytes than zeros")
    for _, handle in _pairs(index):
        yield from _pairs(_block(body, handle, 0)[0])


def _block(body: bytes, handle: bytes, position: int) -> tuple[bytes, int]:
    """Return the checked contents of the block that a BlockHandle (offset, size) points to."""
    offset, position = _varint(handle, position)
    size, position = _varint(handle, position)
    what, end = f"block of {size} bytes at byte {offset}", offset + size
    _need(end + 5 <= len(body), f"{what} runs into the footer at byte {len(body)}")
    stored = int.from_bytes(body[end + 1 : end + 5], "little")  # after 1 byte: the compression
    _check_crc(np.frombuffer(body, np.uint8)[offset : end + 1], stored, what)
    _need(body[end] == 0, f"{what} has compression {body[end]} (1: snappy), expected 0", _RESAVE)
    return body[offset:end], position


def _pairs(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the entries of a block, undoing the prefix compression of the keys."""
    # Restart points serve searches; read from the start, they only tell where the entries end.
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    _need(end >= 0, f"a block of {len(block)} bytes claims {restarts} restart points")
    entries, key, position = block[:end], b"", 0
    while position < end:
        shared, position = _varint(entries, position)
        fresh, position = _varint(entries, position)
        size, position = _varint(entries, position)
        _need(shared <= len(key), f"a key shares {shared} bytes with one of {len(key)} bytes")
        _need(shared + fresh <= _MAX_KEY, f"a key has {shared + fresh} bytes, limit {_MAX_KEY}")
        suffix, position = _take(entries, position, fresh)
        key = key[:shared] + suffix
        value, position = _take(entries, position, size)
        yield key, value


def _entry(key: bytes, value: bytes, shards: int) -> _Entry:
    """Read and check a BundleEntryProto, except for what depends on the data file."""
    name = key.decode(errors="replace")
    _need(name.encode() == key, f"the tensor name {key!r} is not UTF-8")
    numbers, blobs = _message(value)
    dtype, shard, size = numbers.get(1, 0), numbers.get(3, 0), numbers.get(5, 0)
    _need(7 not in blobs, f"tensor {name!r} is saved in slices, expected a whole tensor", _RESAVE)
    known = dtype in _DTYPES or dtype == 7
    _need(known, f"tensor {name!r} has data type {dtype}, expected one of {_TYPES}", _RETYPE)
    _need(shard < shards, f"tensor {name!r} is in shard {shard}, expected 0 to {shards - 1}")
    # TensorShapeProto.dim = 2, Dim.size = 1; a message met twice is merged, that is, concatenated.
    dims = _message(b"".join(blobs.get(2, [])))[1].get(2, [])
    shape = tuple(_message(dim)[0].get(1, 0) for dim in dims)
    if dtype in _DTYPES:
        possible = len(shape) <= 32 and math.prod(n or 1 for n in shape) < 2**48  # numpy's limits
        _need(possible, f"tensor {name!r} has the impossible shape {shape}")
        expected = math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize
        _need(size == expected, f"tensor {name!r} {shape} has {size} bytes, expected {expected}")
    return _Entry(name, dtype, shape, shard, numbers.get(4, 0), size, numbers.get(6, 0))


def _read_shard(path: Path, entries: list[_Entry]) -> dict[str, np.ndarray]:
    """Read and check the numeric tensors of one data file."""
    length, total = path.stat().st_size, sum(entry.size for entry in entries)
    # Tensors do not overlap; if they did, a small file could fill the memory.
    _need(total <= length, f"has {length} bytes, but its tensors have {total} together")
    for entry in entries:
        end = entry.offset + entry.size
        _need(end <= length, f"has {length} bytes, but tensor {entry.name!r} ends at byte {end}")
    arrays: dict[str, np.ndarray] = {}
    for entry in (e for e in entries if e.dtype in _DTYPES):
        raw = np.fromfile(path, np.uint8, entry.size, offset=entry.offset)
        _need(raw.size == entry.size, f"ends inside tensor {entry.name!r}")
        _check_crc(raw, entry.crc, f"tensor {entry.name!r}")
        arrays[entry.name] = raw.view(_DTYPES[entry.dtype]).reshape(entry.shape)
    return arrays


def _message(data: bytes) -> tuple[dict[int, int], dict[int, list[bytes]]]:
    """Split a protobuf message into its numbers (the last one counts) and its byte fields."""
    numbers: dict[int, int] = {}
    blobs: dict[int, list[bytes]] = {}
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        field, wire = tag >> 3, tag & 7
        _need(wire in (0, 1, 2, 5), f"a protobuf field has wire type {wire}, expected 0, 1, 2 or 5")
        if wire == 0:
            numbers[field], position = _varint(data, position)
        elif wire == 2:
            size, position = _varint(data, position)
            content, position = _take(data, position, size)
            blobs.setdefault(field, []).append(content)
        else:
            content, position = _take(data, position, 8 if wire == 1 else 4)
            numbers[field] = int.from_bytes(content, "little")
    return numbers, blobs


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Read a base-128 integer of at most 64 bits; return it and the position after it."""
    value = 0
    for index, byte in enumerate(data[position : position + 10]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80 and value < 2**64:
            return value, position + index + 1
    raise CheckpointError(f"byte {position} of a record starts no 64-bit varint", hint=_DAMAGED)


def _take(data: bytes, position: int, size: int) -> tuple[bytes, int]:
    """Return ``size`` bytes and the position after them, or fail where there are fewer."""
    _need(position + size <= len(data), f"{len(data)} bytes end inside {size} at byte {position}")
    return data[position : position + size], position + size


def _check_crc(data: np.ndarray, stored: int, what: str) -> None:
    """Compare the CRC32C of the data, masked as in LevelDB ``util/crc32c.h``, with the stored."""
    # From a state of 0, a CRC is linear: leading zeros change nothing, a byte adds (XOR) what its
    # place in the lane makes of it, and the CRC so far acts like 4 bytes at the next lane's start.
    padding = np.zeros(-(_SEED.size + data.size) % _LANE, np.uint8)
    lanes = np.concatenate([padding, _SEED, data]).reshape(-1, _LANE)
    sums = np.zeros(len(lanes), np.uint32)
    for table, column in zip(_tables(), np.ascontiguousarray(lanes.T), strict=True):
        sums ^= table[column]
    crc, (a, b, c, d) = 0, _tables()[:4].tolist()
    for lane in sums.tolist():
        crc = lane ^ a[crc & 255] ^ b[crc >> 8 & 255] ^ c[crc >> 16 & 255] ^ d[crc >> 24]
    crc ^= 0xFFFFFFFF
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    _need(masked == stored, f"{what} has checksum {masked:#010x}, expected {stored:#010x}")


@cache
def _tables() -> np.ndarray:
    """Return what a byte [place in a lane, value] adds to the CRC at the end of the lane."""
    table: np.ndarray = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ (table & 1) * np.uint32(0x82F63B78)  # Castagnoli, bit-reflected
    rows = [table]
    for _ in range(_LANE - 1):
        rows.append(table[rows[-1] & 0xFF] ^ (rows[-1] >> 8))
    return np.array(rows[::-1])
