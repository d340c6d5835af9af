"""Install speechbrain-tasnet: ``pip install .`` or, to work on it, ``make test``."""

import re
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent
SOURCE = (HERE / "speechbrain_tasnet/__init__.py").read_text(encoding="utf-8")
VERSION = re.search(r'__version__ = "(.+)"', SOURCE)[1]

DEMO = ["espeakng-loader>=0.2.4"]
# Asteroid holds torchmetrics back at a release that needs pkg_resources.
STUDY = ["asteroid>=0.7", "nvidia-ml-py>=12", "setuptools<81"]
BENCH = [*DEMO, *STUDY, "matplotlib>=3.9", "onnx>=1.16", "onnxruntime>=1.19", "openvino>=2024.5"]
EXPORT = ["onnx>=1.16", "onnxruntime>=1.19"]
TENSORBOARD = ["tensorboard>=2.14"]
QUALITY = ["pesq>=0.0.4", "pystoi>=0.4"]
ROOMS = ["pyroomacoustics>=0.8"]
TEST = [*DEMO, *EXPORT, *QUALITY, *ROOMS, *TENSORBOARD]
TEST += [
    "build>=1.2",
    "hypothesis>=6.100",
    "mir_eval>=0.8,<0.9",
    "pytest>=8",
    "pytest-cov>=5",
    "pytest-xdist>=3.6",
    "ruff>=0.12",
]
TEST += ["setuptools>=77"]

setup(
    name="speechbrain-tasnet",
    version=VERSION,
    description="Conv-TasNet for SpeechBrain: speech separation exactly as in the paper",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=[
        "speechbrain_tasnet",
        "speechbrain_tasnet.bundle",
        "speechbrain_tasnet.bundled",
        "speechbrain_tasnet.commands",
        "speechbrain_tasnet.data",
        "speechbrain_tasnet.export",
        "speechbrain_tasnet.generate",
        "speechbrain_tasnet.hparams",
        "speechbrain_tasnet.ops",
        "speechbrain_tasnet.peers",
        "speechbrain_tasnet.study",
        "speechbrain_tasnet.weights",
    ],
    # The YAML files stand at the top of the checkout, where a recipe reader looks for them,
    # and travel inside the package, where the installed command line finds them.
    package_dir={"speechbrain_tasnet.hparams": "hparams"},
    package_data={
        "speechbrain_tasnet": ["*.j2"],
        "speechbrain_tasnet.bundle": ["model_card.md.j2"],
        "speechbrain_tasnet.bundled": ["*/*"],
        "speechbrain_tasnet.hparams": ["*.yaml", "model/*.yaml", "study/*.yaml"],
        "speechbrain_tasnet.study": ["*.j2"],
    },
    entry_points={"console_scripts": ["tasnet = speechbrain_tasnet.cli:main"]},
    install_requires=[
        "filelock>=3.16",
        "hyperpyyaml>=1.2.2",
        "jinja2>=3.1",
        "numba>=0.60",
        "numpy>=1.26",
        "pillow>=10",
        "psutil>=5.9",
        "pyyaml>=6",
        "ruamel.yaml>=0.17.28",
        "safetensors>=0.4",
        "scipy>=1.11",
        "soundfile>=0.12.1",
        "speechbrain>=1.1,<1.2",
        # torchaudio ends at 2.11, and a newer torch does not import beside it.
        "torch>=2.7.1,<2.12",
        "torchaudio>=2.7.1,<2.12",
        "torchmetrics>=0.11.4",
        "tqdm>=4.42",
    ],
    extras_require={
        "bench": BENCH,
        "demo": DEMO,
        "export": EXPORT,
        "quality": QUALITY,
        "rooms": ROOMS,
        "study": STUDY,
        "tensorboard": TENSORBOARD,
        "test": TEST,
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
    ],
)
