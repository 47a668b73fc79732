from __future__ import annotations

import pytest

from flowloom.tools.html_text import html_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One <b>two</b>\n three</p><p>Four</p>", "One two three\n\nFour"),
        ("<script>evil()</script>a<style>b{}</style><noscript>c</noscript><template>d</template>", "a"),
        ("<svg><title>x</title></svg>a<iframe>b</iframe>", "a"),
        ("<h2>Head</h2>text", "## Head\ntext"),
        ("<ul><li>one<li>two</ul>", "- one\n- two"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a | b |"),
        ("<pre>  a\n    b</pre>", "  a\n    b"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("&lt;script&gt; &amp; &#12354;", "<script> & あ"),
        ("a<!-- hidden -->b", "ab"),
        ("<div>a</div><div></div><div></div><div>b</div>", "a\n\nb"),
        ("<script>never closed", ""),
        ("", ""),
    ],
)
def test_a_page_is_read_as_a_person_would(html: str, text: str) -> None:
    assert html_text(html) == text
