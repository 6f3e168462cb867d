"""Questions of agents as people read and answer them: pure functions of texts. What is no answer
to what is open is said to be none, and stays a message like any other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from agent_runner.protocol.requests import Question
from pynchy_cli.output import plain

LONGEST = 20_000
"""Characters of an answer; what is longer is a message like any other."""
_LABELLED = re.compile(r"(\d{1,2}):\s+(\S.*)")
Answers = dict[int, str | list[str]]
"""Number of a question, from 1 on -> its answer."""


def rendered(
    id: str, questions: Sequence[Question], open: Sequence[int], waking: str | None
) -> str:
    """The open ones of some questions, numbered, and how they are answered. `waking` is the word
    that a free answer must begin with; None where it needs none."""
    parts = [f"❓ Asked of you ({id}):", *_listed(questions, open)]
    # Else how to answer would be read as a part of the last option.
    parts += ["", _how(questions, open, waking)]
    return "\n".join(parts)


def _listed(questions: Sequence[Question], open: Iterable[int]) -> list[str]:
    parts: list[str] = []
    for number in open:
        question = questions[number - 1]
        parts.append(
            f"{number}. {plain(question.question)}"
            if len(questions) > 1
            else plain(question.question)
        )
        parts += [_option(at, question) for at in range(len(question.options))]
    return parts


def _option(at: int, question: Question) -> str:
    option = question.options[at]
    more = f" – {plain(option.description)}" if option.description else ""
    return f"   {at + 1}) {plain(option.label)}{more}"


def _how(questions: Sequence[Question], open: Sequence[int], waking: str | None) -> str:
    chosen = [questions[number - 1] for number in open]
    how = []
    if any(question.options for question in chosen):
        several = any(question.multiple and question.options for question in chosen)
        more = " (several, as `1, 3`, where more than one may be chosen)" if several else ""
        how.append(f"with an option's number or name{more}")
    how.append("in your own words" + (f" behind @{waking}" if waking else ""))
    text = f"Answer {', or '.join(how)}."
    if len(open) > 1:
        text += f" All at once: a line for each, as `{open[0]}: …`."
    return text


def summary(questions: Sequence[Question]) -> str:
    """All that would be asked, for somebody who is to approve that."""
    return "\n".join(["Ask in the chat:", *_listed(questions, range(1, len(questions) + 1))])


def restated(questions: Sequence[Question], answers: Mapping[int, str | list[str]]) -> str:
    """Questions, their options and the answers, for an agent that has forgotten that it asked."""
    parts = ["This answers what you asked before, in a turn that is over:"]
    for number, question in enumerate(questions, 1):
        parts.append(f"Question: {question.question}")
        if question.options:
            parts.append("Options: " + "; ".join(one.label for one in question.options))
        parts.append(f"Answer: {in_words(answers[number])}")
    return "\n".join(parts)


def in_words(answer: str | list[str]) -> str:
    """An answer, in one text."""
    return ", ".join(answer) if isinstance(answer, list) else answer


def options_in(text: str, questions: Sequence[Question], open: Sequence[int]) -> Answers | None:
    """What a text answers that says nothing but options, or a line for each question; None where
    it is more or something else. Anybody's talk may be this, so it is read narrowly."""
    if len(text) > LONGEST:
        return None
    if labelled := _labelled(text, questions, open):
        return labelled
    first = questions[open[0] - 1]
    if (chosen := _chosen(text, first)) is not None:
        return {open[0]: chosen}
    parts = text.split(",")
    if first.multiple or not 1 < len(parts) <= len(open):
        return None
    each = [_chosen(one, questions[at - 1]) for at, one in zip(open, parts, strict=False)]
    found = {at: one for at, one in zip(open, each, strict=False) if one is not None}
    return found if len(found) == len(parts) else None


def words_in(text: str, questions: Sequence[Question], open: Sequence[int]) -> Answers | None:
    """What a text answers that is meant for the assistant: in words it is the first question's
    answer; None where there are none, or too many."""
    if (found := options_in(text, questions, open)) is not None:
        return found
    said = text.strip()
    return {open[0]: said} if 0 < len(said) <= LONGEST else None


def is_no_option(answer: str | list[str], question: Question) -> bool:
    """Whether an answer in words is but a mistyped number of an option. Where numbers are what is
    asked for, it is none."""
    labels = "".join(option.label for option in question.options)
    is_number = isinstance(answer, str) and re.fullmatch(r"\d{1,2}[.)]?", answer) is not None
    return is_number and labels != "" and re.search(r"\d", labels) is None


def _labelled(text: str, questions: Sequence[Question], open: Sequence[int]) -> Answers | None:
    found: Answers = {}
    for line in text.strip().splitlines():
        match = _LABELLED.fullmatch(line.strip())
        number = int(match[1]) if match else 0
        if match is None or number not in open or number in found:
            return None
        chosen = _chosen(match[2], questions[number - 1])
        found[number] = match[2].strip() if chosen is None else chosen
    return found or None


def _chosen(text: str, question: Question) -> str | list[str] | None:
    """The label, or with `multiple` the labels, that a text names and nothing besides."""
    names = {_folded(option.label): option.label for option in reversed(question.options)}
    numbers = {str(at): option.label for at, option in enumerate(question.options, 1)}
    known = {**numbers, **names}
    whole = known.get(_folded(text))
    if whole is not None:
        return [whole] if question.multiple else whole
    if not question.multiple:
        return None
    labels = [known.get(_folded(part)) for part in text.split(",")]
    chosen = list(dict.fromkeys(label for label in labels if label is not None))
    return chosen if None not in labels else None


def _folded(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".!)")
