from __future__ import annotations

import json
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from m3compress.errors import CheckpointError
from m3compress.models.readers.tensorflow_bundle import read_bundle

FOLDER = "M3GNet-MP-2021.2.8-EFS-tensorflow"
FOOTER = 48
DTYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9}
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"

# --- the original M3GNet -----------------------------------------------------------------------

MODULES = {
    "edge": "bond_network/update_func",
    "node": "atom_network/bond_dense",
    "edge_w": "bond_network/weight_func/kernel",
    "node_w": "atom_network/weight_update/kernel",
}
THREE_BODY = {
    "atom.w": "update_network/pipe/layers/0/kernel",
    "atom.b": "update_network/pipe/layers/0/bias",
    "bond.w": "update_network2/pipe/layers/0/kernel",
    "bond.g": "update_network2/gate/layers/0/kernel",
}


def bundle_name(name: str) -> str:
    """Name in the bundle of an array of weights.npz."""
    if name == "embed":
        return "featurizer/atom_network/embedding/embeddings" + SUFFIX
    if name == "edge_w":
        return "feature_adjust/update_func/pipe/layers/0/kernel" + SUFFIX
    if match := re.fullmatch(r"tb(\d)\.(.*)", name):
        return f"three_interactions/{match[1]}/{THREE_BODY[match[2]]}{SUFFIX}"
    if match := re.fullmatch(r"gl(\d)\.(edge_w|node_w)", name):
        return f"graph_layers/{match[1]}/{MODULES[match[2]]}{SUFFIX}"
    match = re.fullmatch(
        r"(?:gl(\d)\.(edge|node)|final)\.(layers|gates)\.(\d)\.(weight|bias)", name
    )
    assert match, name
    block, module, branch, layer, kind = match.groups()
    where = (
        f"graph_layers/{block}/{MODULES[module]}"
        if block
        else "final/layers/0/atom_network/update_func"
    )
    branch = {"layers": "pipe", "gates": "gate"}[branch]
    kind = {"weight": "kernel", "bias": "bias"}[kind]
    # Position in torch.nn.Sequential counts the activations too, position in Keras does not.
    return f"{where}/{branch}/layers/{int(layer) // 2}/{kind}{SUFFIX}"


@pytest.fixture
def prefix(shared: Path, tmp_path: Path) -> Path:
    """Prefix of a copy of the checkpoint that a test may damage."""
    for path in (shared / "models" / FOLDER).glob("m3gnet.*"):
        shutil.copyfile(path, tmp_path / path.name)  # contents only: the originals are read-only
    return tmp_path / "m3gnet"


def test_every_array_is_bit_identical(shared: Path) -> None:
    folder = shared / "models" / FOLDER
    tensors = read_bundle(folder / "m3gnet")
    with np.load(folder / "weights.npz") as weights:
        names = {name: bundle_name(name) for name in weights.files if name != "refs"}
        assert sorted(names.values()) == sorted(tensors)  # one to one, nothing left over
        for name, key in names.items():
            got = tensors[key] if name == "embed" else tensors[key].T  # npz: [out, in]
            assert got.dtype == weights[name].dtype, name
            assert got.shape == weights[name].shape, name
            assert got.tobytes() == weights[name].tobytes(), name
        config = json.loads(json.loads((folder / "m3gnet.json").read_text()))["config"]
        np.testing.assert_array_equal(weights["refs"], config["element_refs"])


@pytest.mark.parametrize("kept", [0, 1, FOOTER - 1, FOOTER, 1000, -FOOTER, -1])
def test_truncated_index(prefix: Path, kept: int) -> None:
    path = index_of(prefix)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"m3gnet\.index: .*expected"):
        read_bundle(prefix)


@pytest.mark.parametrize("kept", [0, 1, 100_000, -1])
def test_truncated_data(prefix: Path, kept: int) -> None:
    path = shard_of(prefix)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"data-00000-of-00001: has \d+ bytes, but") as error:
        read_bundle(prefix)
    assert error.value.hint


def test_flipped_bytes_in_the_index(prefix: Path) -> None:
    size = index_of(prefix).stat().st_size
    for position in [*range(0, size, 97), *range(size - FOOTER - 10, size)]:
        flip(index_of(prefix), position)
        with pytest.raises(CheckpointError, match=r"m3gnet\.index: "):
            read_bundle(prefix)
        flip(index_of(prefix), position)
    read_bundle(prefix)


@pytest.mark.parametrize("position", [0, 40_000, 500_000, 910_195])
def test_flipped_byte_in_the_data(prefix: Path, position: int) -> None:
    flip(shard_of(prefix), position)
    with pytest.raises(CheckpointError, match=r"tensor '.*' has checksum .* expected"):
        read_bundle(prefix)


def test_missing_shard(prefix: Path) -> None:
    shard_of(prefix).unlink()
    with pytest.raises(CheckpointError, match="data-00000-of-00001: No such file") as error:
        read_bundle(prefix)
    assert "prefix" in error.value.hint


# --- bundles made here, after the format's documents -------------------------------------------


def index_of(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".index")


