from __future__ import annotations

import pytest

from flowloom.configs.catalog import load_catalog
from flowloom.configs.settings import Settings
from flowloom.core.errors import Denied
from flowloom.llm.policy import denied_family, lineage, require_allowed

CATALOG = load_catalog()
DENIED = Settings().models.denied_families


@pytest.mark.parametrize(
    ("name", "architecture", "family"),
    [
        ("qwen2.5-coder:7b", "qwen2", "qwen"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "", "qwen"),
        ("qwq:32b", "", "qwen"),
        ("codeqwen:7b", "", "qwen"),
        ("deepseek-r1:8b", "llama", "deepseek"),
        ("hf.co/unsloth/DeepSeek-R1-Distill-Llama-70B-GGUF:Q4_K_M", "llama", "deepseek"),
        ("glm4:9b", "chatglm", "glm"),
        ("yi-coder:9b", "llama", "yi"),
        ("nous-hermes2-yi:34b", "llama", "yi"),
        ("internlm2:7b", "", "internlm"),
        ("baichuan2:13b", "", "baichuan"),
        ("minicpm-v:8b", "", "minicpm"),
        ("kimi-k2:1t", "deepseek2", "kimi"),
        ("hunyuan-a13b", "", "hunyuan"),
        ("ernie-4.5:21b", "", "ernie"),
        ("bge-m3:567m", "bert", "bge"),
        ("BAAI/bge-reranker-v2-m3", "", "bge"),
        ("gte-large", "bert", "gte"),
        ("openthinker:7b", "qwen2", "qwen"),
        ("my-fine-tune", "Qwen3MoE", "qwen"),
    ],
)
def test_denied_families_and_what_derives_from_them_are_found(name: str, architecture: str, family: str) -> None:
    assert denied_family(CATALOG, name, architecture, DENIED) == family


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("devstral-small-2:24b", "mistral3"),
        ("llama3.3:70b", "llama"),
        ("gemma3:27b", "gemma3"),
        ("starcoder2:15b", "starcoder2"),
        ("multilingual-e5-large", "bert"),
        ("nomic-embed-text:latest", "nomic-bert"),
        ("mistral-large-3:675b", "deepseek2"),
        ("tinyllama:1.1b", "llama"),
        ("phi4:14b", "phi3"),
        ("company-model", "llama"),
        ("ulying:7b", ""),
    ],
)
def test_other_models_are_allowed(name: str, architecture: str) -> None:
    assert denied_family(CATALOG, name, architecture, DENIED) == ""
    require_allowed(CATALOG, name, architecture, DENIED)


@pytest.mark.parametrize(
    ("name", "families", "origin"),
    [
        ("devstral-small-2:24b", ("mistral",), "France"),
        ("tokyotech-llm/Llama-3.1-Swallow-8B-Instruct-v0.3", ("swallow", "llama"), "Japan, United States"),
        ("deepseek-r1-distill-llama:8b", ("llama", "deepseek"), "United States, China"),
        ("company-model", (), "unknown"),
        ("tiny:1b", (), "unknown"),
    ],
)
def test_lineage_is_told_or_unknown(name: str, families: tuple[str, ...], origin: str) -> None:
    found = lineage(CATALOG, name, "llama")
    assert (found.families, found.origin) == (families, origin)


def test_denial_is_one_line_that_names_the_setting() -> None:
    with pytest.raises(Denied, match=r"'qwq:32b' is of the family 'qwen', which .*models\.denied_families") as caught:
        require_allowed(CATALOG, "qwq:32b", "", DENIED)
    assert caught.value.exit_code == 7


def test_setting_replaces_the_list_and_takes_words_that_are_no_family() -> None:
    assert denied_family(CATALOG, "qwq:32b", "qwen2", []) == ""
    assert denied_family(CATALOG, "exaone3.5:7b", "exaone", ["exaone"]) == "exaone"


def test_every_denied_family_is_in_the_catalogue() -> None:
    assert set(DENIED) <= CATALOG.families.keys()


def test_only_an_exact_tag_or_alias_is_known() -> None:
    assert CATALOG.find("gemma3:27b") is CATALOG.find("google/gemma-3-27b-it")
    assert CATALOG.find("gemma3:27b-it-q8_0") is None


def test_catalogue_names_only_families_it_has() -> None:
    for model in CATALOG.models.values():
        assert model.family in CATALOG.families
        assert not model.base or model.base in CATALOG.families
