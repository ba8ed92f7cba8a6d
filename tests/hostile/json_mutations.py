"""Wrong and odd forms of a JSON file, each with a name that says what was done to it."""
import json

MISSING = object()
# What stands in a value's place.
VALUES = {
    "missing": MISSING, "null": None, "true": True, "text": "x", "empty text": "", "zero byte": "a\0b", "long text": "a" * 100_000,
    "no UTF-8": "a\udcff", "-1": -1, "0": 0, "1.5": 1.5, "2^63": 2**63, "-2^63": -2**63, "10^9": 10**9, "1e308": 1e308,
    "empty list": [], "list": ["x", 1], "empty object": {}, "object": {"x": 1}, "false": False, "path": "../../../escaped",
    "control characters": "a\x1b[2Jb\r\n", "number as text": "12", "list of lists": [[[]]],
}


def places(value, path=()):
    """Paths of all values, from the outside in."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key in value:
            found += places(value[key], path + (key,))
    elif isinstance(value, list):
        for index in range(len(value)):
            found += places(value[index], path + (index,))
    return found


def name_of(path):
    return "".join(f"[{part}]" if isinstance(part, int) else f"/{part}" for part in path)


def replaced(value, path, new):
    """A copy with another value at a place, or without one."""
    value = dict(value) if isinstance(value, dict) else list(value)
    head, rest = path[0], path[1:]
    if rest:
        value[head] = replaced(value[head], rest, new)
    elif new is MISSING:
        del value[head]
    else:
        value[head] = new
    return value


def encoded(value):
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")


def twice(value, path):
    """The text with a key twice, or nothing where the place is no key."""
    if not isinstance(path[-1], str):
        return None
    marker = "\x01again"
    holder = value
    for part in path[:-1]:
        holder = holder[part]
    pairs = dict(holder)
    pairs[marker] = holder[path[-1]]
    outer = replaced(value, path[:-1], pairs) if path[:-1] else pairs
    return encoded(outer).replace(json.dumps(marker).encode(), json.dumps(path[-1], ensure_ascii=False).encode(), 1)


def spread(items, most):
    """At most so many of them, evenly."""
    if len(items) <= most:
        return items
    return [items[i * len(items) // most] for i in range(most)]


def of_values(value, most):
    """(name, bytes) of every replacement at up to `most` places."""
    found = []
    for path in spread(places(value), most):
        for name, new in VALUES.items():
            found.append((f"{name_of(path)} {name}", encoded(replaced(value, path, new))))
        text = twice(value, path)
        if text:
            found.append((f"{name_of(path)} twice", text))
    return found


def crowded(text):
    """60,000 keys more, each with an object: below a megabyte."""
    more = ",".join(f'"k{i:05d}":{{}}' for i in range(60_000))
    return text.rstrip()[:-1] + b"," + more.encode() + b"}"


def of_bytes(text, most):
    """(name, bytes) of single bytes that are wrong or gone, evenly over the text."""
    found = []
    for place in spread(range(len(text)), most):
        flipped = text[:place] + bytes([text[place] ^ 1]) + text[place + 1:]
        found += [(f"byte {place} flipped", flipped), (f"byte {place} gone", text[:place] + text[place + 1:])]
    return found


def of_text(text):
    """(name, bytes) of what is no such file at all, and of one with far too much in it."""
    return [
        ("60,000 objects more", crowded(text)),
        ("empty", b""), ("blank", b" \n"), ("null", b"null"), ("number", b"1"), ("list", b"[]"), ("object", b"{}"),
        ("half", text[:len(text) // 2]), ("all but the last byte", text.rstrip()[:-1]), ("doubled", text + text),
        ("comma behind", text + b","), ("byte order mark", b"\xef\xbb\xbf" + text), ("UTF-16", text.decode().encode("utf-16")),
        ("zero bytes", b"\0" * 1000), ("no UTF-8", text.replace(b'"', b'"\xff', 1)), ("deep lists", b"[" * 100_000),
        ("deep objects", b'{"a":' * 100_000), ("many lists", b"[" + b"[]," * 300_000 + b"[]]"), ("infinite", text.replace(b":", b": Infinity,", 1)),
        ("comment", b"// x\n" + text), ("single quotes", text.replace(b'"', b"'")), ("control", text.replace(b'"', b'"\x01', 1)),
        ("text", b"hello, world\n"), ("git-lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
    ]
