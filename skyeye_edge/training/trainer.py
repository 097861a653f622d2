"""Training as a recipe says: Hugging Face's Trainer around our model, data and checkpoints."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.utils.data import Dataset, Sampler, SequentialSampler
from torch.utils.tensorboard import SummaryWriter
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from skyeye_edge.core.errors import SkyEyeError, needs
from skyeye_edge.training.contact_sheet import draw_sheet
from skyeye_edge.training.data.annotation import DataSet
from skyeye_edge.training.data.collate import Tokenizer, collate
from skyeye_edge.training.data.parts import Parts, read_data
from skyeye_edge.training.data.samples import Samples, counted
from skyeye_edge.training.lora import (
    add_adapters,
    restore_trained,
    train_only,
    trained_tensors,
)
from skyeye_edge.training.model.checkpoint import read_contents, saving
from skyeye_edge.training.model.skyeye import SkyEyeModel
from skyeye_edge.training.predictor import CheckpointPredictor
from skyeye_edge.training.quiet import quiet
from skyeye_edge.training.recall import recall
from skyeye_edge.training.recipe import Part, Recipe, StageRecipe, read_recipe
from skyeye_edge.training.run_folder import (
    TRAINED,
    RunFolder,
    cut_log,
    load_trained,
    open_run,
    read_log,
    write_log,
    write_trained,
)
from skyeye_edge.training.scoring import choose_images, read_scores, score_after, score_before
from skyeye_edge.training.sharding import shard_frozen

log = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 2  # of a stage


@dataclass(frozen=True, slots=True)
class TrainingEvent:
    """Where a run stands, every `log_every` steps."""

    stage: str
    step: int  # of this stage, finished
    steps: int
    loss: float  # mean since the event before, natural logarithm, per learnt token
    learning_rate: float
    samples_per_second: float
    seconds_left: float  # of this stage


def train(
    recipe_path: str | Path,
    resume: bool = False,
    on_event: Callable[[TrainingEvent], None] | None = None,
) -> Path:
    """Run a recipe to its end.

    Ctrl-C finishes the step, saves and raises KeyboardInterrupt; with `resume` the run goes on from
    there with the same samples, random numbers and learning rates as if nothing had happened.

    Args:
        recipe_path: YAML, see docs/train.md.
        resume: go on with a run that was begun; without one, begin.
        on_event: hears how far it is.

    Returns:
        The run folder, which `merge` turns into a checkpoint.

    Raises:
        InputError: the recipe is wrong, or its run folder is in use.
        DataError: an annotation file is wrong.
        CheckpointError: the base checkpoint cannot be used.
        SkyEyeError: the loss is not finite, or the disk is full; what was saved before stays.
    """
    recipe_path = Path(recipe_path)
    recipe = read_recipe(recipe_path)
    with needs("training"):
        import matplotlib  # noqa: F401  # missing at the end of a long run would be too late
    parts = _read(recipe, resume=resume)
    with quiet(), _threads(recipe.threads):
        set_seed(recipe.seed)
        model = _prepared(recipe)
        first = _process()[0] == 0
        run = open_run(recipe_path, recipe, resume=resume) if first else RunFolder(recipe.run)
        if first:
            run.keep_left_out({part.trained.name: part.left_out for part in parts})
        predictor = _predictor(model)  # of the base as yet: fresh adapters change nothing
        data = [
            recall(source.name, source.scenes, predictor, run.recalled(source.name), keep=first)
            if source.format == "recalled"
            else part.trained
            for source, part in zip(recipe.data, parts, strict=True)
        ]
        with _scored(recipe, parts, predictor, run) if first else nullcontext():
            for stage in recipe.stages:
                stage = counted(recipe, stage, data, _process()[1])
                _train_stage(recipe, stage, data, model, run, on_event)
    if first:
        draw_curves(run)
    return run.path


def _prepared(recipe: Recipe) -> SkyEyeModel:
    """The base with what the recipe changes before the first step; what is trained is float32."""
    four_bits = recipe.frozen == "nf4"
    dtype = torch.bfloat16 if four_bits else getattr(torch, recipe.frozen)
    model = SkyEyeModel.from_checkpoint(recipe.base, dtype=dtype, four_bits=four_bits)
    model.spec = recipe.adapt(model.spec, model.vision.config.grid)
    if recipe.aligner:
        model.renew_aligner(recipe.aligner)
    add_adapters(model, recipe.lora, recipe.parts)
    restore_trained(model, recipe.parts, read_contents(recipe.base))
    if recipe.recompute:
        model.save_memory()
    return model


def _read(recipe: Recipe, *, resume: bool) -> list[Parts]:
    """The data; a run that goes on leaves out what it left out before, and nothing else."""
    before = RunFolder(recipe.run).left_out() if resume else None
    return [
        read_data(
            source,
            recipe.seed,
            skip=recipe.skip_unreadable,
            known=None if before is None else before.get(source.name),
        )
        for source in recipe.data
    ]


def _predictor(model: SkyEyeModel) -> CheckpointPredictor:
    if torch.cuda.is_available():  # where the Trainer would put it
        model.to(torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))))
    return CheckpointPredictor(model)


@contextmanager
def _scored(
    recipe: Recipe, parts: Sequence[Parts], predictor: CheckpointPredictor, run: RunFolder
) -> Iterator[None]:
    """Asks the model the same questions before and after the block, unless that has been done."""
    known = read_scores(run.path)
    if not recipe.scored or known.changes():
        yield
        return
    own = [part for part, source in zip(parts, recipe.data, strict=True) if not source.scenes]
    chosen = choose_images(
        [part.trained for part in own], [part.held_out for part in own], recipe.scored, recipe.seed
    )
    if not known.images:
        score_before(predictor, chosen, run.path)
    yield
    predictor.model.eval()
    draw_sheet(chosen, score_after(predictor, chosen, run.path), run.sheet)


def _process() -> tuple[int, int]:
    """Number of this process and of all, as torchrun says; (0, 1) without it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def _train_stage(
    recipe: Recipe,
    stage: StageRecipe,
    data: Sequence[DataSet],
    model: SkyEyeModel,
    run: RunFolder,
    on_event: Callable[[TrainingEvent], None] | None,
) -> None:
    finished = run.stage(stage.name) / TRAINED
    if finished.exists():
        load_trained(model, recipe.parts, finished)
        return
    checkpoint = run.last_checkpoint(stage.name)
    done = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
    rank, processes = _process()
    if rank == 0:
        cut_log(run, stage.name, done)
    train_only(model, stage.train)
    tokenizer = Tokenizer(model.tokenizer_file)
    interrupt = _Interrupt()
    samples = Samples(recipe, stage, data, model.spec, tokenizer, processes)
    trainer = _StageTrainer(
        stage,
        recipe.parts,
        model=model,
        args=_arguments(recipe, stage, run),
        train_dataset=samples,
        data_collator=collate,
        callbacks=[interrupt, _Finite(stage), _Report(stage, run, done, on_event)],
    )
    trainer.remove_callback(PrinterCallback)
    if recipe.sharded and processes > 1:
        shard_frozen(model, recipe.parts)
    with interrupt, saving(run.path, "go on with --resume"):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if samples.skipped:
        log.warning("%d times another image stood in for one that went bad", samples.skipped.item())
    if interrupt.asked and trainer.state.global_step < stage.steps:
        raise KeyboardInterrupt
    if rank == 0:
        write_trained(trained_tensors(model, recipe.parts), finished)
    if interrupt.asked:
        raise KeyboardInterrupt


