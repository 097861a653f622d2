"""Tables and plots of docs/performance.md and docs/reliability.md from the results of run_all.py.

    python benchmarks/tables.py [out/bench] [--page docs/performance.md] [--readme README.md]

The newest line of each benchmark in `results.jsonl` counts; what was not run is left out. The page
is written between its two marks, the plots into `images/` beside it, and with `--readme` the
paragraph "Measured" of that file. docs/reliability.md has marks of its own, for the benchmark
`reliability`. Nothing is measured here.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

REPO = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- written by benchmarks/tables.py -->", "<!-- end of what tables.py writes -->"
Results = Mapping[str, dict[str, Any]]
# What is said of a benchmark, the key of its figure, and what is to be reached (None: no goal).
CLAIMS: tuple[tuple[str, str, str, float | None], ...] = (
    ("frame_tasks_smollm2", "SmolLM2's shape: five tasks a frame against libmtmd", "libmtmd", 3.0),
    ("frame_tasks_smollm2", "against transformers' `generate`", "generate", 6.0),
    ("frame_tasks_smollm2", "against llama-server with its prompt cache", "server", None),
    ("frame_tasks_smollm2", "against asking us one by one", "apart", None),
    ("frame_tasks_tinyllama", "TinyLlama's shape: against libmtmd", "libmtmd", 3.0),
    ("frame_tasks_tinyllama", "against transformers' `generate`", "generate", 6.0),
    ("frame_tasks_tinyllama", "against llama-server with its prompt cache", "server", None),
    ("frame_tasks", "packaged model: five tasks a frame against one by one", "apart", None),
    ("frames_per_second", "frames/s against one job after the other", "", 1.5),
    ("frames_per_second_library", "the same, with the libllama of then", "", 1.5),
    ("overhead", "packaged model: the libraries' calls as a share of the whole", "", 0.85),
    ("overhead_smollm2", "SmolLM2's shape: the same", "", 0.95),
    ("drafts", "calls without drafts / with, demo clip", "", 1.5),
    ("drafts_car_follow", "calls without drafts / with, real clip", "", 1.5),
    ("gating", "frames / encodings while hovering", "", None),
    ("streams", "answers per second, most streams / one", "", None),
)
mpl.rcParams.update({"svg.hashsalt": "skyeye", "svg.fonttype": "none", "font.size": 10})
COLOURS = ("#9db4c0", "#5c6b73", "#e09f3e", "#9e2a2b", "#335c67")


def main() -> int:
    """Write the page's part and the plots."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=REPO / "out" / "bench")
    parser.add_argument("--page", type=Path, default=REPO / "docs" / "performance.md")
    parser.add_argument("--readme", type=Path, help="write its paragraph too")
    args = parser.parse_args()
    source = args.folder / "results.jsonl"
    if not source.is_file():
        print(f"tables: {source}: no results; run benchmarks/run_all.py first", file=sys.stderr)
        return 2
    results = read(source)
    live = {name: each for name, each in results.items() if name.startswith("reliability")}
    fast = {name: each for name, each in results.items() if name not in live}
    images = args.page.parent / "images"
    try:
        if fast:
            write_page(args.page, sections(fast, images))
        if live:
            write_page(args.page.with_name("reliability.md"), reliability(live, images))
    except ValueError as error:
        print(f"tables: {error}", file=sys.stderr)
        return 2
    if args.readme:
        write_readme(args.readme, results)
    return 0


def write_page(page: Path, said: Iterable[str]) -> None:
    """Put this between the marks of a page; ValueError if it has none."""
    (page.parent / "images").mkdir(exist_ok=True)
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{page}: lacks {BEGIN!r} or {END!r}")
    text = "\n\n".join(said)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", "utf-8")
    print(f"written: {page}")


