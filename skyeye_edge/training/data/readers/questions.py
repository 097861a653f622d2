"""Questions about images with their answers: RSVQA and RSIVQA."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from sys import intern

from skyeye_edge.core.errors import DataError
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers.entries import Entry, OfSplit, files_in, read_rows, split_of
from skyeye_edge.training.data.readers.image_files import ImageFolders, image_folders
from skyeye_edge.training.data.readers.json_files import read_array

_QUESTIONS = "_questions.json"
_PARTS = ("train", "val", "test_phili", "test")  # of RSVQA's file names, the longer first


def read_rsvqa(path: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """RSVQA-LR and -HR: `*_split_<split>_questions.json` with `_answers` and `_images` beside it.

    Splits are train, val, test, and `test_phili` (HR's second test set). Images are
    `<img_id>.tif`. Entries that are not `active` are left out. Files of the sets were not seen; the
    layout is that of the authors' loader.

    Args:
        path: a file of questions, or the folder of all splits.
        images: the folder of the images; None: `Data`, `Images_LR` or the like beside the files.

    Raises:
        DataError: an entry is wrong, or a file is missing.
    """
    folders = image_folders(path, images)
    for file in files_in(path, _QUESTIONS):
        stem = file.name.removesuffix(_QUESTIONS)
        if stem == file.name:
            raise DataError(f"{file}: give the file that ends in {_QUESTIONS}, or its folder")
        split = next((part for part in _PARTS if stem.endswith(f"split_{part}")), split_of(file))
        answers = _read_answers(file.with_name(f"{stem}_answers.json"))
        pictures = file.with_name(f"{stem}_images.json")
        yield from ((split, item) for item in _images(file, pictures, answers, folders))


def _read_answers(file: Path) -> dict[int, str]:
    """Answers by the number of their question; an answer stands often, its text is kept once."""
    return {
        entry.whole("question_id"): intern(entry.name("answer"))
        for entry in read_array(file, "answers")
        if _is_active(entry)
    }


def _images(
    questions: Path, pictures: Path, answers: dict[int, str], folders: ImageFolders
) -> Iterator[Annotation]:
    asked: dict[int, list[tuple[str, str]]] = {}
    kinds: dict[int, list[str]] = {}
    for entry in read_array(questions, "questions"):
        if not _is_active(entry):
            continue
        number, image = entry.whole("id"), entry.whole("img_id")
        if number not in answers:
            entry.fail(f"question {number} has no answer in the file of answers")
        pair = (intern(entry.text("question")), answers[number])
        asked.setdefault(image, []).append(pair)
        kinds.setdefault(image, []).append(intern(entry.text("type")))
    for entry in read_array(pictures, "images"):
        with entry.guarded():
            image = entry.whole("id")
            if image in asked and _is_active(entry):
                found = folders.find(entry, f"{image}.tif", str(image))
                pairs, types = tuple(asked.pop(image)), tuple(kinds.pop(image))
                yield Annotation((found,), questions=pairs, question_types=types)
    if asked:
        raise DataError(
            f"{pictures}: image {next(iter(asked))} has questions in {questions.name}, "
            f"but is not in this list; neither are {len(asked) - 1} others"
        )


def _is_active(entry: Entry) -> bool:
    return bool(entry.values.get("active", True))


def read_rsivqa(path: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """RSIVQA: lines of `image:question?answer`; the image may stand without its suffix.

    Args:
        path: a text file, or the folder of all: UCM, Sydney, DOTA, each in a folder of its own.
        images: the folder of the images; in it, or beside the files, one called as the file's
            folder holds those of that set. UCM and Sydney have images of the same names.

    Raises:
        DataError: a line is wrong.
    """
    for file in files_in(path, ".txt"):
        own = images / file.parent.name if images else None
        folders = image_folders(file, own if own and own.is_dir() else images)
        asked: dict[str, list[tuple[str, str]]] = {}
        first: dict[str, Entry] = {}
        for entry in read_rows(file):
            with entry.guarded():
                name, pair = _asked(entry)
                asked.setdefault(name, []).append(pair)
                first.setdefault(name, entry)
        for name, pairs in asked.items():
            with first[name].guarded():
                image = folders.find(first[name], name)
                types = tuple(_type(question) for question, _ in pairs)
                yield (
                    split_of(file),
                    Annotation((image,), questions=tuple(pairs), question_types=types),
                )


def _asked(entry: Entry) -> tuple[str, tuple[str, str]]:
    line = entry.text("line")
    name, _, rest = line.partition(":")
    question, mark, answer = rest.partition("?")
    parts = Entry(entry.file, entry.line, {"image": name, "question": question, "answer": answer})
    if not mark:
        entry.fail(f'"{line[:40]}" is no question; lines are image:question?answer')
    return parts.text("image"), (intern(f"{parts.text('question')}?"), intern(parts.text("answer")))


def _type(question: str) -> str:
    """How the words ask; the files do not say it. As the authors group them: number, presence."""
    if question.startswith("how many"):
        return "count"
    return "presence" if question.startswith(("does ", "is there", "are there")) else "other"
