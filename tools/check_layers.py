#!/usr/bin/env python3
"""Fails on an #include that the architecture does not allow (docs/architecture.md, "Layers")."""
import pathlib
import re
import sys

DIRECT = {
    "base": [],
    "text": ["base"],
    "checkpoint": ["base"],
    "model": ["checkpoint"],
    "data": ["text", "model"],
    "neuron": ["model", "data"],
    "evaluate": ["neuron"],
    "train": ["evaluate"],
    "analysis": ["train"],
    "recipe": ["analysis"],
    "continual": ["train"],
    "experiment": ["analysis", "continual"],
    "report": ["base"],
}
DIRECT["cli"] = list(DIRECT)


def reachable(module):
    found, todo = {module}, [module]
    while todo:
        for below in DIRECT[todo.pop()]:
            if below not in found:
                found.add(below)
                todo.append(below)
    return found


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    pattern = re.compile(r'^\s*#include\s+"(?:taskneuron/)?([a-z_]+)/[^"]+"', re.M)
    wrong = 0
    for base in (root / "src", root / "include" / "taskneuron"):
        for path in sorted(base.rglob("*.[ch]*")):
            module = path.relative_to(base).parts[0]
            if module not in DIRECT:
                continue
            allowed = reachable(module)
            for target in pattern.findall(path.read_text()):
                if target not in allowed:
                    print(f"{path.relative_to(root)}: {module} may not include {target}")
                    wrong += 1
            if base.name == "taskneuron" and re.search(r'#include\s+"(?!taskneuron/)', path.read_text()):
                print(f"{path.relative_to(root)}: a public header includes a private one")
                wrong += 1
    print("layers: " + ("every include is allowed" if wrong == 0 else f"{wrong} wrong includes"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
