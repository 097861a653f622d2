"""English words as Stanford's PTBTokenizer 3.4.1 parts them, whose Java pycocoevalcap calls.

Written from what that program answers, not from its source: abbreviations, kinds of characters
(`assets/ptb.json`) and rules were found by asking it, and `tests/data/ptb_tokens.jsonl` holds some
of what it said. At every place the rule that reads furthest wins, and of equals the first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

# What pycocoevalcap drops. It asks for small letters, so brackets (-lrb-) stay.
DROPPED = frozenset(
    "'' ' `` ` -LRB- -RRB- -LCB- -RCB- . ? ! , : - -- ... ;".split()  # noqa: SIM905 - as they look
)
_HARD_SPACE = "\u00a0"  # stands for the spaces inside a token

_FACTS = json.loads(
    (Path(__file__).resolve().parent.parent / "assets" / "ptb.json").read_text("utf-8")
)


def caption_tokens(text: str) -> list[str]:
    """The words of a sentence as pycocoevalcap scores them: in small letters, no punctuation."""
    return [small for token in split_tokens(text) if (small := token.lower()) not in DROPPED]


def split_tokens(text: str) -> Iterator[str]:
    """All tokens of a sentence as the program writes them; line breaks count as spaces."""
    text, place = text + "\n", 0  # for rules that look ahead, as where another sentence follows
    while place < len(text):
        plain = _PLAIN.match(text, place)
        if plain and plain[0].lower() not in _PARTED:
            yield plain[0]
            place = plain.end()
            continue
        token, place = _longest(text, place)
        if token:
            yield token


def _longest(text: str, place: int) -> tuple[str, int]:
    """The token that begins at a place ("" if nothing does), and where it ends."""
    best, furthest, written = place, place, ""
    for pattern, write in _RULES:
        found = pattern.match(text, place)
        # what a rule only looks ahead at counts for how far it reads
        if found and found.end() > furthest:
            furthest = found.end()
            best = found.end(1) if pattern.groups else found.end()
            written = write(text[place:best])
    return (written, best) if best > place else ("", place + 1)


def _characters(ranges: str) -> str:
    """Ranges of hexadecimal numbers, as a regular expression has them in its brackets."""
    pairs = (each.split("-") for each in ranges.split())
    return "".join(f"\\u{pair[0]:0>4}-\\u{pair[-1]:0>4}" for pair in pairs)


_L = f"[A-Za-z\u00ad{_characters(_FACTS['letters'])}]"
_D = f"[0-9{_characters(_FACTS['digits'])}]"
_LD = f"(?:{_L}|{_D})"
_A, _AN = "[A-Za-z]", "[A-Za-z0-9]"
_APOS = "(?:['\u0092\u2019]|&(?i:apos);)"
_TICK = f"(?:{_APOS}|[`\u0091\u2018\u201b])"
_SPACE = "[ \t\u00a0\u2000-\u200a\u3000]"
_ODD = r"\s\"<>|()\u00a0"  # what addresses do not hold
_WORD = rf"{_L}(?:{_LD})*(?:[.!?]{_L}{_LD}*)*"
_CHAIN = rf"{_AN}[A-Za-z0-9.,\u00ad]*(?:-(?:{_A}(?:\.{_A})+\.|{_AN}+))+"
_NUMBER = rf"(?:{_D}*(?:[.,:]{_D}+)+|{_D}+)"
_CLITIC = rf"{_APOS}(?:[sSmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"
_NO_LETTER = "[^A-Za-z]"


def _abbreviation(kind: str) -> str:
    """Any of the abbreviations of a kind, without the full stop."""
    words = {case: "|".join(text.split()) for case, text in _FACTS[kind].items()}
    return f"(?:(?i:{words['any_case']})|{words['as_written']})"


_FILES = (
    "bat|bmp|c|cgi|class|cpp|dll|docx?|exe|gif|gz|h|html?|jar|java|jpe?g|mov|mp3|pdf|php|pl|png|ppt|"
    "ps|py|sql|tar|txt|wav|x|xml|zip"
)
_PLAIN = re.compile(r"[A-Za-z]{2,}(?=[ \n])")
_PARTED = frozenset(["cannot", "gonna", "gotta", "lemme", "gimme", "wanna"])

_TEXTS = {
    **{mark: "``" for mark in '"\u0093\u201c\u00ab'},
    **{mark: "''" for mark in "\u0094\u201d\u00bb"},
    **{mark: "'" for mark in "'\u0092\u2019\u203a"},
    **{mark: "`" for mark in "`\u0091\u2018\u201b\u2039"},
    **{mark: "--" for mark in "\u0096\u0097\u2013\u2014\u2015"},
    **{mark: "$" for mark in "\u0080\u00a4\u20a0\u20ac"},
    **{"\u00a3": "#", "\u00a2": "cents", "\u2026": "...", "\u0085": "..."},
    **{"\u00bc": "1/4", "\u00bd": "1/2", "\u00be": "3/4", "\u2153": "1/3", "\u2154": "2/3"},
    **{"(": "-LRB-", ")": "-RRB-", "[": "-LSB-", "]": "-RSB-", "{": "-LCB-", "}": "-RCB-"},
    **{"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": "''", "&apos;": "'"},
    **{"&ndash;": "--", "&mdash;": "--", "&nbsp;": ""},
}


def _same(token: str) -> str:
    return token.replace("\u00ad", "")


def _replaced(token: str) -> str:
    """A mark in the writing of the Penn Treebank; quotes by name only in small letters."""
    if token.lower() in ("&quot;", "&apos;") and not token.islower():
        return token
    return _TEXTS.get(token) or _TEXTS.get(token.lower(), token)


def _in_one(token: str) -> str:
    """A token with spaces in it, or with round brackets."""
    token = re.sub(_SPACE, _HARD_SPACE, token)
    return token.replace("(", "-LRB-").replace(")", "-RRB-")


def _joined(token: str) -> str:
    return re.sub("(?i:&amp;)", "&", token)


def _straight(token: str) -> str:
    return re.sub("[\u0092\u2019]|&apos;", "'", token)


Rule = tuple[str, Callable[[str], str]]  # the first group is the token, and how it is written


def _plain_rules() -> Iterator[Rule]:
    """Words, and those that are drawn together."""
    yield r"(can)not", _same
    for parted in ("(gon|wan)na", "(got)ta", "(lem|gim)me"):
        yield rf"(?i:{parted})", _same
    yield r"(?i:(can)not)", _same
    yield _WORD, _same
    yield rf"{_LD}+", _same
    # contractions: the word, then what was drawn to it
    yield rf"({_WORD}){_CLITIC}{_NO_LETTER}", _same
    yield rf"({_L}*(?![nN]){_L})[nN]{_APOS}[tT]", _same
    yield rf"[nN]{_APOS}[tT]", _straight
    yield rf"({_CLITIC}){_NO_LETTER}", _straight


def _address_rules() -> Iterator[Rule]:
    """Addresses and names of the net."""
    yield rf"(?i:https?)://[^{_ODD}]+[^{_ODD}.!?{{}},-]", _same
    hosts = rf"(?:(?:(?![A-Z]){_L})+\.)+(?i:com|net|org|edu)"
    site = rf"(?:(?i:www)\.(?:[^{_ODD}.]+\.)+{_A}{{2,4}}|{hosts})"
    yield rf"{site}(?:/[^{_ODD}]+[^{_ODD}.!?{{}},-])?", _same
    yield rf"<?{_AN}[^{_ODD}{{}}]*@(?:[^{_ODD}.{{}}]+\.)*[^{_ODD}.{{}}]+>?", _same
    yield r"@[A-Za-z_][A-Za-z_0-9]*", _same
    yield rf"#{_L}+", _same
    yield r"&#[0-9]+;", _same


def _abbreviation_rules() -> Iterator[Rule]:
    """Abbreviations and initials with their full stops."""
    yield rf"((?:{_WORD}|{_LD}+|{_CHAIN})\.)[,:;\u3001]", _same
    yield rf"{_abbreviation('abbreviations')}\.", _same
    yield rf"({_abbreviation('abbreviations_that_end_sentences')}\.)(?s:..)?", _same
    yield r"(?i:(?:ph|ed)\.d\.)", _same
    yield rf"(?i:((?:ca|no|nos|op|pp|art|fig|figs|prop)\.)){_SPACE}?{_D}", _same
    yield rf"{_A}(?:\.{_A})*\.", _same
    first = _FACTS["first_words"].split()  # with which a new sentence is taken to begin
    first = "|".join([*first, *map(str.upper, first)])
    yield rf"({_A})\.[\s\u00a0]+(?:{first})\s", _same  # so the stop is the sentence's


def _apostrophe_rules() -> Iterator[Rule]:
    """Words with an apostrophe inside or at an end."""
    yield rf"[dDoOlL]{_TICK}{_LD}{_LD}+", _same
    yield rf"[A-HJ-XZn]{_TICK}{_L}{_L}+", _same
    yield rf"{_L}{_L}*[aeiouyAEIOUY]{_TICK}[aeiouA-Z]{_L}*", _same
    yield rf"(?i:c{_APOS}mon|s{_APOS}mores|c{_APOS}est|[eo]{_APOS}er)", _same
    yield rf"(?i:[ldj]{_APOS}|ol{_APOS}|dunkin{_APOS}|somethin{_APOS})", _straight
    yield rf"([yY]{_APOS}){_L}", _straight
    yield rf"(?i:{_APOS}n{_APOS}|{_APOS}em|{_APOS}till?|{_APOS}cause)", _same
    yield rf"({_APOS}[nN])\s", _same
    yield r"(?i:('t)(?:is|was))", _straight
    yield rf"{_APOS}{_D}0[sS]", _same
    yield rf"({_APOS}{_D}{_D})\s", _same


def _joined_rules() -> Iterator[Rule]:
    """Several words in one."""
    yield rf"({_LD}+(?:\.{_LD}+)*\.(?i:{_FILES}))[\s.?!,]", _same
    yield _CHAIN, _same
    yield rf"{_LD}+(?:[-_\u058a\u2010\u2011]{_LD}+)+", _same
    yield rf"{_AN}+(?:-{_A}+){{0,2}}(?:\\?/{_AN}+(?:-{_A}+){{0,2}}){{1,2}}", _same
    yield r"[A-Z]+(?:(?:&(?i:amp);|[+&])[A-Z]+)+", _joined
    yield r"[cC]\+\+|[cCfF]#", _same


def _tag_rules() -> Iterator[Rule]:
    """Tags of marked-up text."""
    value = rf"(?:'[^'\r\n]*'|\"[^\"\r\n]*\"|{_A}[A-Za-z0-9:.-]*)"
    name = r"[A-Za-z][A-Za-z0-9:.-]*"
    yield rf"</?{name}(?: (?:{name}(?: *= *{value})?)?)* */?>", _in_one
    yield r"<[!?][A-Za-z-][^>\r\n]*>", _in_one


def _number_rules() -> Iterator[Rule]:
    """Numbers, dates, fractions, telephone numbers, currencies."""
    yield rf"[-+]?{_NUMBER}", _same
    yield "[\u207a\u207b\u208a\u208b]?[\u00b2\u00b3\u00b9\u2070-\u2079\u2080-\u2089]+", _same
    yield rf"{_D}{{1,2}}[-/]{_D}{{1,2}}[-/]{_D}{{2,4}}", _same
    yield rf"(?:{_D}{{1,4}}[- \u00a0])?{_D}{{1,4}}(?:\\?/|\u2044){_D}{{1,4}}", _in_one
    gap = r"[- \u00a0]"
    area = rf"(?:\({_D}{{2,3}}\)[ \u00a0]?|(?:\+\+?)?(?:{_D}{{2,4}}{gap})?{_D}{{2,4}}{gap})"
    yield rf"{area}{_D}{{3,4}}{gap}?{_D}{{3,5}}", _in_one
    yield rf"(?:(?:\+\+?)?{_D}{{2,4}}\.)?{_D}{{2,4}}\.{_D}{{3,4}}\.{_D}{{3,5}}", _same
    yield r"[A-Z]*\$|#", _same


def _mark_rules() -> Iterator[Rule]:
    """Faces, and all other marks."""
    yield r"([<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]])[^A-Za-z0-9]", _in_one
    yield r"[-^x=~<>']_[-^x=~<>']", _same
    yield r"\([-^x=~<>'][_.]?[-^x=~<>']\)", _in_one
    yield r"&(?i:amp|lt|gt|nbsp|quot|apos|ndash|mdash);", _replaced
    yield r"\.\.\.", _same
    yield r"---?-?", lambda token: "--"
    yield r"-{5,}|[!?]+|_+|\*+|@+|#{2,}|<<|>>|''|``", _same
    yield r"(?i:-[lr][rcs]b-)|\\\*", _same
    yield r"(?s:[!-/:-@\[-`{-~])", _replaced
    yield "[" + re.escape("".join(mark for mark in _TEXTS if len(mark) == 1)) + "]", _replaced
    yield f"[{_characters(_FACTS['symbols'])}]", _same


_RULES = tuple(
    (re.compile(pattern), write)
    for rules in (
        *(_plain_rules, _address_rules, _abbreviation_rules, _apostrophe_rules),
        *(_joined_rules, _tag_rules, _number_rules, _mark_rules),
    )
    for pattern, write in rules()
)
