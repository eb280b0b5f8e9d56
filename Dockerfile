# `elman serve` of the runs in the volume /models: see docs/en/howto/service.md

FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m venv /opt/elman && /opt/elman/bin/pip install --no-cache-dir ".[serve]"

FROM python:3.12-slim
RUN useradd --system --no-create-home --shell /usr/sbin/nologin elman
COPY --from=build /opt/elman /opt/elman
ENV PATH="/opt/elman/bin:$PATH"
USER elman
VOLUME /models
EXPOSE 8000
HEALTHCHECK --start-period=60s --timeout=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
# exec: the server itself gets SIGTERM, and finishes the open requests
CMD ["sh", "-c", "exec elman serve --host 0.0.0.0 /models/*"]
