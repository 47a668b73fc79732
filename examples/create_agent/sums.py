"""An agent of LangChain that adds numbers with a tool."""

import os

from langchain.agents import create_agent


def add(a: int, b: int) -> int:
    """Add two whole numbers."""
    return a + b


def model() -> object:
    from langchain_ollama import ChatOllama

    return ChatOllama(
        model=os.environ.get("SUMS_MODEL", "llama3.1:8b"),
        base_url=os.environ.get("OLLAMA_HOST", "http://127.0.0.1:11434"),
        temperature=0,
    )


graph = create_agent(model(), [add], system_prompt="Use the tool for every sum, then answer in one sentence.")