def _arguments(recipe: Recipe, stage: StageRecipe, run: RunFolder) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(run.stage(stage.name)),
        max_steps=stage.steps,
        per_device_train_batch_size=stage.batch,
        gradient_accumulation_steps=stage.accumulate,
        learning_rate=stage.learning_rate,
        weight_decay=stage.weight_decay,
        max_grad_norm=1.0,
        bf16=recipe.precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),  # else bfloat16 is refused on a CPU
        seed=recipe.seed,
        save_strategy="steps",
        save_steps=recipe.save_every,
        save_total_limit=KEPT_CHECKPOINTS,
        logging_strategy="steps",
        logging_steps=recipe.log_every,
        logging_nan_inf_filter=False,  # it would log 0.0 for a loss that is not a number
        dataloader_num_workers=recipe.workers,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        report_to=[],
    )


class _StageTrainer(Trainer):
    """Samples in their own order; checkpoints without the frozen weights."""

    def __init__(self, stage: StageRecipe, parts: Collection[Part], **more: Any) -> None:
        super().__init__(**more)
        self._stage, self._parts = stage, parts

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> LRScheduler:
        """The stage's own; none of the library's runs its cosine over the warm-up too."""
        stage = self._stage
        self.lr_scheduler: LRScheduler = LambdaLR(
            optimizer or self.optimizer,
            lambda step: stage.learning_rate_at(step) / stage.learning_rate,
        )
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> Sampler[int]:
        return SequentialSampler(train_dataset or self.train_dataset)

    def _save(self, output_dir: str | None = None, state_dict: object = None) -> None:
        if self.args.should_save:
            folder = Path(output_dir or self.args.output_dir)
            write_trained(trained_tensors(self.model, self._parts), folder / TRAINED)

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        load_trained(self.model, self._parts, Path(resume_from_checkpoint) / TRAINED)


