from __future__ import annotations

import pytest

from flowloom.configs.server_url import ollama_host_url
from flowloom.core.errors import ConfigError


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("gpu", "http://gpu:11434"),
        ("gpu:8080", "http://gpu:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("http://0.0.0.0:1234/", "http://127.0.0.1:1234"),
        ("http://gpu", "http://gpu:80"),
        ("https://gpu.example", "https://gpu.example:443"),
        ("https://gpu.example:8443/ollama/", "https://gpu.example:8443/ollama"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("::", "http://[::1]:11434"),
        ("fe80::1", "http://[fe80::1]:11434"),
        (' "gpu:1" ', "http://gpu:1"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(host: str, url: str) -> None:
    assert ollama_host_url(host) == url


@pytest.mark.parametrize("host", ["ftp://gpu", "gpu:port", "gpu:70000", "gpu:１"])
def test_an_impossible_ollama_host_is_told(host: str) -> None:
    with pytest.raises(ConfigError, match="OLLAMA_HOST"):
        ollama_host_url(host)
