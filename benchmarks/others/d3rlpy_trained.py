"""d3rlpy as its users have it: fitted for some steps to a small dataset, saved with `save`; others refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.others.d3rlpy_files import ACTIONS, HOPPER, SENSORS
from benchmarks.others.written import Written

STEPS, EPISODES, LENGTH = 30, 4, 60
KINDS = ("SAC", "TD3", "TD3PlusBC", "CQL", "IQL", "AWAC", "BC")
SCALED = ("SAC", "CQL", "IQL")


def written(folder: Path, _: Path | None) -> Iterator[Written]:
    """Plain, with scalers fitted to the data, with normalisation inside, with discrete actions, a transformer."""
    from d3rlpy import algos, models, preprocessing

    for kind in KINDS:
        yield compared(folder, kind, {})
    for kind in SCALED:
        scalers = {
            "observation_scaler": preprocessing.StandardObservationScaler(),
            "action_scaler": preprocessing.MinMaxActionScaler(),
        }
        yield compared(folder, f"{kind}, fitted scalers", scalers)
    for name, words in (("use_batch_norm", "batch normalisation"), ("use_layer_norm", "normalisation")):
        encoder = models.VectorEncoderFactory([16, 16], **{name: True})
        yield refused(folder, f"SAC, {name}", fitted("SAC", {"actor_encoder_factory": encoder}), words)
    yield refused(folder, "DiscreteCQL", fitted("DiscreteCQL", {}, discrete=True), "discrete")
    transformer = algos.DecisionTransformerConfig(batch_size=8, num_layers=1, num_heads=1, context_size=4)
    history = transformer.create(device="cpu:0")
    history.fit(dataset(), n_steps=2, n_steps_per_epoch=2, show_progress=False, logger_adapter=silent())
    yield refused(folder, "DecisionTransformer", history, "Decision Transformer")


def compared(folder: Path, name: str, settings: dict[str, Any]) -> Written:
    """A file whose actions must be d3rlpy's."""
    algorithm = fitted(name.partition(",")[0], settings)
    path = folder / f"{name.replace(', ', '-').replace(' ', '-')}-trained.d3"
    algorithm.save(str(path))
    return Written(name=name, path=path, policy=algorithm.predict, overrides=HOPPER, actions_alone=True)


def refused(folder: Path, name: str, algorithm: Any, words: str) -> Written:
    """A file that must be refused with these words."""
    path = folder / f"{name.replace(', ', '-').replace(' ', '-')}-trained.d3"
    algorithm.save(str(path))
    return Written(name=name, path=path, refusal=words)


def fitted(kind: str, settings: dict[str, Any], *, discrete: bool = False) -> Any:
    """An algorithm after some steps of `fit`."""
    from d3rlpy import algos

    algorithm = getattr(algos, f"{kind}Config")(batch_size=16, **settings).create(device="cpu:0")
    data = dataset(discrete=discrete)
    algorithm.fit(data, n_steps=STEPS, n_steps_per_epoch=STEPS, show_progress=False, logger_adapter=silent())
    return algorithm


def silent() -> Any:
    """A logger that writes nothing."""
    from d3rlpy.logging import NoopAdapterFactory

    return NoopAdapterFactory()


def dataset(*, discrete: bool = False) -> Any:
    """Episodes of random numbers with Hopper's sizes."""
    from d3rlpy.dataset import MDPDataset

    rng, count = np.random.default_rng(0), EPISODES * LENGTH
    actions = rng.integers(0, 3, (count, 1)) if discrete else rng.uniform(-1, 1, (count, ACTIONS))
    terminals = np.tile(np.arange(LENGTH) == LENGTH - 1, EPISODES)
    observations = rng.normal(1, 2, (count, SENSORS)).astype(np.float32)
    return MDPDataset(
        observations, actions.astype(np.float32) if not discrete else actions, rng.normal(size=count), terminals
    )
