"""What looks like a credential in a text: known forms of keys, and values that stand under names such as `password`.

Called by masking.py for every text that leaves the machine or is stored. Plain searches for a few letters come first;
an expression is tried only where one of them stands, which keeps 100 KB of source code near a millisecond.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

MAX_KEY_BLOCK_CHARS = 20_000
MIN_FORM_CHARS = 18


class Found(NamedTuple):
    """One secret: text[start:end], within one line. `kind` is what its placeholder calls it, as in "AWS-KEY"."""

    start: int
    end: int
    kind: str


class _Form(NamedTuple):
    """A kind of key: each of them begins with one of `starts`; group 1 of the expression is the secret."""

    kind: str
    starts: tuple[str, ...]
    expression: re.Pattern[str]


def _form(kind: str, starts: str, expression: str) -> _Form:
    return _Form(kind, tuple(starts.split()), re.compile(rf"(?<![A-Za-z0-9_])({expression})"))


# Source: the prefixes that the issuers document for their secret scanning.
_FORMS = (
    _form("AWS-KEY", "AKIA ASIA", r"A[KS]IA[0-9A-Z]{16}(?![0-9A-Za-z])"),
    _form("GITHUB", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{20,255}"),
    _form("GITHUB", "github_pat_", r"github_pat_[A-Za-z0-9_]{20,255}"),
    _form("GITLAB", "glpat- gldt- glrt- glptt- glcbt- glsoat- glft-", r"gl[a-z]{2,4}-[A-Za-z0-9_.-]{16,300}"),
    _form("API-KEY", "sk- xai- gsk_", r"(?:sk-|xai-|gsk_)[A-Za-z0-9_-]{16,300}"),
    _form("SLACK", "xoxb- xoxp- xoxa- xoxr- xoxs- xoxe- xapp-", r"x(?:ox[abeprs]|app)-[A-Za-z0-9-]{10,300}"),
    _form("GOOGLE", "AIza", r"AIza[0-9A-Za-z_-]{30,60}"),
    _form("GOOGLE", "ya29. GOCSPX-", r"(?:ya29\.|GOCSPX-)[0-9A-Za-z_-]{20,300}"),
    _form("STRIPE", "sk_live_ sk_test_ rk_live_ rk_test_", r"[rs]k_(?:live|test)_[0-9A-Za-z]{16,300}"),
    _form("WEBHOOK", "whsec_", r"whsec_[A-Za-z0-9+/=]{24,100}"),
    _form("NPM", "npm_", r"npm_[A-Za-z0-9]{36,100}"),
    _form("PYPI", "pypi-", r"pypi-[A-Za-z0-9_-]{50,400}"),
    _form("HF", "hf_", r"hf_[A-Za-z0-9]{20,100}"),
    _form("SENDGRID", "SG.", r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}"),
    _form("API-KEY", "dop_v1_ shpat_ shpss_ glsa_", r"(?:dop_v1|shpat|shpss|glsa)_[A-Za-z0-9_]{30,100}"),
    _form("VAULT", "hvs.", r"hvs\.[A-Za-z0-9_-]{24,300}"),
    _form("AGE-KEY", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{50,64}"),
    _form("JWT", "eyJ", r"eyJ[\w-]{10,2000}\.eyJ[\w-]{8,8000}\.[\w-]{16,2000}"),
)
_SLACK_HOOK = re.compile(r"hooks\.slack\.com/services/([A-Za-z0-9/]{20,100})")
_KEY_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"(?:[A-Za-z0-9+/=\s\"'`,:;|.>-]|\\.)*?(?=-----END|\Z)")
_KEY_REST = re.compile(r"(?:[A-Za-z0-9+/=\s\"'`,:;|.>-]|\\.)*")
_KEY_RUN = re.compile(r"\\[nrt]|([A-Za-z0-9+/]+={0,2})")
_URL_LOGIN = re.compile(r"://[^\s/:@\"'<>\\]*:([^\s/@\"'<>()\[\]`\\]{3,200})@")
_AUTHORIZATION = re.compile(r"(?:bearer|basic|token)\s{1,3}([A-Za-z0-9._~+/=-]{16,4000})", re.IGNORECASE)

_NAMES = {
    "password": "PASSWORD",
    "passwd": "PASSWORD",
    "passphrase": "PASSWORD",
    "pwd": "PASSWORD",
    "secret": "SECRET",
    "credential": "SECRET",
    "token": "TOKEN",
    "key": "KEY",
}
"""What the name of a secret ends with, and what its placeholder is called then."""
# Of all that is called a key only these open anything.
_KEY_NAME = re.compile(r"(?:api|access|account|private|auth|signing|encryption|master)[_-]?\Z")
_AFTER_NAME = re.compile(
    r"s?(?:[_-]?(?:access[_-]?)?key)?(?:[_-]?[0-9]{1,2})?[\"'`]?\]?(?P<gap>[ \t]{0,8})(?P<sign>:=|=>|[=:])(?![=~:])"
    r"(?P<space>[ \t]{0,8})",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[bBrRuU]{0,2}([\"'`])([^\"'`\n]{6,512})\1")
# An & ends a value where it begins the next field of a query, or another command.
_BARE = re.compile(r"(?:[^\s\"'`()\[\]{},;<>$|&\\]|&(?!&|\w+=|\s)){6,512}")
_LINE = re.compile(
    r"[+ -]?\s*+(?:export\s++|set\s++)?[\"']?(?P<name>[\w./:@-]++)[\"']?(?:\s*+=\s*+|\s++|(?<=:))(?P<value>\S.*)"
)
_NETRC = re.compile(r"\bpassword\s+(\S{4,})")
_PGPASS = re.compile(r"^[^:\s]+:[^:\s]+:[^:\s]+:[^:\s]+:(\S{4,})$", re.MULTILINE)
_SECRET_NAME = re.compile(
    r"(?i)(?:.*[_.:-])?(?:key|token|secret|credentials?|passphrase|password|passwd|pwd|pass)(?:[_-]?\d+)?"
    r"|.*(?:password|passwd|secret|token|apikey|authtoken|_auth)"
)
_PLAIN_WORDS = """
password passwd pass pwd secret token changeme change_me change-me change-it changeit example placeholder none null
nil true false undefined default dummy test testing user username admin root postgres mysql redis guest localhost
string value key apikey api_key redacted hidden masked todo fixme replaceme replace_me
"""
_PLAIN_VALUES = frozenset(_PLAIN_WORDS.split())
"""What is written where a secret belongs when there is none."""
_TEMPLATE = re.compile(r"\$\{|\$\(|\{\{|\{[\w.!:]*\}|%\(|%s|<[\w -]+>|\*{3}|\.\.\.|…|^\$|^%\w+%$")
_STAND_IN = re.compile(
    r"(?i)^(?:your|my|some|the|insert|enter|add|put)[-_ .]|^(?:x{4,}|0{4,}|-+|_+|\.+)|[-_]here$|^#[0-9a-f]{3,8}$"
)
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.\w+)+")
_CONSTANT = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_WORDS = re.compile(r"[A-Za-z]+[0-9]{0,2}(?:[_.:/-](?:[A-Za-z]+[0-9]{0,2}|[0-9]{1,2}))+")
_NO_VALUE = frozenset(" ()[]<>")
_DIGIT = re.compile(r"[0-9]")
_LETTER = re.compile(r"[A-Za-z]")
_SIGN = re.compile(r"[!@#%^&*+/~?=]")

_ENV_FILES = """
.env .envrc .npmrc .pypirc .netrc _netrc .pgpass .git-credentials credentials .dockercfg .htpasswd .my.cnf kubeconfig
secrets.yml secrets.yaml secrets.toml secrets.json secrets.ini
"""
_ENV_NAMES = frozenset(_ENV_FILES.split())
_SAMPLE_ENDS = ("example", "sample", "template", "dist", "tmpl", "defaults", "schema")


def find_secrets(text: str, path: str = "", *, by_form_only: bool = False) -> list[Found]:
    """Return what looks like a secret, in the order of the text and without overlaps.

    Args:
        path: of the file that the text stands in. In a `.env` file and its like every value under a secret's name
            counts, and every value that only a machine makes up. "" = not known.
        by_form_only: only keys that their own form gives away, not what a name says to be one.
    """
    found = [*_known_forms(text), *_key_blocks(text)]
    if not by_form_only:
        lowered = _lowered(text)
        found += [*_url_logins(text), *_authorizations(text, lowered), *_named_values(text, lowered)]
        if is_env_like(path):
            found += _env_values(text)
    return merged(found)


def merged(found: list[Found]) -> list[Found]:
    """Return the secrets in order; those that overlap become one, named by the longest of them."""
    kept: list[Found] = []
    for each in sorted(found):
        if kept and each.start < kept[-1].end:
            last = kept[-1]
            longer = max(last, each, key=lambda one: one.end - one.start)
            kept[-1] = Found(last.start, max(last.end, each.end), longer.kind)
        else:
            kept.append(each)
    return kept


def is_env_like(path: str) -> bool:
    """Tell whether a file is one that holds settings and secrets: `.env`, `.netrc`, `prod.tfvars` ..."""
    name = PurePosixPath(path).name.lower()
    if name.endswith(_SAMPLE_ENDS):
        return False
    return name in _ENV_NAMES or name.startswith(".env.") or name.endswith((".env", ".tfvars"))


def is_secret_name(name: str) -> bool:
    """Tell whether a setting or a variable of this name holds a secret: API_KEY, db.password, npm's _auth."""
    return _SECRET_NAME.fullmatch(name) is not None


