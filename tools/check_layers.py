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
    "continual": ["train"],
    "recipe": ["analysis", "continual"],
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


def modules_of(root):
    """The modules that have a folder, of sources or of public headers."""
    return {folder.name for base in (root / "src", root / "include" / "taskneuron")
            for folder in base.iterdir() if folder.is_dir()}


def main():
    root = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    pattern = re.compile(r'^\s*#include\s+"(?:taskneuron/)?([a-z_]+)/[^"]+"', re.M)
    wrong = 0
    for module in sorted(modules_of(root) ^ set(DIRECT)):
        print(f"{module}: " + ("listed in tools/check_layers.py, but no such folder" if module in DIRECT
                               else "a folder that tools/check_layers.py does not know"))
        wrong += 1
    for base in (root / "src", root / "include" / "taskneuron"):
        for path in sorted(base.rglob("*.[ch]*")):
            module = path.relative_to(base).parts[0]
            if module not in DIRECT:
                continue  # named above
            allowed = reachable(module)
            for target in pattern.findall(path.read_text()):
                if target not in allowed:
                    print(f"{path.relative_to(root)}: {module} may not include {target}")
                    wrong += 1
            if base.name == "taskneuron" and re.search(r'#include\s+"(?!taskneuron/)', path.read_text()):
                print(f"{path.relative_to(root)}: a public header includes a private one")
                wrong += 1
    print("layers: " + ("every include is allowed" if wrong == 0 else f"{wrong} wrong"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
