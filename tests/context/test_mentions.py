from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowloom.context.mentions import MAX_MENTIONS, Mention, parse_mentions

FILES = {
    "a.py",
    "src/a.py",
    "src/b.ts",
    "src/",
    "docs/",
    "docs",
    "docs/設計.md",
    "設計",
    "データ.csv",
    "my file.md",
    "it's.md",
    "C#/a.cs",
    "Makefile",
    "app/[id]/page.tsx",
    "notes (old).md",
    ".env",
    "café.md",
    "a-b_c.py",
}
ALONE = [
    ("fix @a.py", "a.py"),
    ("@a.py", "a.py"),
    ("@a.py and @src/b.ts", "a.py src/b.ts"),
    ("see @src/a.py.", "src/a.py"),
    ("see @src/a.py, then", "src/a.py"),
    ("@src/a.py; @a.py: go", "src/a.py a.py"),
    ("is it @src/a.py?", "src/a.py"),
    ("it is @src/a.py!", "src/a.py"),
    ("(see @src/a.py)", "src/a.py"),
    ("[@src/a.py]", "src/a.py"),
    ("**@src/a.py**", "src/a.py"),
    ("`@src/a.py`", "src/a.py"),
    ("@src/a.py...", "src/a.py"),
    ("a\n@src/a.py\nb", "src/a.py"),
    ("@a.py,@src/b.ts", "a.py src/b.ts"),
    ("@src/", "src/"),
    ("@src/.", "src/"),
    ("@docs", "docs"),
    ("@Makefile", "Makefile"),
    ("@.env", ".env"),
    ("@café.md", "café.md"),
    ("@a-b_c.py", "a-b_c.py"),
    ("@app/[id]/page.tsx", "app/[id]/page.tsx"),
    ("@src/*.py", "?@src/*"),
]
QUOTED = [
    ('@"my file.md"', "my file.md"),
    ("@'my file.md'", "my file.md"),
    ('see @"my file.md", then', "my file.md"),
    ('@"it\'s.md"', "it's.md"),
    ('@"my file.md"#L3', "my file.md:3-3"),
    ('@"my file.md"#L3-L9.', "my file.md:3-9"),
    ('@"my file.md"#Cart.total.', "my file.md#Cart.total"),
    ('@"notes (old).md"を見る', "notes (old).md"),
    ('@"no such"', '?@"no such"'),
    ('@"unclosed', ""),
    ('@""', ""),
]
PLACES = [
    ("@a.py#L10", "a.py:10-10"),
    ("@a.py#L10-20", "a.py:10-20"),
    ("@a.py#L10-L20,", "a.py:10-20"),
    ("@a.py#L20-10", "a.py:10-20"),
    ("@a.py#L0", "a.py:1-1"),
    ("@a.py:7", "a.py:7-7"),
    ("@a.py:7-9.", "a.py:7-9"),
    ("@a.py:7:3: error", "a.py:7-7"),
    ("@a.py#total", "a.py#total"),
    ("@a.py#Cart.total.", "a.py#Cart.total"),
    ("@C#/a.cs", "C#/a.cs"),
    ("@C#/a.cs#Main", "C#/a.cs#Main"),
]
JAPANESE = [
    ("@src/a.pyを直してください。", "src/a.py"),
    ("合計を@src/a.pyで直す", "src/a.py"),
    ("@src/a.py、@a.pyも", "src/a.py a.py"),
    ("（@src/a.py）", "src/a.py"),
    ("「@src/a.py」を読む", "src/a.py"),
    ("@src/a.py。次に", "src/a.py"),
    ("@src/a.py！", "src/a.py"),
    ("@src/a.py？", "src/a.py"),
    ("@src/a.py：説明", "src/a.py"),
    ("@docs/設計.md", "docs/設計.md"),
    ("@docs/設計.mdを読む", "docs/設計.md"),
    ("@docs/設計.md、それから", "docs/設計.md"),
    ("@docs/を読む", "docs/"),
    ("@docs/要件.mdを読む", "?@docs/要件.mdを読む"),
    ("@データ.csvの列", "データ.csv"),
    ("@設計を読む", "設計"),
    ("@src/a.py#totalを直す", "src/a.py#total"),
    ("@src/a.py#L3-5を直す", "src/a.py:3-5"),
    ("@problemsを直す。", "problems"),
    ("@terminal、", "terminal"),
    ("全角　@src/a.py　空白", "src/a.py"),
]
KINDS = [
    ("fix @problems", "problems"),
    ("fix @problems.", "problems"),
    ("@terminal: what", "terminal"),
    ("(@git-changes)", "git-changes"),
    ("@problems/x.py", "?@problems/x.py"),
    ("@terminals", ""),
    ("@docs:deploy", "docs=deploy"),
    ("@docs:deploy.", "docs=deploy"),
    ('@docs:"how to deploy"', "docs=how to deploy"),
    ("@docs:導入手順。", "docs=導入手順"),
    ("@docs:", ""),
    ("@https://a.example/x", "url=https://a.example/x"),
    ("(@https://a.example/x?y=1&z=2).", "url=https://a.example/x?y=1&z=2"),
    ("@https://a.example/x_(y), see", "url=https://a.example/x_(y)"),
    ("@http://a.exampleを参照", "url=http://a.example"),
    ("<@https://a.example>", "url=https://a.example"),
    ("https://a.example/@me/a.py", ""),
]
NONE = [
    ("mail me@example.com", ""),
    ("a.b+c@a.py", ""),
    ("@property", ""),
    ("@app.route('/x')", ""),
    ("@pytest.mark.parametrize", ""),
    ("@Override public", ""),
    ("```\n@src/x.py\n```", ""),
    ("```java\n@Override\n```\n@a.py", "a.py"),
    ("~~~\n@a.py\n~~~", "a.py"),
    ("@@ -1,2 +1,2 @@", ""),
    ("pkg@1.2.3 and git@github.com:x/a.py", ""),
    ("node_modules/@types/node", ""),
    (r"\@a.py", ""),
    ("@", ""),
    ("@ a.py", ""),
    ("@#total", ""),
    ("@.", ""),
    ("$@ and ${@}", ""),
    ("@nobody", ""),
    ("a@", ""),
    ("@src/x.py", "?@src/x.py"),
    ("@/etc/passwd", "?@/etc/passwd"),
    ("@../x", "?@../x"),
    ("@~/x", "?@~/x"),
]
COMMANDS = [
    ("!pytest -q", "!pytest -q"),
    ("Fix it.\n!pytest -q\n", "!pytest -q"),
    ("!pytest @a.py\r\nsee @a.py", "!pytest @a.py a.py"),
    ("!ls\n!pwd", "!ls !pwd"),
    ("say !pytest", ""),
    (" !pytest", ""),
    ("![image](a.png)", ""),
    ("!= 3", ""),
    ("!!", ""),
    ("!", ""),
    ("! wow", ""),
    ("```sh\n!rm x\n```\n!ls", "!ls"),
    ("```\n!rm x", ""),
    ("````\n```\n!rm x\n````\n!ls", "!ls"),
    ("！ls", ""),
]


