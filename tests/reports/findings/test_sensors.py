"""Attacks on single sensors: told from the text, compared by their drops, drawn as bars, and kept out of the tables."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

import reports
from microbench.commands.report import printed
from reports.figures.sensor_bars import MOST_BARS, sensor_plot, sensor_plots
from reports.findings.sensors import in_sensors, sensor_numbers
from reports.study.attacked import parted
from reports.study.summary import summarize
from reports.tables.sensors import MOST_ROWS, sensor_table
from tests.reports.toys import episodes, table

CLEAN = [70.0, 80.0, 90.0, 84.0]
DROPS = {"hip": 3.0, "knee.velocity": 12.0, "velocities": 20.0, "hip+knee": 7.0}


def attacked(name: str, drop: float, eps: float = 0.1, **changes: object) -> list[dict[str, object]]:
    """Clean episodes less the drop, the last less half a point more and the first less half a point less."""
    extra = [-0.5, 0.0, 0.0, 0.5]
    return episodes([c - drop - e for c, e in zip(CLEAN, extra, strict=True)], attack=name, eps=eps, **changes)


def study(*more: list[dict[str, object]]) -> pd.DataFrame:
    single = [attacked(f"pgd@{sensor}", drop) for sensor, drop in DROPS.items()]
    return table(episodes(CLEAN), attacked("pgd", 31.0), attacked("random", 2.0), *single, *more)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pgd", ("pgd", "")),
        ("pgd@2+5", ("pgd", "2+5")),
        ("pgd(steps=50)@foot_joint.velocity", ("pgd(steps=50)", "foot_joint.velocity")),
        ('min-q(critic="a@b.safetensors")', ('min-q(critic="a@b.safetensors")', "")),
        ('min-q(critic="a@b.safetensors")@3', ('min-q(critic="a@b.safetensors")', "3")),
        ("adversary:files/me@home.npz", ("adversary:files/me@home.npz", "")),
        ("none", ("none", "")),
    ],
)
def test_the_sensors_of_a_text(text: str, expected: tuple[str, str]) -> None:
    assert parted(text) == expected


def test_a_text_is_parted_as_attacks_part_it() -> None:
    from attacks.language import parse

    for text in ("pgd", "pgd@2+5", "pgd(steps=50)@foot_joint.velocity", 'min-q(critic="a@b.safetensors")@3', "a:b@c"):
        assert parted(text)[1] == "+".join(parse(text).sensors)


def test_drops_are_paired_and_the_largest_stands_first() -> None:
    numbers = sensor_numbers(study())
    assert numbers["sensor"].tolist() == ["velocities", "knee.velocity", "hip+knee", "hip"]
    assert numbers["drop"].tolist() == pytest.approx([20.0, 12.0, 7.0, 3.0])
    assert numbers["is_group"].tolist() == [True, False, True, False]
    assert numbers["attack"].unique().tolist() == ["pgd"]
    assert numbers["whole"].tolist() == pytest.approx([31.0] * 4)
    change = summarize(study()).set_index("attack").loc["pgd@hip"]
    last = numbers.iloc[-1]
    assert (last["drop_low"], last["drop_high"]) == (-change["change_high"], -change["change_low"])
    assert last["drop_low"] < 3.0 < last["drop_high"]
    assert last["percent"] == pytest.approx(100 * 3 / 81)


def test_threats_are_not_mixed() -> None:
    """Another budget, another unit, other settings and another robot are other comparisons, or none."""
    frame = study(
        *(attacked(f"pgd@{sensor}", 40.0, eps=0.2) for sensor in ("hip", "knee")),
        *(attacked(f"pgd(steps=50)@{sensor}", 50.0) for sensor in ("hip", "knee")),
        attacked("fgsm@hip", 1.0),  # alone: a row like any other
        attacked("pgd@hip", 5.0, perturbation="mass", factor=1.5),
        attacked("pgd@knee", 5.0, perturbation="mass", factor=1.5),
    )
    numbers = sensor_numbers(frame)
    assert numbers.groupby(["attack", "eps"], sort=False).size().to_dict() == {
        ("pgd", 0.1): 4,
        ("pgd", 0.2): 2,
        ("pgd(steps=50)", 0.1): 2,
    }
    assert numbers.loc[numbers["eps"] == 0.2, "whole"].isna().all()
    shown = reports.robustness_table(frame)
    assert shown.loc[shown["attack"].str.contains("@"), ["attack", "perturbation"]].to_numpy().tolist() == [
        ["fgsm@hip", "none"],
        ["pgd@hip", "mass"],
        ["pgd@knee", "mass"],
    ]


def test_other_tables_and_plots_leave_them_out(tmp_path: Path) -> None:
    frame = study()
    assert not reports.robustness_table(frame)["attack"].str.contains("@").any()
    assert not any("@" in column for column in reports.policy_table(frame).columns)
    assert int(in_sensors(summarize(frame)).sum()) == 4
    for figure in (reports.degradation_plot(frame), reports.ladder_plot(frame), reports.distribution_plot(frame)):
        texts = [
            label.get_text() for axes in figure.axes for label in (*axes.get_yticklabels(), *axes.get_xticklabels())
        ]
        assert not any("@" in text for text in texts)
    written = reports.write_report(frame, tmp_path)
    assert {"sensors.png", "sensors.svg"} <= set(written)
    page = written["index.html"].read_text("utf-8")
    assert "under attacks on single sensors" in page
    assert "pgd@hip" not in page
    for name in ("index.html", "table.md", "table.tex"):
        assert "knee.velocity" in written[name].read_text("utf-8"), name
    assert "pgd@hip" in written["table.csv"].read_text("utf-8")


def test_curves_of_single_sensors_stay_out_of_the_table_of_curves() -> None:
    frame = study(*(attacked(f"pgd@{sensor}", 40.0, eps=0.2) for sensor in DROPS), attacked("pgd", 50.0, eps=0.2))
    assert reports.budget_table(frame)["attack"].tolist() == ["pgd"]
    assert len(reports.budget_numbers(frame)) == 5


def test_json_has_the_numbers() -> None:
    printed_json = json.loads(printed(study(), {}, [], as_json=True))
    assert [one["sensor"] for one in printed_json["sensors"]] == ["velocities", "knee.velocity", "hip+knee", "hip"]
    assert printed_json["sensors"][0]["drop"] == pytest.approx(20.0)
    assert "sensors" not in json.loads(printed(table(episodes(CLEAN)), {}, [], as_json=True))


def test_the_table_says_drop_interval_and_flags() -> None:
    marked = study(attacked("pgd@ankle", 5.0, flags="zero-gradient"))
    text = sensor_table(marked).set_index("sensors")
    assert text.loc["velocities", "score"] == "61.0"
    drop = str(text.loc["velocities", "drop"])
    assert drop.startswith("20.0 [")
    assert drop.endswith("], 24.7 %")
    assert text.loc["ankle", "score"] == "76.0 †"
    assert text["eps"].unique().tolist() == ["0.1 dataset-std linf"]


def test_without_clean_episodes_there_is_a_table_and_no_picture() -> None:
    frame = table(attacked("pgd@hip", 3.0), attacked("pgd@knee", 5.0))
    assert sensor_table(frame)["drop"].tolist() == ["–", "–"]
    assert sensor_plots(frame) == {}
    with pytest.raises(ValueError, match="nothing to compare"):
        sensor_plot(frame)


def test_no_sensors_no_table() -> None:
    frame = table(episodes(CLEAN), attacked("pgd", 3.0))
    assert len(sensor_numbers(frame)) == 0
    assert len(sensor_table(frame)) == 0
    assert sensor_plots(frame) == {}


# ---- the picture


def bars(axes: Axes) -> dict[str, Rectangle]:
    """Bars by the names at their ticks."""
    names = {label.get_position()[1]: label.get_text() for label in axes.get_yticklabels()}
    patches = [patch for patch in axes.patches if isinstance(patch, Rectangle) and abs(patch.get_height() - 0.7) < 1e-9]
    return {names[round(bar.get_y() + 0.35)]: bar for bar in patches}


def test_bars_are_the_drops_and_the_line_is_the_whole() -> None:
    figure = sensor_plot(study())
    (axes,) = figure.axes
    drawn = bars(axes)
    assert {name: bar.get_width() for name, bar in drawn.items()} == pytest.approx(DROPS)
    assert max(drawn, key=lambda name: drawn[name].get_y()) == "velocities"
    assert drawn["velocities"].get_alpha() == drawn["hip+knee"].get_alpha() != drawn["hip"].get_alpha()
    (whole,) = [line for line in axes.get_lines() if line.get_linestyle() == "--" and len(np.asarray(line.get_xdata()))]
    assert np.asarray(whole.get_xdata(), float).tolist() == pytest.approx([31.0, 31.0])
    ends = sorted(np.asarray(path.vertices)[:, 0].tolist() for path in axes.collections[0].get_paths())
    numbers = sensor_numbers(study())
    assert ends == sorted(numbers[["drop_low", "drop_high"]].to_numpy().tolist())
    assert axes.get_title(loc="left") == "pgd, eps 0.1 (× dataset std, linf)"
    assert figure.get_supxlabel() == "drop of the normalized score, in points, with 95 % interval"


def test_every_policy_and_threat_has_a_panel_on_one_scale() -> None:
    frame = study(*(attacked(f"fgsm@{sensor}", 9.0, eps=0.2, unit="raw") for sensor in ("hip", "knee")))
    both = pd.concat([frame, frame.assign(algorithm="sac", checkpoint="b" * 64)], ignore_index=True)
    figure = sensor_plot(both)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        f"{policy}\n{threat}"
        for policy in ("micro", "sac")
        for threat in ("fgsm, eps 0.2 (raw observation, linf)", "pgd, eps 0.1 (× dataset std, linf)")
    ]
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    colours = [next(iter(bars(axes).values())).get_facecolor()[:3] for axes in figure.axes]
    assert colours[0] == colours[2] != colours[1] == colours[3]


def test_of_very_many_sensors_the_largest_drops_are_shown() -> None:
    frame = table(episodes(CLEAN), *(attacked(f"pgd@{i}", float(i)) for i in range(60)))
    (axes,) = sensor_plot(frame).axes
    assert len(bars(axes)) == MOST_BARS
    assert axes.get_yticklabels()[0].get_text() == "59"
    assert axes.get_title(loc="left").endswith(f"the {MOST_BARS} largest of 60")
    assert len(sensor_table(frame)) == MOST_ROWS
    assert len(sensor_numbers(frame)) == 60


def test_raw_returns_are_named_as_such() -> None:
    lost = {"score": math.nan}
    frame = study()
    figure = sensor_plot(frame.assign(**lost))
    assert figure.get_supxlabel() == "drop of the return, with 95 % interval"
    assert bars(figure.axes[0])["hip"].get_width() == pytest.approx(60.0)
