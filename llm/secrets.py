"""Masking of secrets in text that is stored: recorded model calls and exports."""

from __future__ import annotations

import re

MASK = "<secret>"

_WHOLE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\bsk-[A-Za-z0-9_-]{16,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{16,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[A-Za-z0-9_-]{30,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bhf_[A-Za-z0-9]{20,}",
    re.DOTALL,
)
_BEARER = re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{12,}")
_NAME = r"[\w-]*(?:password|passwd|secret|api[_-]?key|access[_-]?token|auth[_-]?token)"
_QUOTED = re.compile(rf"(?i)\b({_NAME}[\"']?\s*[=:]\s*([\"']))(?!<secret>)[^\"'\n]{{6,}}(\2)")
# Without quotes only NAME=value as in an .env file or on a command line, the value holding a digit or a sign:
# `password=password` and `password=self.password` are code.
_BARE = re.compile(rf"(?i)\b({_NAME}=)(?=[^\s]*[0-9!@#%^&*+/~-])[^\s\"'()\[\]{{}},;<>$]{{6,}}")


def mask_secrets(text: str) -> str:
    """Return the text with what looks like a credential replaced by "<secret>"."""
    text = _WHOLE.sub(MASK, text)
    text = _BEARER.sub(rf"\1{MASK}", text)
    text = _QUOTED.sub(rf"\1{MASK}\3", text)
    return _BARE.sub(rf"\1{MASK}", text)
