"""Malformed files, made of valid ones: bytes, trees of JSON and TOML, tables, archives.

Everything is drawn from one `random.Random`, so that an input is known by its seed. An input is a folder: the contents
of its files by their names.
"""

import gzip
import io
import json
import math
import re
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from automl_cf.reading import load_toml  # which refuses what takes gigabytes

Files = dict[str, bytes]

DEEP, LONG = 100_000, 100_000
MOST = 20_000_000  # bytes of repeated lines: damages come several at a time, and would multiply
_BOMB = 400_000_000  # bytes, which take a thousandth as many in an archive
_RAW = "\x00raw\x00"  # begins a text that stands for JSON as it is written, such as brackets that no parser may follow

NUMBERS = (
    *("0", "-1", "1e400", "-1e400", "1e308", "1e-400", "NaN", "nan", "Infinity", "-Infinity", "inf", "0x10", "1_000"),
    *("007", "9" * 400, str(2**31), str(2**32), str(2**53 + 1), str(2**63 - 1), str(2**63), str(2**64), "-" + "9" * 30),
    *("1" + "0" * 5000, "1.5", "", " ", "٣", "true", "null"),
)
TEXTS = (
    *("", " ", "\x00", "a\x00b", "\ufeff", "é", "\u202e", "🎲" * 20, "x" * 300, "../../x", "/etc/passwd", "/dev/stdin"),
    *("../outside/secret.txt", "..", ".", "a/b", "a\\b", "~", "$HOME", "%s%n", "{0}", "'", '"', "`", "\n", "\r\n", ","),
    *("<script>alert(1)</script>", "=1+1", "__import__('os').system('x')", "nan", "NaN", "None", "CON", "\x1b[31m"),
    *("plus(multiply(1,2),3)", "id0", "ok", "trial"),
)
BYTES = (
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3\x28", b"\xed\xa0\x80", b"\x80", b"\r", b"\n", b"\r\n", b",", b'"'),
    *(b"\t", b"::", b"#", b"\\", b"{", b"}", b"[", b"]", b"\xf0\x9f", b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"\x1a"),
)


def odd_value(rng: Random) -> Any:
    """A JSON value that is wrong nearly everywhere; texts that begin with `_RAW` are JSON as it is written."""
    return rng.choice(
        [
            *(None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400),
            *(
                0.5,
                -0.0,
                1e308,
                5e-324,
                math.nan,
                math.inf,
                -math.inf,
                [],
                {},
                [[]],
                [None],
                {"": None},
                [1, "a", None],
            ),
            *(_RAW + "1e400", _RAW + "9" * 5000, _RAW + "NaN", _RAW + '"\\ud800"', list(range(200)), "x" * LONG),
            *(_RAW + "[" * 2000 + "]" * 2000, _RAW + "[" * DEEP + "]" * DEEP, _RAW + '{"a":' * DEEP + "1" + "}" * DEEP),
            *(rng.choice(TEXTS) for _ in range(12)),
            *(rng.choice((1, -1)) * rng.getrandbits(rng.choice((4, 16, 40, 70))) for _ in range(4)),
            *(rng.choice((1, -1)) * 10.0 ** rng.randint(-310, 308) for _ in range(4)),
            {rng.choice(TEXTS): rng.choice(TEXTS) for _ in range(3)},
            [rng.choice(TEXTS) for _ in range(3)],
        ]
    )


# Bytes


def damaged_bytes(content: bytes, rng: Random, other: bytes = b"") -> bytes:
    """Bytes with one damage of any kind; `other` is another content, to be spliced with."""
    return rng.choice(_DAMAGES)(content, rng, other)


def _place(content: bytes, rng: Random) -> int:
    return rng.randint(0, len(content))


def _span(content: bytes, rng: Random) -> tuple[int, int]:
    start = _place(content, rng)
    return start, min(len(content), start + rng.choice((1, 2, 4, 16, 64, 1024)))


