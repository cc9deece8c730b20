"""The questions of the template, as `copier.yml` puts them: what `esb new` may ask, and what it says about an answer.

copier asks and checks too, each question on its own; here they can be asked in a wizard, all be checked before
anything is rendered, and shown in a summary. The file stays the only place that knows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .failures import Exit, Failure

if TYPE_CHECKING:
    from jinja2 import Environment

Answer = str | bool
"""An answer as the template takes it; a list is one text with commas."""

_YES, _NO = frozenset({"yes", "true", "on", "1", "y"}), frozenset({"no", "false", "off", "0", "n"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question; what it renders depends on the answers before it, which every method takes as `known`."""

    name: str
    help: str
    is_bool: bool
    details: Mapping[str, Any]
    templates: Environment

    def is_asked(self, known: Mapping[str, Answer]) -> bool:
        """Whether it means anything after these answers."""
        return _truth(self._rendered(self.details.get("when", True), known))

    def default(self, known: Mapping[str, Answer]) -> Answer:
        """The answer of somebody who has no opinion."""
        value = self._rendered(self.details.get("default", ""), known)
        return _truth(value) if self.is_bool else str(value)

    @property
    def choices(self) -> Mapping[str, str]:
        """What can be chosen, by the words that a person reads; empty when any text may be an answer."""
        choices = self.details.get("choices", ())
        if isinstance(choices, Mapping):
            return {str(words): str(value) for words, value in cast("Mapping[object, object]", choices).items()}
        return {str(value): str(value) for value in choices}

    def fault(self, answer: Answer, known: Mapping[str, Answer]) -> str:
        """What is wrong with an answer, in one line; nothing when it is a good one."""
        if self.choices and answer not in self.choices.values():
            return f"'{answer}' is none of {', '.join(self.choices.values())}"
        rule = self.details.get("validator", "")
        return " ".join(str(self._rendered(rule, {**known, self.name: answer})).split())

    def read(self, value: object) -> Answer:
        """An answer from a file or from git's configuration. Raises `ValueError` when it is of another kind."""
        if self.is_bool:
            text = str(value).lower()
            if text not in _YES | _NO:
                raise ValueError(f"'{value}' is neither yes nor no")
            return text in _YES
        if isinstance(value, list):
            return ", ".join(map(str, cast("list[object]", value)))
        if isinstance(value, bool | dict) or value is None:
            raise ValueError(f"'{value}' is no text")
        return str(value)

    def _rendered(self, template: object, known: Mapping[str, Answer]) -> object:
        return self.templates.from_string(template).render(known) if isinstance(template, str) else template


def load(tree: Path) -> Sequence[Question]:
    """The questions of a template (`tree` holds `copier.yml`) that a person can be asked, in its order."""
    import yaml
    from jinja2 import Environment, FileSystemLoader

    document: dict[str, Any] = yaml.safe_load((tree / "copier.yml").read_text("utf-8"))
    # the filters that copier has; what is rendered are names and rules
    filters = "jinja2_ansible_filters.AnsibleCoreFiltersExtension"
    templates = Environment(loader=FileSystemLoader(tree), extensions=[filters], autoescape=False)  # noqa: S701 - no page
    return [
        Question(
            name=name,
            help=str(details.get("help", "")),
            is_bool=details.get("type") == "bool",
            details=details,
            templates=templates,
        )
        for name, details in document.items()
        if not name.startswith("_") and "help" in details
    ]


def check(questions: Sequence[Question], answers: Mapping[str, Answer], sources: Mapping[str, str]) -> None:
    """Refuse a wrong answer. `sources` says where each came from: an option, a file, git's configuration.

    Raises `Failure` (usage) with that place and the reason.
    """
    known: dict[str, Answer] = {}
    for question in questions:
        if question.name in answers and (fault := question.fault(answers[question.name], known | dict(answers))):
            raise Failure(f"{sources[question.name]}: {fault}", Exit.USAGE)
        known[question.name] = answers.get(question.name, question.default(known))


def _truth(value: object) -> bool:
    return value if isinstance(value, bool) else str(value).strip().lower() in _YES
