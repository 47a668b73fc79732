from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowloom.bench.docs_quality import Questions, measure, naive, product, read_questions, trigram

TEXTS = {
    "梅雨": "梅雨は五月から七月にかけて雨の日が続く現象である。",
    "台風": "台風は熱帯の海で生まれ、夏に北へ進む。",
}


@pytest.fixture
def questions(tmp_path: Path) -> Questions:
    asked = {"梅雨": "雨の日が続くのはいつか", "台風": "熱帯の海で生まれるのは何か"}
    paragraphs: list[dict[str, Any]] = [
        {"context": f"{title} [SEP] {text}", "qas": [{"question": asked[title]}]} for title, text in TEXTS.items()
    ]
    path = tmp_path / "set.json"
    path.write_text(json.dumps({"data": [{"title": "天気", "paragraphs": paragraphs}]}), "utf-8")
    return read_questions("set", path, 1)


def test_the_title_in_front_of_a_text_is_split_off(questions: Questions) -> None:
    assert questions.paragraphs == list(TEXTS.items())
    assert questions.questions[1] == ("熱帯の海で生まれるのは何か", 1)


def test_the_product_finds_what_plain_words_do_not(questions: Questions, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    assert measure("ours", questions, product(questions, folder, None), {}).recall[1] == 100
    assert measure("trigram", questions, trigram(questions), {}).recall[1] == 100
    assert measure("naive", questions, naive(questions), {}).recall[10] == 0


def test_a_score_holds_to_its_limits(questions: Questions) -> None:
    good = measure("x", questions, lambda text: [0, 1], {5: 100})
    bad = measure("x", questions, lambda text: [0, 1], {1: 51})
    assert (good.recall[1], good.mrr, good.ok, bad.ok) == (50, 0.75, True, False)
