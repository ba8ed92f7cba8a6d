"""How far apart two results are."""
import math

from same_values import tensors


def same_numbers(a, b, tolerance, where="result"):
    """The first difference between two results, but for times and sizes of memory; empty: none."""
    if isinstance(a, dict):
        return next((d for key in a if not any(part in key for part in ("second", "memory", "passes", "out"))
                     if (d := same_numbers(a[key], b.get(key), tolerance, f"{where}.{key}"))), "")
    if isinstance(a, list):
        return next((d for i, (x, y) in enumerate(zip(a, b)) if (d := same_numbers(x, y, tolerance, f"{where}[{i}]"))), "") \
            if len(a) == len(b) else f"{where}: {len(a)} and {len(b)}"
    if isinstance(a, float) and isinstance(b, (float, int)):
        return "" if math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance) else f"{where}: {a} and {b}"
    return "" if a == b else f"{where}: {a} and {b}"


def worst(a, b):
    """The largest difference of two safetensors files' numbers, of the largest of their tensor."""
    x, y = tensors(a)[0], tensors(b)[0]
    found = 0.0
    for name, (_, values) in x.items():
        largest = max(map(abs, values), default=0) or 1
        found = max(found, max((abs(p - q) for p, q in zip(values, y[name][1])), default=0) / largest)
    return found if x.keys() == y.keys() else math.inf
