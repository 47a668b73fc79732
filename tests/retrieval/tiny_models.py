"""Models of the real shapes with random weights, made in a second with no network: for tests of what runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

Shape = Literal["xlm-roberta", "bert"]
Weights = dict[str, np.ndarray[Any, Any]]

WIDTH, HEADS, INNER, POSITIONS = 32, 4, 64, 64
LINES = [
    "query: 経費の精算はどこですか",
    "passage: 領収書を経理に提出する",
    "where is the parser",
    "the parser reads files",
]
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_PAD = 1
_LAYER = "encoder_layer_0"


def write_tiny_model(folder: Path, shape: Shape, seed: int = 1) -> Weights:
    """Write config.json, tokenizer.json and onnx/model.onnx; return the weights by transformers' names."""
    folder.mkdir(parents=True)
    vocabulary = _write_tokenizer(folder)
    config = {
        "model_type": shape,
        "architectures": ["XLMRobertaModel" if shape == "xlm-roberta" else "BertModel"],
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "max_position_embeddings": POSITIONS + (_PAD + 1 if shape == "xlm-roberta" else 0),
        "type_vocab_size": 2,
        "pad_token_id": _PAD,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
    }
    (folder / "config.json").write_text(json.dumps(config))
    weights = _weights(vocabulary, int(str(config["max_position_embeddings"])), seed)
    write_onnx(folder / "onnx" / "model.onnx", weights, shape)
    return weights