class _Interrupt(TrainerCallback):
    """The first Ctrl-C ends training after the step, with a checkpoint; the second one at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)

    def __exit__(self, *raised: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        log.warning("finishing this step and saving; once more to stop at once")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> TrainerControl:
        """Called by the Trainer."""
        if self.asked:
            control.should_save = control.should_training_stop = True
        return control


class _Finite(TrainerCallback):
    """Ends a run before a step that would make its weights worthless."""

    def __init__(self, stage: StageRecipe) -> None:
        self._stage = stage

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **more: Any,
    ) -> TrainerControl:
        """Called by the Trainer, gradients at hand.

        Raises:
            SkyEyeError: one of them is not finite.
        """
        found = [each.grad for each in model.parameters() if each.grad is not None] if model else []
        if not all(bool(gradient.isfinite().all()) for gradient in found):
            raise SkyEyeError(
                f"stage {self._stage.name}, step {state.global_step + 1}: the loss is no number "
                "any more; nothing of this step is kept. Lower learning_rate (or raise warm_up) in "
                "the recipe and begin anew, or merge what was saved before"
            )
        return control


class _Report(TrainerCallback):
    """Log lines, curves for TensorBoard and events, from what the Trainer logs."""

    def __init__(
        self,
        stage: StageRecipe,
        run: RunFolder,
        first: int,
        on_event: Callable[[TrainingEvent], None] | None,
    ) -> None:
        self._stage, self._run, self._on_event = stage, run, on_event
        self._last = (first, time.monotonic())
        self._first = self._last
        self._board: SummaryWriter | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Called by the Trainer."""
        self._first = self._last = (self._first[0], time.monotonic())
        if state.is_world_process_zero:
            folder = self._run.board(self._stage.name)
            self._board = SummaryWriter(folder, purge_step=self._first[0] + 1)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> TrainerControl:
        """Called by the Trainer; logs where it saves, so a run killed later logs the same again."""
        control.should_log = control.should_log or state.global_step % args.save_steps == 0
        return control

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **more: Any,
    ) -> None:
        """Called by the Trainer."""
        if not logs or "loss" not in logs or not state.is_world_process_zero:
            return
        now, step = time.monotonic(), state.global_step
        per = self._stage.batch * self._stage.accumulate * _process()[1]
        samples = (step - self._last[0]) * per
        per_step = (now - self._first[1]) / max(1, step - self._first[0])
        event = TrainingEvent(
            stage=self._stage.name,
            step=step,
            steps=self._stage.steps,
            loss=float(logs["loss"]),
            learning_rate=float(logs["learning_rate"]),
            samples_per_second=samples / max(1e-9, now - self._last[1]),
            seconds_left=per_step * (self._stage.steps - step),
        )
        self._last = (step, now)
        write_log(self._run, asdict(event))
        if self._board:
            for name in ("loss", "learning_rate", "samples_per_second"):
                self._board.add_scalar(name, getattr(event, name), step)
        if self._on_event:
            self._on_event(event)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Called by the Trainer."""
        if self._board:
            self._board.close()


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def draw_curves(run: RunFolder) -> Path:
    """Draw loss and learning rate of all stages into `curves.png`; returns its path."""
    with needs("training"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(8, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    before = 0
    lines = read_log(run)
    for stage in dict.fromkeys(line["stage"] for line in lines):
        own = [line for line in lines if line["stage"] == stage]
        steps = [before + line["step"] for line in own]
        above.plot(steps, [line["loss"] for line in own], label=stage)
        below.plot(steps, [line["learning_rate"] for line in own])
        before += own[-1]["steps"]
    above.set_ylabel("loss per token")
    below.set_ylabel("learning rate")
    below.set_xlabel("step")
    if lines:
        above.legend()
    figure.savefig(run.curves, dpi=120)
    return run.curves