def _flipped(content: bytes, rng: Random, other: bytes) -> bytes:
    changed = bytearray(content or b"\x00")
    for _ in range(rng.choice((1, 1, 1, 2, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwritten(content: bytes, rng: Random, other: bytes) -> bytes:
    start, stop = _span(content, rng)
    return content[:start] + rng.randbytes(stop - start) + content[stop:]


def _cut(content: bytes, rng: Random, other: bytes) -> bytes:
    return content[: _place(content, rng)]


def _beheaded(content: bytes, rng: Random, other: bytes) -> bytes:
    return content[_place(content, rng) :]


def _without(content: bytes, rng: Random, other: bytes) -> bytes:
    start, stop = _span(content, rng)
    return content[:start] + content[stop:]


def _repeated(content: bytes, rng: Random, other: bytes) -> bytes:
    start, stop = _span(content, rng)
    times = rng.choice((1, 2, 10, 100))
    return content[:start] + content[start:stop] * (times + 1) + content[stop:]


def _inserted(content: bytes, rng: Random, other: bytes) -> bytes:
    at = _place(content, rng)
    return content[:at] + rng.choice(BYTES) * rng.choice((1, 1, 2, 5)) + content[at:]


def _texted(content: bytes, rng: Random, other: bytes) -> bytes:
    at = _place(content, rng)
    return content[:at] + rng.choice(TEXTS + NUMBERS).encode() + content[at:]


def _spliced(content: bytes, rng: Random, other: bytes) -> bytes:
    return content[: _place(content, rng)] + other[_place(other, rng) :]


def _renumbered(content: bytes, rng: Random, other: bytes) -> bytes:
    found = list(re.finditer(rb"-?\d+(\.\d+)?([eE][+-]?\d+)?", content))
    if not found:
        return _inserted(content, rng, other)
    number = rng.choice(found)
    return content[: number.start()] + rng.choice(NUMBERS).encode() + content[number.end() :]


def _lined(content: bytes, rng: Random, other: bytes) -> bytes:
    """Lines left out, twice, in another order, or joined."""
    lines = content.splitlines(keepends=True) or [b"\n"]
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    way = rng.randrange(5)
    if way == 0:
        del lines[i]
    elif way == 1:
        lines.insert(j, lines[i])
    elif way == 2:
        lines[i], lines[j] = lines[j], lines[i]
    elif way == 3:
        lines[i] = lines[i].rstrip(b"\r\n")
    else:
        lines[i] = lines[i] * min(rng.choice((2, 50, 500)), 1 + MOST // (len(lines[i]) + 1))
    return b"".join(lines)


def _nested(content: bytes, rng: Random, other: bytes) -> bytes:
    at = _place(content, rng)
    mark = rng.choice((b"[", b"{", b"(", b'{"a":', b"[1,", b"plus(", b'"', b"a.", b"[["))
    return content[:at] + mark * rng.choice((10, 2000, DEEP)) + content[at:]


def _lengthened(content: bytes, rng: Random, other: bytes) -> bytes:
    at = _place(content, rng)
    return content[:at] + rng.choice((b"a", b"0", b" ", b"\t", b",", b"\x00", b"\n")) * LONG + content[at:]


def _other_end(content: bytes, rng: Random, other: bytes) -> bytes:
    ways: list[bytes] = [content.replace(b"\n", b"\r\n"), content.replace(b"\n", b"\r"), b"\xef\xbb\xbf" + content]
    text = content.decode("latin-1")
    ways += [text.encode("utf-16"), content + b"\x00" * 100, b"", b"\n", rng.randbytes(rng.choice((1, 16, 500)))]
    return rng.choice(ways)


_DAMAGES: Sequence[Callable[[bytes, Random, bytes], bytes]] = (
    *(_flipped, _flipped, _overwritten, _cut, _beheaded, _without, _without, _repeated, _inserted, _inserted, _texted),
    *(_texted, _spliced, _renumbered, _renumbered, _renumbered, _lined, _lined, _nested, _lengthened, _other_end),
)


# Trees


def damaged_tree(tree: Any, rng: Random) -> Any:
    """A JSON tree in which one value, or one key, is wrong."""
    holders: list[Any] = []
    _collect(tree, holders)
    if not holders:
        return odd_value(rng)
    holder = rng.choice(holders)
    keys: list[Any] = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    if not keys or rng.random() < 0.05:
        if isinstance(holder, dict):
            holder[rng.choice(TEXTS)] = odd_value(rng)
        else:
            holder.append(odd_value(rng))
        return tree
    key = rng.choice(keys)
    way = rng.random()
    if way < 0.55:
        holder[key] = odd_value(rng)
    elif way < 0.7:
        del holder[key]
    elif way < 0.75 and isinstance(holder, dict):
        holder[rng.choice(TEXTS)] = holder.pop(key)
    elif way < 0.8:
        holder[key] = [holder[key]]
    elif way < 0.85 and isinstance(holder, list):
        holder.extend([holder[key]] * rng.choice((1, 2, 1000)))
    elif way < 0.9:
        other = rng.choice(keys)
        holder[key], holder[other] = holder[other], holder[key]
    elif isinstance(holder[key], bool):
        holder[key] = not holder[key]
    elif isinstance(holder[key], int | float):
        holder[key] = rng.choice((-1, 10, 1e6, 1e12, 0.5, 0)) * holder[key]
    else:
        holder[key] = str(holder[key])[: rng.randint(0, 20)]
    return tree


def _collect(tree: Any, holders: list[Any]) -> None:
    if isinstance(tree, dict | list):
        holders.append(tree)
        for value in tree.values() if isinstance(tree, dict) else tree:
            _collect(value, holders)


def json_text(tree: Any) -> bytes:
    """A tree as JSON, in which texts after `_RAW` are as they are."""
    text = json.dumps(tree)
    mark = json.dumps(_RAW)[1:-1]
    if mark in text:
        pattern = '"' + re.escape(mark) + r'((?:[^"\\]|\\.)*)"'
        text = re.sub(pattern, lambda found: str(json.loads(f'"{found[1]}"')), text)
    return text.encode("utf-8", "surrogatepass")


def damaged_json(content: bytes, rng: Random, other: bytes = b"") -> bytes:
    """JSON with a wrong value; content that is none is damaged as bytes."""
    try:
        return json_text(damaged_tree(json.loads(content), rng))
    except (ValueError, RecursionError):
        return damaged_bytes(content, rng, other)


def damaged_lines(content: bytes, rng: Random, other: bytes = b"") -> bytes:
    """Lines of JSON with a wrong value in one of them."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return damaged_bytes(content, rng, other)
    at = rng.randrange(len(lines))
    lines[at] = damaged_json(lines[at], rng) + b"\n"
    return b"".join(lines)


def damaged_toml(content: bytes, rng: Random, other: bytes = b"") -> bytes:
    """TOML with a wrong value."""
    try:
        return _toml(damaged_tree(load_toml(content.decode()), rng), top=True).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return damaged_bytes(content, rng, other)


def _toml(value: Any, top: bool = False) -> str:
    if isinstance(value, dict):
        pairs = [f"{json.dumps(key)} = {_toml(part)}" for key, part in value.items()]
        return "\n".join(pairs) + "\n" if top else "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str) and value.startswith(_RAW):
        return value[len(_RAW) :].replace('"a":', "a = ")
    return "null" if value is None else json.dumps(value)


# Tables


def damaged_csv(content: bytes, rng: Random, other: bytes = b"") -> bytes:
    """Separated text with a wrong field, row or column."""
    text = content.decode("utf-8", "replace")
    separator = next((mark for mark in ("\t", "::", ",", ";", " ") if mark in text), ",")
    rows = [line.split(separator) for line in text.splitlines()] or [[""]]
    at = rng.randrange(len(rows))
    column = rng.randrange(len(rows[at]) or 1)
    way = rng.randrange(9)
    if way <= 3:
        rows[at][column : column + 1] = [rng.choice(TEXTS + NUMBERS)]
    elif way == 4:
        del rows[at][column : column + 1]
    elif way == 5:
        rows[at] += [rng.choice(NUMBERS)] * rng.choice((1, 2, 1000))
    elif way == 6:
        rows = [[*row, *row[:1]] for row in rows]
    elif way == 7:
        rows = [[*row[:column], rng.choice(TEXTS + NUMBERS), *row[column + 1 :]] for row in rows]
    else:
        separator = rng.choice((",", ";", "\t", "|", "::", " ", "\x01", '","'))
    return "\n".join(separator.join(row) for row in rows).encode("utf-8", "surrogatepass") + b"\n"


def damaged_parquet(content: bytes, rng: Random, other: bytes = b"") -> bytes:
    """A Parquet file with odd columns, or one that claims more than it holds."""
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError, ValueError):
        return damaged_bytes(content, rng, other)
    way = rng.randrange(7) if rng.random() < 0.97 else 7  # the last one takes long
    rows = table.num_rows
    if way <= 2 and table.num_columns:
        at = rng.randrange(table.num_columns)
        name = rng.choice((table.column_names[at], table.column_names[at], rng.choice(TEXTS)))
        table = table.set_column(at, name, _odd_column(table.column(at), rows, rng))
    elif way == 3 and table.num_columns:
        names = list(table.column_names)
        names[rng.randrange(len(names))] = rng.choice([*names, *TEXTS])
        table = table.rename_columns(names)
    elif way == 4:
        table = table.slice(0, rng.choice((0, 0, 1, 4)))
    elif way == 5 and table.num_columns:
        table = table.drop_columns(rng.choice(table.column_names)) if _distinct(table) else table.select([])
    elif way == 7:
        table = _swollen(table, rng)
    else:
        known = dict(table.schema.metadata or {})
        known[b"pandas"] = damaged_json(known.get(b"pandas", b'{"index_columns": ["user"], "columns": []}'), rng)
        table = table.replace_schema_metadata(known)
    buffer = io.BytesIO()
    try:
        pyarrow.parquet.write_table(table, buffer, compression=rng.choice(("NONE", "snappy", "zstd")))
    except (pa.ArrowException, OSError, ValueError, OverflowError):
        return damaged_bytes(content, rng, other)
    return buffer.getvalue()


def _distinct(table: Any) -> bool:
    return bool(len(set(table.column_names)) == table.num_columns)


def _odd_column(column: Any, rows: int, rng: Random) -> Any:
    """A column of another type, with as many rows."""
    makers: list[Callable[[], Any]] = [
        lambda: pa.nulls(rows),
        lambda: pa.array([None] * rows, pa.float64()),
        lambda: pa.array([[i] for i in range(rows)]),
        lambda: pa.array([{"a": i} for i in range(rows)]),
        lambda: pa.array([[("k", i)] for i in range(rows)], pa.map_(pa.string(), pa.int64())),
        lambda: pa.array([Decimal(i) / 7 for i in range(rows)], pa.decimal128(38, 20)) if rows else pa.nulls(0),
        lambda: pa.array([Decimal(i) for i in range(rows)], pa.decimal256(60, 2)),
        lambda: pa.array([2**62 + i for i in range(rows)], pa.timestamp("s")),
        lambda: pa.array(range(rows), pa.timestamp("ns", "Europe/Berlin")),
        lambda: pa.array(range(rows), pa.date32()),
        lambda: pa.array(range(rows), pa.time64("us")),
        lambda: pa.array(range(rows), pa.duration("ms")),
        lambda: pa.array([i % 2 == 0 for i in range(rows)]),
        lambda: pa.array([b"\xff\xfe" + bytes([i % 256]) for i in range(rows)]),
        lambda: pa.array([f"u{i % 3}" for i in range(rows)]).dictionary_encode(),
        lambda: pa.array([math.nan] * rows),
        lambda: pa.array([rng.choice((math.inf, 1.0)) for _ in range(rows)]),
        lambda: pa.array([2**64 - 1 - i for i in range(rows)], pa.uint64()),
        lambda: pa.array(np.arange(rows, dtype=np.float16)),
        lambda: pa.array([rng.choice(TEXTS) for _ in range(rows)]),
        lambda: pa.array([rng.choice(TEXTS + NUMBERS) for _ in range(rows)]),
        lambda: pa.array(["x" * 10_000 + str(i) for i in range(rows)]),
        lambda: pa.array([rng.choice((1, None)) for _ in range(rows)], pa.int64()),
        lambda: pa.array(["\x00"] * rows),
    ]
    try:
        return rng.choice(makers)()
    except (pa.ArrowException, OverflowError, ValueError):
        return column


def _swollen(table: Any, rng: Random) -> Any:
    """A table whose file is small and whose contents are not: rows, or texts, that are all the same."""
    if rng.random() < 0.5:
        rows = rng.choice((1_000_000, 20_000_000))
        return pa.table({name: pa.array(np.zeros(rows, np.int64)) for name in table.column_names[:3] or ["a"]})
    texts = pa.array(["x" * 1_000_000]).dictionary_encode()
    many = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rng.choice((200, 2000)), np.int32)), texts.dictionary)
    names = list(dict.fromkeys(table.column_names)) or ["a"]
    return pa.table(dict.fromkeys(names, many))


# Archives and arrays


def damaged_zip(content: bytes, rng: Random, other: bytes = b"") -> bytes:
    """A zip archive, such as .npz, with odd members."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError, NotImplementedError):
        return damaged_bytes(content, rng, other)
    way = rng.randrange(6) if rng.random() < 0.97 else 6  # the last one takes long
    at = rng.randrange(len(members)) if members else 0
    link = False
    if members and way <= 2:
        name, part = members[at]
        members[at] = (name, damaged_npy(part, rng) if name.endswith(".npy") else damaged_bytes(part, rng))
    elif members and way == 3:
        name, part = members[at]
        members[at] = (rng.choice((*TEXTS[:-6], "../" * 9 + name, "/" + name)) or "x", part)
    elif members and way == 4:
        del members[at]
    elif members and way == 5:
        members.append(members[at])
        link = rng.random() < 0.5
    else:
        name = members[at][0] if members else "x"
        bomb = _npy_header("'<f8'", (_BOMB // 8,)) if name.endswith(".npy") else b""
        members[at : at + 1] = [(name, bomb + b"\x00" * _BOMB)]
    buffer = io.BytesIO()
    with zipfile.ZipFile(
        buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)), compresslevel=1
    ) as archive:
        for name, part in members:
            known = zipfile.ZipInfo(name.replace("\x00", "") or "x")
            known.compress_type = zipfile.ZIP_DEFLATED if len(part) > LONG else archive.compression
            if link and name == members[-1][0]:
                known.external_attr = 0o120777 << 16  # a symbolic link
                part = b"../outside/secret.txt"
            try:
                archive.writestr(known, part)
            except (ValueError, UnicodeEncodeError):
                continue
    return buffer.getvalue()


def damaged_npy(content: bytes, rng: Random, other: bytes = b"") -> bytes:
    """An array of NumPy with another header, or other contents."""
    shape = rng.choice([(10**12,), (2**40, 2**40), (0,), (-1,), (3, 0, 5), (1,) * 60, (7,), ("a",), (2**63,)])
    kind = rng.choice(["'<f8'", "'|O'", "'<U1000000000'", "'<i8'", "'|S5'", "[('a', '<f8')]", "'>f4'", "'<M8[s]'", "1"])
    way = rng.randrange(5)
    if way == 0:
        return _npy_header(kind, shape) + content[80:]
    if way == 1:
        return _npy_header("'|O'", (1,)) + b"\x80\x04cos\nsystem\n(S'x'\ntR."  # a pickle that would run a command
    if way == 2:
        return _npy_header("'<f8'", (3,), extra=rng.choice((b" " * 60_000, b"__import__('os')", b"(" * 5000))) + content
    if way == 3:
        return content[:6] + bytes([rng.randrange(256)]) + content[7:]
    return damaged_bytes(content, rng, other)


def _npy_header(kind: str, shape: Any, extra: bytes = b"") -> bytes:
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape!r}, }}".encode() + extra + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", min(len(header), 65535)) + header


