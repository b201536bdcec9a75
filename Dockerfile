# The service of docs/server.md, section "In a container". With a database: compose.yaml.

FROM python:3.13-slim-trixie AS build
# What recordings are read with: the service, and PostgreSQL as its database. "server,postgres,identity" knows
# people again by their faces, too.
ARG EXTRAS="server,postgres"
WORKDIR /build
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY src src
# requirements.lock has versions and no hashes: it is for several kinds of machines.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/emofuse \
    && /opt/emofuse/bin/pip install --disable-pip-version-check --constraint requirements.lock ".[${EXTRAS}]"

FROM python:3.13-slim-trixie
RUN groupadd --gid 10001 emofuse \
    && useradd --uid 10001 --gid emofuse --no-log-init --home-dir /data --no-create-home \
       --shell /usr/sbin/nologin emofuse \
    && install --directory --owner=emofuse --group=emofuse --mode=0700 /data
COPY --from=build /opt/emofuse /opt/emofuse
ENV PATH=/opt/emofuse/bin:$PATH \
    HOME=/data \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8000, timeout=4); c.request('GET', '/v1/health'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["emofuse"]
CMD ["serve", "--host", "0.0.0.0", "--data", "/data"]
