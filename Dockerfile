# The command line in a container; docs/deployment.md has the commands that build and run it.
#   TORCH   cpu, or cuda for NVIDIA's GPUs, which takes gigabytes more
#   EXTRAS  of setup.py, separated by commas
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS packages
ARG TORCH=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=demo,media
ENV VIRTUAL_ENV=/opt/tasnet
WORKDIR /source
COPY locks locks
# uv checks the hashes of locks/ for whatever it installs. A torch without CUDA has hashes of its own, which the lock
# lacks; its version is the lock's.
RUN python -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir --require-hashes -r locks/uv.txt \
    && /opt/uv/bin/uv venv --python "$(command -v python)" "$VIRTUAL_ENV"
RUN if [ "$TORCH" = cpu ]; then \
      sed 's/ *\\$//; /--hash=/d' locks/test.txt > versions.txt \
      && /opt/uv/bin/uv pip install --no-cache --no-deps --index-url "$TORCH_INDEX" --constraint versions.txt \
         torch torchaudio; \
    fi
COPY . .
RUN /opt/uv/bin/uv pip install --no-cache --constraint locks/test.txt setuptools \
    && /opt/uv/bin/uv pip install --no-cache --constraint locks/test.txt --no-build-isolation --compile-bytecode \
       ".[$EXTRAS]"

FROM python:${PYTHON}-slim
ARG TORCH=cpu
# Triton compiles the launchers of its kernels with a C compiler. Any user may write to /cache.
RUN if [ "$TORCH" = cuda ]; then \
      apt-get update \
      && apt-get install --yes --no-install-recommends gcc libc6-dev \
      && rm -rf /var/lib/apt/lists/*; \
    fi \
    && useradd --uid 1000 --no-create-home --home-dir /cache tasnet \
    && install --directory --mode 1777 /cache /data
COPY --from=packages /opt/tasnet /opt/tasnet
ENV PATH=/opt/tasnet/bin:$PATH \
    HOME=/cache USER=tasnet \
    HF_HOME=/cache/huggingface NUMBA_CACHE_DIR=/cache/numba \
    TORCHINDUCTOR_CACHE_DIR=/cache/inductor TRITON_CACHE_DIR=/cache/triton
USER 1000
WORKDIR /data
ENTRYPOINT ["tasnet"]
CMD ["--help"]
