"""A language model of 0.3 MB: random weights, a vocabulary with byte tokens and a chat template of its own.

Its words are noise. Only it closes what it opens: quotes, brackets and braces score high, so that what a grammar lets
it write comes to an end.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

Tensor = npt.NDArray[np.float64]

WIDTH, LAYERS, HEADS = 64, 2, 4
SPECIAL = ("<unk>", "<s>", "</s>")
WORDS = ("▁t", "▁a", "▁th", "▁the", "he", "in", "er", "on", "re", "▁in", "▁on", "et", "ur", "rn", "▁re", "def", "de")
SCORES = {'"': 20.0, "}": 10.0, "]": 10.0, "</s>": 10.0}

TEMPLATE = """{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{- '[result] ' + message.content + '\\n' }}
    {%- else %}
        {{- '[' + message.role + '] ' + message.content + '\\n' }}
    {%- endif %}
    {%- for call in message.tool_calls or [] %}
        {{- '[call] ' + call.function.name + ' ' + (call.function.arguments | tojson) + '\\n' }}
    {%- endfor %}
{%- endfor %}
{%- if tools %}
    {{- '[tools] ' + (tools | tojson) + '\\n' }}
{%- endif %}
{%- if add_generation_prompt %}
    {{- '[assistant] ' }}
{%- endif %}"""


def write_model(path: Path, *, context: int, seed: int = 1) -> None:
    """Write the model's file.

    Args:
        context: tokens it says it was trained for.
    """
    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127)), *WORDS]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    # Longer pieces merge first, as in a vocabulary that was learnt.
    writer.add_token_scores([float(len(token)) if token in WORDS else -float(n) for n, token in enumerate(tokens)])
    writer.add_token_types([_kind(token) for token in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)
    for name, tensor in _tensors(tokens, np.random.default_rng(seed)):
        writer.add_tensor(name, tensor.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _kind(token: str) -> int:
    if token in SPECIAL:
        return int(gguf.TokenType.UNKNOWN if token == "<unk>" else gguf.TokenType.CONTROL)
    return int(gguf.TokenType.BYTE if token.startswith("<0x") else gguf.TokenType.NORMAL)


def _tensors(tokens: list[str], random: np.random.Generator) -> list[tuple[str, Tensor]]:
    def noise(rows: int, columns: int, size: float) -> Tensor:
        return random.normal(0.0, size, (rows, columns))

    count = len(tokens)
    # Every token points the same way, in part: along it the scores are added to what chance says.
    found = [("token_embd.weight", noise(count, WIDTH, 1.0) + 1.0), ("output_norm.weight", np.ones(WIDTH))]
    scores = np.array([SCORES.get(token, 0.0) for token in tokens])
    found.append(("output.weight", noise(count, WIDTH, 0.1) + scores[:, None] / WIDTH))
    for layer in range(LAYERS):
        square = ("attn_q", "attn_k", "attn_v", "attn_output")
        found += [(f"blk.{layer}.{name}.weight", noise(WIDTH, WIDTH, 0.05)) for name in square]
        found += [(f"blk.{layer}.{name}.weight", noise(2 * WIDTH, WIDTH, 0.05)) for name in ("ffn_gate", "ffn_up")]
        found.append((f"blk.{layer}.ffn_down.weight", noise(WIDTH, 2 * WIDTH, 0.05)))
        found += [(f"blk.{layer}.{name}.weight", np.ones(WIDTH)) for name in ("attn_norm", "ffn_norm")]
    return found
