# The service alone: no compiler, no training library, no pip cache; runs as nobody in particular from a read-only file system.
#   docker build -t anytime-serving .            (deploy/build_image.sh where no image registry can be reached)
#   docker run --rm --read-only -p 127.0.0.1:8000:8000 -v "$PWD/models:/models:ro" -e ANYTIME_ALLOW_ANONYMOUS=true anytime-serving
# Any base will do that has python3.11 with venv, such as Debian 12 itself.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /source
RUN python3.11 -m venv /venv
# What changes seldom comes first: the dependencies are installed again only if their versions change.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir anytime && touch anytime/__init__.py \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt . \
    && /venv/bin/pip uninstall --yes --quiet anytime-serving
COPY anytime anytime
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
    && /venv/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE}
COPY --from=build /venv /venv
# ORT_DISABLE_TELEMETRY: ONNX Runtime would send what it runs to its maker.
# PYTHONDONTWRITEBYTECODE: the file system may be read-only, and pip has compiled everything.
ENV PATH=/venv/bin:$PATH \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, so that Kubernetes' runAsNonRoot can see that it is not root; needs no line in /etc/passwd.
USER 10001:10001
# The store: mount it here, read-only. No VOLUME, which would put an empty one in the place of a mount that was forgotten,
# and in some tools even before one that was not.
WORKDIR /models
EXPOSE 8000
STOPSIGNAL SIGTERM
# Liveness, with what the image has anyway: no curl. urlopen raises on an error status.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
# Bound to every address of the container, so it asks for API keys (ANYTIME_API_KEYS) or for ANYTIME_ALLOW_ANONYMOUS=true.
ENTRYPOINT ["anytime", "serve", "--store", "/models", "--host", "0.0.0.0", "--port", "8000"]
