"""A small file of every family, by name."""

from collections.abc import Callable

from tests.microbench.checkpoints.foreign_files import (
    ACTIONS,
    cleanrl,
    corl,
    d3rlpy,
    d4rl_policy,
    expert_hdf5,
    expert_pickle,
    mlp,
    offlinerl_kit,
    rorl,
    sa_ppo,
    sb3,
    torch_bytes,
    worst_case_critic,
)
from tests.microbench.checkpoints.foreign_programs import HAS_ONNX, onnx_actor, torchscript

FILES: dict[str, Callable[[], bytes]] = {
    "sb3-ppo.zip": sb3,
    "sb3-sac.zip": lambda: sb3("sac"),
    "sb3-tqc.zip": lambda: sb3("tqc"),
    "sb3-td3.zip": lambda: sb3("td3"),
    "sb3-ars.zip": lambda: sb3("ars"),
    "sb3-ars-linear.zip": lambda: sb3("ars-linear"),
    "sb3-crossq.zip": lambda: sb3("crossq"),
    "sb3-sde.zip": lambda: sb3("sde"),
    "sa-ppo.model": sa_ppo,
    "sa-ppo-legacy.model": lambda: sa_ppo(legacy=True),
    "lstm.model": lambda: sa_ppo(recurrent=True),
    "atla.model": lambda: sa_ppo(adversary=True),
    "wocar.model": lambda: sa_ppo(q_model=worst_case_critic()),
    "td3.pth": lambda: torch_bytes(mlp(names=("l1", "l2", "l3"))),
    "sac.pth": lambda: torch_bytes(mlp(actions=2 * ACTIONS, names=("net.0", "net.2", "net.4"))),
    "expert.pkl": expert_pickle,
    "expert.h5": expert_hdf5,
    "corl-sac-n.pt": lambda: torch_bytes(corl("sac-n")),
    "offlinerl-kit.pth": lambda: torch_bytes(offlinerl_kit()),
    "rorl.pt": rorl,
    "d3rlpy.d3": d3rlpy,
    "d3rlpy-iql.d3": lambda: d3rlpy("iql"),
    "d3rlpy-bc.d3": lambda: d3rlpy("bc"),
    "cleanrl-td3.cleanrl_model": lambda: torch_bytes(cleanrl("td3")),
    "cleanrl-ddpg.cleanrl_model": lambda: torch_bytes(cleanrl("ddpg")),
    "cleanrl-sac.cleanrl_model": lambda: torch_bytes(cleanrl("sac")),
    "d4rl-policy.hdf5": d4rl_policy,
    "traced.pt": torchscript,
    "scripted.pt": lambda: torchscript("scripted"),
    "frozen.pt": lambda: torchscript("frozen"),
    **({"actor.onnx": onnx_actor} if HAS_ONNX else {}),
}
"""Every file loads, and its task is Hopper-v4."""
