"""What a table does not say by itself: plain sentences about what its numbers can and cannot carry."""

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
    """Warnings about these results, in order of weight; the empty list if there is nothing to warn of.

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
    """As many sentences of one kind as anybody reads, and how many there are beyond them."""
    if len(sentences) <= MOST + 1:
        return sentences
    return [*sentences[:MOST], f"… and {len(sentences) - MOST} more conditions of which the same is to be said."]


def _unclear(conditions: pd.DataFrame) -> list[str]:
    same = changes_nothing(conditions) | _is_untouched(conditions)  # nothing to say: they are the clean episodes
    changed = conditions[(conditions["block"] != "clean") & (conditions["paired"] > 0) & ~same]
    moved = (changed["change_high"] < 0) | (changed["change_low"] > 0)
    names = [condition_name(row) for _, row in changed[~moved].iterrows()]
    sentences = []
    if names:
        sentences.append(f"nothing can be said about {listed(names)}: the change to clean lies within its interval.")
    alone = conditions[(conditions["block"] != "clean") & (conditions["paired"] == 0)]
    if len(alone):
        names = [condition_name(row) for _, row in alone.iterrows()]
        sentences.append(f"no change to clean is given for {listed(names)}: no clean episode has the same seed.")
    return sentences


def _is_untouched(conditions: pd.DataFrame) -> pd.Series:
    """Whether each condition is the untouched point of a grid or sample, as far as names and scores tell."""
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
        f"† {condition_name(row)} leaves out {row['left_out']} of {row['n']} episodes, which have no finite return; "
        "its mean is that of the others."
        for _, row in conditions[conditions["left_out"] > 0].iterrows()
    ]


def _thin(conditions: pd.DataFrame) -> list[str]:
    sentences = []
    if (conditions["metric"] == "return").any():
        sentences.append("raw returns are shown, because the task has no reference scores for all of these episodes.")
    fewest = int((conditions["n"] - conditions["left_out"]).min())
    if fewest < FEW_EPISODES:
        sentences.append(f"as few as {fewest} episodes stand behind a number; {FEW_EPISODES} is the least to rely on.")
    runs = int(conditions["seeds"].min())
    if runs == 1:
        sentences.append(
            "one training run: the intervals cover its episodes, not what another training seed would give."
        )
    elif runs < FEW_RUNS:
        sentences.append(
            f"{runs} training runs: with fewer than {FEW_RUNS} the intervals are wide, and they hold only if runs are "
            "spread normally, which so few cannot show."
        )
    return sentences


def _repeated(repeats: Repeats) -> list[str]:
    """Rows that were left out, because one episode must not count twice."""
    sentences = []
    if repeats.rows:
        sentences.append(
            f"{repeats.rows} rows are of episodes that other rows hold, too (the same policy, condition and "
            "eval_seed): every episode is counted once."
        )
    if repeats.disagreeing:
        sentences.append(
            f"{repeats.disagreeing} episodes were evaluated twice with different outcomes: the evaluation is not "
            "repeatable, or eval_seed is not what decides an episode."
        )
    return sentences


def _scales(study: Study) -> list[str]:
    """Scores that contradict their own returns; none where the scores were left out to be comparable."""
    return _first([f"{one.sentence}." for one in contradictions(study.checked, study.anchors)])


def _misfits(about: Mapping[str, object] | None) -> list[str]:
    """Parts of the JSON beside the results that have another form than anybody expects."""
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
        "The worst case is chosen on the same episodes that measure it, which flatters the adversary; evaluate it "
        "again with another seed before quoting it."
    ]
    if families(summary):
        sentences.append(
            "The worst point of a grid or sample is the worst of the points that were tried, not of the set they stand "
            "for: a finer grid or a larger sample can only lower it."
        )
    return sentences
