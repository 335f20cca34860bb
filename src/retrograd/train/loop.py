"""The loop of `Trainer.fit`: epochs, batches, events, interruption, divergence."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DivergedError
from ..nn import BatchNorm, Module
from ..ops import random
from ..trace import Array
from .callbacks import Callback
from .events import BatchEnd, EpochBegin, EpochEnd, Event, FitBegin, FitEnd
from .history import VALIDATION, History
from .interrupts import Interrupts
from .samples import NumpyArray, Running, Samples
from .steps import Steps, run_all

if TYPE_CHECKING:
    from .trainer import Trainer

EVALUATION_BATCH = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call of fit was asked to do."""

    epochs: int
    batch_size: int
    shuffle: bool


@dataclass(slots=True)
class Position:
    """Where a training stands.

    Args:
        epoch: how many epochs are complete.
        batch: how many batches of the next epoch are done.
        order_state: the random generator before the order of that epoch was drawn; None between
            epochs. The order can be drawn again from it.
        running: the sums of that epoch so far.
    """

    epoch: int
    batch: int
    order_state: Array | None
    running: Running


class FitLoop:
    """One call of fit.

    Args:
        trainer: whose model is trained.
        training, validation: the samples.
        plan: epochs, batch size, shuffling.
        callbacks: the observers, in order.
    """

    def __init__(
        self,
        trainer: Trainer,
        training: Samples,
        validation: Samples | None,
        plan: Plan,
        callbacks: Sequence[Callback],
    ) -> None:
        self.trainer = trainer
        self.training = training
        self.validation = validation
        self.plan = plan
        self.callbacks = list(callbacks)
        self.history = History()
        self.position = Position(0, 0, None, Running(trainer.metrics))
        self.batches = count_batches(training.count, plan.batch_size, trainer.model)
        self.resumed = False
        self._steps = trainer.programs.training(trainer.model, trainer.optimizer, training)
        self._validation_steps = (
            None if validation is None else trainer.programs.evaluation(trainer.model, validation)
        )
        self._sees_batches = any(
            callback.every_batch and type(callback).on_batch_end is not Callback.on_batch_end
            for callback in callbacks
        )
        self.stop_reason: str | None = None
        self.dispatching = False
        self._interrupts = Interrupts()
        self._pending_saves: list[str] = []
        self._live: dict[str, Array] | None = None
        self._restored: dict[str, Array] | None = None
        self._rows_seen: set[str] = set()  # tables whose changed rows each step looks at
        self._watched = frozenset[str]()  # of these, those that were sound when they were whole

    # -- what callbacks may ask ---------------------------------------------------------------

    def save_later(self, path: str) -> None:
        """Save when all callbacks have seen the event: their states belong to the saved run."""
        self._pending_saves.append(path)

    def live_weights(self) -> dict[str, Array]:
        """The weights that training goes on from.

        They are not the model's when a callback has put the best ones into the model at the end.
        """
        current = self.trainer.model.named_state()
        if self._live is None or self._restored is None:
            return current
        same = all(current.get(path) is array for path, array in self._restored.items())
        return self._live if same else current

    # -- the loop -----------------------------------------------------------------------------

    def run(self) -> History:
        """Train, and give the history."""
        model = self.trainer.model
        modes = [(module, module.training) for _, module in model.modules()]
        started = time.monotonic()
        diverged: DivergedError | None = None
        try:
            with self._interrupts.catching():
                self._dispatch("on_fit_begin", self._describe())
                model.train()
                try:
                    while self.position.epoch < self.plan.epochs and not self._should_stop():
                        self._train_epoch()
                except DivergedError as error:
                    diverged, self.stop_reason = error, "divergence"
                self._finish(time.monotonic() - started)
        finally:
            set_modes(modes)
            for callback in self.callbacks:
                callback.close()
        if diverged is not None:
            raise diverged
        return self.history

    def _finish(self, seconds: float) -> None:
        stopped_by = "interrupt" if self._interrupts.requested else self.stop_reason
        self.history.stopped_by = stopped_by
        self._live = self.trainer.model.named_state()
        self._dispatch("on_fit_end", FitEnd(self.position.epoch, stopped_by, seconds), save=False)
        self._restored = self.trainer.model.named_state()
        self._save_pending()

    def _train_epoch(self) -> None:
        position, trainer = self.position, self.trainer
        started = time.monotonic()
        fresh = position.order_state is None
        if fresh:
            position.batch, position.running = 0, Running(trainer.metrics)
            position.order_state = read_generator()
            order = self._draw_order()
        else:
            now = read_generator()
            assert position.order_state is not None
            write_generator(position.order_state)
            order = self._draw_order()
            write_generator(now)
        restore = self._remember()
        if fresh:
            self._dispatch("on_epoch_begin", EpochBegin(position.epoch + 1, self.plan.epochs))
        while position.batch < self.batches:
            if self._should_stop():
                return
            self._train_batches(order, restore)
        if self._should_stop():
            return
        values = position.running.values()
        bad = find_non_finite(trainer.model, self._watched)
        self._watched = frozenset(self._rows_seen)
        if bad is not None:
            raise self._diverged(f"{bad!r} became NaN or infinite", self.batches, restore())
        if self._validation_steps is not None:
            validated = self._validate(self._validation_steps)
            if validated is None:
                return
            values.update({VALIDATION + name: value for name, value in validated.items()})
        self.history.append(values)
        position.epoch += 1
        position.batch, position.order_state = 0, None
        position.running = Running(trainer.metrics)
        event = EpochEnd(position.epoch, self.plan.epochs, values, time.monotonic() - started)
        self._dispatch("on_epoch_end", event)

    def _draw_order(self) -> NumpyArray | None:
        """The samples of an epoch in random order; None as they lie."""
        count = self.training.count
        if not self.plan.shuffle or self.plan.batch_size >= count:
            return None
        return np.asarray(random.permutation(count)).astype(np.int64)

    def _train_batches(self, order: NumpyArray | None, restore: Any) -> None:
        """The next batches, in one native call where no callback wants to see each of them."""
        position = self.position
        start = position.batch * self.plan.batch_size
        size, most = self.plan.batch_size, self.batches - position.batch
        if self.batches * size != self.training.count:  # the last batch has another size
            most -= 1
        if not most:
            size, most = self.training.count - start, 1
        if self._sees_batches:
            most = 1
        done, results = self._steps.run(order, start, size, most)
        loss = math.nan
        if results is None:
            position.running.samples += size
        else:
            bad = np.flatnonzero(~np.isfinite(results.losses))
            if len(bad):
                loss, number = float(results.losses[bad[0]]), position.batch + int(bad[0]) + 1
                raise self._diverged(f"The loss became {loss}", number, restore())
            for path, flags in results.broken.items():
                if flags.any():
                    number = position.batch + int(np.flatnonzero(flags)[0]) + 1
                    raise self._diverged(f"{path!r} became NaN or infinite", number, restore())
            self._rows_seen.update(results.broken)
            position.running.add(results.losses, results.masses, size, results.sums)
            loss = float(results.losses[-1])
        position.batch += done
        self._dispatch("on_batch_end", self._describe_batch(loss))

    def _validate(self, steps: Steps) -> dict[str, float] | None:
        """Loss and metrics of the validation data; None if it was interrupted.

        It leaves the random generator as it was, so that training does not depend on it.
        """
        state = read_generator()
        self.trainer.model.eval()
        try:
            running = Running(self.trainer.metrics)
            for results in run_all(steps, EVALUATION_BATCH):
                if self._interrupts.requested:
                    return None
                running.add(results.losses, results.masses, results.size, results.sums)
            return running.values()
        finally:
            self.trainer.model.train()
            write_generator(state)

    # -- divergence ---------------------------------------------------------------------------

    def _remember(self) -> Any:
        """A function that goes back to now, and says where that is.

        Taken once an epoch and not at each step: who holds the weights forbids their reuse.
        """
        trainer, position = self.trainer, self.position
        weights, state = trainer.model.named_state(), trainer.optimizer.state
        generator, batch, running = read_generator(), position.batch, position.running.state()

        def restore() -> str:
            trainer.model.load_state(weights)
            if state is not None:
                trainer.optimizer.state = state
            write_generator(generator)
            position.batch = batch
            position.running = Running(trainer.metrics)
            position.running.load_state(running)
            if batch:
                return f"batch {batch} of epoch {position.epoch + 1}"
            return f"the end of epoch {position.epoch}" if position.epoch else "the start"

        return restore

    def _diverged(self, what: str, batch: int, kept: str) -> DivergedError:
        try:
            rate = f" (now {self.trainer.optimizer.learning_rate:g})"
        except ValueError:
            rate = ""
        return DivergedError(
            f"{what} in epoch {self.position.epoch + 1}, batch {batch} of {self.batches}; training "
            f"stopped, and the model went back to its weights of {kept} (or to the best ones, if "
            "a callback restores those).",
            fix=f"lower the learning rate{rate}, scale the inputs to about -1 to 1, or clip the "
            "gradients: optim.chain(optim.clip_by_global_norm(1.0), optimizer)",
        )

    # -- events and interruption --------------------------------------------------------------

    def _should_stop(self) -> bool:
        return self._interrupts.requested or self.stop_reason is not None

    def _dispatch(self, method: str, event: Event, save: bool = True) -> None:
        self.dispatching = True
        try:
            for callback in self.callbacks:
                try:
                    getattr(callback, method)(self.trainer, event)
                except KeyboardInterrupt:
                    # The others still see this event: then all of them stand at one place.
                    if self._interrupts.insisted:
                        raise
                    self._interrupts.requested = True
        finally:
            self.dispatching = False
        if save:
            self._save_pending()

    def _save_pending(self) -> None:
        from .checkpoint import save_run

        pending, self._pending_saves = self._pending_saves, []
        for path in dict.fromkeys(pending):
            save_run(path, self.trainer)

    def _describe(self) -> FitBegin:
        names = ("loss", *self.trainer.metrics)
        if self.validation is not None:
            names += tuple(VALIDATION + name for name in names)
        return FitBegin(
            epochs=self.plan.epochs,
            first_epoch=self.position.epoch + 1,
            samples=self.training.count,
            batch_size=self.plan.batch_size,
            batches=self.batches,
            validation_samples=0 if self.validation is None else self.validation.count,
            resumed=self.resumed,
            names=names,
        )

    def _describe_batch(self, loss: float) -> BatchEnd:
        position = self.position
        return BatchEnd(
            epoch=position.epoch + 1,
            epochs=self.plan.epochs,
            batch=position.batch,
            batches=self.batches,
            samples=position.running.samples,
            loss=loss,
            measure=position.running.values,
        )