class _Graph:
    """Nodes and constants of an ONNX graph, made by calls that return the name of a value."""

    def __init__(self, weights: Weights) -> None:
        self.nodes: list[Any] = []
        self.constants = {name.replace(".", "_"): value for name, value in weights.items()}

    def const(self, value: Any) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def op(self, kind: str, *inputs: str, out: str = "", **options: Any) -> str:
        from onnx import helper

        out = out or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **options))
        return out

    def linear(self, name: str, value: str) -> str:
        weight = self.op("Transpose", f"{name}_weight", perm=[1, 0])
        return self.op("Add", self.op("MatMul", value, weight), f"{name}_bias")

    def norm(self, name: str, value: str) -> str:
        return self.op("LayerNormalization", value, f"{name}_weight", f"{name}_bias", axis=-1, epsilon=1e-5)

    def embed(self, shape: Shape) -> str:
        from onnx import TensorProto, helper

        one = helper.make_tensor("one", TensorProto.INT64, [1], [1])
        ones = self.op("ConstantOfShape", self.op("Shape", "input_ids"), value=one)
        before_first = np.int64(_PAD if shape == "xlm-roberta" else -1)
        counted = self.op("CumSum", ones, self.const(np.int64(1)))
        positions = self.op("Add", counted, self.const(before_first))
        kinds = "token_type_ids" if shape == "bert" else self.op("Sub", ones, ones)
        words = self.op("Gather", "embeddings_word_embeddings_weight", "input_ids")
        places = self.op("Gather", "embeddings_position_embeddings_weight", positions)
        types = self.op("Gather", "embeddings_token_type_embeddings_weight", kinds)
        return self.norm("embeddings_LayerNorm", self.op("Add", self.op("Add", words, types), places))

    def attend(self, hidden: str) -> str:
        from onnx import TensorProto

        split = self.const(np.array([0, 0, HEADS, WIDTH // HEADS], dtype=np.int64))

        def heads(name: str, perm: list[int]) -> str:
            flat = self.linear(f"{_LAYER}_attention_self_{name}", hidden)
            return self.op("Transpose", self.op("Reshape", flat, split), perm=perm)

        query, key, value = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
        scaled = self.op("Div", self.op("MatMul", query, key), self.const(np.float32((WIDTH // HEADS) ** 0.5)))
        mask = self.op("Cast", "attention_mask", to=TensorProto.FLOAT)
        unseen = self.op("Sub", self.const(np.float32(1)), mask)
        unseen = self.op("Mul", unseen, self.const(np.float32(-1e9)))
        unseen = self.op("Unsqueeze", unseen, self.const(np.array([1, 2], dtype=np.int64)))
        seen = self.op("MatMul", self.op("Softmax", self.op("Add", scaled, unseen), axis=-1), value)
        joined = self.const(np.array([0, 0, WIDTH], dtype=np.int64))
        seen = self.op("Reshape", self.op("Transpose", seen, perm=[0, 2, 1, 3]), joined)
        attended = self.linear(f"{_LAYER}_attention_output_dense", seen)
        return self.norm(f"{_LAYER}_attention_output_LayerNorm", self.op("Add", attended, hidden))

    def feed_forward(self, hidden: str) -> str:
        inner = self.linear(f"{_LAYER}_intermediate_dense", hidden)
        erf = self.op("Erf", self.op("Div", inner, self.const(np.float32(2**0.5))))
        erf = self.op("Add", erf, self.const(np.float32(1)))
        inner = self.op("Mul", self.op("Mul", inner, self.const(np.float32(0.5))), erf)
        return self.norm(
            f"{_LAYER}_output_LayerNorm", self.op("Add", self.linear(f"{_LAYER}_output_dense", inner), hidden)
        )


def write_onnx(path: Path, weights: Weights, shape: Shape, *, label: bool = False) -> None:
    """Write the model as a graph of plain operators, as exports are.

    Args:
        label: end in one number for the first token, as a cross-encoder does, in place of the tokens' vectors.
    """
    from onnx import TensorProto, checker, helper, numpy_helper, save

    graph = _Graph(weights)
    result = graph.feed_forward(graph.attend(graph.embed(shape)))
    name = "last_hidden_state"
    size: list[str | int | None] = ["batch", "length", WIDTH]
    if label:
        token = graph.op("Gather", result, graph.const(np.int64(0)), axis=1)
        result = graph.op("MatMul", token, graph.const(weights["embeddings.word_embeddings.weight"][4][:, None]))
        name, size = "logits", ["batch", 1]
    graph.op("Identity", result, out=name)
    wanted = ["input_ids", "attention_mask", *(["token_type_ids"] if shape == "bert" else [])]
    made = helper.make_graph(
        graph.nodes,
        "tiny",
        [helper.make_tensor_value_info(each, TensorProto.INT64, ["batch", "length"]) for each in wanted],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, size)],
        [numpy_helper.from_array(value, each) for each, value in graph.constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(model, str(path))


def write_torch(folder: Path, weights: Weights, *, pooling: str = "mean") -> None:
    """Write the same weights beside it as sentence-transformers reads them."""
    from safetensors.numpy import save_file

    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    write_pooling(folder, pooling)
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": POSITIONS, "do_lower_case": False})
    )
    names = {"bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "sep_token": "</s>"}
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>", "model_max_length": POSITIONS}
    (folder / "tokenizer_config.json").write_text(json.dumps({**tokenizer, **names}))


def write_pooling(folder: Path, pooling: str) -> None:
    (folder / "1_Pooling").mkdir(exist_ok=True)
    said = {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": False, "pooling_mode_cls_token": False}
    key = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({**said, key[pooling]: True}))


def _write_tokenizer(folder: Path) -> int:
    """Write a tokenizer as XLM-R has one, trained on a few lines; return how many tokens it knows."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=list(_SPECIAL), unk_token="<unk>")
    tokenizer.train_from_iterator(LINES * 3, trainer)
    ends = [(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=ends
    )
    # As published ones do: the back ends must not be led astray by either.
    tokenizer.enable_padding(pad_id=_PAD, pad_token="<pad>", length=48)
    tokenizer.enable_truncation(max_length=48)
    tokenizer.save(str(folder / "tokenizer.json"))
    size: int = tokenizer.get_vocab_size()
    return size


def _weights(vocabulary: int, positions: int, seed: int) -> Weights:
    random = np.random.default_rng(seed)

    def make(*size: int) -> np.ndarray[Any, Any]:
        return random.normal(0, 0.3, size).astype(np.float32)

    layer = "encoder.layer.0"
    sizes = {f"{layer}.attention.self.{name}": (WIDTH, WIDTH) for name in ("query", "key", "value")}
    sizes[f"{layer}.attention.output.dense"] = (WIDTH, WIDTH)
    sizes[f"{layer}.intermediate.dense"] = (INNER, WIDTH)
    sizes[f"{layer}.output.dense"] = (WIDTH, INNER)
    weights = {f"embeddings.{name}_embeddings.weight": make(count, WIDTH) for name, count in
               (("word", vocabulary), ("position", positions), ("token_type", 2))}  # fmt: skip
    for name, size in sizes.items():
        weights[f"{name}.weight"], weights[f"{name}.bias"] = make(*size), make(size[0])
    for name in ("embeddings", f"{layer}.attention.output", f"{layer}.output"):
        weights[f"{name}.LayerNorm.weight"], weights[f"{name}.LayerNorm.bias"] = 1 + make(WIDTH), make(WIDTH)
    return weights
