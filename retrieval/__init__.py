"""Code and document retrieval behind one port."""