def is_telling(value: str) -> bool:
    """Tell whether a secret's value is so much its own that it can be looked for anywhere, also inside of words."""
    if len(value) < 8 or len(set(value)) < 5 or value.lower() in _PLAIN_VALUES:
        return False
    has_other = bool(_DIGIT.search(value)) + bool(_SIGN.search(value)) + (value.lower() != value)
    return has_other > 0 and not _WORDS.fullmatch(value) if len(value) < 16 else True


def entropy(value: str) -> float:
    """Return Shannon's entropy of the characters, in bits a character; 0.0 for an empty text."""
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts)


def _lowered(text: str) -> str:
    """Return the text in lower case, letter for letter at the same place."""
    lowered = text.lower()
    # A few characters, such as a Turkish capital I, become two.
    return lowered if len(lowered) == len(text) else re.sub("[A-Z]+", lambda found: found[0].lower(), text)


def places(text: str, word: str, step: int = 0) -> Iterator[int]:
    """Yield where a word stands in a text; `step` characters on it may begin again, 0 = behind its end."""
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + (step or len(word)))


def _known_forms(text: str) -> Iterator[Found]:
    # No form has blanks in it: what is not in a long word needs not to be searched for fifty beginnings.
    words = "\n".join([word for word in text.split() if len(word) >= MIN_FORM_CHARS])
    for kind, starts, expression in _FORMS:
        for start in starts:
            if start not in words:
                continue
            for at in places(text, start):
                match = expression.match(text, at)
                if match and len(match[1]) >= MIN_FORM_CHARS and _is_made_up(match[1].removeprefix(start)):
                    yield Found(*match.span(1), kind)
    if "hooks.slack.com/services/" in words:
        for hook in _SLACK_HOOK.finditer(text):
            if _is_made_up(hook[1]):
                yield Found(*hook.span(1), "SLACK")