def write_readme(readme: Path, results: Results) -> None:
    """The paragraph "Measured" of the front page."""
    rate, tasks = results["frames_per_second"], results.get("frame_tasks_smollm2")
    frames, versions, cpu = rate["frames"], rate["versions"], rate["machine"]["cpu"]
    words = (
        "A caption and one grounding about every frame of a 720p video, decoding included: "
        f"{cut(rate['fps'], 1)} frames/s on two cores, {cut(rate['ratio'])} times as many as with "
        f"one job after the other, {math.ceil(rate[f'rss_mib_{frames}'])} MiB of memory after "
        f"{frames:,} frames. "
    )
    if tasks:
        ratios = tasks["ratios"]
        words += (
            "A caption, three groundings and a question about every frame, on a ViT-B and "
            f"SmolLM2-135M: {cut(ratios['libmtmd'])} times as fast as llama-cpp-python's own "
            f"multimodal handler, {cut(ratios['generate'])} times as transformers. "
        )
    words += (
        f"({cpu}, 2 virtual cores, onnxruntime {versions['onnxruntime']}, llama-cpp-python "
        f"{versions['llama-cpp-python']}, {rate['date']}, `make bench`; "
        "[all of it](docs/performance.md).)"
    )
    before, mark, rest = readme.read_text("utf-8").partition("## Measured\n")
    after = rest[rest.index("\n## ") :]
    readme.write_text(f"{before}{mark}\n{textwrap.fill(words, 104)}\n{after}", "utf-8")
    print(f"written: {readme}")


def read(source: Path) -> Results:
    """The newest line of each name."""
    lines = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    return {line["name"]: line for line in lines}


def sections(results: Results, images: Path) -> Iterator[str]:
    """Everything that can be said of the results that are there."""
    yield from machine(results)
    yield claims(results)
    for name in ("frame_tasks_smollm2", "frame_tasks_tinyllama"):
        if name in results:
            yield steps(results[name])
            yield plot_steps(results[name], images / f"{name}.svg")
    if "streams" in results:
        yield streams(results["streams"])
        yield plot_streams(results["streams"], images / "streams.svg")
    if "gating" in results:
        yield gating(results["gating"])
    if rows := {k: v for k, v in results.items() if k.startswith("roofline")}:
        yield roofline(rows)
    if walls := {k: v for k, v in results.items() if k.startswith("overhead")}:
        yield overheads(walls)
    if drafts := {k: v for k, v in results.items() if k.startswith("drafts")}:
        yield drafted(drafts)


def machine(results: Results) -> Iterator[str]:
    """Where and with what it was measured."""
    newest = max(results.values(), key=lambda each: each["date"])
    facts, versions = newest["machine"], newest["versions"]
    programs = ", ".join(f"{name} {versions[name]}" for name in ("onnxruntime", "llama-cpp-python"))
    load = max(each["load"][0] for each in results.values())
    yield (
        f"Measured on {newest['date']}: {facts['cpu']}, {facts['cores']} cores, Python "
        f"{versions['python']}, {programs}; load at most {load:.1f} during the runs."
    )


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def cut(value: float, digits: int = 2) -> str:
    """A figure that is the better the higher it is: never rounded up."""
    scale = 10**digits
    return f"{math.floor(value * scale) / scale:.{digits}f}"


def claims(results: Results) -> str:
    """One line for each ratio, with what was to be reached."""
    rows = []
    for name, words, key, goal in CLAIMS:
        found = results.get(name)
        value = found and (found["ratios"].get(key) if key else found["ratio"])
        if value and found:
            command = f"`{found['command'].removeprefix('python ')}`"
            wanted = "" if goal is None else f"{goal:g}" + ("" if value >= goal else ", missed")
            rows.append((words, cut(value), wanted, command))
    return table(("what", "ratio", "goal", "command"), rows)


def steps(result: Mapping[str, Any]) -> str:
    """Milliseconds a frame by contestant and step."""
    frames = result["seconds_per_frame"]
    rows = [
        (
            name,
            f"{1000 * seconds:.0f}",
            ", ".join(
                f"{step.replace('_', ' ')} {ms:.0f}"
                for step, ms in result["steps_ms_per_frame"][name].items()
            ),
            result["contestants"][name],
        )
        for name, seconds in frames.items()
    ]
    told = (
        "Milliseconds a frame. Steps of ours overlap and are shared out among the answers written "
        f"together, so they may add up to more than the whole ({result['frames']} frames, "
        f"{result['tokens_per_frame']['ours']:.0f} tokens each):"
    )
    return f"{told}\n\n{table(('contestant', 'ms', 'steps', 'is'), rows)}"


