"""Graph files: reading, checking and compiling them to LangGraph."""
