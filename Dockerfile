# The studio, served by a user without rights, with a root that may be read-only: /data and /tmp are all it writes to.
#   docker compose up                  with a GPU (compose.yaml)
#   docker compose --profile cpu up    without one: an image without CUDA
# A GPU is used through the CUDA that torch brings; DEVICE=cpu takes torch's builds without it.

FROM python:3.11-slim-bookworm AS packages
ARG DEVICE=cuda
RUN python -m venv /opt/facegen
ENV PATH=/opt/facegen/bin:$PATH
WORKDIR /build
COPY requirements.txt requirements.lock ./
# pip takes no hashes of constraints, and torch's builds without CUDA have others: versions alone
RUN sed -i -e '/--hash=/d' -e 's/ \\$//' requirements.lock \
    && if [ "$DEVICE" = cpu ]; then set -- --extra-index-url https://download.pytorch.org/whl/cpu; else set --; fi \
    && pip install --no-cache-dir "$@" -c requirements.lock -r requirements.txt
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY facegen facegen
COPY weights weights
# pip compiles what it installs; whoever runs facegen cannot write its bytecode here, and would compile it at every start.
RUN pip install --no-cache-dir --no-deps .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="facegen" \
      org.opencontainers.image.description="A studio for synthetic faces: swap, generate, talk and train" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm"

# Libraries that opencv-python and mediapipe load; versions follow the Debian of the base image.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libegl1 libgles2 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 1000 facegen \
    && mkdir -p /data/weights /data/runs /data/keys \
    && chown -R facegen:facegen /data

COPY --from=packages /opt/facegen /opt/facegen
WORKDIR /app
COPY app.py ./

# Inside the container every interface is the container's own; what the outside sees is decided by docker run -p.
# FACEGEN_END_RUNS: a container takes its processes with it, so the studio lets runs save themselves first.
ENV PATH=/opt/facegen/bin:$PATH \
    FACEGEN_HOME=/data \
    FACEGEN_END_RUNS=1 \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    GRADIO_ANALYTICS_ENABLED=False \
    HF_HUB_DISABLE_TELEMETRY=1 \
    MPLCONFIGDIR=/tmp \
    PYTHONUNBUFFERED=1
USER 1000
# /data/weights, /data/runs and /data/keys may also be mounted one by one.
VOLUME ["/data"]
EXPOSE 7860
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/', timeout=4)"]
CMD ["python", "app.py"]