def plot_steps(result: Mapping[str, Any], target: Path) -> str:
    """Bars of the time a frame takes, by contestant."""
    seconds = result["seconds_per_frame"]
    figure, axes = _figure(0.5 + 0.45 * len(seconds))
    names = list(seconds)[::-1]
    axes.barh(names, [seconds[each] for each in names], color=COLOURS[-1])
    for row, name in enumerate(names):
        axes.text(seconds[name], row, f" {seconds[name]:.2f} s", va="center")
    axes.set_xlabel("seconds for five tasks about one new frame")
    return _save(figure, target, "Seconds a frame by contestant")


def streams(result: Mapping[str, Any]) -> str:
    """A row for each number of streams."""
    head = ("streams", "answers/s in all", "median age", "p95 age", "fairness", "MiB per stream")
    rows = [
        (
            count,
            f"{each['answers_per_second']:.1f}",
            f"{each['p50_age_ms']:.0f} ms",
            f"{each['p95_age_ms']:.0f} ms",
            each["fairness"],
            f"{each['mib_per_stream']:.1f}",
        )
        for count, each in result["streams"].items()
    ]
    return f"Live sources of {result['rate']:g} pictures a second each:\n\n{table(head, rows)}"


def plot_streams(result: Mapping[str, Any], target: Path) -> str:
    """Answers per second and ages by the number of streams."""
    rows = result["streams"]
    figure, axes = _figure(2.6)
    axes.plot(list(rows), [e["answers_per_second"] for e in rows.values()], "o-", color=COLOURS[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("streams")
    axes.set_ylabel("answers/s in all")
    ages = axes.twinx()
    ages.plot(list(rows), [e["p95_age_ms"] for e in rows.values()], "s--", color=COLOURS[3])
    ages.set_ylim(bottom=0)
    ages.set_ylabel("p95 age, ms (dashed)")
    ages.spines["top"].set_visible(False)
    return _save(figure, target, "Answers per second and age by the number of streams")


def reliability(results: Results, images: Path) -> Iterator[str]:
    """What a long run held and how old pictures were, beside a run at the speed of life."""
    yield from machine(results)
    head = (
        "",
        *(
            f"{each['minutes_of_video']:g} minutes at {each['rate']:g}x"
            for each in results.values()
        ),
    )
    rows: list[tuple[object, ...]] = [
        (
            f"glass to event, {share}",
            *(f"{each['glass_to_event_ms'][share]:.0f} ms" for each in results.values()),
        )
        for share in ("p50", "p95", "p99")
    ]
    parts = ("second fifth", "last fifth")
    rows += [
        (
            f"memory, {part} of the run",
            *(f"{each['memory_mib'][part]:.0f} MiB" for each in results.values()),
        )
        for part in parts
    ]
    rows += [
        (f"{what} at the end", *(f"{each['last'][what]:.0f}" for each in results.values()))
        for what in ("processes", "threads", "files", "sequences")
    ]
    rows += [
        (f"frames {what}", *(f"{each['frames'][what]:,}" for each in results.values()))
        for what in ("received", "answered", "skipped", "dropped")
    ]
    rows += [("what grew", *(", ".join(each["grown"]) or "nothing" for each in results.values()))]
    yield table(head, rows)
    for name, each in results.items():
        yield plot_reliability(each, images / f"{name}.svg")


def plot_reliability(result: Mapping[str, Any], target: Path) -> str:
    """Memory and what else is held over time, and how the ages are spread."""
    series = result["samples"]
    figure, (over_time, ages) = plt.subplots(1, 2, figsize=(8, 2.8), width_ratios=(3, 2))
    minutes = [each / 60 for each in series["seconds"]]
    over_time.plot(minutes, series["memory_mib"], color=COLOURS[-1], label="parent, MiB")
    over_time.plot(minutes, series["children_mib"], color=COLOURS[2], label="children, MiB")
    over_time.plot(minutes, series["threads"], ":", color=COLOURS[3], label="threads")
    over_time.plot(minutes, series["files"], "--", color=COLOURS[1], label="open files")
    over_time.set_ylim(bottom=0)
    over_time.set_xlabel("minutes of the run")
    over_time.legend(fontsize=7, frameon=False)
    ages.plot(result["ages_ms"], [share / 100 for share in range(101)], color=COLOURS[-1])
    ages.set_xlim(left=0)
    ages.set_xlabel("glass to event, ms")
    ages.set_ylabel("share of answers")
    for axes in (over_time, ages):
        axes.spines[["top", "right"]].set_visible(False)
    return _save(figure, target, "Memory, threads and files over time; ages of the pictures")


def gating(result: Mapping[str, Any]) -> str:
    """A row for each clip."""
    head = ("clip", "saved", "worst age", "missed", "late at most", "stale", "flicker", "judging")
    rows = [
        (
            name,
            f"{cut(100 * each['saved'], 0)} %",
            f"{each['worst_age']:.1f} s",
            each.get("missed", ""),
            f"{each['late']:.1f} s" if "late" in each else "",
            f"{100 * each['stale']:.1f} %" if "stale" in each else "",
            f"{100 * each['flicker']:.1f} %" if "flicker" in each else "",
            f"{each['gate_ms']:.1f} ms",
        )
        for name, each in result.items()
        if isinstance(each, dict) and "saved" in each
    ]
    return (
        "The gate: encodings saved, age of carried answers, vehicles of 5 % of the width that were "
        "missed (of 3), carried answers that asking would have changed, and how much the model's "
        f"answers flicker by themselves:\n\n{table(head, rows)}"
    )


def roofline(results: Results) -> str:
    """A row for each bundle."""
    head = (
        "bundle",
        "decode / memory",
        "GiB/s of weights",
        "four in one call",
        "products / encode",
    )
    rows = [
        (
            each["bundle"],
            each["decode"]["share"],
            f"{each['decode']['gib_per_second']:.1f} of "
            f"{each['decode']['memory_gib_per_second']:.1f}",
            each["decode"]["batch"],
            each["encode"]["share"],
        )
        for each in results.values()
    ]
    return (
        "Against the machine: weights read per second of decoding as a share of what summing an "
        "array reads, one call for four sequences against four calls, and the encoder's bare "
        f"products of matrices as a share of an encoding:\n\n{table(head, rows)}"
    )


def overheads(results: Results) -> str:
    """Two rows for each bundle and number of threads."""
    head = ("bundle", "threads", "way", "share", "ms a frame", "encode", "decode", "decode calls")
    rows = [
        (
            each["bundle"],
            each["threads"],
            way,
            cut(each[way]["ratio"]),
            f"{each[way]['wall_ms']:.1f}",
            f"{each[way]['encode_ms']:.1f}",
            f"{each[way]['decode_ms']:.1f}",
            f"{each[way]['decode_calls']:.1f}",
        )
        for each in results.values()
        for way in ("as shipped", "in turn")
    ]
    return (
        "Five tasks a frame: the sum of the libraries' calls as a share of the whole. As shipped, "
        "vision encodes while language answers, so the sum may exceed the whole; in turn it "
        f"cannot:\n\n{table(head, rows)}"
    )


def drafted(results: Results) -> str:
    """A row for each clip."""
    head = ("clip", "calls with", "without", "time with / without", "upper bound", "different")
    rows = [
        (
            each["video"],
            each["decode_calls_per_frame"]["with"],
            each["decode_calls_per_frame"]["without"],
            each["time"],
            each["slower"],
            each["different"],
        )
        for each in results.values()
    ]
    return f"Drafts, a caption and a grounding a frame:\n\n{table(head, rows)}"


def _figure(height: float) -> tuple[Any, Any]:
    figure, axes = plt.subplots(figsize=(7, height))
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, target: Path, words: str) -> str:
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)
    return f"![{words}](images/{target.name})"


if __name__ == "__main__":
    sys.exit(main())