def shard_of(prefix: Path, shard: int = 0, shards: int = 1) -> Path:
    return prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}")


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x10
    path.write_bytes(data)


def masked_crc32c(data: bytes) -> int:
    """Bit by bit, to share nothing with what is tested."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def blob(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def entry(
    dtype: int,
    shape: tuple[int, ...],
    offset: int,
    data: bytes,
    shard: int = 0,
    size: int | None = None,
) -> bytes:
    dims = b"".join(blob(2, number(1, n) + blob(2, b"axis")) for n in shape)
    crc = varint(6 << 3 | 5) + struct.pack("<I", masked_crc32c(data))
    size = len(data) if size is None else size
    return (
        number(1, dtype)
        + blob(2, dims)
        + number(3, shard)
        + number(4, offset)
        + number(5, size)
        + crc
    )


def block(pairs: list[tuple[bytes, bytes]], interval: int = 2, kind: int = 0) -> bytes:
    """Block with its trailer; a restart point every ``interval`` keys."""
    out, restarts, last = b"", [], b""
    for count, (key, value) in enumerate(pairs):
        shared = 0
        if count % interval == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        out += (
            varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        )
        last = key
    out += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    return seal(out, kind)


def seal(content: bytes, kind: int = 0) -> bytes:
    content += bytes([kind])
    return content + struct.pack("<I", masked_crc32c(content))


def table(blocks: list[bytes]) -> bytes:
    """Table of sealed blocks; the index keys are never used by a reader from the start."""
    body, handles = b"", []
    for sealed in [*blocks, block([])]:
        handles.append(varint(len(body)) + varint(len(sealed) - 5))
        body += sealed
    *handles, meta = handles
    index = block([(b"%04d" % i, handle) for i, handle in enumerate(handles)])
    footer = meta + varint(len(body)) + varint(len(index) - 5)
    return body + index + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def header(shards: int = 1, extra: bytes = b"") -> tuple[bytes, bytes]:
    return b"", number(1, shards) + blob(3, number(1, 1)) + extra


def write(prefix: Path, pairs: list[tuple[bytes, bytes]], data: bytes = b"") -> None:
    index_of(prefix).write_bytes(table([block(pairs)]))
    shard_of(prefix).write_bytes(data)


def test_types_shapes_blocks_and_shards(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    # Sizes around the CRC's lanes of 128 bytes, a scalar, an empty array; four types; three shards.
    shapes = [(n,) for n in [*range(1, 40), 123, 124, 125, 127, 128, 129, 1000]]
    shapes += [(), (0, 3), (3, 0), (2, 3, 4)]
    arrays = {
        f"layer_{i:03d}/kernel": rng.integers(-(2**31), 2**31, shape).astype(list(DTYPES)[i % 4])
        for i, shape in enumerate(shapes)
    }
    files, pairs = [b"", b"", b""], [header(3)]
    pairs.append((b"\x01strings", entry(7, (2,), 0, b"ab" * 9, shard=2)))
    files[2] += b"ab" * 9
    for i, (name, array) in enumerate(arrays.items()):
        raw = array.tobytes()
        pairs.append(
            (
                name.encode(),
                entry(DTYPES[array.dtype.name], array.shape, len(files[i % 3]), raw, i % 3),
            )
        )
        files[i % 3] += raw + b"gap"
    prefix = tmp_path / "model.v1"
    cut = [pairs[start : start + 7] for start in range(0, len(pairs), 7)]
    index_of(prefix).write_bytes(table([block(part, interval=3) for part in cut]))
    for shard, content in enumerate(files):
        shard_of(prefix, shard, 3).write_bytes(content)
    tensors = read_bundle(prefix)
    assert list(tensors) == list(arrays)
    for name, array in arrays.items():
        assert tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(tensors[name], array, strict=True)
        assert tensors[name].flags.writeable
    shard_of(prefix, 1, 3).unlink()
    with pytest.raises(CheckpointError, match="data-00001-of-00003: No such file"):
        read_bundle(prefix)


def test_checksum_of_the_standard(tmp_path: Path) -> None:
    # RFC 3720, B.4: CRC32C of 32 zero bytes is 0x8a9136aa.
    assert masked_crc32c(bytes(32)) == ((0x8A9136AA >> 15 | 0x8A9136AA << 17) + 0xA282EAD8) % 2**32
    write(tmp_path / "m", [header(), (b"a", entry(1, (8,), 0, bytes(32)))], bytes(32))
    np.testing.assert_array_equal(read_bundle(tmp_path / "m")["a"], np.zeros(8, np.float32))


F4 = bytes(range(16))
NEGATIVE = 2**64 - 1


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "begins with the key"),
        ([(b"a", entry(1, (4,), 0, F4))], "begins with the key b'a'"),
        ([header(0)], "gives 0 shards"),
        ([header(NEGATIVE)], "gives .* shards"),
        ([header(extra=number(2, 1))], "big-endian"),
        ([header(extra=blob(3, number(2, 9)))], "bundle version 9"),
        ([header(extra=b"\x0b")], "wire type 3"),
        ([header(extra=b"\x12\x7f")], "end inside 127"),
        ([header(extra=b"\x80" * 11)], "varint"),
        ([header(extra=b"\x08" + b"\xff" * 9 + b"\x7f")], "varint"),
        ([header(), (b"b", entry(1, (4,), 0, F4)), (b"a", b"")], "increasing"),
        ([header(), (b"a", entry(1, (4,), 0, F4)), (b"a", entry(1, (4,), 0, F4))], "increasing"),
        ([header(), (b"\xff", entry(1, (4,), 0, F4))], "not UTF-8"),
        ([header(), (b"a" * 1025, entry(1, (4,), 0, F4))], "1025 bytes, limit"),
        ([header(), (b"a", entry(14, (8,), 0, F4))], "data type 14"),
        ([header(), (b"a", entry(1, (4,), 0, F4) + blob(7, b""))], "slices"),
        ([header(), (b"a", entry(1, (4,), 0, F4, shard=1))], "shard 1"),
        ([header(), (b"a", entry(1, (5,), 0, F4))], "has 16 bytes, expected 20"),
        ([header(), (b"a", entry(1, (NEGATIVE,), 0, F4))], "impossible shape"),
        ([header(), (b"a", entry(1, (0, 2**62), 0, b""))], "impossible shape"),
        ([header(), (b"a", entry(1, (1,) * 33, 0, b"abcd"))], "impossible shape"),
        ([header(), (b"a", entry(1, (2**40,), 0, F4, size=2**42))], "together"),
        ([header(), (b"a", entry(1, (4,), 1, F4))], "ends at byte 17"),
        ([header(), (b"a", entry(1, (4,), NEGATIVE, F4))], "ends at byte"),
        ([header(), (b"a", entry(7, (1,), 1, F4))], "ends at byte 17"),
        ([header(), (b"a", entry(1, (4,), 0, F4)), (b"b", entry(1, (4,), 0, F4))], "32 together"),
        ([header(), (b"a", entry(1, (4,), 0, b"other bytes here"))], "checksum"),
    ],
)
def test_hostile_messages(tmp_path: Path, pairs: list[tuple[bytes, bytes]], message: str) -> None:
    write(tmp_path / "m", pairs, F4)
    with pytest.raises(CheckpointError, match=message) as error:
        read_bundle(tmp_path / "m")
    assert error.value.hint


@pytest.mark.parametrize(
    ("sealed", "message"),
    [
        (block([header()], kind=1), r"compression 1 \(1: snappy\)"),
        (block([header()], kind=7), "compression 7"),
        (seal(b""), "restart points"),
        (seal(b"\xff" * 4), "4294967295 restart points"),
        (seal(b"\x05\x01\x01ab" + struct.pack("<2I", 0, 1)), "shares 5 bytes"),
        (seal(b"\x00\x7f\x01ab" + struct.pack("<2I", 0, 1)), "end inside 127"),
        (seal(b"\x00\x00\x7fab" + struct.pack("<2I", 0, 1)), "end inside 127"),
        (seal(b"\x00\x80" + struct.pack("<2I", 0, 1)), "varint"),
    ],
)
def test_hostile_blocks(tmp_path: Path, sealed: bytes, message: str) -> None:
    index_of(tmp_path / "m").write_bytes(table([sealed]))
    with pytest.raises(CheckpointError, match=message):
        read_bundle(tmp_path / "m")


@pytest.mark.parametrize("handle", [(0, 10**6), (2**63, 1), (0, 2**63), (10**6, 0)])
def test_block_out_of_bounds(tmp_path: Path, handle: tuple[int, int]) -> None:
    meta = block([])
    index = block([(b"a", varint(handle[0]) + varint(handle[1]))])
    footer = bytes([0, len(meta) - 5, len(meta), len(index) - 5]).ljust(40, b"\0")
    data = meta + index + footer + bytes.fromhex("57fb808b247547db")
    index_of(tmp_path / "m").write_bytes(data)
    with pytest.raises(CheckpointError, match="runs into the footer"):
        read_bundle(tmp_path / "m")


def test_missing_index_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"m\.index: No such file"):
        read_bundle(tmp_path / "m")
    index_of(tmp_path / "m").mkdir()
    with pytest.raises(CheckpointError, match=r"m\.index: "):
        read_bundle(tmp_path / "m")


def test_random_damage_never_escapes(tmp_path: Path) -> None:
    # Resealed, so that the damage gets past the checksums and into the parser.
    rng = np.random.default_rng(1)
    pairs = [header(), *((b"t%d" % i, entry(1, (2, 2), 16 * i, F4)) for i in range(3))]
    content = block(pairs)[:-5]
    shard_of(tmp_path / "m").write_bytes(F4 * 3)
    failures = 0
    for _ in range(300):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), rng.integers(1, 4)):
            damaged[position] = rng.integers(256)
        index_of(tmp_path / "m").write_bytes(table([seal(bytes(damaged))]))
        try:
            read_bundle(tmp_path / "m")
        except CheckpointError:
            failures += 1
    assert failures > 100
