# The studio, served by a user without rights. A GPU is used through the CUDA that torch brings:
#   docker build -t facegen .
#   docker run --gpus all -p 127.0.0.1:7860:7860 -v facegen:/data facegen
FROM python:3.11-slim

# Libraries that opencv-python and mediapipe load; versions follow the Debian of the base image.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libegl1 libgles2 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 1000 facegen \
    && mkdir -p /data/weights /data/runs \
    && chown -R facegen:facegen /data

WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
RUN pip install --no-cache-dir --no-deps -e .
# pip compiles what it installs; whoever runs facegen cannot write its bytecode here, and would compile it at every start.
# hadolint ignore=DL3059
RUN python -m compileall -q facegen app.py

# Inside the container every interface is the container's own; what the outside sees is decided by docker run -p.
ENV FACEGEN_HOME=/data \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    GRADIO_ANALYTICS_ENABLED=False \
    HF_HUB_DISABLE_TELEMETRY=1 \
    PYTHONUNBUFFERED=1
USER 1000
# /data/weights and /data/runs may also be mounted one by one.
VOLUME ["/data"]
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/', timeout=4)"]
CMD ["python", "app.py"]
