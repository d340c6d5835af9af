"""Install speechbrain-tasnet: ``pip install .`` or, to work on it, ``make test``."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
SOURCE = (HERE / "speechbrain_tasnet/__init__.py").read_text(encoding="utf-8")
VERSION = re.search(r'__version__ = "(.+)"', SOURCE)[1]

APP = ["gradio>=6.31,<7"]
DEMO = ["espeakng-loader>=0.2.4"]
# Asteroid holds torchmetrics back at a release that needs pkg_resources.
STUDY = ["asteroid>=0.7", "nvidia-ml-py>=12", "setuptools<81"]
BENCH = [*DEMO, *STUDY, "matplotlib>=3.9", "onnx>=1.16", "onnxruntime>=1.19", "openvino>=2024.5"]
EXPORT = ["onnx>=1.16", "onnxruntime>=1.19"]
TENSORBOARD = ["tensorboard>=2.14"]
LIVE = ["sounddevice>=0.4.7"]
MEDIA = ["av>=13.1"]
QUALITY = ["pesq>=0.0.4", "pyannote.metrics>=4.1", "pystoi>=0.4"]
ROOMS = ["pyroomacoustics>=0.8"]
CLUSTER = ["submitit>=1.5"]
CORPORA = ["pyloudnorm>=0.1.1"]
NOTEBOOK = ["ipykernel>=6.29", "nbclient>=0.10"]
# The site separates synthetic voices, runs the notebook and holds the browser page's graphs.
DOCS = ["mkdocs-material>=9.6", "mkdocstrings[python]>=0.29", "onnx>=1.16", *DEMO, *NOTEBOOK]
TEST = [*APP, *CLUSTER, *CORPORA, *DOCS, *EXPORT, *LIVE, *MEDIA, *QUALITY, *ROOMS]
TEST += [*TENSORBOARD]
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
    version=VERSION,
    description="Conv-TasNet for SpeechBrain: speech separation exactly as in the paper",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=[*find_packages(include=["speechbrain_tasnet*"]), "speechbrain_tasnet.hparams"],
    # The YAML files stand at the top of the checkout, where a recipe reader looks for them,
    # and travel inside the package, where the installed command line finds them.
    package_dir={"speechbrain_tasnet.hparams": "hparams"},
    package_data={
        "speechbrain_tasnet.app": ["*.css", "*.j2", "*.js"],
        "speechbrain_tasnet.bundle": ["model_card.md.j2"],
        "speechbrain_tasnet.shipped": ["*/*"],
        "speechbrain_tasnet.hparams": ["*.yaml", "model/*.yaml", "shared/*.yaml", "study/*.yaml"],
        "speechbrain_tasnet.report": ["*.j2"],
        "speechbrain_tasnet.speakers": ["*.safetensors"],
        "speechbrain_tasnet.study": ["*.j2"],
    },
    entry_points={"console_scripts": ["tasnet = speechbrain_tasnet.cli:main"]},
    install_requires=[
        "filelock>=3.16",
        "huggingface_hub>=0.24",
        "hyperpyyaml>=1.2.2",
        "jinja2>=3.1",
        "numba>=0.60",
        "numpy>=1.26",
        "packaging>=23",
        "pillow>=10",
        "psutil>=5.9",
        "pydantic>=2.7",
        "pyyaml>=6",
        "ruamel.yaml>=0.17.28",
        "safetensors>=0.4",
        "scipy>=1.11",
        "soundfile>=0.12.1",
        "speechbrain>=1.1,<1.2",
        "torch>=2.7.1,<2.16",
        "torchaudio>=2.7.1,<=2.11.1",
        "torchmetrics>=0.11.4",
        "tqdm>=4.42",
    ],
    extras_require={
        "app": APP,
        "bench": BENCH,
        "cluster": CLUSTER,
        "corpora": CORPORA,
        "demo": DEMO,
        "docs": DOCS,
        "export": EXPORT,
        "live": LIVE,
        "media": MEDIA,
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
