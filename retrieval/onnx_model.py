"""A transformer in an ONNX file with its tokenizer, run on the CPU; for embeddings and for reranking.

onnxruntime and tokenizers are loaded with the first text: 0.2 s, where torch takes seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.errors import ConfigError
from .embed_folder import Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

    Array = NDArray[np.float32]


_UNKNOWN = ("<unk>", "[UNK]")
_MOST_UNKNOWN = 0.05
"""Share of tokens. Of English, an English model does not know 0.01 at most; of Japanese ones 0.07 at least, 0.27 in
the middle (XQuAD and JSQuAD, all-MiniLM-L6-v2). A multilingual one knows nearly all of both."""


def is_unreadable(ids: Sequence[int], unknown_id: int | None) -> bool:
    """Tell whether a text is in a script that the model does not know, so that its vector would mean nothing.

    Args:
        unknown_id: what stands for what is not in the vocabulary; None = there is no such token.
    """
    return unknown_id is not None and list(ids).count(unknown_id) > _MOST_UNKNOWN * len(ids)


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    return next((found for name in _UNKNOWN if (found := tokenizer.token_to_id(name)) is not None), None)


class OnnxModel:
    """Threads may share it; they take turns.

    Args:
        threads: of one computation; 0 = as many as the machine has cores.
    """

    def __init__(self, weights: Weights, threads: int) -> None:
        self._weights = weights
        self._threads = threads
        self._mutex = threading.Lock()
        self._loaded: tuple[InferenceSession, Tokenizer] | None = None

    def run(self, text: str, other: str | None = None) -> Array | None:
        """Return what the model makes of a text, or of two side by side: its first output, without the batch's axis.

        Texts are taken one at a time: there is no padding to compute, and of int8 weights the scale would be shared
        by a batch, so that a text's vector would depend on its neighbours. What is beyond the window is cut. None =
        the model does not know the script.

        Raises:
            ConfigError: a library is not installed, or the files cannot be loaded.
        """
        import numpy as np

        with self._mutex:
            session, tokenizer = self._load()
            encoded = tokenizer.encode(text, other)
            if is_unreadable(encoded.ids, _unknown_id(tokenizer)):
                return None
            inputs = {
                "input_ids": encoded.ids,
                "attention_mask": encoded.attention_mask,
                "token_type_ids": encoded.type_ids,
            }
            wanted = [each.name for each in session.get_inputs()]
            if unknown := [name for name in wanted if name not in inputs]:
                raise self._failed(f"it wants the input {unknown[0]!r}")
            fed = {name: np.array([inputs[name]], dtype=np.int64) for name in wanted}
            outputs = [each.name for each in session.get_outputs()]
            chosen = "last_hidden_state" if "last_hidden_state" in outputs else outputs[0]
            output: Array = session.run([chosen], fed)[0][0]
        return output

    def _load(self) -> tuple[InferenceSession, Tokenizer]:
        if self._loaded is None:
            try:
                import onnxruntime
                from tokenizers import Tokenizer
            except ImportError as err:
                raise ConfigError(
                    f"onnxruntime is to run the model, but {err.name!r} is not installed.",
                    hint="Install it with: pip install onnxruntime tokenizers; or set embed.backend to 'none'.",
                ) from err
            self._loaded = (self._open_session(onnxruntime.SessionOptions()), self._open_tokenizer(Tokenizer))
        return self._loaded

    def _open_session(self, options: object) -> InferenceSession:
        from onnxruntime import InferenceSession
        from onnxruntime.capi import onnxruntime_pybind11_state as states

        options.intra_op_num_threads = self._threads  # type: ignore[attr-defined]  # the library has no types
        options.log_severity_level = 4  # type: ignore[attr-defined]  # what fails is told by us, in one line
        failures = (
            states.Fail, states.NoSuchFile, states.NoModel, states.InvalidProtobuf, states.InvalidGraph,
            states.NotImplemented, states.InvalidArgument, states.RuntimeException, states.EPFail,
        )  # fmt: skip
        try:
            return InferenceSession(str(self._weights.file), options, providers=["CPUExecutionProvider"])
        except failures as err:
            raise self._failed(str(err)) from err

    def _open_tokenizer(self, kind: type[Tokenizer]) -> Tokenizer:
        file = self._weights.folder / "tokenizer.json"
        try:
            tokenizer = kind.from_file(str(file))
        except Exception as err:  # all that the library raises for a file that it cannot read
            raise self._failed(f"{file.name}: {err}") from err
        # The file may ask for padding and for another window.
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length=self._weights.window)
        return tokenizer

    def _failed(self, text: str) -> ConfigError:
        reason = (text.strip() or "no reason is given").splitlines()[0]
        return ConfigError(
            f"the model {str(self._weights.file)!r} cannot be used: {reason}.",
            hint="Copy its whole folder again, or set embed.backend (rerank.backend) to 'none'.",
        )
