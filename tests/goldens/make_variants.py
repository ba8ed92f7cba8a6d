#!/usr/bin/env python3
"""Makes tests/fixtures/variants: options that the hf_parity checkpoints do not have, with goldens.

    python3 tests/goldens/make_variants.py      (needs Debian's python3-torch and python3-numpy)

The forward passes below follow transformers' modelling code and share nothing with the library: every
example alone, whole sequences, gradients by autograd. Goldens as in hf_parity.
"""
import json
import math
import pathlib
import struct

import torch
import torch.nn.functional as F

OUT = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "variants"
V, T_MAX = 61, 48


def save(path, tensors):
    header, data, at = {}, b"", 0
    for name, tensor in tensors.items():
        raw = tensor.detach().contiguous().numpy().tobytes()
        kind = {torch.float32: "F32", torch.int32: "I32"}[tensor.dtype]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [at, at + len(raw)]}
        data, at = data + raw, at + len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def attend(q, k, v):  # [heads, T, hd]
    scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
    mask = torch.full(scores.shape[1:], float("-inf")).triu(1)
    return (F.softmax(scores + mask, -1) @ v).transpose(0, 1).flatten(1)


def heads_of(x, heads):
    return x.view(x.shape[0], heads, -1).transpose(0, 1)


def rope(x, inv_freq):  # [heads, T, hd], the first 2·len(inv_freq) dimensions
    angle = torch.outer(torch.arange(x.shape[1], dtype=torch.float32), inv_freq)
    cos, sin = torch.cat([angle, angle], -1).cos(), torch.cat([angle, angle], -1).sin()
    n = 2 * len(inv_freq)
    rot, rest = x[..., :n], x[..., n:]
    half = torch.cat([-rot[..., n // 2:], rot[..., : n // 2]], -1)
    return torch.cat([rot * cos + half * sin, rest], -1)


def linear(w, name, x):
    return F.linear(x, w[name + ".weight"], w.get(name + ".bias"))


def layer_norm(w, name, x):
    return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], 1e-5)


def rms_norm(w, name, x):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * w[name + ".weight"]


def opt_forward(w, ids, act, out):  # post-norm with projections, as opt-350m
    x = linear(w, "model.decoder.project_in", w["model.decoder.embed_tokens.weight"][ids])
    x = x + w["model.decoder.embed_positions.weight"][torch.arange(len(ids)) + 2]
    for l in range(2):
        p = f"model.decoder.layers.{l}."
        q, k, v = (heads_of(linear(w, p + f"self_attn.{n}_proj", x), 4) for n in "qkv")
        x = layer_norm(w, p + "self_attn_layer_norm", x + linear(w, p + "self_attn.out_proj", attend(q, k, v)))
        h = act(l, F.relu(linear(w, p + "fc1", x)))
        x = layer_norm(w, p + "final_layer_norm", x + out(l, linear(w, p + "fc2", h)))
    return F.linear(linear(w, "model.decoder.project_out", x), w["model.decoder.embed_tokens.weight"])


def neox_forward(w, ids, act, out):  # use_parallel_residual false
    x = w["gpt_neox.embed_in.weight"][ids]
    inv = 10000.0 ** (-torch.arange(0, 4, 2) / 4)
    for l in range(2):
        p = f"gpt_neox.layers.{l}."
        qkv = linear(w, p + "attention.query_key_value", layer_norm(w, p + "input_layernorm", x))
        q, k, v = qkv.view(len(ids), 4, 3, 8).permute(2, 1, 0, 3)
        x = x + linear(w, p + "attention.dense", attend(rope(q, inv), rope(k, inv), v))
        h = act(l, F.gelu(linear(w, p + "mlp.dense_h_to_4h", layer_norm(w, p + "post_attention_layernorm", x))))
        x = x + out(l, linear(w, p + "mlp.dense_4h_to_h", h))
    return linear(w, "embed_out", layer_norm(w, "gpt_neox.final_layer_norm", x))


def llama3_frequencies(inv, factor=8.0, low=1.0, high=4.0, old=16):
    result = []
    for f in inv.tolist():
        wavelength = 2 * math.pi / f
        if wavelength < old / high:
            result.append(f)
        elif wavelength > old / low:
            result.append(f / factor)
        else:
            smooth = (old / wavelength - low) / (high - low)
            result.append((1 - smooth) * f / factor + smooth * f)
    return torch.tensor(result)


def llama_forward(scale):
    def forward(w, ids, act, out):
        x = w["model.embed_tokens.weight"][ids]
        inv = scale(100.0 ** (-torch.arange(0, 8, 2) / 8))
        for l in range(2):
            p = f"model.layers.{l}."
            h = rms_norm(w, p + "input_layernorm", x)
            q = rope(heads_of(linear(w, p + "self_attn.q_proj", h), 4), inv)
            k = rope(heads_of(linear(w, p + "self_attn.k_proj", h), 2), inv).repeat_interleave(2, 0)
            v = heads_of(linear(w, p + "self_attn.v_proj", h), 2).repeat_interleave(2, 0)
            x = x + linear(w, p + "self_attn.o_proj", attend(q, k, v))
            h = rms_norm(w, p + "post_attention_layernorm", x)
            h = act(l, F.silu(linear(w, p + "mlp.gate_proj", h)) * linear(w, p + "mlp.up_proj", h))
            x = x + out(l, linear(w, p + "mlp.down_proj", h))
        return linear(w, "lm_head", rms_norm(w, "model.norm", x))
    return forward


def shapes_opt():
    s = {"model.decoder.embed_tokens.weight": (V, 16), "model.decoder.embed_positions.weight": (T_MAX + 2, 32),
         "model.decoder.project_in.weight": (32, 16), "model.decoder.project_out.weight": (16, 32)}
    for l in range(2):
        p = f"model.decoder.layers.{l}."
        for n in ("q_proj", "k_proj", "v_proj", "out_proj"):
            s[p + f"self_attn.{n}.weight"], s[p + f"self_attn.{n}.bias"] = (32, 32), (32,)
        s[p + "fc1.weight"], s[p + "fc1.bias"] = (40, 32), (40,)
        s[p + "fc2.weight"], s[p + "fc2.bias"] = (32, 40), (32,)
        for n in ("self_attn_layer_norm", "final_layer_norm"):
            s[p + n + ".weight"], s[p + n + ".bias"] = (32,), (32,)
    return s


def shapes_neox():
    s = {"gpt_neox.embed_in.weight": (V, 32), "embed_out.weight": (V, 32),
         "gpt_neox.final_layer_norm.weight": (32,), "gpt_neox.final_layer_norm.bias": (32,)}
    for l in range(2):
        p = f"gpt_neox.layers.{l}."
        for n, o, i in (("attention.query_key_value", 96, 32), ("attention.dense", 32, 32),
                        ("mlp.dense_h_to_4h", 48, 32), ("mlp.dense_4h_to_h", 32, 48)):
            s[p + n + ".weight"], s[p + n + ".bias"] = (o, i), (o,)
        for n in ("input_layernorm", "post_attention_layernorm"):
            s[p + n + ".weight"], s[p + n + ".bias"] = (32,), (32,)
    return s


def shapes_llama():
    s = {"model.embed_tokens.weight": (V, 32), "lm_head.weight": (V, 32), "model.norm.weight": (32,)}
    for l in range(2):
        p = f"model.layers.{l}."
        for n, o, i in (("self_attn.q_proj", 32, 32), ("self_attn.k_proj", 16, 32), ("self_attn.v_proj", 16, 32),
                        ("self_attn.o_proj", 32, 32), ("mlp.gate_proj", 40, 32), ("mlp.up_proj", 40, 32),
                        ("mlp.down_proj", 32, 40)):
            s[p + n + ".weight"] = (o, i)
        s[p + "input_layernorm.weight"] = s[p + "post_attention_layernorm.weight"] = (32,)
    return s


LLAMA = {"model_type": "llama", "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": T_MAX, "vocab_size": V,
         "rms_norm_eps": 1e-6, "rope_theta": 100.0, "hidden_act": "silu", "eos_token_id": 0}
VARIANTS = {
    "opt_post_norm": (opt_forward, shapes_opt(), {
        "model_type": "opt", "hidden_size": 32, "ffn_dim": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
        "max_position_embeddings": T_MAX, "vocab_size": V, "word_embed_proj_dim": 16,
        "do_layer_norm_before": False, "activation_function": "relu", "eos_token_id": 0}),
    "gpt_neox_sequential": (neox_forward, shapes_neox(), {
        "model_type": "gpt_neox", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": T_MAX, "vocab_size": V, "rotary_pct": 0.5,
        "use_parallel_residual": False, "hidden_act": "gelu", "eos_token_id": 0}),
    "llama3_rope": (llama_forward(llama3_frequencies), shapes_llama(), {**LLAMA, "rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16}}),
    "llama_linear_rope": (llama_forward(lambda inv: inv / 4.0), shapes_llama(), {
        **LLAMA, "rope_scaling": {"type": "linear", "factor": 4.0}}),
}


def main():
    for number, (name, (forward, shapes, config)) in enumerate(VARIANTS.items()):
        torch.manual_seed(number)
        weights = {n: (1 + 0.1 * torch.randn(s)) if n.endswith("norm.weight") else 0.15 * torch.randn(s)
                   for n, s in shapes.items()}
        golden, relevance = {}, []
        for e, (length, answer) in enumerate(((14, 3), (7, 1), (30, 2))):
            ids = torch.randint(0, V, (length,))
            kept = {}

            def keep(kind):
                def hook(l, x):
                    x = x if x.requires_grad else x.detach().requires_grad_()
                    x.retain_grad()
                    kept[kind, l] = x
                    return x
                return hook

            logits = forward(weights, ids, keep("act"), keep("out"))
            loss = F.cross_entropy(logits[length - answer - 1:length - 1], ids[length - answer:])
            loss.backward()
            product = {kind: torch.stack([(kept[kind, l] * kept[kind, l].grad) for l in range(2)])
                       for kind in ("act", "out")}
            golden |= {f"ids_{e}": ids.int(), f"answer_tokens_{e}": torch.tensor([answer]).int(),
                       f"logits_{e}": logits, f"loss_{e}": loss.view(1),
                       f"signed_act_{e}": product["act"].sum(1), f"tokenabs_act_{e}": product["act"].abs().sum(1),
                       f"signed_down_{e}": product["out"].sum(1)}
            relevance.append(product["act"].sum(1).abs())
        golden["relevance_act"] = torch.stack(relevance).mean(0)
        folder = OUT / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        save(folder / "model.safetensors", weights)
        save(folder / "golden.safetensors", golden)
        print(name)


if __name__ == "__main__":
    main()