def count_batches(count: int, batch_size: int, model: Module) -> int:
    """How many batches an epoch has.

    With BatchNorm a last batch of a single sample joins the one before: it has no variance.
    """
    batches = math.ceil(count / batch_size)
    alone = batch_size > 1 and batches > 1 and count % batch_size == 1
    if alone and any(isinstance(module, BatchNorm) for _, module in model.modules()):
        batches -= 1
    return batches


def set_modes(modes: Sequence[tuple[Module, bool]]) -> None:
    """Put each Module back into its mode."""
    for module, training in modes:
        module.set_flag("_training", training)


def find_non_finite(model: Module, without: Collection[str] = ()) -> str | None:
    """The path of the first Array that holds NaN or infinity."""
    for path, array in model.named_state().items():
        if array.type.floating and path not in without and not is_sound(array.concrete()):
            return path
    return None


def is_sound(values: NumpyArray) -> bool:
    """Whether all values are finite.

    The sum of squares is read from memory at full speed, and is finite only if all of them are.
    """
    flat = values.reshape(-1)
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.dot(flat, flat))) or bool(np.isfinite(flat).all())


def read_generator() -> Array:
    """The state of the library's random generator."""
    return random.default_generator().state


def write_generator(state: Array) -> None:
    """Set the state of the library's random generator."""
    random.default_generator().state = state
