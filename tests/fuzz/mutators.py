"""Damage to bytes, text and JSON, each drawn from a seeded random generator."""

import copy
import json
import re
import struct
import zlib
from random import Random
from typing import Any

NUMBERS = (b"0", b"-1", b"7", b"999999999", b"4294967296", b"")
WORD, DIGITS = re.compile(rb"[A-Za-z_][A-Za-z0-9_]{2,20}"), re.compile(rb"\d+")
TOKENS = (
    "*a", "&a ", "!!int ", "!!float ", "!!set ", "!!omap ", "!!binary ", "!!timestamp ",
    "!!python/name:os ", "? ", "- ",
    "[", "{", "}", "]", ": ", ",", "\t", "\n", "\r", "'",
    '"', "|", "> ", "<<: ", "%", "@", "`", "1e9", "1e999", "0x", "0o",
    "1_0", ".nan", "-.inf", "2020-01-01", "2020-99-99T", "true", "~", "\u2028", "\x85", "\ufeff",
    "\x00", "\x1b[31m", "\u202e",
    "#", "9" * 50, ":59:59", "\\x00", '"\\ud800"', "---\n", "...\n", "NaN", "\\u", "[" * 40,
)  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**70, 10**400, 1.5, 1e308, float("nan"), float("inf"), -0.0,
    "", "x", "1", "\x00", "\ud800",
    "\x1b[31m", "\u202e", "a" * 5000, "a.jpg", "..", "../a.jpg", "C:\\a.jpg", "http://[",
    "/dev/zero", [], {}, [[]], [[1]],
    [[1, 2, 3, 4, 5, 6]], [1, 2, 3, 4, 5, 6], {"counts": [], "size": [40, 60]}, {"counts": "",
    "size": [40, 60]},
    {"counts": "o" * 50, "size": [40, 60]}, [None] * 8, [[float("nan")] * 6], {"a": 1}, {"": ""},
    ["a", "a"],
)  # fmt: skip


def damage_bytes(data: bytes, rng: Random) -> bytes:
    """Return bytes cut, flipped, moved or filled, or with a word or number in them changed."""
    changed, how = bytearray(data or b"\0"), rng.randrange(8)
    place = rng.randrange(len(changed))
    if how == 0:
        del changed[place:]
    elif how == 1:
        for _ in range(rng.choice([1, 1, 2, 8])):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    elif how == 2:
        for _ in range(rng.choice([1, 2, 8])):
            changed[rng.randrange(min(len(changed), 4096))] = rng.choice(
                [0, 255, 127, 128, rng.randrange(256)]
            )
    elif how == 3:
        del changed[place : place + rng.randrange(1, 64)]
    elif how == 4:
        other = rng.randrange(len(changed))
        changed[place:place] = changed[other : other + rng.randrange(1, 64)]
    elif how == 5:
        size = rng.choice([2, 4, 8])
        changed[place : place + size] = rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1]).to_bytes(
            8, rng.choice(["little", "big"])
        )[:size]
    else:
        _damage_text_in(changed, WORD if how == 6 else DIGITS, rng)
    return bytes(changed)


def _damage_text_in(changed: bytearray, pattern: re.Pattern[bytes], rng: Random) -> None:
    start = rng.randrange(len(changed))
    found = pattern.search(changed, start) or pattern.search(changed)
    if not found:
        return
    word = bytearray(found[0])
    word[rng.randrange(len(word))] = rng.choice(b"QZ_x\xff\x00 7")
    changed[found.start() : found.end()] = word if pattern is WORD else rng.choice(NUMBERS)


def damage_text(text: str, rng: Random) -> str:
    """Return text with tokens of YAML, JSON and terminals in odd places."""
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(text) + 1)
        text = text[:place] + rng.choice(TOKENS) + text[place + rng.choice([0, 0, 1, 3]) :]
    return text


def damage_json(value: Any, rng: Random) -> str:
    """Return a JSON text with one to three values missing or odd; some are broken as text, too."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        path = rng.choice(list(_paths(value))[1:] or [()])
        if not path:
            break
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        if rng.random() < 0.2:
            del parent[path[-1]]
        else:
            parent[path[-1]] = copy.deepcopy(rng.choice(ODD))
    text = json.dumps(value)
    return damage_text(text, rng) if rng.random() < 0.1 else text


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Any:
    yield path
    for key in (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    ):
        yield from _paths(value[key], (*path, key))


def damage_png(data: bytes, rng: Random) -> bytes:
    """Return a PNG with one chunk changed, dropped or doubled, its checksum right."""
    chunks, place = [], 8
    while place + 12 <= len(data):
        length = struct.unpack(">I", data[place : place + 4])[0]
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    number = rng.randrange(len(chunks))
    name, content = chunks[number]
    how = rng.randrange(5)
    if how == 0:
        del chunks[number]
    elif how == 1:
        chunks.insert(rng.randrange(len(chunks)), (name, content))
    elif how == 2:
        chunks[number] = (
            rng.choice([b"PLTE", b"tRNS", b"IHDR", b"eXIf", b"acTL", b"iCCP", b"sBIT"]),
            content,
        )
    else:
        chunks[number] = (name, damage_bytes(content, rng) if content else rng.randbytes(9))
    parts = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return data[:8] + b"".join(parts)


def damage_safetensors(data: bytes, rng: Random) -> bytes:
    """Return a safetensors file whose header is odd but of the length that stands before it."""
    length = struct.unpack("<Q", data[:8])[0]
    header = damage_json(json.loads(data[8 : 8 + length]), rng).encode(errors="replace")
    return struct.pack("<Q", len(header)) + header + data[8 + length :]
