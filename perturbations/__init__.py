"""Change the physics of any compiled MuJoCo model and the signals around it, and prove that the physics changed.

heavier = mass(1.2)(model)                              # a changed copy
slippery = parse("mass=1.2,friction=0.5")(model)        # several at once
late = parse("mass@torso=1.2,latency=1").disturbances   # changes of signals while an episode runs
physics_difference(model, slippery)                     # field → greatest absolute change
"""

from perturbations.base import Perturbation, compose
from perturbations.disturbances.actions import action_noise, latency
from perturbations.disturbances.contract import Disturbance, Setting, Signals
from perturbations.disturbances.pushes import push
from perturbations.disturbances.sensors import sensor_bias, sensor_dropout, sensor_noise
from perturbations.disturbances.shifts import action_bias
from perturbations.effect import is_no_op, physics_difference
from perturbations.language import build, canonical, join, needs_scale, nominal_of, parse, records, split
from perturbations.pairs import contact_friction
from perturbations.parameter import Change, Parameter
from perturbations.physics.actuators import strength
from perturbations.physics.bodies import mass
from perturbations.physics.contact import friction
from perturbations.physics.geometry import limb_size, limb_size_density
from perturbations.physics.joints import armature, damping, frictionloss, stiffness
from perturbations.physics.surroundings import gravity, wind
from perturbations.sampling import latin_hypercube, uniform
from perturbations.table import PERTURBATIONS, resolve

__all__ = [
    "PERTURBATIONS",
    "Change",
    "Disturbance",
    "Parameter",
    "Perturbation",
    "Setting",
    "Signals",
    "action_bias",
    "action_noise",
    "armature",
    "build",
    "canonical",
    "compose",
    "contact_friction",
    "damping",
    "friction",
    "frictionloss",
    "gravity",
    "is_no_op",
    "join",
    "latency",
    "latin_hypercube",
    "limb_size",
    "limb_size_density",
    "mass",
    "needs_scale",
    "nominal_of",
    "parse",
    "physics_difference",
    "push",
    "records",
    "resolve",
    "sensor_bias",
    "sensor_dropout",
    "sensor_noise",
    "split",
    "stiffness",
    "strength",
    "uniform",
    "wind",
]
