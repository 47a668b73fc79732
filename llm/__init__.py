"""Model servers: the Ollama adapter, cassettes, the server that replays them, token counting."""
