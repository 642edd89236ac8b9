"""Policy networks inside a container: an entry of a dict, a part of an agent, DataParallel, torch.compile."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from microbench.checkpoints.containers.content import Content, state_dict
from microbench.checkpoints.stored_policy import Choices
from microbench.errors import UserError

WRAPPERS = re.compile(
    r"(^|(?<=\.))(module|_orig_mod)\."
)  # prefixes of DataParallel and of torch.compile, anywhere in a name
ACTORS = re.compile(
    r"(actor|policy|pi|agent|model|net|network|actor_critic|ac|module|params|weights|state)(_?(net|network|model))?"
    r"(_?(state_?dict|weights|params))?|(model_)?state_?dict",
    re.IGNORECASE,
)
"""Names of entries that hold a policy."""

OTHERS = re.compile(
    r"(critic|value|qf?\d|vf?\d|q_|v_|qf_|vf_|qnet|vnet|target|old|ema|best|epoch|args|config|scaler$).*|q|v|qf|vf|q_?fs?"
    r"|.*(optim|critic|target|log_?alpha|log_ent|temperature|sched|step|iter|log_?std|grad_scaler|_old|_ema).*|alpha",
    re.IGNORECASE,
)
"""Names of entries that a policy does not need."""

NORMALISATION = re.compile(
    r"(ob|obs|observation|state|input)s?_?(rms|mean|std|var|norm|stat|filter|scal).*|.*normali[sz].*|.*_?rms"
    r"|running_?(mean|std|var|stat|ms).*|whiten.*|z_?filter.*",
    re.IGNORECASE,
)
"""Names of entries that may normalise observations."""

PREFERRED = re.compile("actor|policy|pi", re.IGNORECASE)
MOST_DEPTH = 4


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Named tensors inside a file: their place, and entries beside them that may normalise observations."""

    place: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    beside: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The place in words, for a message."""
        return "'" + "' in '".join(reversed(self.place)) + "'" if self.place else "the file"


def unwrapped(content: Content, family: Callable[[Content], str | None]) -> tuple[Content, Entry] | None:
    """The only entry of a known family, in place of the file's content; None if no entry is of one.

    Raises:
        UserError: several entries are of a known family.
    """
    fitting: list[tuple[Content, Entry]] = []
    for entry in _entries(content.tree, (), (), MOST_DEPTH):
        inner = replace(content, tree=dict(entry.tensors), tensors=dict(entry.tensors))
        if not any(_covers(other, entry) for _, other in fitting) and family(inner) is not None:
            fitting.append((inner, entry))
    named = [pair for pair in fitting if pair[1].place and PREFERRED.match(pair[1].place[-1])]
    fitting = named if len(fitting) > 1 and len(named) == 1 else fitting
    if len(fitting) > 1:
        places = ", ".join(entry.shown for _, entry in fitting)[:200]
        raise UserError(
            f"{content.path} holds several networks that could be the policy ({places}); save the state dict of the "
            f"policy alone."
        )
    return fitting[0] if fitting else None


def explain(entry: Entry, choices: Choices) -> None:
    """Record which entry is read.

    Raises:
        UserError: an entry beside it may normalise observations, and --obs-stats is missing.
    """
    if entry.beside and choices.overrides.obs_stats is None:
        raise UserError(
            f"{choices.path} holds {entry.beside[0]!r:.60} beside the network, which may be statistics of observations "
            f'and is not read here; give them with --obs-stats FILE (JSON with mean, std and "policy": true), or '
            f"--obs-stats none if the policy takes observations as they are."
        )
    choices.inferred["container"] = f"the network in {entry.shown} is read, and nothing else of the file"


def _entries(tree: object, place: tuple[str, ...], beside: tuple[str, ...], depth: int) -> Iterator[Entry]:
    """Every state dict under names that hold policies, the outer ones first."""
    if not isinstance(tree, dict) or depth < 0:
        return
    tensors = state_dict(tree)
    if tensors:
        yield from _of_tensors({WRAPPERS.sub("", name): value for name, value in tensors.items()}, place, beside)
        return
    names = [name for name in tree if isinstance(name, str)]
    known = (*beside, *(name for name in names if NORMALISATION.fullmatch(name)))
    unknown = [
        name for name in names if state_dict(tree[name]) and not (ACTORS.fullmatch(name) or OTHERS.fullmatch(name))
    ]
    if any(name not in known for name in unknown):  # a shared part, without which the policy would be another one
        return
    for name in names:
        if ACTORS.fullmatch(name):
            yield from _entries(tree[name], (*place, name), known, depth - 1)


def _of_tensors(tensors: Mapping[str, Tensor], place: tuple[str, ...], beside: tuple[str, ...]) -> Iterator[Entry]:
    """The tensors as one entry, and entries by the first part of their names if the rest is needed by no policy."""
    yield Entry(place=place, tensors=tensors, beside=beside)
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        first, _, rest = name.partition(".")
        parts.setdefault(first, {})[rest] = value
    known = (*beside, *(name for name in parts if NORMALISATION.fullmatch(name)))
    actors = [name for name in parts if ACTORS.fullmatch(name) and "" not in parts[name]]
    others = [name for name in parts if name not in actors and name not in known]
    if all(OTHERS.fullmatch(name) for name in others):
        for name in actors:
            yield from _of_tensors(parts[name], (*place, name), known)


def _covers(outer: Entry, inner: Entry) -> bool:
    """Whether the inner entry is a part of the outer one, or has the very same tensors."""
    tensors = {id(value) for value in outer.tensors.values()}
    return inner.place[: len(outer.place)] == outer.place or {id(value) for value in inner.tensors.values()} == tensors
