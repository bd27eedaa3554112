"""All methods by name, in the order of the tables."""

from __future__ import annotations

from flexpose_ray.methods import adagan, adversarial, flow, lora, simple
from flexpose_ray.methods.adagan import AdaGanSettings
from flexpose_ray.methods.adversarial import AdversarialSettings
from flexpose_ray.methods.base import AdaptationTask, Method, MethodResult, drawn_by
from flexpose_ray.methods.blending import BlendSettings
from flexpose_ray.methods.flexpose import FlexPoseSettings, adapt
from flexpose_ray.methods.flow import FlowSettings
from flexpose_ray.methods.lora import LoraSettings
from flexpose_ray.methods.simple import CoralSettings, MixupNoiseSettings, NoSettings
from flexpose_ray.networks.transfer import W
from flexpose_ray.training.loop import OnStep

# the paper's setting, except for mirror images of shots, which all methods treat alike
PAPER = FlexPoseSettings(layers=(3,), bias=False, loss="perceptual", pairing="random", blend=False)


def learn_flexpose(task: AdaptationTask, settings: FlexPoseSettings, on_step: OnStep, device: str) -> MethodResult:
    """FlexPose, see methods/flexpose.py."""
    transfer = adapt(task.networks, task.shots_NJ2, settings, on_step, device)
    tensors = {name: tensor.clone() for name, tensor in transfer.state_dict().items()}
    parameters = sum(t.numel() for t in tensors.values())
    return MethodResult(drawn_by(task.networks.generator, task, device, transfer), parameters, tensors)


def _flexpose(name: str, title: str, settings: FlexPoseSettings) -> Method:
    return Method(name, title, "generator", settings, learn_flexpose)


_ALL = (
    Method("aligned", "target poses (Aligned)", "reference", NoSettings(), simple.aligned),
    Method("unadapted", "generator, not adapted", "reference", NoSettings(), simple.unadapted),
    Method("direct", "source + shots (Direct)", "keypoints", NoSettings(), simple.direct),
    Method("shots_alone", "shots alone", "keypoints", NoSettings(), simple.shots_alone),
    Method("pose_mixup", "pose-mixup", "keypoints", NoSettings(), simple.pose_mixup),
    Method("mixup_noise", "pose-mixup + noise", "keypoints", MixupNoiseSettings(), simple.mixup_noise),
    Method("mean_shift", "mean shift", "keypoints", NoSettings(), simple.mean_shift),
    Method("diagonal", "mean and std match", "keypoints", NoSettings(), simple.diagonal),
    Method("coral", "CORAL", "keypoints", CoralSettings(), simple.coral),
    Method("blended_source", "source poses, blended", "keypoints", BlendSettings(), simple.blended),
    Method("flow", "flow matching, tuned", "keypoints", FlowSettings(), flow.learn),
    Method("finetune", "fine-tuning (TransferGAN)", "generator", AdversarialSettings(), adversarial.learn),
    Method("freezed", "FreezeD", "generator", AdversarialSettings(frozen=1), adversarial.learn),
    Method("adagan", "AdaGAN", "generator", AdaGanSettings(), adagan.learn),
    Method("lora", "LoRA, rank 1", "generator", LoraSettings(), lora.learn),
    Method("lora_4", "LoRA, rank 4", "generator", LoraSettings(rank=4), lora.learn),
    Method("lora_convs", "LoRA, rank 1, convolutions too", "generator", LoraSettings(convs=True), lora.learn),
    _flexpose("flexpose", "FlexPose, the paper's setting", PAPER),
    _flexpose("flexpose_moments", "FlexPose, moments", FlexPoseSettings(layers=W, blend=False)),
    _flexpose("flexpose_blend", "FlexPose, blended", FlexPoseSettings()),
)

METHODS = {method.name: method for method in _ALL}
OURS = tuple(method.name for method in _ALL if method.learn is learn_flexpose)
