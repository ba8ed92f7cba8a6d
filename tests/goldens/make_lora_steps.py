#!/usr/bin/env python3
"""Makes tests/fixtures/lora_steps: the losses of SeqLoRA and O-LoRA, step by step, on a tiny Llama.

    python3 tests/goldens/make_lora_steps.py      (needs Debian's python3-torch and python3-numpy)

A plain PyTorch program of the published formulations, which shares nothing with the library: LoRA (Hu et al.
2022) on q_proj and v_proj of tests/fixtures/hf_parity/llama, every example alone, gradients by autograd,
torch.optim.AdamW, in float64. Two stages of full batches. SeqLoRA goes on with the adapters of the first;
O-LoRA (Wang et al. 2023) freezes them, adds new ones, and adds lambda times the sum of |A_1 A_2^T| over its
entries and all adapted matrices to the loss. Each stage has an optimizer of its own.

The fixture holds, for stages 1 and 2: `A_<stage>_<layer>_<q|v>` (what A starts at; B starts at zero), the texts
`ids_<stage>_<e>` with `answer_tokens_<stage>_<e>`, and `loss_<run>`, one number a step before its update, of the
runs first, seqlora and o_lora, with `penalty_o_lora`, lambda included. Settings are the constants below.
"""
import json
import math
import pathlib
import struct

import torch
import torch.nn.functional as F

from make_variants import attend, heads_of, rms_norm, save

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"
LAYERS, HEADS, WIDTH, VOCABULARY = 3, 4, 64, 97
RANK, ALPHA, LEARNING_RATE, DECAY, LAMBDA, STEPS = 4, 8.0, 5e-3, 0.1, 0.5, 8
TARGETS = [(l, n) for l in range(LAYERS) for n in "qv"]
LENGTHS = {1: ((12, 2), (7, 1), (15, 4)), 2: ((9, 3), (14, 1), (6, 2), (11, 5))}  # tokens, of the answer


def load(path):
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    tensors = {}
    for name, entry in json.loads(raw[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = (8 + size + at for at in entry["data_offsets"])
            flat = torch.frombuffer(bytearray(raw[begin:end]), dtype=torch.float32)
            tensors[name] = flat.view(entry["shape"]).double()
    return tensors


def rotate(x):  # [heads, T, hd]
    size = x.shape[-1]
    frequencies = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angle = torch.outer(torch.arange(x.shape[1], dtype=torch.float64), frequencies).repeat(1, 2)
    half = torch.cat([-x[..., size // 2:], x[..., :size // 2]], -1)
    return x * angle.cos() + half * angle.sin()


def project(w, adapters, layer, name, x):
    y = F.linear(x, w[f"model.layers.{layer}.self_attn.{name}_proj.weight"])
    for adapter in adapters:
        if (layer, name) in adapter:
            a, b = adapter[layer, name]
            y = y + ALPHA / RANK * F.linear(F.linear(x, a), b)
    return y


def logits_of(w, adapters, ids):
    x = w["model.embed_tokens.weight"][ids]
    for l in range(LAYERS):
        p = f"model.layers.{l}."
        h = rms_norm(w, p + "input_layernorm", x)
        q, k, v = (heads_of(project(w, adapters, l, n, h), HEADS) for n in "qkv")
        x = x + F.linear(attend(rotate(q), rotate(k), v), w[p + "self_attn.o_proj.weight"])
        h = rms_norm(w, p + "post_attention_layernorm", x)
        h = F.silu(F.linear(h, w[p + "mlp.gate_proj.weight"])) * F.linear(h, w[p + "mlp.up_proj.weight"])
        x = x + F.linear(h, w[p + "mlp.down_proj.weight"])
    return F.linear(rms_norm(w, "model.norm", x), w["lm_head.weight"])


def loss_of(w, adapters, examples):
    losses = []
    for ids, answer in examples:
        logits = logits_of(w, adapters, ids)
        losses.append(F.cross_entropy(logits[-answer - 1:-1], ids[-answer:]))  # mean over the answer
    return torch.stack(losses).mean()


def orthogonality(frozen, trained):
    return sum((frozen[t][0] @ trained[t][0].T).abs().sum() for t in trained)


def train(w, frozen, trained, examples):
    """Losses and penalties of each step; `trained` is changed."""
    optimizer = torch.optim.AdamW([m for pair in trained.values() for m in pair], lr=LEARNING_RATE,
                                  betas=(0.9, 0.999), eps=1e-8, weight_decay=DECAY)
    losses, penalties = [], []
    for _ in range(STEPS):
        loss = loss_of(w, frozen + [trained], examples)
        penalty = LAMBDA * sum((orthogonality(f, trained) for f in frozen), torch.zeros(()))
        losses.append(loss.item())
        penalties.append(penalty.item())
        optimizer.zero_grad()
        (loss + penalty).backward()
        optimizer.step()
    return torch.tensor(losses), torch.tensor(penalties)


def adapters_from(starts):
    return {t: (a.double().requires_grad_(), torch.zeros(WIDTH, RANK, dtype=torch.float64).requires_grad_())
            for t, a in starts.items()}


def copy_of(adapters, trains):
    return {t: tuple(m.detach().clone().requires_grad_(trains) for m in pair) for t, pair in adapters.items()}


def main():
    torch.manual_seed(20)
    w = load(FIXTURES / "hf_parity/llama/model.safetensors")
    bound = 1 / math.sqrt(WIDTH)
    starts = {s: {t: torch.empty(RANK, WIDTH).uniform_(-bound, bound) for t in TARGETS} for s in (1, 2)}
    examples = {s: [(torch.randint(3, VOCABULARY, (n,)), answer) for n, answer in LENGTHS[s]] for s in (1, 2)}
    golden = {f"A_{s}_{l}_{n}": a for s in starts for (l, n), a in starts[s].items()}
    for s in examples:
        for e, (ids, answer) in enumerate(examples[s]):
            golden[f"ids_{s}_{e}"], golden[f"answer_tokens_{s}_{e}"] = ids.int(), torch.tensor([answer]).int()

    first = adapters_from(starts[1])
    golden["loss_first"] = train(w, [], first, examples[1])[0]
    golden["loss_seqlora"] = train(w, [], copy_of(first, True), examples[2])[0]
    golden["loss_o_lora"], golden["penalty_o_lora"] = train(
        w, [copy_of(first, False)], adapters_from(starts[2]), examples[2])
    for name in ("loss_first", "loss_seqlora", "loss_o_lora", "penalty_o_lora"):
        print(name, *(f"{x:.6f}" for x in golden[name].tolist()))
    folder = FIXTURES / "lora_steps"
    folder.mkdir(exist_ok=True)
    save(folder / "golden.safetensors", golden)


if __name__ == "__main__":
    main()
