# Two stages: the first builds the wheel and installs it, the second only runs it.
# Pin the base where you build for others: --build-arg BASE=python:3.11-slim@sha256:...
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
# cpu or gpu: which ONNX Runtime; the two cannot be installed together.
ARG VARIANT=cpu
ARG EXTRAS=postgres,s3,parquet
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY service ./service
COPY training ./training
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
RUN python -m venv /opt/touchstone
RUN /opt/touchstone/bin/pip install --no-cache-dir "$(ls /wheels/touchstone-*.whl)[${VARIANT},${EXTRAS}]"

FROM ${BASE}
LABEL org.opencontainers.image.title="touchstone" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/touchstone /opt/touchstone
COPY models /opt/touchstone/models
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin touchstone \
 && install -d -o 10001 -g 10001 -m 0700 /data
ENV PATH=/opt/touchstone/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 \
    TOUCHSTONE_DATA=/data \
    TOUCHSTONE_MODEL_DIR=/opt/touchstone/models \
    TOUCHSTONE_HOST=0.0.0.0 \
    TOUCHSTONE_PORT=8000
USER 10001:10001
VOLUME /data
WORKDIR /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['TOUCHSTONE_PORT'] + '/readyz', timeout=4)"]
CMD ["touchstone", "serve"]
