#!/usr/bin/env python3
"""Makes tests/fixtures/hf_parity: a tiny model of every family, with goldens by Hugging Face transformers.

    python3 -m venv VENV && VENV/bin/pip install torch transformers
    VENV/bin/python tests/goldens/make_hf.py [--new] [NAME...]

A folder that is there keeps its config.json and weights (--new: it is made anew) and gets new goldens; of the names given, or
all. Float32, eager attention, every example alone, gradients by autograd. What golden.safetensors holds is said in
tests/fixtures/hf_parity/README.md; the versions are in its metadata.
"""
import argparse
import json
import pathlib
import shutil
import zlib

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "hf_parity"
EXAMPLES = ((12, 3), (7, 1), (30, 2))  # tokens, and how many of them at the end are the answer
SIZES = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40,
         "max_position_embeddings": 64, "eos_token_id": 0, "bos_token_id": 1, "pad_token_id": 0}
KV = {"num_key_value_heads": 2}
GPTJ = {"vocab_size": 97, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 40, "n_positions": 64, "rotary_dim": 4,
        "eos_token_id": 0, "bos_token_id": 1}
FALCON = {**SIZES, "ffn_hidden_size": 40}
WINDOWS = ["sliding_attention", "full_attention"] * 2
# Names of fixtures that this script makes: (model_type, what the config says beside its defaults).
MADE = {
    "falcon": ("falcon", {**FALCON, "new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon_multi_query": ("falcon", {**FALCON, "multi_query": True}),
    "falcon_sequential": ("falcon", {**FALCON, "multi_query": False, "parallel_attn": False, "bias": True}),
    "gemma2": ("gemma2", {**SIZES, **KV, "num_hidden_layers": 4, "head_dim": 16, "query_pre_attn_scalar": 24, "sliding_window": 8,
                          "attn_logit_softcapping": 2.0, "final_logit_softcapping": 4.0, "layer_types": WINDOWS}),
    "gemma3": ("gemma3_text", {**SIZES, **KV, "num_hidden_layers": 4, "head_dim": 16, "query_pre_attn_scalar": 24,
                               "sliding_window": 8, "layer_types": WINDOWS, "rope_parameters": {
                                   "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                                   "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}}),
    "gpt_neo": ("gpt_neo", {"vocab_size": 97, "hidden_size": 32, "num_layers": 4, "attention_types": [[["global", "local"], 2]],
                            "num_heads": 4, "intermediate_size": 40, "max_position_embeddings": 64, "window_size": 8,
                            "eos_token_id": 0, "bos_token_id": 1}),
    "gptj": ("gptj", GPTJ),
    "granite": ("granite", {**SIZES, **KV, "embedding_multiplier": 3.0, "residual_multiplier": 0.4, "attention_multiplier": 0.2,
                            "logits_scaling": 2.5, "attention_bias": True, "mlp_bias": True}),
    "llama_dynamic": ("llama", {**SIZES, **KV, "rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}),
    "llama_yarn": ("llama", {**SIZES, **KV, "rope_parameters": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "rope_theta": 100.0}}),
    "mixtral": ("mixtral", {**SIZES, **KV, "intermediate_size": 24, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "olmo2": ("olmo2", {**SIZES, **KV}),
    "olmoe": ("olmoe", {**SIZES, **KV, "intermediate_size": 16, "num_experts": 6, "num_experts_per_tok": 3}),
    "phi4_mini": ("phi3", {**SIZES, **KV, "tie_word_embeddings": True, "original_max_position_embeddings": 24, "rope_parameters": {
        "rope_type": "longrope", "rope_theta": 100.0, "partial_rotary_factor": 0.5, "original_max_position_embeddings": 24,
        "short_factor": [1.0, 1.2], "long_factor": [1.5, 6.0]}}),
    "phi_norms": ("phi", {**SIZES, **KV, "partial_rotary_factor": 0.5, "qk_layernorm": True}),
    "qwen2_sliding": ("qwen2", {**SIZES, **KV, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}),
    "qwen3": ("qwen3", {**SIZES, **KV, "head_dim": 16}),
    "qwen3_moe": ("qwen3_moe", {**SIZES, **KV, "head_dim": 16, "moe_intermediate_size": 16, "num_experts": 5,
                                "num_experts_per_tok": 2, "norm_topk_prob": True}),
    "smollm3": ("smollm3", {**SIZES, **KV, "num_hidden_layers": 4, "no_rope_layer_interval": 2}),
    "stablelm": ("stablelm", {**SIZES, **KV, "partial_rotary_factor": 0.5, "use_qkv_bias": True}),
    "stablelm_parallel": ("stablelm", {**SIZES, "num_key_value_heads": 4, "partial_rotary_factor": 0.25, "use_parallel_residual": True}),
    "stablelm_norms": ("stablelm", {**SIZES, **KV, "partial_rotary_factor": 0.25, "use_parallel_residual": True, "qk_layernorm": True}),
}
# Where a family's FFN is, and its matrices: (gate, up, down), (up, down) or, gate before up in one, ("gate|up", down).
LLAMA = ("model.layers.{}.mlp", ("gate_proj", "up_proj", "down_proj"))
FFN = {
    "bloom": ("transformer.h.{}.mlp", ("dense_h_to_4h", "dense_4h_to_h")),
    "falcon": ("transformer.h.{}.mlp", ("dense_h_to_4h", "dense_4h_to_h")),
    "gpt2": ("transformer.h.{}.mlp", ("c_fc", "c_proj")),
    "gpt_neo": ("transformer.h.{}.mlp", ("c_fc", "c_proj")),
    "gpt_neox": ("gpt_neox.layers.{}.mlp", ("dense_h_to_4h", "dense_4h_to_h")),
    "gptj": ("transformer.h.{}.mlp", ("fc_in", "fc_out")),
    "opt": ("model.decoder.layers.{}", ("fc1", "fc2")),
    "phi": ("model.layers.{}.mlp", ("fc1", "fc2")),
    "phi3": ("model.layers.{}.mlp", ("gate|up_proj", "down_proj")),
}


class Sites:
    """The FFN of every layer: its matrices, and, of the last pass, the values at its sites."""

    def __init__(self, model):
        where, names = FFN.get(model.config.model_type, LLAMA)
        self.layers = range(model.config.num_hidden_layers)
        self.values, self.matrices, self.scale = {}, [], {}
        self.fused = names[0].startswith("gate|")
        names = [name.replace("gate|", "gate_") for name in names]
        for l in self.layers:
            block = model.get_submodule(where.format(l))
            own = [block.get_submodule(name) for name in names]
            self.matrices.append(own)
            own[-1].register_forward_pre_hook(lambda _, inputs, l=l: (self.keep("act", l, inputs[0]),))
            own[-1].register_forward_hook(lambda _, inputs, output, l=l: self.keep("down", l, output))
            if self.fused:
                own[0].register_forward_hook(lambda _, inputs, output, l=l: torch.cat(
                    [self.keep(site, l, part) for site, part in zip(("gate", "up"), output.chunk(2, -1))], -1))
            else:
                for site, matrix in zip(("gate", "up") if len(own) == 3 else ("up",), own):
                    matrix.register_forward_hook(lambda _, inputs, output, l=l, site=site: self.keep(site, l, output))

    def keep(self, site, l, value):
        if site == "act" and l in self.scale:
            value = value * self.scale[l]
        if value.requires_grad:
            value.retain_grad()
        self.values[site, l] = value
        return value.clone()  # some models add to it in place

    def width(self):
        down = self.matrices[0][-1]
        return down.weight.shape[0 if self.transposed(down) else 1]

    @staticmethod
    def transposed(matrix):
        return type(matrix).__name__ == "Conv1D"

    def product(self, site):
        """ω · dω, [layers, tokens, width]."""
        return torch.stack([self.values[site, l] * self.values[site, l].grad for l in self.layers])[:, ...].flatten(1, -2)

    def owned(self, l, units):
        """(parameter, mask) of what units own: their rows of gate and up with the biases, their columns of down."""
        *inner, down = self.matrices[l]
        for matrix in inner:
            rows = torch.cat([units, units + self.width()]) if self.fused else units
            for parameter, axis in ((matrix.weight, 1 if self.transposed(matrix) else 0), (matrix.bias, 0)):
                if parameter is not None:
                    yield parameter, torch.zeros_like(parameter).index_fill_(axis, rows, 1)
        yield down.weight, torch.zeros_like(down.weight).index_fill_(0 if self.transposed(down) else 1, units, 1)


class MixtureSites(Sites):
    """What Sites is, of a mixture of experts: ω of a unit is 0 at tokens that do not go to its expert."""

    def __init__(self, model):
        self.layers = range(model.config.num_hidden_layers)
        self.values, self.scale, self.experts = {}, {}, []
        for l in self.layers:
            block = model.get_submodule(f"model.layers.{l}.mlp")
            self.experts.append(block.experts)
            block.experts.forward = lambda x, index, weight, l=l: self.forward(l, x, index, weight)
            block.register_forward_hook(lambda _, inputs, output, l=l: self.keep("down", l, output))

    def forward(self, l, x, index, weight):
        """Transformers' own, expert by expert, with the units of all experts side by side."""
        experts, width = self.experts[l], self.width() // self.experts[l].num_experts
        routed = [(e, *torch.where(index == e)) for e in range(experts.num_experts)]
        columns = [slice(e * width, (e + 1) * width) for e in range(experts.num_experts)]

        def kept(site, parts):
            whole = torch.zeros(len(x), self.width())
            for (e, tokens, _), part in zip(routed, parts):
                whole = whole.index_put((tokens.unsqueeze(1), torch.arange(e * width, (e + 1) * width)), part)
            whole = self.keep(site, l, whole)
            return [whole[tokens, columns[e]] for e, tokens, _ in routed]

        pairs = [F.linear(x[tokens], experts.gate_up_proj[e]).chunk(2, -1) for e, tokens, _ in routed]
        gates, ups = (kept(site, parts) for site, parts in zip(("gate", "up"), zip(*pairs)))
        acts = kept("act", [experts.act_fn(gate) * up for gate, up in zip(gates, ups)])
        result = torch.zeros_like(x)
        for (e, tokens, slot), act in zip(routed, acts):
            result = result.index_add(0, tokens, F.linear(act, experts.down_proj[e]) * weight[tokens, slot, None])
        return result

    def width(self):
        return self.experts[0].num_experts * self.experts[0].down_proj.shape[2]

    def owned(self, l, units):
        gate_up, down = self.experts[l].gate_up_proj, self.experts[l].down_proj
        width = down.shape[2]
        e, j = units // width, units % width
        mask = torch.zeros_like(gate_up)
        mask[e, j] = mask[e, width + j] = 1
        yield gate_up, mask
        mask = torch.zeros_like(down)
        mask[e, :, j] = 1
        yield down, mask


def random_weights(model, seed):
    """Large enough that every part of a model shows in its logits."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            norm = parameter.dim() == 1 and key.endswith("weight")
            one_plus = norm and not model.config.model_type.startswith("gemma")
            parameter.copy_(one_plus + noise * (0.1 if parameter.dim() == 1 else 0.25))


def made_up(name, number):
    kind, options = MADE[name]
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(kind, **options))
    random_weights(model, 1000 + number)
    model.save_pretrained(OUT / name)
    for extra in ("generation_config.json",):
        (OUT / name / extra).unlink(missing_ok=True)


def loss_of(model, ids, answer):
    logits = model(ids.unsqueeze(0), use_cache=False).logits[0]
    return logits, F.cross_entropy(logits[len(ids) - answer - 1:len(ids) - 1].float(), ids[len(ids) - answer:])


def goldens(folder, number):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(number)
    examples = [(torch.randint(0, model.config.vocab_size, (tokens,), generator=generator), answer)
                for tokens, answer in EXAMPLES]
    own = [loss_of(model, *example)[0].detach() for example in examples]
    mixture = getattr(model.config, "num_experts", 0) or getattr(model.config, "num_local_experts", 0)
    sites = MixtureSites(model) if mixture else Sites(model)
    for example, logits in zip(examples, own):  # what shows the sites changes nothing
        torch.testing.assert_close(loss_of(model, *example)[0].detach(), logits)
    golden, relevance = {}, []
    for e, (ids, answer) in enumerate(examples):
        model.zero_grad()
        logits, loss = loss_of(model, ids, answer)
        loss.backward()
        golden |= {f"ids_{e}": ids.int(), f"answer_tokens_{e}": torch.tensor([answer]).int(), f"logits_{e}": logits,
                   f"loss_{e}": loss.view(1)}
        for site in sorted({site for site, _ in sites.values}):
            golden[f"signed_{site}_{e}"] = sites.product(site).sum(1)
        golden[f"tokenabs_act_{e}"] = sites.product("act").abs().sum(1)
        relevance.append(sites.product("act").sum(1).abs())
    golden["relevance_act"] = torch.stack(relevance).mean(0)

    units = golden["relevance_act"].topk(5, 1).indices.sort(1).values
    golden["ablated_unit"] = units.int()
    golden["ablated_loss_0"] = torch.zeros(units.shape)
    with torch.no_grad():
        for l, own in enumerate(units):
            for i, unit in enumerate(own):
                sites.scale = {l: torch.ones(sites.width()).index_fill_(0, unit, 0)}
                golden["ablated_loss_0"][l, i] = loss_of(model, *examples[0])[1]
    sites.scale = {}

    # Four steps of AdamW on those units; the loss is the mean over the examples.
    owned = [pair for l in sites.layers for pair in sites.owned(l, units[l])]
    optimizer = torch.optim.AdamW([parameter for parameter, _ in owned], lr=0.005, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    steps = []
    for _ in range(4):
        model.zero_grad()
        loss = torch.stack([loss_of(model, ids, answer)[1] for ids, answer in examples]).mean()
        loss.backward()
        steps.append(loss.detach())
        for parameter, mask in owned:
            parameter.grad.mul_(mask)
        optimizer.step()
    golden["step_losses"] = torch.stack(steps)
    golden["owned_parameters"] = torch.tensor([int(sum(mask.sum() for _, mask in owned))]).int()
    save_file({name: value.detach().contiguous().float() if value.is_floating_point() else value for name, value in golden.items()},
              folder / "golden.safetensors", {"transformers": transformers.__version__, "torch": torch.__version__})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--new", action="store_true")
    arguments = parser.parse_args()
    names = sorted({*MADE, *(path.name for path in OUT.iterdir() if path.is_dir())})
    for name in arguments.names or names:
        number = zlib.crc32(name.encode())
        if arguments.new and name in MADE:
            shutil.rmtree(OUT / name, ignore_errors=True)
        if not (OUT / name).exists():
            made_up(name, number)
        goldens(OUT / name, number)
        print(name, json.loads((OUT / name / "config.json").read_text())["model_type"])


if __name__ == "__main__":
    main()