def damaged_safetensors(content: bytes, rng: Random, other: bytes = b"") -> bytes:
    """A safetensors file with a wrong header, or other numbers."""
    if len(content) < 8:
        return damaged_bytes(content, rng, other)
    (length,) = struct.unpack("<Q", content[:8])
    header, numbers = content[8 : 8 + length], content[8 + length :]
    way = rng.randrange(5)
    if way <= 1:
        header = damaged_json(header, rng)
    elif way == 2:
        return struct.pack("<Q", rng.choice((0, 1, 2**63, 2**64 - 1, 10**8, length + 1))) + content[8:]
    elif way == 3:
        odd = struct.pack("<f", rng.choice((math.nan, math.inf, -3e38, 0.0)))
        numbers = odd * (len(numbers) // 4) if rng.random() < 0.5 else damaged_bytes(numbers, rng)
    else:
        return damaged_bytes(content, rng, other)
    return struct.pack("<Q", len(header)) + header + numbers


@cache
def _swelling() -> bytes:
    """A line of a gigabyte, compressed."""
    return gzip.compress(b" " * 100_000_000, 1) * 10


def damaged_gzip(content: bytes, rng: Random, other: bytes = b"") -> bytes:
    """A compressed log whose lines are wrong, or that is damaged itself, or that swells."""
    way = rng.randrange(6)
    if way == 0:
        return damaged_bytes(content, rng, other)
    if way == 1:
        return content + _swelling()
    if way == 2:
        return content + rng.choice((content, b"\x00" * 20, b"x"))
    try:
        lines = gzip.decompress(content)
    except (OSError, EOFError, ValueError):
        return damaged_bytes(content, rng, other)
    return gzip.compress((damaged_lines if way < 5 else damaged_bytes)(lines, rng), 1)


Damage = Callable[[bytes, Random, bytes], bytes]

BY_SUFFIX: Mapping[str, Damage] = {
    ".json": damaged_json,
    ".jsonl": damaged_lines,
    ".toml": damaged_toml,
    ".csv": damaged_csv,
    ".tsv": damaged_csv,
    ".txt": damaged_csv,
    ".parquet": damaged_parquet,
    ".npz": damaged_zip,
    ".zip": damaged_zip,
    ".safetensors": damaged_safetensors,
    ".gz": damaged_gzip,
}


def damaged_files(files: Files, others: Files, rng: Random, names: Sequence[str] = ()) -> Files:
    """A folder with one to four damages, in files with these `names`, or in any; `others` are of another example."""
    result = dict(files)
    among = [name for name in result if not names or name in names]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        name = rng.choice(among)
        if name not in result:
            continue
        if len(result) > 1 and rng.random() < 0.01:
            del result[name]
            continue
        suffix = name[name.rfind(".") :] if "." in name else ""
        by_form = BY_SUFFIX.get(suffix)
        damage = by_form if by_form is not None and rng.random() < 0.65 else damaged_bytes
        try:
            result[name] = damage(result[name], rng, others.get(name, b""))
        except Exception:  # what is damaged already may be too much so for its form
            result[name] = damaged_bytes(result[name], rng, others.get(name, b""))
    return result
