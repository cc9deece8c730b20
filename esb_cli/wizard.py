"""`esb new` on a terminal: what is missing is asked, checked while it is typed, shown before anything is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import questionary
from questionary import Choice, Style

from .failures import Failure
from .questions import Answer, Question
from .terminal import clean, put, stdout

STYLE = Style([("qmark", "fg:#008700 bold"), ("answer", "fg:#008787"), ("instruction", "fg:ansibrightblack")])
_CREATE, _CHANGE, _STOP = "Create it", "Change an answer", "Stop: nothing is written"


class Wizard:
    """A conversation about one new workspace.

    `defaults` are the user's own (they come before the template's), `is_free` raises `Failure` for a place where no
    workspace can be made. Ctrl-C raises `KeyboardInterrupt`.
    """

    def __init__(
        self, questions: Sequence[Question], defaults: Mapping[str, Answer], is_free: Callable[[Path], None]
    ) -> None:
        self._questions = questions
        self._defaults = defaults
        self._is_free = is_free

    def converse(self, given: Mapping[str, Answer], folder: Path | None) -> tuple[dict[str, Answer], Path]:
        """Ask for everything that was not given; the answers, and where the workspace goes."""
        put(stdout().style("A new workspace. Enter takes what is shown, Ctrl-C leaves nothing behind.", "dim"))
        answers = dict(given)
        self._ask_open(answers)
        place = folder or self._ask_folder(Path(str(answers["namespace"])))
        while True:
            self._summarize(answers, place)
            match _select("What now?", [_CREATE, _CHANGE, _STOP]):
                case "Create it":
                    return answers, place
                case "Change an answer":
                    place = self._change(answers, place)
                case _:
                    raise KeyboardInterrupt

    def _ask_open(self, answers: dict[str, Answer]) -> None:
        """Every question that means something and has no answer yet, in their order."""
        for question in self._questions:
            if question.name not in answers and question.is_asked(answers):
                default = self._defaults.get(question.name, question.default(answers))
                answers[question.name] = _ask(question, answers, default)

    def _change(self, answers: dict[str, Answer], place: Path) -> Path:
        asked = [question for question in self._questions if question.name in answers]
        titles = {question.help: question.name for question in asked}
        title = _select("Which one?", [*titles, "Folder"])
        if title == "Folder":
            return self._ask_folder(place)
        question = next(question for question in asked if question.name == titles[title])
        answers[question.name] = _ask(question, answers, answers[question.name])
        self._ask_open(answers)
        return place

    def _ask_folder(self, default: Path) -> Path:
        def fault(text: str) -> str:
            try:
                self._is_free(Path(text).expanduser())
            except (Failure, OSError) as problem:
                return str(problem)
            return ""

        return Path(_text("Folder to create", str(default), fault)).expanduser()

    def _summarize(self, answers: Mapping[str, Answer], place: Path) -> None:
        terminal = stdout()
        rows = [
            (question.help, _shown(answers[question.name])) for question in self._questions if question.name in answers
        ]
        rows.append(("Folder", _short(place)))
        width = min(max(len(words) for words, _ in rows), 50)
        put("")
        for words, value in rows:
            put(f"  {terminal.style(terminal.fit(words, width).ljust(width), 'dim')}  {clean(value)}")
        put("")


def _ask(question: Question, known: Mapping[str, Answer], default: Answer) -> Answer:
    if question.is_bool:
        return bool(questionary.confirm(question.help, default=bool(default), style=STYLE).unsafe_ask())
    if question.choices:
        chosen = [Choice(words, value) for words, value in question.choices.items()]
        return str(_select(question.help, chosen, str(default) if default in question.choices.values() else None))

    def fault(text: str) -> str:
        return question.fault(normal(question.name, text), known)

    return normal(question.name, _text(question.help, str(default), fault))


def normal(name: str, text: str) -> str:
    """An answer as it is taken: package names are lower-case, whatever was typed."""
    return text.strip().lower() if name == "namespace" else text.strip()


def _text(message: str, default: str, fault: Callable[[str], str]) -> str:
    """A line of text; what is wrong with it is shown while it is typed."""

    def validate(text: str) -> bool | str:
        return fault(text) or True

    return str(questionary.text(f"{message}:", default=default, validate=validate, style=STYLE).unsafe_ask())


def _select(message: str, choices: Sequence[Any], default: str | None = None) -> Any:
    return questionary.select(message, choices=choices, default=default, style=STYLE, instruction=" ").unsafe_ask()


def _shown(answer: Answer) -> str:
    return ("yes" if answer else "no") if isinstance(answer, bool) else answer


def _short(folder: Path) -> str:
    """A folder as a person writes it."""
    path = Path(os.path.abspath(folder))  # noqa: PTH100 - a link stays as it was typed
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) and path != home else str(path)
