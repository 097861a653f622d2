"""A chat tells the model what it said, in the model's own words."""

from __future__ import annotations

import numpy as np

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.parsing import parse_reply
from skyeye_edge.core.reply import Reply
from skyeye_edge.core.tasks import Ask
from skyeye_edge.runtime.chat import Chat
from skyeye_edge.runtime.question import Answer, Question

SAID = b" <p>a car</p> {<1><2><30><40>} stands here"


def test_a_chat_remembers_the_boxes_that_were_taken_out_of_a_text() -> None:
    asked: list[Question] = []

    def answer(question: Question) -> Answer:
        asked.append(question)
        reply = Reply((0,), (SAID,), (1.0,), (True,), "end")
        size = question.frames[0].size
        return Answer((parse_reply(question.tasks[0], reply, size, BoxSpec()),), {}, (reply,))

    chat = Chat(answer, (Frame(np.zeros((100, 100, 3), np.uint8)),), 0.0, 0)
    texts = [chat.ask("what?").text, chat.ask("and where?").text]

    assert texts == ["a car stands here"] * 2
    assert asked[1].history == ((Ask("what?"), SAID.decode().strip()),)
