"""Notes below a table: sentences that say how far its numbers can be trusted."""

from collections.abc import Mapping

import pandas as pd

from reports.rows.identity import Repeats
from reports.rows.sidecars import complaints
from reports.study.conditions import changes_nothing
from reports.study.grids import families
from reports.study.names import condition_name, listed
from reports.study.pairing import repeated_cells
from reports.study.provenance import runs_of
from reports.study.runs import unequal_runs
from reports.study.scales import contradictions
from reports.study.summary import Results, Study, study_of
from reports.study.worst import most
from reports.words.choosing import checkpoints_of, choice_notes, records
from reports.words.runs import fewer_runs, uneven_runs
from reports.words.suspicions import not_clean, repeats, rises, yardstick

FEW_EPISODES = 10
FEW_RUNS = 5
MOST = 6


def notes(results: Results) -> list[str]:
    """Warnings about these results, the most important first; an empty list if there are none.

    Raises ValueError as `summarize` does.
    """
    return list(study_of(results).shown.once(_notes))


def _notes(study: Study) -> list[str]:
    episodes, summary = study.episodes, study.summary
    all_notes: list[str] = []
    repeated, runs, sizes = repeated_cells(episodes), runs_of(study.about), unequal_runs(episodes)
    for policy, conditions in summary.groupby("policy", sort=False):
        sentences = [*_first(not_clean(conditions)), *_first(repeats(conditions[conditions.index.isin(repeated)]))]
        sentences += yardstick(conditions, episodes)
        sentences += _first(rises(conditions, episodes))
        sentences += _first(choice_notes(conditions, records(runs, checkpoints_of(episodes, str(policy)))))
        sentences += [*_first(fewer_runs(conditions)), *uneven_runs(conditions, sizes)]
        for judge in (_unclear, _flagged, _missing, _thin):
            sentences += _first(judge(conditions))
        all_notes += [f"{policy}: {sentence}" for sentence in sentences]
    all_notes = [study.left_out, *all_notes] if study.left_out else all_notes
    return [*all_notes, *_repeated(study.repeats), *_chosen(summary), *_scales(study), *_misfits(study.about)]


def _first(sentences: list[str]) -> list[str]:
    """The first `MOST` sentences of one kind, and one that counts the others."""
    if len(sentences) <= MOST + 1:
        return sentences
    return [*sentences[:MOST], f"… and the same for {len(sentences) - MOST} more conditions."]


def _unclear(conditions: pd.DataFrame) -> list[str]:
    same = changes_nothing(conditions) | _is_untouched(conditions)  # these are the clean episodes
    changed = conditions[(conditions["block"] != "clean") & (conditions["paired"] > 0) & ~same]
    moved = (changed["change_high"] < 0) | (changed["change_low"] > 0)
    single = changed["change_low"].isna() | changed["change_high"].isna()
    names = [condition_name(row) for _, row in changed[~moved & ~single].iterrows()]
    sentences = []
    if names:
        sentences.append(f"no significant change from clean (the 95 % interval includes 0) for {listed(names)}.")
    if single.any():
        names = [condition_name(row) for _, row in changed[single].iterrows()]
        sentences.append(f"one pair of episodes gives no interval of the change from clean for {listed(names)}.")
    alone = conditions[(conditions["block"] != "clean") & (conditions["paired"] == 0)]
    if len(alone):
        names = [condition_name(row) for _, row in alone.iterrows()]
        sentences.append(f"the change from clean is unknown for {listed(names)}: no clean episode has the same seed.")
    return sentences


def _is_untouched(conditions: pd.DataFrame) -> pd.Series:
    """Whether each condition is the nominal point of a grid or sample and gives the clean scores."""
    untouched = pd.Series(False, index=conditions.index)
    for family in families(conditions):
        cells = family.cells
        untouched[cells.index] = family.untouched & (cells["change_low"] == 0) & (cells["change_high"] == 0)
    return untouched


def _flagged(conditions: pd.DataFrame) -> list[str]:
    flagged = conditions[conditions["flags"] != ""]
    return [
        f"† {condition_name(row)} is flagged: {row['flags']} of {row['n']} episodes." for _, row in flagged.iterrows()
    ]


def _missing(conditions: pd.DataFrame) -> list[str]:
    return [
        f"† {condition_name(row)}: {row['left_out']} of {row['n']} episodes have no finite return and are left out of "
        "the mean."
        for _, row in conditions[conditions["left_out"] > 0].iterrows()
    ]


def _thin(conditions: pd.DataFrame) -> list[str]:
    sentences = []
    if (conditions["metric"] == "return").any():
        sentences.append("raw returns are shown because not every episode has a normalized score.")
    fewest = int((conditions["n"] - conditions["left_out"]).min())
    if fewest < FEW_EPISODES:
        sentences.append(f"the smallest number of episodes behind a mean is {fewest}; use at least {FEW_EPISODES}.")
    runs = int(conditions["seeds"].min())
    if runs == 1:
        sentences.append(
            "one training run: the intervals cover variation between episodes, not between training seeds."
        )
    elif runs < FEW_RUNS:
        sentences.append(
            f"{runs} training runs: with fewer than {FEW_RUNS} the intervals are wide, and they assume normally "
            "distributed runs, which so few cannot confirm."
        )
    return sentences


def _repeated(repeats: Repeats) -> list[str]:
    """Notes on rows that repeat an episode of another row; each episode counts once."""
    sentences = []
    if repeats.rows:
        sentences.append(
            f"{repeats.rows} rows repeat an episode of another row (same policy, condition and eval_seed): each "
            "episode is counted once."
        )
    if repeats.disagreeing:
        sentences.append(
            f"{repeats.disagreeing} episodes were evaluated twice with different outcomes: the evaluation is not "
            "reproducible, or eval_seed does not determine an episode."
        )
    return sentences


def _scales(study: Study) -> list[str]:
    """Notes on scores that contradict their own returns; none if scores were replaced by raw returns."""
    return _first([f"{one.sentence}." for one in contradictions(study.checked, study.anchors)])


def _misfits(about: Mapping[str, object] | None) -> list[str]:
    """A note on parts of the sidecar JSON that have an unexpected form."""
    left_out = complaints(about or {})
    if not left_out:
        return []
    more = f", and {len(left_out) - 1} more such parts" if len(left_out) > 1 else ""
    return [f"the JSON beside the results is not read in full: {left_out[0]}{more}; the rows are not affected."]


def _chosen(summary: pd.DataFrame) -> list[str]:
    blocks = [block for name, block in summary.groupby("block") if name != "clean"]
    if max((most(block) for block in blocks), default=0) < 2:
        return []
    sentences = [
        "The worst case is chosen on the same episodes that measure it, which biases its mean downwards; evaluate it "
        "again with another seed before quoting it."
    ]
    if families(summary):
        sentences.append(
            "The worst point of a grid or sample is the worst of the evaluated points only: a finer grid or a larger "
            "sample can only lower it."
        )
    return sentences