def _is_made_up(rest: str) -> bool:
    """Tell whether what follows a key's beginning was made by a machine: no words, no row of x."""
    digits = len(_DIGIT.findall(rest))
    return len(set(rest)) >= 4 and (digits >= 3 or (digits >= 1 and rest.lower() != rest != rest.upper()))


def _key_blocks(text: str) -> Iterator[Found]:
    for at in places(text, "-----BEGIN "):
        begin = _KEY_BEGIN.match(text, at)
        if begin is None:
            continue
        limit = min(len(text), begin.end() + MAX_KEY_BLOCK_CHARS)
        body = _KEY_BODY.match(text, begin.end(), limit) or _KEY_REST.match(text, begin.end(), limit)
        assert body is not None  # the second one matches nothing, too
        # In a diff every line begins with a sign that a key's line may hold as well.
        signed = text[at - 1 : at] == "+" and text[at - 2 : at - 1] in ("", "\n")
        yield from _key_lines(text, body.start(), body.end(), signed)


def _key_lines(text: str, start: int, end: int, signed: bool) -> Iterator[Found]:
    inside = False
    for run in _KEY_RUN.finditer(text, start, end):
        if run[1] is None:
            continue
        first = run.start(1)
        first += signed and text[first] == "+" and text[first - 1 : first] == "\n"
        mixed = run[1].lower() != run[1] != run[1].upper() and _DIGIT.search(run[1])
        # What stands before the first line of the key are its headers, such as "Proc-Type".
        inside = inside or (run.end(1) - first >= 16 and bool(mixed))
        if inside and first < run.end(1):
            yield Found(first, run.end(1), "PRIVATE-KEY")


