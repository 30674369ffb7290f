# One image for every process; docker-compose.yml says which one runs.
FROM python:3.13-slim

RUN useradd --create-home --uid 10001 app && mkdir /data && chown app /data
WORKDIR /app
COPY requirements.lock .
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY CHANGELOG.md .
COPY receiver receiver
COPY jobs jobs
USER app
# What CHANGELOG.md names; `make image` says it.
ARG VERSION=unknown
LABEL org.opencontainers.image.title=ticket-attribution org.opencontainers.image.version=$VERSION

# The root may be read-only: everything that is written goes to /data and /tmp.
ENV DATA_DIR=/data OUTPUT_DIR=/data/output HOST=0.0.0.0 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
CMD ["python", "-m", "jobs", "up"]
