"""The side of retrograd in `novels.py`: a line of JSON for each segment and each measurement."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import retrograd as rg
from retrograd import models, nn, optim
from retrograd.cli.tasks.rounds import as_bits
from retrograd.losses import cross_entropy

from .novels_plan import read_plan


def make_model(plan: dict[str, Any], weights: dict[str, Any]) -> Any:
    """The network with the weights of the plan."""
    make = models.GPT if plan["network"] == "gpt" else models.CharacterLSTM
    model = make(plan["vocabulary"], **plan["options"])
    for part in ("embedding", "positions", "blocks", "lstm", "head"):
        own = {name: value for name, value in weights.items() if name.startswith(f"{part}.")}
        if part in ("embedding", "positions") and own:
            getattr(model, part).weight = rg.array(own[f"{part}.weight"].copy())
        elif own:
            nn.load_torch_state(getattr(model, part), own, prefix=f"{part}.")
    return model


def main() -> None:
    plan, arrays = read_plan(Path(sys.argv[1]))
    model = make_model(plan, arrays)
    optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.AdamW(1e-3, weight_decay=0.01))
    trainer = rg.Trainer(model, cross_entropy, optimizer)

    def measure() -> None:
        x, y = arrays["x_test"], arrays["y_test"]
        bits = as_bits(trainer.evaluate(x, y, batch_size=64)["loss"])
        print(json.dumps({"test": bits}), flush=True)

    measure()
    rows, time_steps = plan["batch"]
    done = 0
    for steps, rate, restart in plan["segments"]:
        start = time.perf_counter()
        if restart:
            model.carry(rows)
        optimizer.set_learning_rate(rate)
        x, y = (arrays[name][done : done + steps].reshape(-1, time_steps) for name in ("x", "y"))
        history = trainer.fit(x, y, 1, rows, shuffle=False, verbose=False)
        done += steps
        loss, seconds = history["loss"][-1], time.perf_counter() - start
        told = {"steps": steps, "bits": as_bits(loss), "seconds": seconds}
        print(json.dumps(told), flush=True)
    if plan["network"] == "lstm":
        model.carry(None)
    measure()


if __name__ == "__main__":
    main()