def _url_logins(text: str) -> Iterator[Found]:
    for at in places(text, "://"):
        match = _URL_LOGIN.match(text, at)
        if match and not _stands_in(match[1]) and match[1] != text[at + 3 : match.start(1) - 1]:
            yield Found(*match.span(1), "URL-PASSWORD")


def _authorizations(text: str, lowered: str) -> Iterator[Found]:
    for word in ("bearer", "basic", "token"):
        for at in places(lowered, f"{word} "):
            match = _AUTHORIZATION.match(text, at)
            if match is None or not _DIGIT.search(match[1]) or not _LETTER.search(match[1]):
                continue
            if word == "bearer" or "authorization" in lowered[max(0, at - 24) : at]:
                yield Found(*match.span(1), "AUTHORIZATION")


def _named_values(text: str, lowered: str) -> Iterator[Found]:
    for name, kind in _NAMES.items():
        for at in places(lowered, name):
            after = _AFTER_NAME.match(text, at + len(name))
            if after is None or (name == "key" and not _KEY_NAME.search(lowered, max(0, at - 12), at)):
                continue
            if found := _named_value(text, after, kind):
                yield found


def _named_value(text: str, after: re.Match[str], kind: str) -> Found | None:
    quoted = _QUOTED.match(text, after.end())
    if quoted:
        return Found(*quoted.span(2), kind) if _is_secret(quoted[2]) else None
    bare = _BARE.match(text, after.end())
    if bare is None or text[bare.end() : bare.end() + 1] in ("(", "[", "{") or _DOTTED.fullmatch(bare[0]):
        return None
    tight = after["sign"] == "=" and not after["gap"] and not after["space"]
    whole_line = text[bare.end() : bare.end() + 2].lstrip(" \r")[:1] in ("", "\n")
    if not (tight or whole_line) or (after["sign"] == ":" and not after["space"]):
        return None
    return Found(*bare.span(), kind) if _is_secret(bare[0]) else None


def _is_secret(value: str) -> bool:
    """Tell whether a value under a secret's name is one, rather than a word, a name or a template."""
    if not value.isascii() or not value.isprintable() or _stands_in(value) or not _NO_VALUE.isdisjoint(value):
        return False
    digits = len(_DIGIT.findall(value))
    if not digits or not _LETTER.search(value) or _CONSTANT.fullmatch(value) or "://" in value:
        return False
    if _WORDS.fullmatch(value) and digits < 3:
        return False
    return digits >= 2 or bool(_SIGN.search(value))


def _stands_in(value: str) -> bool:
    """Tell whether a value only stands for one: a template, a row of x, a word like "changeme"."""
    if len(set(value)) < 3 or value.lower() in _PLAIN_VALUES:
        return True
    return bool(_TEMPLATE.search(value) or _STAND_IN.search(value))


def _env_values(text: str) -> Iterator[Found]:
    at = 0
    for line in text.split("\n"):
        if match := _LINE.match(line.rstrip()):
            start, end = _unquoted(match)
            if kind := _env_kind(match["name"].rstrip(":"), line[start:end]):
                yield Found(at + start, at + end, kind)
        at += len(line) + 1
    for expression in (_NETRC, _PGPASS):
        for found in expression.finditer(text):
            yield Found(*found.span(1), "PASSWORD")


def _unquoted(line: re.Match[str]) -> tuple[int, int]:
    """Return where a line's value stands without its quotes, or without the remark behind it."""
    start, value = line.start("value"), line["value"].rstrip(",")
    quote = value[:1]
    if quote in ("'", '"') and (end := value.find(quote, 1)) > 0:
        return start + 1, start + end
    return start, start + len(value.partition(" #")[0].rstrip())


def _env_kind(name: str, value: str) -> str:
    """Return what a setting's value is a secret of; "" = it is none."""
    if len(value) < 4 or _stands_in(value) or "://" in value or value.startswith(("/", "./", "~/")):
        return ""
    if is_secret_name(name):
        return "SECRET"
    return "VALUE" if _is_random(value) else ""


def _is_random(value: str) -> bool:
    if len(value) < 16 or not re.fullmatch(r"[A-Za-z0-9+/=_.:-]+", value) or _WORDS.fullmatch(value):
        return False
    return bool(_DIGIT.search(value) and _LETTER.search(value)) and entropy(value) >= 3.5 and value.count(".") < 3