def told(text: str, mention: Mention) -> str:
    """Return what the mention comes to with these FILES; "?" before what a person is told to name nothing."""
    if mention.kind == "command":
        return f"!{mention.value}"
    if mention.kind != "path":
        return f"{mention.kind}={mention.value}" if mention.value else mention.kind
    for reading in mention.readings:
        if reading.path in FILES:
            symbol = f"#{reading.symbol}" if reading.symbol else ""
            return reading.path + symbol + (f":{reading.first}-{reading.last}" if reading.first else "")
    return f"?{text[mention.start : mention.end]}" if mention.is_clear else ""


@pytest.mark.parametrize(("text", "expected"), ALONE + QUOTED + PLACES + JAPANESE + KINDS + NONE + COMMANDS)
def test_a_text_mentions_what_a_person_meant(text: str, expected: str) -> None:
    assert " ".join(filter(None, (told(text, mention) for mention in parse_mentions(text)))) == expected


def test_a_span_covers_what_was_written() -> None:
    text = "直す: @src/a.py、\n!make test  \n"
    assert [text[each.start : each.end] for each in parse_mentions(text)] == ["@src/a.py", "!make test"]


@given(
    st.text(
        alphabet=st.sampled_from(list("@!#`~\"'()[]{}.,:;/\\ \n\r\t-*?LaB1_を漢。、）」\u3000\u200b\ud800\x00é")),
        max_size=60,
    )
)
def test_no_text_raises_and_spans_never_overlap(text: str) -> None:
    end = 0
    for mention in parse_mentions(text):
        assert end <= mention.start < mention.end <= len(text)
        assert text[mention.start] in "@!"
        assert all(mention.start < reading.end <= mention.end for reading in mention.readings)
        end = mention.end


def test_of_a_text_with_very_many_at_signs_the_first_are_taken() -> None:
    assert len(parse_mentions("@a.py " * 500)) == MAX_MENTIONS


def test_a_long_word_is_tried_in_few_ways_and_its_beginning_is_among_them() -> None:
    (mention,) = parse_mentions("@src/a.py" + "を漢" * 5_000)
    assert len(mention.readings) <= 60
    assert mention.readings[-1].path == "src/a.py"
