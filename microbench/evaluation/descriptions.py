"""Descriptions of attacks and perturbations for results.json, so that reports need not guess them from names."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import perturbations
from attacks.language import parse
from microbench.adversaries.loading import PREFIX
from microbench.evaluation.attacked import file_of, sensors_of
from microbench.evaluation.named_files import of_attack, of_perturbation
from microbench.evaluation.sensors import chosen
from microbench.tasks import Task
from reports.study.worst import WORST


def of_attacks(task: Task, texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Attack text → its name without sensors, the sensors, the number of attacked readings, the critic and its files.

    `critic` is the file whose critic replaces the policy's own, None without one; `files` maps each named file to the
    SHA-256 of its content.

    Raises:
        ValueError: an attack cannot be parsed, or names a sensor that the task lacks.
    """
    return {text: _of_attack(task, text) for text in dict.fromkeys(texts) if text not in ("none", WORST)}


def of_perturbations(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Name of a perturbation, or of each part of a composition → nominal factor, unit, in_obs_units and files."""
    return {
        record.name: {
            "nominal": record.nominal,
            "unit": record.unit,
            "in_obs_units": record.in_obs_units,
            "files": of_perturbation(record.name),
        }
        for text in dict.fromkeys(texts)
        if text != "none"
        for record in perturbations.records(text)
    }


def _of_attack(task: Task, text: str) -> dict[str, Any]:
    learned, sensors = text.startswith(PREFIX), sensors_of(text)
    return {
        "name": text if learned else str(replace(parse(text), sensors=())),
        "sensors": "+".join(sensors),
        "readings": int(chosen(task, sensors).sum()) if sensors else task.obs_size,
        "critic": None if learned else file_of(text),
        "files": of_attack(text),
    }
